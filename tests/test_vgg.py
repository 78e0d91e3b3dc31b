"""The VGGs: sizes and multiply-adds of the original, what they compute, how they start, skip connections, masks, measures, bad input."""
import dataclasses
import math

import numpy as np
import pytest

import tfprune
from experiments import REGISTRY
from tests.conftest import refused
from tests.small_nets import build
from tfprune.experiment import UserError
from tfprune.families import feature_families, parameters
from tfprune.keras import keras, tf
from tfprune.layers.dropout import Dropout
from tfprune.layers.normalisation import TorchBatchNormalization
from tfprune.masks.initial import KernelInit
from tfprune.masks.layers import Masked
from tfprune.models import build_model, check_buildable, multiply_adds_of, parameter_count
from tfprune.models.vgg import features_of
from tfprune.overrides import override
from tfprune.settings import DNN

layers = keras.layers
PLAIN = 6999
RESIDUAL = "dnn.residual=true"


def vgg(*settings, experiment_id=PLAIN):
    return override(REGISTRY[experiment_id], settings)


def small(*settings, depth=7):
    """A net of this depth with 3 to 7 units a layer."""
    features = ",".join(str(3 + 2 * layer % 5) for layer in range(depth - 1))
    return vgg(f"dnn.depth={depth}", f"dnn.features={features}", *settings)


def images(experiment, count=4):
    side = experiment.hyper.image_size
    return np.random.default_rng(0).normal(size=(count, side, side, 3)).astype("float32")


@pytest.mark.parametrize(("depth", "weights", "macs"), [
    (7, 595_402, 96_474_112), (10, 4_628_426, 143_856_640), (13, 9_939_402, 228_791_296), (16, 15_250_378, 313_725_952),
    (19, 20_561_354, 398_660_608)])
def test_sizes_are_the_originals(depth, weights, macs):  # facts 2
    experiment = vgg(f"dnn.depth={depth}")
    assert (parameter_count(experiment), multiply_adds_of(experiment)) == (weights, macs)


def test_sizes_with_other_data():
    assert parameter_count(vgg("dataset.name=cifar100")) == 15_296_548
    assert parameter_count(vgg("dataset.name=mnist", "dataset.preprocessing=patch")) == 15_249_226


@pytest.mark.parametrize("experiment_id", [6000, 6093, 6192, 6245, 6452, 6693, 6700, 6933, 6984, 7354])
def test_parameters_formula_tells_the_true_count(experiment_id):
    experiment = REGISTRY[experiment_id]
    features = features_of(experiment)
    assert features in {member.features for member in feature_families(experiment.dnn.depth)}
    assert parameter_count(experiment) == parameters(features) + 2 * sum(features) + 10


def test_multiply_adds_of_the_family():  # facts 9
    assert round(multiply_adds_of(REGISTRY[6168]) / 1e6, 1) == 77.5 and round(multiply_adds_of(REGISTRY[6008]) / 1e9, 2) == 12.50


@pytest.mark.parametrize("settings", [(), (RESIDUAL,), ("dnn.norm_epsilon=0",), ("dnn.norm_epsilon=0", RESIDUAL)])
@pytest.mark.parametrize("depth", [7, 11, 16])
def test_computes_what_its_description_says(depth, settings):
    """By the plainest operations, with all weights random."""
    experiment = small(*settings, depth=depth)
    model, x = build(lambda: build_model(experiment)), tf.constant(images(experiment))
    value = {weight.name.removesuffix(":0"): weight for weight in model.weights}
    convolutions = iter(range(1, depth - 2))

    def normalised(x, name):
        if not experiment.dnn.norm_epsilon:
            return x
        mean, variance, gamma, beta = (value[f"{name}/{part}"] for part in ("moving_mean", "moving_variance", "gamma", "beta"))
        return (x - mean) / tf.sqrt(variance + 1e-4) * gamma + beta

    expected = x
    for count in {7: (2, 2, 0, 0, 0), 11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3)}[depth]:
        for place, number in zip(range(count), convolutions, strict=False):
            if place % 2 == 0:
                before = expected
            expected = normalised(tf.nn.conv2d(expected, value[f"conv{number}_kernel/kernel"], 1, "SAME"), f"conv{number}_bn")
            if RESIDUAL in settings and (place % 2 or place == count - 1):
                if before.shape[-1] != expected.shape[-1]:
                    before = normalised(before @ value[f"conv{number}_shortcut/kernel"][0, 0], f"conv{number}_shortcut_bn")
                expected += before
            expected = tf.nn.relu(expected)
        expected = tf.nn.max_pool2d(expected, 2, 2, "VALID")
    expected = tf.reshape(expected, [len(x), -1])
    for number in (1, 2):
        expected = tf.nn.relu(normalised(expected @ value[f"fc{number}_kernel/kernel"], f"fc{number}_bn"))
    expected = expected @ value["logits/kernel"] + value["logits/bias"]
    np.testing.assert_allclose(model(x), expected, rtol=2e-4, atol=1e-5 * float(tf.reduce_max(abs(expected))))


