"""Streamed moments against numpy on all rows at once."""
import threading

import numpy as np
import pytest

from tfprune.experiment import UserError
from tfprune.units import covariance
from tfprune.units.covariance import Moments


def data(rows=1000, units=7, seed=0):
    random = np.random.default_rng(seed)
    return (random.normal(size=(rows, 3)) @ random.normal(size=(3, units)) + 0.1 * random.normal(size=(rows, units))).astype("float32")


def assert_like_numpy(moments, rows, tolerance=1e-12):
    rows = np.asarray(rows, np.float64)
    scale = np.abs(np.cov(rows, rowvar=False)).max()
    assert moments.count == len(rows)
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(rows, rowvar=False), atol=tolerance * scale)
    np.testing.assert_allclose(moments.correlation, np.corrcoef(rows, rowvar=False), atol=tolerance * 10)


@pytest.mark.parametrize("sizes", [[1000], [1, 999], [2] * 500, [0, 300, 0, 700], [999, 1]], ids=str)
def test_any_chunks_give_the_same(sizes):
    rows = data()
    assert_like_numpy(Moments.of(np.split(rows, np.cumsum(sizes)[:-1])), rows)
    assert_like_numpy(Moments.of(rows), rows)


@pytest.mark.parametrize("rows, units", [(30_000, 48), (5_000, 300), (700, 600), (20, 50)], ids=str)
def test_threads_and_wide_layers(rows, units):
    rows = data(rows, units)
    assert_like_numpy(Moments.of(rows), rows)
    assert_like_numpy(Moments.of(rows[::2]), rows[::2])


def test_the_result_does_not_depend_on_the_number_of_cores(monkeypatch):
    rows = data(30_000, 48)
    results = []
    for cores in (1, 3, 64):
        monkeypatch.setattr(covariance.os, "cpu_count", lambda cores=cores: cores)
        results.append(Moments.of(rows).covariance.tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("cut", [0, 1, 2, 500, 999, 1000])
def test_merging_is_exact(cut):
    rows = data()
    rows[:cut] += 1000  # the two parts differ in everything
    merged = Moments.of(rows[:cut]).merge(Moments.of(rows[cut:]))
    assert_like_numpy(merged, rows, 1e-11)
    assert_like_numpy(merged.update(rows), np.concatenate([rows, rows]), 1e-11)


def test_merging_many_in_a_tree():
    rows = data(4096)
    parts = [Moments.of(part) for part in np.split(rows, 64)]
    while len(parts) > 1:
        parts = [first.merge(second) for first, second in zip(parts[::2], parts[1::2], strict=True)]
    assert_like_numpy(parts[0], rows)


@pytest.mark.parametrize("mean", [50, 1e6, 1e9, -1e12])
def test_huge_means(mean):
    rows = np.random.default_rng(0).normal(size=(2000, 4)) * [1, 2, 3, 4] + mean
    centred = rows - rows[0]  # exact: the digits that the large mean leaves
    for moments in (Moments.of(np.split(rows, 4)), Moments.of(rows[:77]).merge(Moments.of(rows[77:]))):
        np.testing.assert_allclose(moments.covariance, np.cov(centred, rowvar=False), rtol=1e-7, atol=1e-7)


def test_float32_with_a_large_mean_keeps_its_digits():
    rows = (np.random.default_rng(0).normal(size=(20_000, 8)) + 50).astype("float32")
    np.testing.assert_allclose(Moments.of(np.split(rows, 10)).correlation, np.corrcoef(rows.astype("float64"), rowvar=False), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0, 0.1, 1 / 3, -7.7e8, 1e-30, 65504.123])
def test_constant_units_are_exactly_constant(value, dtype):
    rows = data(5000, 4).astype(dtype)
    rows[:, 2] = value
    for moments in (Moments.of(np.split(rows, 5)), Moments.of(rows[:9]).merge(Moments.of(rows[9:])), Moments.of(rows)):
        assert moments.constant.tolist() == [False, False, True, False]
        assert not moments.covariance[2].any() and not moments.covariance[:, 2].any()
        assert moments.correlation[2].tolist() == [0, 0, 1, 0] and moments.mean[2] == np.dtype(dtype).type(value)


def test_one_row_that_differs_by_the_last_bit_is_not_constant():
    rows = np.full((5000, 3), 0.1, "float32")
    rows[4321, 1] = np.nextafter(np.float32(0.1), np.float32(1))
    assert Moments.of(rows).constant.tolist() == [True, False, True]
    assert Moments.of(np.split(rows, 50)).constant.tolist() == [True, False, True]


def test_constant_in_each_part_but_not_the_same():
    moments = Moments.of(np.zeros((10, 2))).merge(Moments.of(np.array([[0.0, 1.0]] * 30)))
    assert moments.constant.tolist() == [True, False]
    assert moments.covariance[1, 1] == pytest.approx(np.var([0] * 10 + [1] * 30, ddof=1))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16"])
def test_other_number_types(dtype):
    rows = (np.random.default_rng(0).random((500, 3)) * 5 // 2).astype(dtype)
    assert_like_numpy(Moments.of(rows), rows)


def test_correlations_of_copies_are_one_and_no_more():
    rows = data(units=1) * np.float32([1, -3, 1e-3])
    correlation = Moments.of(rows).correlation
    np.testing.assert_allclose(correlation, [[1, -1, 1], [-1, 1, -1], [1, -1, 1]], atol=1e-6)
    assert np.abs(correlation).max() <= 1


def test_memory_is_that_of_units_not_of_rows():
    import tracemalloc
    chunk = data(2000, 16)
    moments = Moments.of(chunk)
    tracemalloc.start()
    for _ in range(50):
        moments.update(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert moments.count == 102_000 and peak < 2 * 8 * chunk.size


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_rows(count):
    moments = Moments.of(data(5)[:count])
    with pytest.raises(UserError, match=f"at least 2 rows.*got {count}"):
        _ = moments.covariance
    assert moments.merge(Moments()).count == count


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [(0, 1), (400, 1), (999, 1)])
def test_numbers_that_are_not_finite(bad, where):
    rows = data()
    rows[where] = bad
    with pytest.raises(UserError, match="1 of 7 units"):
        Moments.of(np.split(rows, 10))


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (3, 0)])
def test_wrong_shapes(shape):
    with pytest.raises(UserError, match="shape"):
        Moments().update(np.zeros(shape))
    with pytest.raises(UserError, match=r"\(rows, 7\), got \(5, 6\)"):
        Moments.of(data()).update(np.zeros((5, 6)))


def test_concurrent_use():
    rows = data(30_000, 48)
    expected = Moments.of(rows).covariance
    results = []
    threads = [threading.Thread(target=lambda: results.append(Moments.of(rows).covariance)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and all((result == expected).all() for result in results)
