"""Redundancy against the original's own outputs and its definitions, on arrays and streamed from nets."""
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT, shared
from tests.small_nets import NETS, build, examples
from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.units.activations import activations
from tfprune.units.covariance import Moments
from tfprune.units.redundancy import _components, from_moments, redundancy
from tfprune.units.streaming import OUTPUT_BYTES, _images_a_pass, device_moments, stream, streamed

# The original's golden value: b = 2a, c falls as a rises, d is dead
FIVE = np.array([[1, 2, 4, 0, 1], [2, 4, 3, 0, 0], [3, 6, 2, 0, 1], [4, 8, 1, 0, 0], [5, 10, 0, 0, 2]], "float32")


def with_variances(*variances):
    """Rows whose sample covariance is diag(variances) ."""
    count = len(variances)
    axes = np.diag(np.sqrt(np.array(variances) * (2 * count - 1) / 2))
    return np.concatenate([axes, -axes])


def test_correlation_and_similarity_of_five_units():
    result = redundancy(FIVE, fidelity="original")
    assert result.correlation[[0, 0, 0, 2], [1, 2, 4, 4]] == pytest.approx([1, -1, 0.377964473, -0.377964473])
    assert np.isnan(result.correlation[3]).all() and np.isnan(result.correlation[:, 3]).all()
    assert (result.similarity_mean, result.similarity_std) == pytest.approx((1.0, 1.264911064))
    alive = redundancy(FIVE[:, [0, 1, 2, 4]], fidelity="original")
    assert (alive.similarity_mean, alive.similarity_std) == pytest.approx((1.5, 0.866025404))


def test_dead_units_corrected():
    result, original = redundancy(FIVE), redundancy(FIVE, fidelity="original")
    assert result.dead_units == original.dead_units == 1
    assert result.correlation[3].tolist() == [0, 0, 0, 1, 0] == result.correlation[:, 3].tolist()
    assert (result.similarity_mean, result.similarity_std) == pytest.approx((np.mean([2, 2, 2, 0, 0]), np.std([2, 2, 2, 0, 0])))
    alive = ~np.isnan(original.correlation)
    assert (result.correlation[alive] == original.correlation[alive]).all()  # and nothing else differs
    for field in ("eigenvalues", "eigenvectors", "num_components", "compressability"):
        assert np.array_equal(getattr(result, field), getattr(original, field))


def test_the_similarity_threshold_counts_itself():
    moments = Moments(2, np.zeros(4), np.zeros(4), np.array([[1, 0.5, -0.5, 0.49], [0.5, 1, 0, 0], [-0.5, 0, 1, 0], [0.49, 0, 0, 1]]))
    result = from_moments(moments)
    assert (result.similarity_mean, result.similarity_std) == pytest.approx((1.0, 0.707106781))


@pytest.mark.parametrize("variances, components, compressability", [
    ((1, 1, 1, 1), (4, 4), 0.25), ((10, 0, 0, 0), (1, 1), 1.0), ((96, 2, 1, 1), (1, 1), 1.0), ((60, 34, 6), (3, 2), 1 / 3),
    ((88, 9, 3), (2, 1), 2 / 3), ((49, 30, 14, 4, 3), (4, 3), 0.4), ((60, 25, 8, 4, 3), (4, 2), 0.4), ((70, 20, 7, 2, 1), (3, 2), 0.6),
    ((0, 0, 0), (1, 1), 1 / 3)])
@pytest.mark.parametrize("fidelity", ["corrected", "original"])
def test_principal_components(variances, components, compressability, fidelity):
    result = redundancy(with_variances(*variances), fidelity=fidelity)
    assert result.num_components == components and result.compressability == pytest.approx(compressability)
    np.testing.assert_allclose(result.eigenvalues, sorted(variances), atol=1e-12 * max(variances))


@pytest.mark.parametrize("ascending, expected", [([0.06, 0.94], 0.5), ([0.04, 0.96], 1), ([0.02, 0.02, 0.96], 1), ([0.25] * 4, 0.25)])
def test_compressability_counts_the_eigenvalue_that_crosses(ascending, expected):
    assert _components(np.array(ascending), 0.05) / len(ascending) == expected