def test_is_built_as_described():
    model = build_model(small(depth=10))
    norms = [layer for layer in model.layers if isinstance(layer, TorchBatchNormalization)]
    assert len(norms) == 9 and {(layer.epsilon, layer.momentum, layer.affine) for layer in norms} == {(1e-4, .9, True)}
    dropouts = [number for number, layer in enumerate(model.layers) if isinstance(layer, Dropout)]
    assert dropouts == [len(model.layers) - 2] and model.layers[-2].rate == .5 and model.layers[-1].name == "logits"
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel")]
    assert [layer.use_bias for layer in kernels] == [False] * 9 + [True] and not model.layers[-1].bias.numpy().any()
    bare = build_model(small("dnn.norm_epsilon=0", "hyper.drop_train=1", depth=10))
    assert not any(isinstance(layer, (Dropout, layers.BatchNormalization)) for layer in bare.layers)
    assert len(bare.weights) == 11, "no bias in the place of the normalisation"
    assert list(tfprune.unit_layers(model)) == [*(f"conv{number}" for number in range(1, 8)), "fc1", "fc2"]
    assert [model.get_layer(name).output.shape[-1] for name in tfprune.unit_layers(model)] == list(features_of(small(depth=10)))


@pytest.mark.parametrize(("scheme", "scale", "by"), [
    ("kaiming_normal", 2, "in"), ("kaiming_uniform", 6, "in"), ("xavier_normal", 2, "both"), ("xavier_uniform", 6, "both")])
def test_starts_by_the_originals_schemes(scheme, scale, by):  # facts 2
    model = build_model(vgg("dnn.depth=7", "dnn.features=64,64,128,128,256,128", f"dnn.init={scheme}"))
    for name in ("conv1_kernel", "conv4_kernel", "fc1_kernel", "logits"):
        values = model.get_layer(name).kernel.numpy()
        window = math.prod(values.shape[:-2])
        law = math.sqrt(scale / (window * (values.shape[-2] + values.shape[-1] * (by == "both"))))
        if scheme.endswith("normal"):
            assert values.std() == pytest.approx(law, rel=.06) and abs(values).max() > 2.7 * law, "not truncated"
        else:
            assert .99 * law < abs(values).max() <= law * (1 + 1e-6) and values.std() == pytest.approx(law / math.sqrt(3), rel=.05)
        assert abs(values.mean()) < .1 * law


def test_shortcuts():
    """Past every two convolutions, past the last alone where the number is odd; the identity where widths agree."""
    model = build_model(vgg("dnn.depth=16", "dnn.features=3,4,4,4,5,5,6,6,6,6,2,3,3,3,3", RESIDUAL))
    sums = [layer.name for layer in model.layers if isinstance(layer, layers.Add)]
    assert sums == [f"conv{number}_add" for number in (2, 4, 6, 7, 9, 10, 12, 13)]
    shortcuts = [layer for layer in model.layers if layer.name.endswith("_shortcut")]
    assert [layer.name for layer in shortcuts] == [f"conv{number}_shortcut" for number in (2, 6, 7, 12)]
    assert all(layer.kernel_size == (1, 1) and not layer.use_bias for layer in shortcuts)
    assert len([layer for layer in model.layers if isinstance(layer, TorchBatchNormalization)]) == 15 + 4
    plain = build_model(vgg("dnn.depth=16", "dnn.features=3,4,4,4,5,5,6,6,6,6,2,3,3,3,3"))
    same = {weight.name: weight for weight in model.weights}
    assert all(np.array_equal(weight, same[weight.name]) for weight in plain.weights), "which start as they do without"
    assert list(tfprune.unit_layers(model)) == list(tfprune.unit_layers(plain))


