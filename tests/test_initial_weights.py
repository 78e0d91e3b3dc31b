"""Initial weights and scores of masked nets against the figures of allenai/hidden-networks and PyTorch's conventions."""
import math

import numpy as np
import pytest

import tfprune
from tfprune.experiment import Experiment, UserError
from tfprune.keras import keras, tf
from tfprune.masks.initial import GAINS, SCHEMES, KernelInit, ScoreInit, fans
from tfprune.models.maskable import kernel_initial, score_initial
from tfprune.settings import DNN, Hyper
from tfprune.training.origin import check_given

KERNELS = {  # shape: fan_in, fan_out, Kaiming deviation by fan_in, by fan_out, Xavier deviation, Kaiming bound, standard bound
    (3, 3, 3, 64): (27, 576, 0.272166, 0.058926, 0.057591, 0.471405, 0.192450),
    (3, 3, 64, 64): (576, 576, 0.058926, 0.058926, 0.041667, 0.102062, 0.041667),
    (3, 3, 128, 256): (1152, 2304, 0.041667, 0.029463, 0.024056, 0.072169, 0.029463),
    (784, 300): (784, 300, 0.050508, 0.081650, 0.042954, 0.087482, 0.035714),
    (8192, 256): (8192, 256, 0.015625, 0.088388, 0.015386, 0.027063, 0.011049),
    (256, 10): (256, 10, 0.088388, 0.447214, 0.086711, 0.153093, 0.0625),
    (7, 7, 3, 64): (147, 3136, 0.116642, 0.025254, 0.024682, 0.202031, 0.082479),
}
SCALED = {  # keep 0.5, 0.3, 0.7; the original's rule gives the second and the third in each other's place
    (3, 3, 3, 64): (0.384900, 0.496904, 0.325300), (3, 3, 64, 64): (0.083333, 0.107583, 0.070430),
    (3, 3, 128, 256): (0.058926, 0.076073, 0.049801), (784, 300): (0.071429, 0.092214, 0.060368),
    (8192, 256): (0.022097, 0.028527, 0.018675), (256, 10): (0.125, 0.161374, 0.105644), (7, 7, 3, 64): (0.164957, 0.212959, 0.139414),
}
LARGE = (3, 3, 64, 256)  # 147,456 weights


def drawn(scheme, shape=LARGE, **settings):
    return KernelInit(scheme, **settings)(shape).numpy()


@pytest.mark.parametrize("shape", KERNELS)
def test_golden_deviations(shape):
    fan_in, fan_out, by_in, by_out, xavier, bound, standard = KERNELS[shape]
    assert fans(shape) == (fan_in, fan_out)
    for scheme in ("kaiming_normal", "signed_constant", "unsigned_constant", "kaiming_uniform"):
        assert KernelInit(scheme).deviation(shape) == pytest.approx(by_in, abs=6e-7)
        assert KernelInit(scheme, fan="fan_out").deviation(shape) == pytest.approx(by_out, abs=6e-7)
    for scheme in ("xavier_normal", "xavier_uniform", "xavier_constant"):
        assert KernelInit(scheme, fan="fan_out", keep=0.1).deviation(shape) == pytest.approx(xavier, abs=6e-7)
    assert math.sqrt(3) * KernelInit("kaiming_uniform").deviation(shape) == pytest.approx(bound, abs=6e-7)
    assert math.sqrt(3) * KernelInit("standard").deviation(shape) == pytest.approx(standard, abs=6e-7)


@pytest.mark.parametrize("shape", SCALED)
@pytest.mark.parametrize("scheme", ["kaiming_normal", "signed_constant", "unsigned_constant"])
def test_golden_scaled_deviations(scheme, shape):
    for keep, expected in zip((0.5, 0.3, 0.7), SCALED[shape], strict=True):
        assert KernelInit(scheme, keep=keep).deviation(shape) == pytest.approx(expected, abs=6e-7)


@pytest.mark.parametrize("scheme", ["kaiming_uniform", "xavier_normal", "xavier_uniform", "xavier_constant", "standard"])
def test_schemes_that_take_no_notice_of_keep(scheme):
    np.testing.assert_array_equal(drawn(scheme, keep=0.1), drawn(scheme))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_drawn_follows_the_deviation(scheme):
    weights, deviation = drawn(scheme, fan="fan_out", keep=0.5, seed=5), KernelInit(scheme, "fan_out", keep=0.5).deviation(LARGE)
    assert weights.dtype == np.float32 and weights.shape == LARGE
    assert np.sqrt((weights.astype(float) ** 2).mean()) == pytest.approx(deviation, rel=0.01)
    if scheme != "unsigned_constant":
        assert (weights > 0).mean() == pytest.approx(0.5, abs=0.01)
        assert abs(weights.mean()) < 4 * deviation / math.sqrt(weights.size)
        assert abs(np.corrcoef(weights.ravel()[:-1], weights.ravel()[1:])[0, 1]) < 0.02


