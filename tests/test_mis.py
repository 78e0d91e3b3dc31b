"""What filters say about classes: scikit-learn's estimate, and gates."""
import numpy as np
import pytest
from sklearn.feature_selection import mutual_info_classif

from tfprune.experiment import UserError
from tfprune.filters.gates import filters_per_class, gate_filters, l1_density
from tfprune.filters.mis import class_information, mis


def responses(examples=600, classes=5, seed=0):
    """Features as nets have them: zeros among them, a dead one, a constant one, a large one, one that tells a class; and labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, examples)
    features = np.maximum(random.normal(size=(examples, 7)), 0)
    features[:, 1] += labels == 2
    features[:, 2] = 0
    features[:, 3] = 1e4 + 1e-2 * features[:, 3]
    features[:, 4] *= 1e-6
    features[:, 5] = np.round(features[:, 5], 1)  # many are equal
    features[:, 6] = 3.0
    return features, labels


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_as_scikit_learn(dtype):
    features, labels = responses()
    features = features.astype(dtype)
    expected = [mutual_info_classif(features.astype("float64"), labels == number, random_state=0) for number in range(5)]
    np.testing.assert_allclose(class_information(features, labels), expected, atol=1e-9)
    assert np.max(expected) > 0.1  # there was something to find


@pytest.mark.parametrize("members", [1, 2, 3, 4])
def test_small_classes(members):
    features, labels = responses(examples=60)
    labels = np.where(np.arange(60) < members, 1, 0)
    expected = [mutual_info_classif(features, labels == number, random_state=0) for number in range(2)]
    found = class_information(features, labels, classes=3)
    if members == 1:
        assert not found[1].any()  # it has no neighbours
    else:  # of so few sklearn takes distances from squares, in which features that hardly differ have none
        np.testing.assert_allclose(found[:2, [0, 1, 4]], np.array(expected)[:, [0, 1, 4]], atol=1e-9)
    assert not found[2].any()  # a class without examples


def test_nothing_to_tell():
    features, _ = responses()
    assert not class_information(features, np.zeros(600, int)).any()
    random = np.random.default_rng(1)
    assert class_information(random.normal(size=(4000, 3)), random.integers(0, 2, 4000)).max() < 0.03


def test_everything_told():
    labels = np.arange(900) % 3
    matrix = class_information(labels[:, None] + np.linspace(0, 0.1, 900)[:, None], labels)
    entropy = -np.log(1 / 3) / 3 - np.log(2 / 3) * 2 / 3  # of "is it of that class"
    assert matrix[:, 0] == pytest.approx(np.full(3, entropy), abs=0.01)
    assert mis(matrix) == matrix.max()


def test_the_mean_of_the_largest():
    assert mis(np.array([[0.1, 0.4], [0.3, 0.0]])) == pytest.approx(0.35)


def test_the_order_of_examples_changes_little_and_a_seed_nothing():
    features, labels = responses()
    first = class_information(features, labels)
    np.testing.assert_array_equal(class_information(features, labels), first)
    order = np.random.default_rng(2).permutation(len(labels))
    np.testing.assert_allclose(class_information(features[order], labels[order])[:, :2], first[:, :2], atol=0.05)


@pytest.mark.parametrize(("features", "labels", "classes"), [
    (np.ones((4, 2)), np.zeros(3, int), None), (np.ones(4), np.zeros(4, int), None), (np.full((4, 2), np.nan), np.zeros(4, int), None),
    (np.ones((4, 2)), np.array([0, 1, 2, 3]), 3), (np.ones((4, 2)), np.array([0, -1, 2, 3]), None), (np.ones((4, 2)), np.ones(4), None)])
def test_bad_input(features, labels, classes):
    with pytest.raises(UserError, match="features|labels"):
        class_information(features, labels, classes)


GATES = np.array([[0.9, 0.1, 0.5, 0.5], [-0.1, 1.0, 0.2, 0.5]])


def test_gates():
    assert gate_filters(GATES, 3) == {0: [0, 2, 3], 1: [1, 3, 2]}  # of equal ones the lower first
    assert gate_filters(GATES, 2, "smallest") == {0: [1, 2], 1: [0, 2]}
    assert gate_filters(GATES, 2).units == 4
    assert l1_density(GATES) == pytest.approx(3.8 / 8)
    assert filters_per_class(GATES).tolist() == [3, 1] and filters_per_class(GATES[:1]).tolist() == [4]


@pytest.mark.parametrize("arguments", [(GATES, 0), (GATES, 5), (GATES, 1.5), (GATES, 2, "best"), (GATES[0], 1), (GATES * np.nan, 1)])
def test_gates_that_are_refused(arguments):
    with pytest.raises(UserError, match="gates|top"):
        gate_filters(*arguments)
