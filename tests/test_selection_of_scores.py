"""Which scores a mask keeps: against sorting with NumPy, golden values of the facts, ties, types, graphs, bad input."""
import numpy as np
import pytest

from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.masks.selection import global_counts, global_masks, kept_count, select, threshold_mask, top_k_mask

S = np.float32([.30, -.90, .10, .50, -.20, .70, -.05, .40])
EXACT = {0: "00000000", .1: "01000000", .125: "01000000", .25: "01000100", .3: "01010100", .5: "01010101", .6: "11010101", .7: "11011101",
         .75: "11011101", .9: "11111111", 1: "11111111"}
FASTER = {0: "01000000", .1: "01000100", .125: "01000100", .25: "01010100", .3: "01010100", .5: "01010101", .6: "11010101",
          .7: "11011101", .75: "11011101", .9: "11111101", 1: "11111111"}
# n: for each keep of KEEPS, how many are removed by the exact rule and by the threshold rule
KEEPS = (.1, .2, .3, .5, .7, .8, .9)
ZEROS = {7: ((6, 5), (5, 5), (4, 4), (3, 3), (2, 2), (1, 1), (0, 1)),
         10: ((9, 8), (8, 7), (7, 6), (5, 4), (3, 3), (1, 2), (0, 1)),
         100: ((90, 89), (80, 79), (70, 69), (50, 50), (30, 30), (19, 20), (9, 10)),
         1000: ((900, 899), (800, 799), (700, 699), (500, 500), (300, 300), (199, 200), (99, 100)),
         1728: ((1555, 1554), (1382, 1382), (1209, 1209), (864, 864), (518, 518), (345, 345), (172, 173)),
         36864: ((33177, 33177), (29491, 29490), (25804, 25804), (18432, 18432), (11059, 11059), (7372, 7373), (3686, 3686)),
         4194304: ((3774873, 3774873), (3355443, 3355442), (2936012, 2936012), (2097152, 2097152), (1258291, 1258291),
                   (838860, 838861), (419430, 419430))}
SINES = np.abs(np.float32(np.sin(np.arange(1, 1001))))


def oracle(scores, count, order="value"):
    """The mask by a stable sort, largest first: of equal scores the lower index."""
    ranked = np.abs(scores) if order == "magnitude" else scores
    mask = np.zeros(scores.size, scores.dtype)
    mask[np.argsort(-ranked.ravel().astype("float64"), kind="stable")[:count]] = 1
    return mask.reshape(scores.shape)


def digits(mask):
    return "".join(str(int(value)) for value in np.ravel(mask))


def kinds_of_scores(shape, seed):
    """Scores as they may come: distinct, many ties of both signs, constant, zeros of both signs, extremes, and denormal numbers."""
    rng = np.random.default_rng(seed)
    yield rng.normal(size=shape)
    yield np.round(rng.normal(size=shape))
    yield np.full(shape, -.3)
    yield np.where(rng.random(shape) < .5, -0.0, 0.0)
    yield rng.choice([-np.inf, -3e38, -1, 1e-30, 3e38, np.inf], shape)
    yield rng.integers(-5, 5, shape) * 1e-42


@pytest.mark.parametrize("keep", EXACT)
def test_golden_masks_of_both_rules(keep):
    assert digits(top_k_mask(np.abs(S), keep)) == EXACT[keep]
    assert digits(threshold_mask(np.abs(S), 1 - keep)) == FASTER[keep]


@pytest.mark.parametrize("sparsity,expected", [(.5, "01010101"), (.3, "11011101"), (.9, "01000100"), (1, "01000000")])
def test_golden_masks_of_the_threshold_rule_by_sparsity(sparsity, expected):
    assert digits(threshold_mask(np.abs(S), sparsity)) == expected


@pytest.mark.parametrize("size", ZEROS)
def test_counts_follow_the_float64_rule(size):
    scores = tf.constant(np.random.default_rng(0).permutation(size).astype("float32"))
    for keep, (exact, faster) in zip(KEEPS, ZEROS[size], strict=True):
        assert size - kept_count(size, keep) == exact
        if size < 10**6 or keep == .3:
            assert np.sum(top_k_mask(scores, keep) == 0) == exact
            assert np.sum(threshold_mask(scores, 1 - keep) == 0) == faster


def test_golden_sines():
    for keep, ones, indices, smallest in ((.1, 100, 49135, .9880223), (.3, 300, 149157, .8900093), (.5, 500, 249390, .7086591),
                                          (.7, 700, 350040, .4598232), (.8, 801, 400274, None), (.9, 901, 449780, .1585929)):
        kept = np.flatnonzero(top_k_mask(SINES, keep))
        assert (len(kept), kept.sum()) == (ones, indices)
        assert smallest is None or SINES[kept].min() == pytest.approx(smallest, abs=1e-7)
    assert np.flatnonzero(top_k_mask(SINES, .3))[:5].tolist() == [1, 4, 7, 10, 13]
    for keep, ones, indices in ((.1, 101, 49792), (.3, 301, 149268), (.8, 800, 399647), (.9, 900, 449467)):
        kept = np.flatnonzero(threshold_mask(SINES, 1 - keep))
        assert (len(kept), kept.sum()) == (ones, indices)