@pytest.mark.parametrize("settings", [(), (RESIDUAL,), (RESIDUAL, "dnn.norm_epsilon=0")])
@pytest.mark.parametrize("depth", [7, 11, 25, 28])
def test_every_depth_trains(depth, settings):
    """Gradients reach every weight."""
    experiment = small(*settings, "hyper.drop_train=1", depth=depth)
    model, x = build_model(experiment), tf.constant(images(experiment, 8))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(x, training=True)[:, 0] ** 2)
    gradients = tape.gradient(loss, model.trainable_weights)
    assert all(tf.reduce_any(gradient != 0) and tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients)


@pytest.mark.parametrize("mask", ["edge_popup", "signed", "dnw"])
def test_masked(mask):
    experiment = small(f"dnn.mask={mask}", "hyper.keep=0.6", RESIDUAL, depth=10)
    model = build_model(experiment)
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel")]
    assert len(kernels) == 10 + 5 and all(isinstance(layer, Masked) and not layer.use_bias for layer in kernels)
    assert np.isfinite(model(images(experiment))).all()
    ends = build_model(small(f"dnn.mask={mask}", "dnn.first_dense=true", "dnn.last_dense=true"))
    first, *_, last = [layer for layer in ends.layers if hasattr(layer, "kernel")]
    assert not isinstance(first, Masked) and not isinstance(last, Masked) and last.use_bias and not last.bias.numpy().any()
    assert last.kernel.numpy().std() == pytest.approx(KernelInit("kaiming_normal").deviation(last.kernel.shape), rel=.3)


@pytest.mark.parametrize("settings", [(RESIDUAL,), (RESIDUAL, "dnn.mask=edge_popup", "hyper.keep=0.7")])
def test_units_are_measured(settings):
    experiment = small(*settings, depth=10)
    model, labels = build(lambda: build_model(experiment)), np.random.default_rng(1).integers(0, 10, 6)
    x = images(experiment, 6)
    acts = tfprune.activations(model, x)
    assert list(acts) == list(tfprune.unit_layers(model)) and all((rows >= 0).all() for rows in acts.values())
    assert all(np.isfinite(tfprune.redundancy(rows).similarity_mean) for rows in acts.values())
    table = tfprune.robustness(model, x, labels, amounts=3, crosses=1)
    assert table.agreement.between(0, 1).all() and (table[table.amount == 0].agreement == 1).all()
    assert set(table.layer) == {*acts, "all"}


def test_masked_copy():
    model = build_model(small(RESIDUAL, depth=10))
    masked = tfprune.masked_copy(model, keep=1.0)
    np.testing.assert_allclose(masked(images(small())), model(images(small())), rtol=1e-5, atol=1e-6)
    assert tfprune.unit_layers(masked) == tfprune.unit_layers(model)


def test_widths():
    assert features_of(vgg(experiment_id=9200)) == tuple(math.ceil(width / 8) for width in (636, 452, 192, 54, 10, 2))
    assert features_of(small("dnn.neuron_multiplier=1e-9")) == (1,) * 6, "rounded up, so that no layer is left without"
    assert features_of(vgg("dnn.depth=7", "dnn.features=70,30,60,7,140,10", "dnn.neuron_multiplier=0.1")) == (7, 3, 6, 1, 14, 1)
    assert features_of(vgg("hyper.image_size=101"))[-2:] == (4096, 4096)
    assert sum(features_of(vgg("hyper.image_size=224", experiment_id=6096))) > 2 * sum(features_of(REGISTRY[6096]))


