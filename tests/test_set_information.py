"""Mutual information and overlap of class filter sets: the study's published figures, scikit-learn, and all sets that there are."""
import itertools
import json

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from tests.conftest import shared
from tfprune.experiment import UserError
from tfprune.filters.gates import gate_filters
from tfprune.filters.information import expected, measures, set_information
from tfprune.filters.members import membership, random_indices, random_members

# filters a class: over all pairs, ours, smallest gates (as published), largest gates, random; then without a class's pair with itself
PUBLISHED = {
    5: ("", (0.034538, 0.037509, 0.033945, 0.03460), (0.00791, 0.01121, 0.00725, 0.00798)),
    10: ("_10_10", (0.057050, 0.054036, 0.055325, 0.05166), (0.01523, 0.01189, 0.01332, 0.00925)),
    20: ("_20_20", (0.070803, 0.081744, 0.087396, 0.06935), (0.00966, 0.02182, 0.02810, 0.00805)),
}
OVERLAPS = {5: (0.47, 32), 10: (1.67, 47), 20: (6.24, 60)}


def published(file):
    return json.loads(shared(f"golden/decomposing/{file}_indices.json").read_text())


@pytest.mark.parametrize("top", PUBLISHED)
def test_published_figures(top):
    file, information, off_diagonal = PUBLISHED[top]
    gates = np.load(shared("golden/decomposing/resnet20.npz"))["csg_gate"]
    indices = published(f"resnet20_cifar-10{file}"), gate_filters(gates, top, "smallest"), gate_filters(gates, top)
    for index, of_all, of_others in zip(indices, information, off_diagonal, strict=False):
        own = measures(membership(index, 64))
        assert own["mutual_information"] == pytest.approx(of_all, abs=5.1e-7)
        assert own["off_diagonal"] == pytest.approx(of_others, abs=1.01e-5)  # five digits, some of them cut
    chance = expected(np.full(10, top), 64)
    assert chance["mutual_information"] == pytest.approx(information[3], abs=1.5e-4)  # theirs: the mean of 200 draws
    assert chance["off_diagonal"] == pytest.approx(off_diagonal[3], abs=1.5e-4)
    own = measures(membership(indices[0], 64))
    assert (round(own["overlap"], 2), own["distinct"]) == OVERLAPS[top]


def test_all_digits_of_the_originals_comments():
    gates = np.load(shared("golden/decomposing/resnet20.npz"))["csg_gate"]
    indices = published("resnet20_cifar-10"), gate_filters(gates, 5, "smallest")
    assert [round(measures(membership(index, 64))["mutual_information"], 8) for index in indices] == [0.03453776, 0.03750908]


def test_the_published_index_of_imagenet():
    own = measures(membership(published("resnet50_imagenet"), 2048))
    assert (round(own["mutual_information"], 6), round(own["off_diagonal"], 6)) == (0.001253, 0.001140)
    assert (round(own["overlap"], 2), own["distinct"]) == (2.58, 1975)
    assert expected(np.full(1000, 50), 2048)["overlap"] == pytest.approx(50 * 50 / 2048)


RAGGED = {2: [4], 0: [0, 1, 2], 1: [2, 3, 4, 5, 6], 3: []}


def by_scikit_learn(members):
    pairs = list(itertools.permutations(range(len(members)), 2))
    scores = [[mutual_info_score(one, other) for other in members] for one in members]
    both, either = (np.array([function(members[a], members[b]).sum() for a, b in pairs]) for function in (np.logical_and, np.logical_or))
    return {"mutual_information": np.mean(scores), "off_diagonal": np.mean([scores[a][b] for a, b in pairs]), "overlap": both.mean(),
            "jaccard": np.mean(both / np.maximum(either, 1)), "distinct": members.any(axis=0).sum()}


def test_sets_of_different_sizes():
    members = membership(RAGGED, 9)
    assert members.sum(axis=1).tolist() == [3, 5, 1, 0]
    assert measures(members) == pytest.approx(by_scikit_learn(members))


def test_expectations_are_the_means_over_all_sets():
    sizes, units = np.array([2, 3, 0, 2]), 5
    every = [measures(membership(dict(enumerate(sets)), units))
             for sets in itertools.product(*(itertools.combinations(range(units), size) for size in sizes))]
    means = {name: np.mean([one[name] for one in every]) for name in every[0]}
    assert expected(sizes, units) == pytest.approx(means)


def test_the_table():
    table = set_information(RAGGED, 9, draws=400).set_index("sets")
    assert list(table.index) == ["own", "random", "random_sd", "random_expected"]
    assert table.loc["own"].to_dict() == pytest.approx(measures(membership(RAGGED, 9)))
    error = 4 * table.loc["random_sd"] / 20
    assert (abs(table.loc["random"] - table.loc["random_expected"]) < error).all() and (error > 0).all()


def test_equal_and_disjoint_sets():
    assert measures(membership({0: [1, 2], 1: [1, 2]}, 8))["jaccard"] == 1
    apart = measures(membership({0: [0, 1, 2, 3], 1: [4, 5, 6, 7]}, 8))
    assert (apart["overlap"], apart["jaccard"], apart["off_diagonal"]) == (0, 0, pytest.approx(np.log(2)))  # one tells the other


def test_one_class_has_no_others():
    table = set_information({0: [1, 2]}, 8, draws=2).set_index("sets")
    assert np.isnan(table.loc["own", "off_diagonal"]) and table.loc["own", "distinct"] == 2


def test_random_sets_follow_from_seed_and_draw_alone():
    index = {0: [1, 2, 3], 1: [5]}
    few, many = random_indices(index, 40, 2, seed=3), random_indices(index, 40, 5, seed=3)
    assert few == many[:2] and few[0] != few[1] and few != random_indices(index, 40, 2, seed=4)
    assert [sorted(map(len, one.values())) for one in many] == [[1, 3]] * 5
    assert random_members([3, 1], 40, 3, 0).tolist() == membership(few[0], 40).tolist()


@pytest.mark.parametrize(("index", "problem"), [
    ({0: [1], 1: [8]}, "8"), ({0: [1], 1: [-1]}, "-1"), ({0: [1, 1], 1: [2]}, "twice"), ({0: [1], 2: [2]}, "class"), ({}, "no classes")])
def test_indices_that_are_refused(index, problem):
    with pytest.raises(UserError, match=problem):
        set_information(index, 8)
