"""The five kinds of perturbation, their random numbers, and the orders in which units are ablated."""
import numpy as np
import pytest

from tfprune.keras import tf
from tfprune.settings import KINDS
from tfprune.units import legacy_sort
from tfprune.units.disturbances import deviations
from tfprune.units.orders import original_orders, original_targeted_order, random_order, targeted_order, unit_orders
from tfprune.units.perturbations import PERTURBATIONS, ablated_count, add_noise, amount_grid, draw, knock_out, normal_stream, uniform_stream

# The original's golden values: of so many units it ablates so many at each of seven amounts.
ABLATED = {
    24: (0, 4, 8, 12, 16, 20, 24), 10: (0, 1, 3, 5, 6, 8, 10), 32: (0, 5, 10, 16, 21, 26, 32), 64: (0, 10, 21, 32, 42, 53, 64),
    72: (0, 12, 24, 36, 48, 59, 72), 96: (0, 16, 32, 48, 64, 80, 96), 128: (0, 21, 42, 64, 85, 106, 128),
    144: (0, 24, 48, 72, 96, 119, 144), 256: (0, 42, 85, 128, 170, 213, 256), 384: (0, 64, 128, 192, 256, 320, 384),
    512: (0, 85, 170, 256, 341, 426, 512), 1024: (0, 170, 341, 512, 682, 853, 1024)}


@pytest.mark.parametrize("units", ABLATED)
def test_counts_of_ablated_units(units):
    assert tuple(ablated_count(amount, units) for amount in amount_grid(7)) == ABLATED[units]


def test_kinds_are_those_of_the_original_in_its_order():
    assert KINDS[:5] == ("weight_noise", "weight_knockout", "knockout", "noise", "targeted")  # as in its pickles: only ever append
    assert tuple(PERTURBATIONS) == KINDS


def test_original_targeted_order_puts_dead_units_first():
    assert original_targeted_order([.2, 1, .9, np.nan, .05]).tolist() == [3, 1, 2, 0, 4]
    assert original_targeted_order([-.2, 1, -.9, np.nan, .05]).tolist() == [3, 1, 2, 0, 4]


def correlations(units=12, dead=(2, 7), dead_diagonal=1.0):
    matrix = np.corrcoef(np.random.default_rng(0).normal(size=(units, 30)))
    matrix[list(dead)] = matrix[:, list(dead)] = 0
    matrix[dead, dead] = dead_diagonal
    return matrix


@pytest.mark.parametrize("dead_diagonal", [0.0, 1.0, np.nan])
def test_targeted_order_takes_dead_units_last(dead_diagonal):
    matrix = correlations(dead_diagonal=dead_diagonal)
    for seed in range(20):
        order = targeted_order(np.random.default_rng(seed), matrix, 12)
        assert sorted(order) == list(range(12))
        assert order[-2:].tolist() == [2, 7]
        strengths = np.abs(matrix[order[0], order[:-2]])
        assert (np.diff(strengths) <= 0).all() and strengths[0] == pytest.approx(1)


def test_targeted_order_takes_nan_for_zero_and_copes_with_all_dead():
    matrix = correlations()
    broken = matrix.copy()
    broken[[2, 7]] = broken[:, [2, 7]] = np.nan
    for seed in range(5):
        orders = [targeted_order(np.random.default_rng(seed), m, 12) for m in (matrix, broken)]
        assert orders[0].tolist() == orders[1].tolist()
    assert sorted(targeted_order(np.random.default_rng(0), np.full((4, 4), np.nan), 4)) == [0, 1, 2, 3]
    assert targeted_order(np.random.default_rng(0), 1.0, 1).tolist() == [0]  # np.corrcoef of one unit


def test_orders_depend_on_nothing_but_what_they_are_for():
    kinds = {"knockout": random_order, "targeted": targeted_order}
    matrices = {cross: [correlations(), correlations(20)] for cross in range(3)}
    together = unit_orders(kinds, [12, 20], range(3), 0, matrices)
    alone = unit_orders({"knockout": random_order}, [12, 20], [2], 0)
    assert alone["knockout"][2][1].tolist() == together["knockout"][2][1].tolist()
    other_seed = unit_orders(kinds, [12, 20], [0], 1, matrices)
    assert len({tuple(orders[1]) for orders in [*together["knockout"].values(), other_seed["knockout"][0]]}) == 4


