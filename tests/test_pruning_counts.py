"""How many are cut, and which: the original study's golden values (facts 4 and 11), and exact counts under ties."""
import math

import numpy as np
import pytest

from tfprune.experiment import UserError
from tfprune.pruning.counts import Ranking, check_sparsity, count, cut_all

A = np.array([[.1, -.5, .3, .05], [-.2, .4, -.3, .6], [.7, -.15, .25, -.35]], "float32")
T = np.array([[1, 1, 1, 1], [2, 2, 2, 2]], "float32")
Z = np.array([[0, 0, 0, .5], [0, 0, .25, -.75]], "float32")
SHAPES = ((784, 1000), (1000, 1000), (1000, 500), (500, 200))
DEFAULT = (0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99, 0.995, 0.999)
UNITS = {.25: (250, 250, 125, 50), .5: (500, 500, 250, 100), .6: (600, 600, 300, 120), .7: (700, 700, 350, 140), .8: (800, 800, 400, 160),
         .9: (900, 900, 450, 180), .95: (950, 950, 475, 190), .97: (970, 970, 485, 194), .99: (990, 990, 495, 198),
         .995: (995, 995, 497, 199), .999: (999, 999, 499, 199)}
WEIGHTS = {.25: (196000, 250000, 125000, 25000), .5: (392000, 500000, 250000, 50000), .6: (470400, 600000, 300000, 60000),
           .7: (548800, 700000, 350000, 70000), .8: (627200, 800000, 400000, 80000), .9: (705600, 900000, 450000, 90000),
           .95: (744800, 950000, 475000, 95000), .97: (760480, 970000, 485000, 97000), .99: (776160, 990000, 495000, 99000),
           .995: (780080, 995000, 497500, 99500), .999: (783216, 999000, 499500, 99900)}
ZEROS = {.25: .249790, .5: .499581, .6: .599497, .7: .699413, .8: .799329, .9: .899246, .95: .949204, .97: .969187, .99: .989170,
         .995: .994166, .999: .998163}
LEFT = {.25: 1489500, .5: 793000, .6: 570400, .7: 379800, .8: 221200, .9: 94600, .95: 43300, .97: 25020, .99: 8020, .995: 3973, .999: 797}
BOTH = pytest.mark.parametrize("fidelity", ["original", "corrected"])


def cut_lowest(scores, k, fidelity="corrected"):
    """Which scores of one layer are cut."""
    return cut_all({"scores": scores}, k, fidelity=fidelity)["scores"]


def weights(matrix, k, fidelity):
    return np.where(cut_lowest(abs(matrix), k, fidelity), 0, matrix)


def columns(matrix, k, fidelity):
    """Numbers of the columns that are cut."""
    return np.flatnonzero(cut_lowest(np.linalg.norm(matrix, axis=0), k, fidelity)).tolist()


@BOTH
def test_golden_weights(fidelity):
    assert np.array_equal(weights(A, 0, fidelity), A)
    for k in (.25, .3):
        assert np.argwhere(cut_lowest(abs(A), k, fidelity)).tolist() == [[0, 0], [0, 3], [2, 1]]
    last = 0 if fidelity == "corrected" else -.3  # of the two weights of .3, of which the original cuts neither
    assert np.allclose(weights(A, .5, fidelity), [[0, -.5, .3, 0], [0, .4, last, .6], [.7, 0, 0, -.35]])
    for k, kept in ((.75, [-.5, .6, .7]), (.9, [.6, .7]), (.99, [.7])):
        left = weights(A, k, fidelity)
        assert np.allclose(sorted(left[left != 0]), sorted(kept))


@BOTH
def test_golden_units(fidelity):
    assert np.allclose(np.linalg.norm(A, axis=0), [.73484692, .65764732, .49244289, .69641941])
    for k, cut in ((0, []), (.25, [2]), (.3, [2]), (.5, [1, 2]), (.75, [1, 2, 3]), (.9, [1, 2, 3]), (.99, [1, 2, 3])):
        assert columns(A, k, fidelity) == cut


def test_ties_of_the_original():
    for k, rows in ((.25, []), (.5, [0]), (.75, [0]), (.9, [0])):
        assert np.array_equal(weights(T, k, "original"), np.where(np.isin([[0], [1]], rows), 0, T))
    for k in (.25, .5, .75, .9):
        assert columns(T, k, "original") == []
    for k in (.25, .5, .6):
        assert np.array_equal(weights(Z, k, "original"), Z)
    assert np.array_equal(weights(Z, .75, "original"), [[0, 0, 0, .5], [0, 0, 0, -.75]])


def test_ties_are_cut_exactly():
    """The later of equal ones go first; zeros that are there already count."""
    for k in np.arange(9) / 8:
        for matrix in (T, Z, A):
            assert cut_lowest(abs(matrix), k).sum() == math.floor(matrix.size * k)
    assert np.argwhere(cut_lowest(T, .25)).tolist() == [[0, 2], [0, 3]]
    assert np.argwhere(cut_lowest(T, .75)).tolist() == [[0, 0], [0, 1], [0, 2], [0, 3], [1, 2], [1, 3]]
    assert columns(T, .5, "corrected") == [2, 3]
    assert np.array_equal(weights(Z, .6, "corrected"), Z)  # four of the five zeros
    assert np.array_equal(weights(Z, .75, "corrected"), [[0, 0, 0, .5], [0, 0, 0, -.75]])


