"""Noise at filters: what each kind is, and what it does to a head, against loops in NumPy."""
import json

import numpy as np
import pytest

from tfprune.experiment import UserError, derive_seed
from tfprune.filters import noisy_head
from tfprune.filters.draws import summarise
from tfprune.filters.essential import as_original, essentiality, essentiality_of
from tfprune.filters.members import random_indices
from tfprune.filters.noises import NOISES, Population
from tfprune.keras import keras, tf
from tfprune.settings import NOISES as NAMES

EXAMPLES, FILTERS, CLASSES = 203, 13, 4
RAGGED = {0: [0, 5, 7], 1: [12], 2: [], 3: [0, 1, 2, 3]}


@pytest.fixture(scope="module")
def arrays():
    """(features, labels, kernel, bias) of a head that often is right."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, EXAMPLES)
    kernel = random.normal(size=(FILTERS, CLASSES)).astype("float32")
    features = np.maximum(random.normal(size=(EXAMPLES, FILTERS)) + 0.8 * kernel[:, labels].T, 0).astype("float32")
    return features, labels, kernel, np.array([0.1, 0, -0.1, 0.2], "float32")


def population(examples=20_000, filters=6):
    random = np.random.default_rng(1)
    return Population.of(random.gamma(2, size=(examples, filters)) * [1, 2, 3, 0.1, 10, 0])


def drawn(noise, whole, first=0, stop=None, key=5):
    return NOISES[noise](whole, whole.features[first:stop], tf.constant(first), tf.constant(key)).numpy()


def test_the_names_are_those_of_the_settings():
    assert tuple(NOISES) == NAMES


@pytest.mark.parametrize("noise", NOISES)
def test_a_block_has_what_the_whole_set_has_there(noise):
    whole = population(301, 6)
    expected = drawn(noise, whole)
    blocks = [drawn(noise, whole, first, stop) for first, stop in ((0, 100), (100, 101), (101, None))]
    np.testing.assert_array_equal(np.concatenate(blocks), expected)
    assert noise == "zero" or (drawn(noise, whole, key=6) != expected).mean() > 0.7


@pytest.mark.parametrize(("noise", "mean", "deviation"), [
    ("replace", lambda whole: np.zeros(6), lambda whole: np.ones(6)), ("zero", lambda whole: np.zeros(6), lambda whole: np.zeros(6)),
    ("matched", lambda whole: whole.mean, lambda whole: whole.deviation),
    ("add", lambda whole: whole.mean, lambda whole: whole.deviation * 2**0.5)])
def test_moments(noise, mean, deviation):
    whole = population()
    numbers = drawn(noise, whole)
    spread = np.asarray(deviation(whole))
    assert (np.abs(numbers.mean(axis=0) - mean(whole)) <= 0.03 * spread).all()
    np.testing.assert_allclose(numbers.std(axis=0), spread, rtol=0.03)
    assert noise != "replace" or abs((numbers**4).mean() - 3) < 0.1  # normal


def test_added_noise_leaves_the_response():
    whole = population(5000)
    noise = drawn("add", whole) - whole.features.numpy()
    assert abs(np.corrcoef(noise[:, 0], whole.features[:, 0])[0, 1]) < 0.05


def test_shuffled_filters_have_their_values_in_orders_of_their_own():
    whole = Population.of(np.arange(500)[:, None] + 1000 * np.arange(5)[None])
    values = drawn("shuffle", whole)
    np.testing.assert_array_equal(np.sort(values, axis=0), whole.features)
    images = values % 1000
    assert (np.abs(np.corrcoef(np.column_stack([np.arange(500), images]).T) - np.eye(6)) < 0.2).all()


def by_loops(features, labels, kernel, bias, index, noise, key):
    """Right images of each class with noise at its own filters, and at all others, image by image."""
    numbers, right = drawn(noise, Population.of(features), key=key), np.zeros((2, CLASSES), int)
    for image, label, replaced in zip(features, labels, numbers, strict=True):
        for place in range(2):
            chosen = [unit for unit in range(FILTERS) if (unit in index[label]) == (place == 0)]
            noisy = image.copy()
            noisy[chosen] = replaced[chosen]
            right[place, label] += (noisy @ kernel + bias).argmax() == label
    return right


@pytest.mark.parametrize("noise", NOISES)
def test_against_loops(arrays, noise):
    table = essentiality_of(*arrays, RAGGED, noises=(noise,), draws=2, seed=7)
    for draw in range(2):
        expected = by_loops(*arrays, RAGGED, noise, derive_seed(7, "essential", noise, draw))
        for where, correct in zip(("own", "others"), expected, strict=True):
            rows = table[(table["where"] == where) & (table["draw"] == draw)]
            assert rows["correct"].tolist() == correct.tolist()
    base = table[table["where"] == "none"]
    assert base["correct"].sum() == ((arrays[0] @ arrays[2] + arrays[3]).argmax(axis=1) == arrays[1]).sum()
    assert base["examples"].tolist() == np.bincount(arrays[1]).tolist()
    empty = table[(table["class"] == 2) & (table["where"] == "own")]  # no filters, no harm
    assert (empty["correct"] == base["correct"].iloc[2]).all()


def test_the_size_of_blocks_changes_nothing(arrays, monkeypatch):
    expected = essentiality_of(*arrays, RAGGED, noises=NAMES, draws=2)
    monkeypatch.setattr(noisy_head, "BLOCK", 10 * FILTERS)
    assert essentiality_of(*arrays, RAGGED, noises=NAMES, draws=2).equals(expected)


def test_draws_follow_from_the_seed(arrays):
    few, many = (essentiality_of(*arrays, RAGGED, draws=draws, seed=3) for draws in (2, 4))
    assert many[many["draw"] < 2].reset_index(drop=True).equals(few)
    assert not essentiality_of(*arrays, RAGGED, draws=2, seed=4).equals(few)


def test_sets_of_their_own_for_each_draw(arrays):
    indices = random_indices(RAGGED, FILTERS, 2)
    table = essentiality_of(*arrays, indices, draws=2)
    for draw in range(2):
        own = essentiality_of(*arrays, indices[draw], draws=2)
        assert table[table["draw"] == draw].equals(own[own["draw"] == draw])


def test_summary(arrays):
    table = essentiality_of(*arrays, RAGGED, noises=("replace", "zero"), draws=5)
    summary = summarise(table).set_index(["noise", "where"])
    draws = table[(table["noise"] == "replace") & (table["where"] == "own")].groupby("draw")["correct"].sum() / EXAMPLES
    assert summary.loc[("replace", "own"), "mean"] == pytest.approx(draws.mean())
    assert summary.loc[("replace", "own"), "sd"] == pytest.approx(draws.std(ddof=1))
    assert summary.loc[("zero", "own"), "sd"] == 0 and np.isnan(summary.loc[("none", "none"), "sd"])
    of_classes = summarise(table, ("noise", "where", "class"))
    assert len(of_classes) == 5 * CLASSES and set(of_classes.columns) == {"noise", "where", "class", "mean", "sd"}


def test_the_originals_file(arrays):
    table = essentiality_of(*arrays, RAGGED, draws=2)
    result = json.loads(json.dumps(as_original({"ours": table, "csg": table})))
    assert list(result) == ["ours", "csg"] and list(result["csg"]) == ["0", "1", "2", "3"]
    first = table[table["draw"] == 0].set_index(["where", "class"])["correct"]
    assert result["ours"]["3"] == {"noise_at_inf": first["own", 3], "noise_at_noninf": first["others", 3]}
    with pytest.raises(UserError, match="noise=shuffle"):
        as_original({"ours": table}, "shuffle")


@pytest.mark.parametrize("bias", [True, False])
def test_a_model_of_ones_own(arrays, bias):
    features, labels, kernel, biases = arrays
    images = keras.Input([FILTERS])
    model = keras.Model(images, keras.layers.Dense(CLASSES, use_bias=bias, activation="softmax")(keras.layers.ReLU()(images)))
    model.layers[-1].set_weights([kernel, biases] if bias else [kernel])
    expected = essentiality_of(features, labels, kernel, biases if bias else None, RAGGED, draws=2)
    assert essentiality(model, RAGGED, features, labels, draws=2, batch_size=50).equals(expected)
    dataset = tf.data.Dataset.from_tensor_slices((features, labels))
    assert essentiality(model, RAGGED, dataset, draws=2).equals(expected)


@pytest.mark.parametrize(("changes", "problem"), [
    ({"noises": ("replace", "salt")}, "noise=salt: expected one of replace, matched"), ({"noises": "salt"}, "noise=salt"),
    ({"draws": 0}, "draws=0"), ({"draws": 1.5}, "draws=1.5"),
    ({"labels": np.zeros(3, int)}, "labels"), ({"labels": np.full(EXAMPLES, 4)}, "labels: 4 is no class"),
    ({"labels": np.zeros(EXAMPLES)}, "labels"), ({"features": np.zeros([EXAMPLES, 5])}, "features"),
    ({"features": np.full([EXAMPLES, FILTERS], np.nan)}, "NaN"), ({"index": {0: [1], 1: [2], 2: [3]}}, "class"),
    ({"index": RAGGED | {1: [13]}}, "13"), ({"index": RAGGED | {1: [3, 3]}}, "twice"), ({"index": [RAGGED]}, "1 indices for 20 draws")])
def test_bad_input(arrays, changes, problem):
    arguments = dict(zip(("features", "labels", "kernel", "bias"), arrays, strict=True)) | {"index": RAGGED}
    with pytest.raises(UserError, match=problem):
        essentiality_of(**arguments | changes)