@pytest.mark.parametrize("layer", range(5))
@pytest.mark.parametrize("name", ["train", "test"])
def test_golden_outputs_of_the_original(name, layer):
    golden = np.load(shared("golden/frivolous_units/redundancy.npz"))
    result = redundancy(golden[f"{name}_{layer}"], fidelity="original")

    def stored(what):
        return golden[f"{name}_{what}_{layer}"]

    assert result.num_components == tuple(stored("num_components"))
    assert result.compressability == stored("compressability")
    assert (result.similarity_mean, result.similarity_std) == pytest.approx(tuple(stored("similarity")), abs=1e-12)
    eigenvalues = stored("eigenvalues")
    np.testing.assert_allclose(result.eigenvalues, eigenvalues, rtol=1e-6, atol=1e-14 * eigenvalues[-1])
    np.testing.assert_allclose(result.correlation, stored("corr"), atol=1e-6, equal_nan=True)
    assert result.dead_units == np.isnan(np.diagonal(stored("corr"))).sum()
    corrected = redundancy(golden[f"{name}_{layer}"])
    assert not np.isnan(corrected.correlation).any() and np.array_equal(corrected.eigenvalues, result.eigenvalues)


def test_eigenvectors_belong_to_the_eigenvalues():
    rows = np.random.default_rng(0).normal(size=(500, 6)) @ np.random.default_rng(1).normal(size=(6, 6))
    result = redundancy(rows)
    np.testing.assert_allclose(np.cov(rows, rowvar=False) @ result.eigenvectors, result.eigenvectors * result.eigenvalues, atol=1e-10)


@pytest.mark.parametrize("shape", [(50_000, 24), (3_000, 400), (40, 60)], ids=str)
def test_as_numpy_does(shape):
    random = np.random.default_rng(0)
    rows = random.normal(size=(shape[0], 5)) @ random.normal(size=(5, shape[1])) + random.normal(size=shape)
    rows = np.maximum(rows, 0).astype("float32")
    result, wide = redundancy(rows), rows.astype("float64")
    np.testing.assert_allclose(result.correlation, np.corrcoef(wide, rowvar=False), atol=1e-6)
    reference = np.linalg.eigvalsh(np.cov(wide, rowvar=False))
    np.testing.assert_allclose(result.eigenvalues, reference, rtol=1e-5, atol=1e-13 * reference[-1])


def test_positions_are_rows_and_one_unit_is_fine():
    images = np.random.default_rng(0).normal(size=(5, 4, 4, 3))
    assert np.array_equal(redundancy(images).correlation, redundancy(images.reshape(-1, 3)).correlation)
    one = redundancy(images[..., :1])
    assert (one.correlation.tolist(), one.similarity_mean, one.num_components, one.compressability) == ([[1]], 0, (1, 1), 1)


@pytest.mark.parametrize("rows, problem", [
    (np.zeros((1, 3)), "at least 2 rows"), (np.zeros((0, 3)), "at least 1 row"), (np.zeros(3), "shape"),
    (np.full((9, 2), np.nan), "2 of 2 units")])
def test_rows_that_cannot_be_measured(rows, problem):
    with pytest.raises(UserError, match=problem) as error:
        redundancy(rows)
    assert "\n" not in str(error.value)


def test_unknown_fidelity():
    with pytest.raises(UserError, match="fidelity=exact"):
        redundancy(FIVE, fidelity="exact")


# Streamed from nets

@pytest.mark.parametrize("name", NETS)
def test_streaming_gives_what_all_stored_activations_give(name):
    model = build(name)
    images = examples(model, 70)
    stored = activations(model, images, max_rows=10**9)
    result = redundancy(model, images, batch_size=32)
    assert list(result) == list(stored)
    for layer, rows in stored.items():
        expected = redundancy(rows)
        np.testing.assert_allclose(result[layer].correlation, expected.correlation, atol=1e-9)
        np.testing.assert_allclose(result[layer].eigenvalues, expected.eigenvalues, rtol=1e-6, atol=1e-13 * expected.eigenvalues[-1])
        assert result[layer].dead_units == expected.dead_units == (rows == rows[0]).all(axis=0).sum()
        assert result[layer].similarity_mean == expected.similarity_mean