def test_all_and_nothing():
    assert cut_lowest(A, 1).all() and not cut_lowest(A, 0).any()
    assert cut_lowest(np.zeros([0, 3]), .5).shape == (0, 3)


@BOTH
def test_counts_of_the_study(fidelity):
    """The table of facts 4: weights and units removed, share of zeros, what is left where dead units are taken out."""
    for k in DEFAULT[1:]:
        cut = tuple(count(rows * units, k, fidelity) for rows, units in SHAPES)
        assert cut == WEIGHTS[k] and round(sum(cut) / 2_386_000, 6) == ZEROS[k]
        dead = tuple(count(units, k, fidelity) for _, units in SHAPES)
        assert dead == UNITS[k]
        alive = [784, *(units - gone for (_, units), gone in zip(SHAPES, dead, strict=True)), 10]
        assert sum(a * b for a, b in zip(alive[:-1], alive[1:], strict=True)) == LEFT[k]


def test_truncation():
    """The original is one short 93 times; every count of ours is the exact one."""
    assert [count(200, k, "original") for k in (.29, .57, .145)] == [57, 113, 28]
    sizes = {rows * units for rows, units in SHAPES} | {units for _, units in SHAPES}
    pairs = [(size, thousandths) for size in sizes for thousandths in range(1000)]
    assert all(count(size, number / 1000) == size * number // 1000 for size, number in pairs)
    assert sum(size * number // 1000 - count(size, number / 1000, "original") for size, number in pairs) == 93


def test_global_ranking_against_numpy():
    generator = np.random.default_rng(0)
    scores = {"a": abs(generator.normal(size=(30, 7))), "b": 3 * abs(generator.normal(size=50)), "c": generator.normal(size=(2, 3, 4))}
    ranking = Ranking(scores, "global")
    for k in (0, .1, .5, .97, 1):
        cut = ranking.cut(k)
        everything, gone = (np.concatenate([np.ravel(values[name]) for name in scores]) for values in (scores, cut))
        assert {name: each.shape for name, each in cut.items()} == {name: each.shape for name, each in scores.items()}
        assert gone.sum() == count(everything.size, k)
        assert not gone.any() or gone.all() or everything[gone].max() < everything[~gone].min()
    shares = [ranking.cut(.5)[name].mean() for name in "ab"]
    assert shares[0] > .5 > shares[1]  # the larger scores of b stay


def test_global_ties():
    cut = cut_all({"a": np.ones(3), "b": np.ones(2)}, .6, "global")
    assert (cut["a"].tolist(), cut["b"].tolist()) == ([False, False, True], [True, True])
    assert not any(each.any() for each in cut_all({"a": np.ones(3), "b": np.ones(2)}, .6, "global", "original").values())


@pytest.mark.parametrize("kind", ["float32", "float64", "int32"])
def test_order_against_numpy(kind):
    generator = np.random.default_rng(2)
    scores = np.concatenate([generator.integers(-3, 4, 50), [0.0, -0.0], generator.normal(size=50) * (kind != "int32")]).astype(kind)
    last_first = sorted(range(scores.size), key=lambda index: (scores[index], -index))
    for number in range(scores.size):
        assert set(np.flatnonzero(cut_lowest(scores, number / scores.size))) == set(last_first[:number])


def test_cuts_are_nested():
    scores = np.random.default_rng(1).integers(0, 20, 500)
    ranking, before = Ranking({"a": scores}), np.zeros(500, bool)
    for k in np.linspace(0, 1, 21):
        now = ranking.cut(k)["a"]
        assert not (before & ~now).any()
        before = now


@pytest.mark.parametrize("k", [-.1, 1.01, math.nan, math.inf, "0.5", None, True])
def test_sparsities_that_are_none(k):
    for fidelity in ("original", "corrected"):
        with pytest.raises(UserError, match=r"measure.sparsities=.*: the share that is removed is a number from 0 to 1"):
            check_sparsity(k, fidelity, "measure.sparsities")
        with pytest.raises(UserError, match="^sparsity="):
            cut_lowest(A, k, fidelity)


def test_bad_input():
    with pytest.raises(UserError, match=r"sparsity=1\.0: the original's rule"):
        cut_lowest(A, 1.0, "original")
    with pytest.raises(UserError, match="fc1: 1 of 2 scores are NaN"):
        Ranking({"fc1": np.array([1, np.nan])})
    with pytest.raises(UserError, match="scope=net: expected layer or global"):
        Ranking({"fc1": np.ones(2)}, "net")
    with pytest.raises(UserError, match="fidelity=both"):
        Ranking({"fc1": np.ones(2)}, fidelity="both")