def test_ties_are_cut_by_index_and_kept_by_the_threshold_rule():
    ties = np.float32([.2, .2, .2, .2, .5, .1])
    assert digits(top_k_mask(ties, .5)) == "110010"
    assert digits(threshold_mask(ties, .5)) == "111110"
    ones = np.ones(1000, "float32")
    assert np.flatnonzero(top_k_mask(ones, .3)).tolist() == list(range(300))
    assert np.sum(threshold_mask(ones, .7)) == 1000


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (257,), (3, 3, 16, 7)])
def test_selection_is_that_of_a_stable_sort(shape, dtype):
    graph = tf.function(select)
    for scores in kinds_of_scores(shape, seed=len(shape)):
        scores = np.asarray(scores, dtype)
        for count in sorted({0, 1, scores.size // 3, scores.size // 2, max(scores.size - 1, 0), scores.size}):
            for order in ("value", "magnitude"):
                expected = oracle(scores, count, order)
                for mask in (select(scores, count, order), graph(tf.constant(scores), tf.constant(count, tf.int64), order)):
                    assert mask.dtype == dtype and mask.shape == shape
                    np.testing.assert_array_equal(mask, expected, err_msg=f"{scores.ravel()[:10]} {count} {order}")


@pytest.mark.parametrize("order", ["value", "magnitude"])
def test_selection_compiled_by_xla(order):
    compiled = tf.function(select, jit_compile=True)
    for scores in kinds_of_scores((700,), seed=1):
        scores = np.float32(scores)
        for count in (0, 1, 350, 699, 700):
            np.testing.assert_array_equal(compiled(tf.constant(scores), tf.constant(count), order), oracle(scores, count, order))
    lost = tf.constant(np.float32([1, np.nan, 2]))
    assert np.isnan(compiled(lost, tf.constant(2), order)).all()


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
def test_half_precision(dtype):
    scores = tf.cast(np.random.default_rng(0).normal(size=(40, 50)), dtype)
    mask = top_k_mask(scores, .3)
    assert mask.dtype == dtype
    np.testing.assert_array_equal(tf.cast(mask, tf.float32), oracle(tf.cast(scores, tf.float32).numpy(), 600))


def test_invariance_and_nesting():
    scores = np.random.default_rng(0).normal(size=4001).astype("float32")
    half = select(scores, 2000, "magnitude").numpy()
    for same in (-scores, 3 * scores, np.sign(scores) * np.abs(scores) ** .5, np.abs(scores)):
        np.testing.assert_array_equal(select(same, 2000, "magnitude"), half)
    assert np.all(select(scores, 1000, "magnitude") <= half)


def test_a_lost_score_is_refused_or_poisons_the_mask():
    for lost in (np.nan, -np.nan):
        scores = np.float32([1, lost, 2, -3])
        with pytest.raises(UserError, match="1 of 4 scores are NaN"):
            top_k_mask(scores, .5)
        with pytest.raises(UserError, match="NaN"):
            threshold_mask(scores, .5)
        with pytest.raises(UserError, match="NaN"):
            global_masks([S, scores], .5)
        for keep in (0, .5, 1):
            assert np.isnan(tf.function(top_k_mask)(tf.constant(scores), keep)).all()
        assert np.isnan(tf.function(threshold_mask)(tf.constant(scores), .5)).all()
        assert np.isnan(tf.function(select)(tf.constant(scores.astype("float64")), 2, "magnitude")).all()
    assert digits(top_k_mask(np.float32([-np.inf, 0, np.inf]), .3)) == "001"


@pytest.mark.parametrize("order", ["value", "magnitude"])
def test_one_threshold_over_all_layers(order):
    rng = np.random.default_rng(0)
    layers = [rng.normal(size=(3, 3, 4)), 3 * rng.normal(size=50), np.round(2 * rng.normal(size=(9, 30))), np.ones(20), np.ones((3, 5))]
    layers = [np.float32(layer) for layer in layers]
    joined = np.concatenate([layer.ravel() for layer in layers])
    for count in (0, 1, 100, 200, 300, joined.size - 1, joined.size):
        expected = np.split(oracle(joined, count, order), np.cumsum([layer.size for layer in layers])[:-1])
        counts = tf.function(lambda count: global_counts(layers, count, order))(tf.constant(count))
        for layer, kept, mask in zip(layers, counts, expected, strict=True):
            np.testing.assert_array_equal(np.ravel(select(layer, kept, order)), mask)
    masks = global_masks(layers, .3)
    assert sum(int(np.sum(mask)) for mask in masks) == kept_count(joined.size, .3)
    assert [mask.shape for mask in masks] == [layer.shape for layer in layers]


@pytest.mark.parametrize("keep", [-.1, 1.01, float("nan"), float("inf"), "half", True])
def test_shares_outside_0_to_1_are_refused(keep):
    for call in (lambda: kept_count(10, keep), lambda: top_k_mask(S, keep), lambda: threshold_mask(S, keep),
                 lambda: global_masks([S], keep)):
        with pytest.raises(UserError, match=f"{keep}: the share of weights .* from 0 to 1") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scores", [np.zeros(0, "float32"), np.arange(5), np.array([True, False])])
def test_what_is_no_floats_is_refused(scores):
    for call in (lambda: top_k_mask(scores, .5), lambda: threshold_mask(scores, .5), lambda: global_masks([scores], .5)):
        with pytest.raises(UserError, match="a mask is made from floats"):
            call()