def test_larger_patches():
    for side, positions in ((32, 1), (63, 1), (64, 4), (100, 9)):
        assert build_model(small(f"hyper.image_size={side}")).get_layer("flatten").output.shape[-1] == 4 * positions


@pytest.mark.parametrize(("settings", "says"), [
    (["dnn.depth=8"], "dnn.depth=8: no VGG has so many layers; 7, 10, 13, 16, 19, 22, 25 and so on to 1,000 have, and 11"),
    (["dnn.depth=4"], "dnn.depth=4: no VGG"), (["dnn.depth=1000000000"], "dnn.depth=1000000000: no VGG"),
    (["dnn.features=3,4"], "dnn.features=3,4: 2 layers; VGG16 has 15 besides the last, which tells classes"),
    (["hyper.image_size=31"], "hyper.image_size=31: too small for VGG; the least is 32"),
    (["dnn.location=20"], "dnn.location=20, dnn.scale=3.5, dnn.shape=0: leaves layer 1 "),
    (["dnn.scale=4"], "dnn.location=7, dnn.scale=4, dnn.shape=0: only 0.928 of the distribution"),
    (["dnn.scale=0"], "dnn.scale=0: there is no distribution for dnn.location=7 and dnn.shape=0; give a dnn.scale above 0, or 0 for all"),
    (["dnn.scale=0", "dnn.location=0", "dnn.shape=4"], "dnn.scale=0: there is no distribution"),
    (["dnn.norm_epsilon=1e-6"], "dnn.norm_epsilon=1e-06: batch normalisation takes 1e-05 or more; 0: none"),
    (["dataset.name=linear", "dataset.preprocessing=none"], "VGG does not fit the data set linear; it takes images"),
    (["dnn.factor_end=2"], "factor_end=2.0: VGG has no block with a width of its own; it takes 1")])
def test_what_cannot_be_built_says_so(settings, says):
    for ask in (check_buildable, build_model, parameter_count):
        with pytest.raises(UserError, match=says) as refusal:
            ask(vgg(*settings, experiment_id=6096))
    assert "\n" not in str(refusal.value)


def test_a_layer_without_features_is_refused():
    with pytest.raises(UserError, match="dnn.features=3,0,4,4,5,5: dnn.features takes whole numbers, comma-separated, >= 1"):
        vgg("dnn.depth=7", "dnn.features=3,0,4,4,5,5")
    with pytest.raises(UserError, match="dnn.features=3,0,4,4,5,5: layer 2 would have no features; each needs 1 or more"):
        check_buildable(dataclasses.replace(REGISTRY[PLAIN], dnn=DNN("VGG", depth=7, features=(3, 0, 4, 4, 5, 5))))


@pytest.mark.parametrize(("setting", "takes"), [
    ("depth=19", "16"), ("location=3", "0"), ("scale=2", "0"), ("shape=4", "0"), ("features=3,4", "none"), ("residual=true", "false"),
    ("norm_epsilon=0.001", "1e-05")])
@pytest.mark.parametrize("experiment_id", [2, 5024])
def test_other_nets_have_no_such_settings(experiment_id, setting, takes):
    name = REGISTRY[experiment_id].dnn.name
    with pytest.raises(UserError, match=rf"--set dnn\.{setting}: only VGG has that; {name} takes {takes}$"):
        check_buildable(override(REGISTRY[experiment_id], [f"dnn.{setting}"]))


@pytest.mark.parametrize("setting", [
    "dnn.depth=8", "dnn.features=3,4", "dnn.features=3,0,1", "hyper.image_size=31", "dataset.name=svhn"])
def test_the_command_line_refuses_in_one_line_and_writes_nothing(tmp_path, setting):
    results, data = tmp_path / "results", tmp_path / "datasets"
    line = refused("train.py", "--experiment_id=6096", f"--set={setting}", f"--results_dir={results}", f"--data_dir={data}")
    assert setting in line
    assert not results.exists() and not data.exists()