def test_batches_and_datasets_change_nothing():
    model = build("chain")
    images, labels = examples(model, 70), np.zeros(70, int)
    reference = stream(model, images)
    for source, size in ((images, 7), (tf.data.Dataset.from_tensor_slices(images), 32),
                         (tf.data.Dataset.from_tensor_slices((images, labels)).batch(9), 128)):
        for layer, moments in stream(model, source, batch_size=size).items():
            assert moments.count == reference[layer].count
            np.testing.assert_allclose(moments.covariance, reference[layer].covariance, rtol=1e-6, atol=1e-9)


def test_layers_can_be_chosen():
    model = build("chain")
    assert list(redundancy(model, examples(model, 9), layers=["fc3"])) == ["fc3"]
    with pytest.raises(UserError, match="absent"):
        redundancy(model, examples(model, 9), layers=["absent"])


def test_a_pass_takes_only_as_many_images_as_keep_it_small():
    big = keras.Sequential([keras.layers.Conv2D(64, 3, padding="same", name="conv"), keras.layers.Flatten(), keras.layers.Dense(2)])
    big.build((None, 64, 64, 3))
    size = _images_a_pass(big, ("conv",), 128)
    assert size == OUTPUT_BYTES // (64 * 64 * 64 * 4) and 1 <= size < 128
    assert _images_a_pass(build("chain"), ("conv1", "conv2", "fc3"), 128) == 128


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments_made_on_a_device_are_the_same(dtype):
    rows = (np.random.default_rng(0).normal(size=(900, 6)) + 50).astype(dtype)
    rows[:, 2] = 0.1
    merged = Moments()
    for part in np.split(rows, 3):
        count, *statistics = device_moments(tf.constant(part))
        merged.merge(Moments(int(count), *(statistic.numpy() for statistic in statistics)))
    expected = Moments.of(rows)
    assert merged.count == 900 and merged.constant.tolist() == [False, False, True, False, False, False]
    np.testing.assert_allclose(merged.covariance, expected.covariance, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(merged.mean, expected.mean, rtol=1e-12)


def test_half_precision_nets():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = keras.Sequential([keras.layers.Dense(6, "relu", name="hidden"), keras.layers.Dense(3)])
        model.build((None, 4))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    images = examples(model, 50)
    stored, result = activations(model, images), redundancy(model, images)
    assert stored["hidden"].dtype == np.float32
    np.testing.assert_allclose(result["hidden"].correlation, redundancy(stored["hidden"]).correlation, atol=1e-9)


def test_streamed_statistics_with_labels():
    model = build("chain")
    images, labels = examples(model, 70), np.arange(70) % 3
    statistics = streamed(model, images, labels, classes=range(3), batch_size=16)
    outputs = model.predict(images, verbose=0)
    assert statistics.score == (outputs.argmax(axis=1) == labels).mean()
    np.testing.assert_allclose(statistics.moments[-1].mean, outputs.mean(axis=0), rtol=1e-5)
    sums, counts = statistics.class_sums[0]
    conv1 = keras.Model(model.inputs, model.get_layer("conv1").output).predict(images, verbose=0)
    assert counts.ravel().tolist() == [24 * 81, 23 * 81, 23 * 81]
    np.testing.assert_allclose(sums[1], conv1[labels == 1].sum(axis=(0, 1, 2)), rtol=1e-5)
    assert np.isnan(streamed(model, images).score)


def test_arrays_are_measured_without_tensorflow():
    modules = ("covariance", "redundancy", "selectivity", "growth", "nesting", "nesting_single", "export", "export_single", "layouts")
    imports = "; ".join(f"import tfprune.units.{module}" for module in modules)
    subprocess.run([sys.executable, "-c", f"import sys; {imports}; import tfprune.pickles; assert 'tensorflow' not in sys.modules"],
                   cwd=ROOT, check=True)
