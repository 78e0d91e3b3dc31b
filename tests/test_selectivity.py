"""Selectivity: the values worked out by hand, the original's own outputs, and its loops."""
import numpy as np
import pytest

from tests.conftest import shared
from tfprune.experiment import UserError
from tfprune.units.selectivity import class_means, class_sums, from_means, selectivity

TRAIN = np.array([[4, 0, 1, 0], [2, 0, 1, 0], [0, 3, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0], [3, 2, 1, 0]], "float32")
TRAIN_LABELS = np.array([0, 0, 1, 1, 2, 2])
TEST = np.array([[2, 0, 1, 0], [1, 3, 1, 0], [1, 1, 1, 0]], "float32")
TEST_LABELS = np.array([0, 1, 2])


@pytest.mark.parametrize("fidelity", ["corrected", "original"])
def test_g4(fidelity):
    train, test, generalisation = selectivity(TRAIN, TRAIN_LABELS, TEST, TEST_LABELS, fidelity)
    np.testing.assert_allclose(train, [0.6, 0.6, 0, np.nan], rtol=1e-6)
    np.testing.assert_allclose(test, [1 / 3, 5 / 7, 0, np.nan], rtol=1e-6)
    np.testing.assert_allclose(generalisation, [0.071111, 0.013061, 0, np.nan], atol=1e-6)


@pytest.mark.parametrize("layer", range(5))
def test_golden_outputs_of_the_original(layer):
    golden = np.load(shared("golden/frivolous_units/redundancy.npz"))
    arguments = [golden[f"{name}_{layer}"] for name in ("train", "train_labels", "test", "test_labels")]
    expected = golden[f"selectivity_{layer}"]
    np.testing.assert_allclose(selectivity(*arguments, fidelity="original"), expected, rtol=1e-9, equal_nan=True)
    if layer < 4:  # logits have either sign: where means nearly cancel, float32 means have no digits left
        np.testing.assert_allclose(selectivity(*arguments), expected, atol=1e-5, equal_nan=True)


def loops(rows, labels, test_rows, test_labels):
    """The definition, unit by unit, in float64."""
    results = np.zeros((2, rows.shape[1]))
    for unit in range(rows.shape[1]):
        best = max(np.unique(labels), key=lambda label, unit=unit: rows[labels == label, unit].mean())
        for index, (x, y) in enumerate(((rows, labels), (test_rows, test_labels))):
            own, others = x[y == best, unit].mean(), x[y != best, unit].mean()
            results[index, unit] = (own - others) / (own + others)
    return *results, (results[0] - results[1]) ** 2


@pytest.mark.parametrize("offset", [0, 5])
def test_against_the_definition(offset):
    random = np.random.default_rng(0)
    rows, test_rows = random.random((2000, 300)), random.random((500, 300))
    labels, test_labels = random.integers(0, 7, 2000) * 3 - offset, random.integers(0, 7, 500) * 3 - offset  # any integers will do
    np.testing.assert_allclose(selectivity(rows, labels, test_rows, test_labels), loops(rows, labels, test_rows, test_labels), rtol=1e-7)


def test_a_class_that_the_test_set_lacks():
    train, test, _ = selectivity(TRAIN, TRAIN_LABELS, TEST[:2], TEST_LABELS[:2])
    assert not np.isnan(train[:2]).any() and not np.isnan(test[:2]).any()
    _, test, _ = selectivity(TRAIN, TRAIN_LABELS, TEST[1:], TEST_LABELS[1:])
    assert np.isnan(test).tolist() == [True, False, True, True]


def test_infinite_where_means_cancel():
    train, _, _ = selectivity(np.array([[1.0], [-1.0]]), np.array([0, 1]), np.array([[1.0], [-1.0]]), np.array([0, 1]))
    assert train[0] == np.inf


def test_sums_of_chunks_add_up():
    random = np.random.default_rng(0)
    rows, labels, classes = random.random((900, 5)).astype("float32"), random.integers(0, 4, 900), np.arange(4)
    parts = [class_sums(rows[part], labels[part], classes) for part in (slice(0, 1), slice(1, 500), slice(500, 900))]
    means = class_means(*(sum(part) for part in zip(*parts, strict=True)))
    np.testing.assert_allclose(from_means(means, means), selectivity(rows, labels, rows, labels), rtol=1e-10)


@pytest.mark.parametrize("arguments, problem", [
    ((TRAIN, TRAIN_LABELS[:5], TEST, TEST_LABELS), "shape"), ((TRAIN[0], TRAIN_LABELS, TEST, TEST_LABELS), "shape"),
    ((TRAIN, TRAIN_LABELS, TEST, TEST_LABELS + 1), "class 3")])
def test_sets_that_do_not_fit(arguments, problem):
    with pytest.raises(UserError, match=problem):
        selectivity(*arguments)


def test_a_class_without_examples_is_nobodys_favourite():
    sums, counts = class_sums(np.array([[4., 0.], [0., 2.]]), np.array([0, 1]), np.arange(3))
    on_train, _, _ = from_means(class_means(sums, counts), class_means(sums, counts))
    assert np.isfinite(on_train).all()