def test_original_orders_follow_one_stream():
    """Against the drawing as the original writes it, with the global numpy generator."""
    matrices = [[correlations(dead=()), correlations(5, dead=())] for _ in range(2)]
    orders = original_orders(matrices, seed=4)
    np.random.seed(4)
    for cross in range(2):
        for kind in ("knockout", "noise", "targeted"):
            for of_set in range(2):
                chosen = [np.random.randint(0, len(m)) for m in matrices[cross]]
                by_strength = [np.flip(np.argsort(np.abs(m[unit]))) for m, unit in zip(matrices[cross], chosen, strict=True)]
                shuffled = [order.copy() for order in by_strength]
                for order in shuffled:
                    np.random.shuffle(order)
                if kind != "noise":
                    expected = shuffled if kind == "knockout" else by_strength
                    for ours, theirs in zip(orders[kind][cross][of_set], expected, strict=True):
                        assert ours.tolist() == theirs.tolist()


def test_legacy_argsort_sorts_and_keeps_numpys_order_of_distinct_values():
    generator = np.random.default_rng(0)
    for count in (0, 1, 2, 16, 17, 18, 100, 333):
        values = generator.normal(size=count)
        assert legacy_sort.argsort(values) == np.argsort(values).tolist()
        values = generator.integers(4, size=count).astype(float)
        values[values == 3] = np.nan
        np.testing.assert_array_equal(values[legacy_sort.argsort(values)], np.sort(values))


def test_knockout_of_entries():
    ones = tf.ones([20_000])
    uniform = draw(uniform_stream, 3, (20_000,))
    zeroed = {amount: knock_out(ones, uniform, amount, None).numpy() == 0 for amount in (0.0, 0.25, 0.5, 1.0)}
    assert not zeroed[0.0].any() and zeroed[1.0].all()
    assert zeroed[0.25].mean() == pytest.approx(0.25, abs=0.01)
    assert (zeroed[0.5] | ~zeroed[0.25]).all()  # nested in the amount
    assert set(knock_out(2 * ones, uniform, 0.25, None).numpy()) == {0.0, 2.0}  # survivors are not rescaled


def test_noise_has_amount_times_each_examples_deviation():
    activities = tf.constant(np.random.default_rng(0).normal(size=(4, 10, 10, 50)) * np.reshape([1, 10, .1, 0], (4, 1, 1, 1)), tf.float32)
    added = add_noise(activities, draw(normal_stream, 1, (10, 10, 50), 4), 0.5, deviations(activities)) - activities
    deviation = np.std(activities, axis=(1, 2, 3))
    np.testing.assert_allclose(deviations(activities)[:, 0, 0, 0], deviation, rtol=1e-4)
    np.testing.assert_allclose(np.std(added, axis=(1, 2, 3)), 0.5 * deviation, rtol=0.03)


def test_weight_noise_has_amount_times_the_tensors_deviation():
    kernel = tf.tile(tf.constant([[1., 2.], [3., 4.]]), [100, 100])
    noisy = add_noise(kernel, draw(normal_stream, 1, (200, 200)), 0.3, tf.math.reduce_std(kernel))
    assert np.std(noisy - kernel) == pytest.approx(0.3 * np.std([1, 2, 3, 4]), rel=0.02)  # .33541


@pytest.mark.parametrize("stream", [normal_stream, uniform_stream])
@pytest.mark.parametrize("shape", [(8,), (3, 5)])
def test_an_examples_numbers_do_not_depend_on_its_batch(stream, shape):
    whole = draw(stream, 7, shape, 10).numpy()
    parts = [draw(stream, 7, shape, count, first).numpy() for first, count in ((0, 4), (4, 1), (5, 5))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(np.unique(whole)) == whole.size
    assert not np.isin(draw(stream, 8, shape, 10), whole).any()


def test_numbers_are_standard():
    normal, uniform = draw(normal_stream, 1, (1000,), 100).numpy(), draw(uniform_stream, 1, (1000,), 100).numpy()
    assert normal.mean() == pytest.approx(0, abs=0.02) and normal.std() == pytest.approx(1, abs=0.02)
    assert uniform.min() >= 0 and uniform.max() < 1 and uniform.mean() == pytest.approx(0.5, abs=0.01)