@pytest.mark.parametrize("scheme", ["kaiming_normal", "xavier_normal"])
def test_normals_are_not_truncated(scheme):
    scaled = np.abs(drawn(scheme)) / KernelInit(scheme).deviation(LARGE)
    assert scaled.max() > 4
    assert (scaled > 2).mean() == pytest.approx(0.0455, abs=0.003)


@pytest.mark.parametrize("scheme", ["kaiming_uniform", "xavier_uniform", "standard"])
def test_uniforms_fill_their_bounds(scheme):
    weights, bound = drawn(scheme), math.sqrt(3) * KernelInit(scheme).deviation(LARGE)
    assert 0.9999 * bound < np.abs(weights).max() <= bound * (1 + 1e-6)
    np.testing.assert_allclose(np.histogram(weights, 10, (-bound, bound))[0] / weights.size, 0.1, atol=0.004)


@pytest.mark.parametrize("scheme", ["signed_constant", "xavier_constant", "unsigned_constant"])
def test_constants_are_exact(scheme):
    weights = drawn(scheme)
    values = np.unique(weights)
    deviation = KernelInit(scheme).deviation(LARGE)
    np.testing.assert_allclose(values, [deviation] if scheme == "unsigned_constant" else [-deviation, deviation], rtol=1e-6)


@pytest.mark.parametrize(("nonlinearity", "gain"), [("relu", 2**0.5), ("leaky_relu", 1.414143), ("linear", 1), ("sigmoid", 1),
                                                    ("tanh", 5 / 3), ("selu", 0.75)])
def test_gains(nonlinearity, gain):
    assert KernelInit("unsigned_constant", nonlinearity=nonlinearity).deviation((100, 7)) == pytest.approx(gain / 10, rel=1e-6)


def test_gains_are_torch_s():
    init = pytest.importorskip("torch", reason="compares with torch.nn.init").nn.init
    for name in GAINS:
        assert GAINS[name] == pytest.approx(init.calculate_gain(name, 0.01 if name == "leaky_relu" else None), rel=1e-12)


@pytest.mark.parametrize(("shape", "depthwise", "expected"), [
    ((3, 3, 16, 2), True, (9, 288)), ((3, 16, 1), True, (3, 48)), ((5, 16, 8), False, (80, 40)), ((3, 3, 4, 32), False, (36, 288))])
def test_fans_of_other_kernels(shape, depthwise, expected):
    """Depthwise, one-dimensional, and grouped (where a unit sees a quarter of 16 channels)."""
    assert fans(shape, depthwise) == expected
    assert KernelInit("kaiming_normal", depthwise=depthwise).deviation(shape) == pytest.approx(math.sqrt(2 / expected[0]))
    assert np.abs(ScoreInit(depthwise=depthwise)(shape)).max() <= 1 / math.sqrt(expected[0]) + 1e-7


@pytest.mark.parametrize(("scheme", "scale"), [("uniform", 1), ("kaiming_uniform", 6)])
def test_scores(scheme, scale):
    scores, bound = ScoreInit(scheme, seed=3)(LARGE).numpy(), math.sqrt(scale / 576)
    assert 0.9999 * bound < np.abs(scores).max() <= bound * (1 + 1e-6)
    assert scores.std() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert (scores > 0).mean() == pytest.approx(0.5, abs=0.01)


def test_constant_scores():
    np.testing.assert_array_equal(ScoreInit("constant", -1.5)((4, 5)), np.full((4, 5), -1.5, np.float32))


@pytest.mark.parametrize("initialiser", [*map(KernelInit, SCHEMES), *map(ScoreInit, ("uniform", "kaiming_uniform"))])
def test_same_bits_from_the_same_seed(initialiser):
    """Again, after other draws, in a graph, from its config; with another seed other bits."""
    first = initialiser((20, 30)).numpy()
    tf.random.normal([7])
    rebuilt = keras.initializers.deserialize(keras.initializers.serialize(initialiser))
    for again in (initialiser, rebuilt, tf.function(lambda shape: initialiser([20, 30]))):
        np.testing.assert_array_equal(again((20, 30)), first)
    assert rebuilt.get_config() == initialiser.get_config()
    other = type(initialiser)(**initialiser.get_config() | {"seed": 1})
    assert (initialiser.scheme == "unsigned_constant") == np.array_equal(other((20, 30)), first)


def test_bits_are_pinned():
    """Files of supermasks hold seeds in place of weights: these bits must never change."""
    np.testing.assert_array_equal(drawn("signed_constant", (2, 4), seed=7) > 0, [[1, 1, 0, 1], [0, 1, 0, 1]])
    np.testing.assert_array_equal(ScoreInit("uniform", seed=7)((1, 3))[0], np.array([-0.919758558, 0.0846939087, -0.12003541], np.float32))


def test_kernel_and_scores_of_one_seed_are_independent():
    kernel, scores = drawn("kaiming_uniform", seed=9).ravel(), ScoreInit(seed=9)(LARGE).numpy().ravel()
    assert abs(np.corrcoef(kernel, scores)[0, 1]) < 0.01 and abs(np.corrcoef(np.abs(kernel), np.abs(scores))[0, 1]) < 0.01


def test_half_precision_rounds_the_same_draw():
    np.testing.assert_array_equal(KernelInit(seed=2)((3, 4), tf.bfloat16), tf.cast(KernelInit(seed=2)((3, 4)), tf.bfloat16))


def experiment(keep=0.5, **dnn):
    return Experiment(5000, "ID5000", "hidden_networks", dnn=DNN(mask="edge_popup", **dnn), hyper=Hyper(keep=keep))


def test_from_an_experiment():
    scaled = experiment(0.3, init="signed_constant", scale_init=True, init_fan="fan_out", nonlinearity="tanh")
    first, second = (kernel_initial(scaled, name) for name in ("conv1", "conv2"))
    assert (first.scheme, first.fan, first.nonlinearity, first.keep) == ("signed_constant", "fan_out", "tanh", 0.3)
    assert first.seed == scaled.seed_for("init/conv1") != second.seed
    assert kernel_initial(experiment(0.3, init="signed_constant", scale_init=True, scale_by="removed"), "conv1").keep == 0.7
    assert kernel_initial(experiment(0.3, init="kaiming_normal"), "conv1").keep is None
    assert isinstance(kernel_initial(experiment(init_type=3), "conv1"), keras.initializers.VarianceScaling)
    scores = score_initial(experiment(score_init="constant", score_constant=2.5), "conv1")
    assert (scores.scheme, scores.constant) == ("constant", 2.5) and scores.seed != first.seed


@pytest.mark.parametrize(("keep", "scale_by"), [(1.0, "removed"), (0.0, "kept")])
def test_scaling_by_nothing_is_refused(keep, scale_by):
    with pytest.raises(UserError, match=rf"hyper.keep={keep:g}: dnn.scale_init divides .* {scale_by}, which is 0") as refusal:
        kernel_initial(experiment(keep, init="kaiming_normal", scale_init=True, scale_by=scale_by), "conv1")
    assert "\n" not in str(refusal.value)
    kernel_initial(experiment(keep, init="xavier_normal", scale_init=True, scale_by=scale_by), "conv1")  # which is not scaled


def test_weights_of_a_trained_net_must_be_given():
    with pytest.raises(UserError, match="dnn.init=pretrained: experiment 5000 starts from a trained net's weights; give them with"):
        check_given(experiment(init="pretrained"), None)
    check_given(experiment(init="pretrained"), "model.pth")
    check_given(experiment(init="standard"), None)
    assert not kernel_initial(experiment(init="pretrained"), "conv1")((3, 3)).numpy().any()


@pytest.mark.parametrize(("make", "message"), [
    (lambda: KernelInit("he"), "scheme=he: expected one of kaiming_normal"), (lambda: KernelInit(fan="fan_avg"), "fan=fan_avg: expected"),
    (lambda: KernelInit(nonlinearity="gelu"), "nonlinearity=gelu"), (lambda: KernelInit(keep=0), "keep=0: .* above 0"),
    (lambda: KernelInit(keep=math.nan), "keep=nan"), (lambda: KernelInit(keep=1.2), "keep=1.2"),
    (lambda: ScoreInit("ones"), "scheme=ones: expected one of uniform, kaiming_uniform, constant")])
def test_refusals(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_in_a_layer():
    layer = tfprune.SubnetDense(30, kernel_initializer=KernelInit("signed_constant"), scores_initializer=ScoreInit())
    layer.build((None, 50))
    assert set(np.unique(np.abs(layer.kernel))) == {np.float32(0.2)}
    assert 0.1 < np.abs(layer.scores).max() <= 1 / math.sqrt(50)
