"""ResNet-56, ResNet-18 and Inception-v3 against the same nets written in plain TensorFlow operations, and what else is theirs alone."""
import functools

import numpy as np
import pytest

import tfprune
from experiments import REGISTRY
from tests.test_models import TABLE, examples
from tfprune.datasets import DATASETS
from tfprune.keras import keras, tf
from tfprune.models import MODELS, build_model, build_training_model, input_shape, without_auxiliary
from tfprune.models.notes import masked_originally, noted_unit_layers
from tfprune.models.residual import Parts
from tfprune.overrides import override
from tfprune.units.operations import trace

MIXED = ["35x35x256a", "35x35x288a", "35x35x288b", "17x17x768a", "17x17x768b", "17x17x768c", "17x17x768d", "17x17x768e", "17x17x1280a",
         "8x8x2048a", "8x8x2048b"]
INCEPTION = ("conv0", "conv1", "conv2", "conv3", "conv4", *(f"mixed_{name}" for name in MIXED))
BLOCKS = {"ResNet_cifar": (9, 9, 9), "ResNet18": (2, 2, 2, 2)}


@pytest.fixture(params=["ResNet_cifar", "ResNet18", "Inception_v3"])
def name(request):
    return request.param


def any_weights(model):
    """The model with every weight random, normalisations' too, at scales that keep activities near 1."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        if "kernel" in weight.name:
            values = generator.normal(size=weight.shape, scale=np.prod(weight.shape[:-1]) ** -0.5)
        elif "gamma" in weight.name or "variance" in weight.name:
            values = generator.uniform(0.5, 1.5, size=weight.shape)
        else:
            values = generator.normal(size=weight.shape, scale=0.3)
        weight.assign(values)
    return model


@functools.cache
def skeleton(experiment):
    """The net of an experiment, of whose weights nothing is allocated."""
    with tf.Graph().as_default():
        return MODELS[experiment.dnn.name].build(experiment, input_shape(experiment), DATASETS[experiment.dataset.name].classes)


def shapes(experiment):
    """Shapes of the unit layers of a net."""
    model = skeleton(experiment)
    return [tuple(model.get_layer(layer).output.shape[1:]) for layer in noted_unit_layers(model)]


@pytest.fixture(scope="module")
def untrained_inception():
    """The training model of TABLE's Inception-v3, for tests that leave its weights alone: building one takes seconds."""
    return build_training_model(TABLE["Inception_v3"])


def squares(*sides_and_units):
    return [(side, side, units) for side, units in sides_and_units]


@pytest.mark.parametrize(("experiment_id", "settings", "expected"), [
    (223, [], squares((32, 16), (32, 16), (16, 32), (8, 64))),
    (217, ["dnn.neuron_multiplier=0.3"], squares((32, 4), (32, 4), (16, 8), (8, 16))),  # the stages double the first one's
    (4002, [], squares((112, 64), (56, 64), (28, 128), (14, 256), (7, 512))),
    (4004, [], squares((112, 256), (56, 256), (28, 512), (14, 1024), (7, 2048)))])
def test_shapes_of_the_residual_nets(experiment_id, settings, expected):
    assert shapes(override(REGISTRY[experiment_id], settings)) == expected


@pytest.mark.parametrize(("experiment_id", "units"), [
    (4012, [32, 32, 64, 80, 192, 256, 288, 288, 768, 768, 768, 768, 768, 1280, 2048, 2048]),
    (4013, [8, 8, 16, 20, 48, 64, 72, 72, 192, 192, 192, 336, 192, 320, 512, 512]),
    (4018, [32, 32, 64, 80, 192, 256, 288, 1152, 1632, 768, 768, 768, 768, 1280, 2048, 2048])])
def test_shapes_of_inception(experiment_id, units):
    sides = [149, 147, 147, 73, 71, *3 * [35], *5 * [17], *3 * [8]]
    assert shapes(REGISTRY[experiment_id]) == squares(*zip(sides, units, strict=True))


def test_unit_layers(name):
    model = build_model(TABLE[name])
    stages = ("stem", *(f"stage{number}" for number in range(1, len(BLOCKS.get(name, ())) + 1)))
    layers = INCEPTION if name == "Inception_v3" else stages
    assert tfprune.unit_layers(model) == layers
    assert masked_originally(model) == ({"stem": "stem_conv"} if name == "ResNet18" else {})
    assert len(trace(model).outputs) == 1 and model.layers[-1].name == "logits"
    found = tfprune.activations(model, examples(TABLE[name], 2), max_rows=30)
    assert tuple(found) == layers
    for layer, rows in found.items():
        assert len(rows) <= 30 and rows.shape[1] == model.get_layer(layer).output.shape[-1] and rows.min() >= 0 and rows.any()


# --- residual nets


def plain_convolution(images, kernel, stride):
    """(batch, y, x, units), symmetrically padded by the kernel's size alone; NumPy, position by position."""
    size = len(kernel)
    before = (size - 1) // 2
    rest = (before, size - 1 - before)
    padded = np.pad(images, ((0, 0), rest, rest, (0, 0)))
    starts = range(0, images.shape[1], stride)
    rows = [[np.einsum("byxc,yxcu->bu", padded[:, y:y + size, x:x + size], kernel) for x in starts] for y in starts]
    return np.stack([np.stack(row, 1) for row in rows], 1)


@pytest.mark.parametrize(("side", "size", "stride"), [
    (8, 3, 2), (9, 3, 2), (8, 7, 2), (11, 7, 2), (8, 1, 2), (7, 1, 2), (8, 3, 1), (8, 4, 3)])
def test_strided_convolutions_pad_by_their_kernel_alone(side, size, stride):
    images = keras.Input((side, side, 3))
    model = any_weights(keras.Model(images, Parts(TABLE["ResNet18"]).convolution(images, 5, size, stride, "conv")))
    values = np.random.default_rng(1).normal(size=(2, side, side, 3)).astype("float32")
    kernel = model.get_layer("conv").kernel.numpy()
    np.testing.assert_allclose(model(values), plain_convolution(values, kernel, stride), atol=1e-5)
    assert model.get_layer("conv").bias is None
    same = tf.nn.conv2d(values, kernel, stride, "SAME").numpy()
    if stride == 2 and size > 1 and side % 2 == 0:
        assert not np.allclose(model(values), same, atol=1e-2), "which pads by the image's size"


class Plain:
    """The operations of a net, from the weights of a model's layers."""

    def __init__(self, model):
        self.model = model

    def conv(self, x, name, stride=1, padding="SAME"):
        return tf.nn.conv2d(x, self.model.get_layer(name).kernel, stride, padding)

    def norm(self, x, name, epsilon):
        layer = self.model.get_layer(name)
        return tf.nn.batch_normalization(x, layer.moving_mean, layer.moving_variance, layer.beta, layer.gamma, epsilon)

    def dense(self, x, name):
        return x @ self.model.get_layer(name).kernel + self.model.get_layer(name).bias


def residual(model, x, blocks, stem_stride):
    """All unit activities and the logits of a residual net."""
    net = Plain(model)

    def part(x, name, norm, stride):
        size = net.model.get_layer(name).kernel.shape[0]
        before = (size - 1) // 2
        pad = [before, size - 1 - before]
        return net.norm(net.conv(tf.pad(x, [[0, 0], pad, pad, [0, 0]]), name, stride, "VALID"), norm, 1e-5)

    found = [tf.nn.relu(part(x, "stem_conv", "stem_bn", stem_stride))]
    x = found[0] if stem_stride == 1 else tf.nn.max_pool2d(found[0], 3, 2, "SAME")
    for stage, count in enumerate(blocks, 1):
        for block in range(1, count + 1):
            name, stride = f"stage{stage}_block{block}", 2 if stage > 1 and block == 1 else 1
            shortcut = part(x, f"{name}_shortcut", f"{name}_shortcut_bn", stride) if block == 1 else x
            x = tf.nn.relu(part(x, f"{name}_conv1", f"{name}_bn1", stride))
            x = tf.nn.relu(part(x, f"{name}_conv2", f"{name}_bn2", 1) + shortcut)
        found.append(x)
    return [*found, net.dense(tf.reduce_mean(x, [1, 2]), "logits")]


@pytest.mark.parametrize(("name", "side"), [("ResNet_cifar", 8), ("ResNet_cifar", 9), ("ResNet18", 33), ("ResNet18", 64)])
def test_a_residual_net_computes_what_its_operations_say(name, side):
    experiment = override(TABLE[name], [f"hyper.image_size={side}"])
    model = any_weights(build_model(experiment))
    images = examples(experiment, 2)
    expected = residual(model, images, BLOCKS[name], stem_stride=2 if name == "ResNet18" else 1)
    ours = keras.Model(model.input, [model.get_layer(layer).output for layer in (*tfprune.unit_layers(model), "logits")])(images)
    for mine, theirs in zip(ours, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-3 * np.abs(theirs).max())


def test_resnet56_takes_digits():
    experiment = override(REGISTRY[9002], ["dnn.name=ResNet_cifar", "dataset.preprocessing=none"])
    model = build_model(experiment)
    assert model.input_shape == (None, 8, 8, 1) and model.output_shape == (None, 10)


# --- Inception-v3


def inception(model, x):
    """All unit activities, the auxiliary logits and the logits of Inception-v3; `model` holds the auxiliary classifier's layers too."""
    net = Plain(model)

    def act(x, conv, norm, stride=1, padding="SAME"):
        layer = model.get_layer(norm)
        x = tf.nn.batch_normalization(net.conv(x, conv, stride, padding), layer.moving_mean, layer.moving_variance, layer.beta, None, 1e-3)
        return tf.nn.relu(x)

    def stem(x, number, stride=1, padding="VALID"):
        found.append(act(x, f"conv{number}_conv", f"conv{number}_bn", stride, padding))
        return found[-1]

    def run(x, branch, *numbers, stride=1):
        for number in numbers:
            last = stride if number == numbers[-1] else 1
            x = act(x, f"{branch}_conv{number}", f"{branch}_bn{number}", last, "SAME" if last == 1 else "VALID")
        return x

    def fork(x, branch, stem, left, right):
        x = run(x, branch, *stem)
        return tf.concat([run(x, branch, left), run(x, branch, right)], 3)

    found = []
    x = stem(stem(stem(x, 0, stride=2), 1), 2, padding="SAME")
    x = tf.nn.max_pool2d(stem(stem(tf.nn.max_pool2d(x, 3, 2, "VALID"), 3), 4), 3, 2, "VALID")
    for block in INCEPTION[5:]:
        mean = tf.nn.avg_pool2d(x, 3, 1, "SAME")
        most = tf.nn.max_pool2d(x, 3, 2, "VALID") if block.endswith(("768a", "1280a")) else None
        if "35x35" in block:
            ends = [run(x, f"{block}_branch1x1", 1), run(x, f"{block}_branch5x5", 1, 2), run(x, f"{block}_branch3x3dbl", 1, 2, 3),
                    run(mean, f"{block}_branch_pool", 1)]
        elif block.endswith("768a"):
            ends = [run(x, f"{block}_branch3x3", 1, stride=2), run(x, f"{block}_branch3x3dbl", 1, 2, 3, stride=2), most]
        elif block.endswith("1280a"):
            ends = [run(x, f"{block}_branch3x3", 1, 2, stride=2), run(x, f"{block}_branch7x7x3", 1, 2, 3, 4, stride=2), most]
        elif "17x17" in block:
            ends = [run(x, f"{block}_branch1x1", 1), run(x, f"{block}_branch7x7", 1, 2, 3), run(x, f"{block}_branch7x7dbl", 1, 2, 3, 4, 5),
                    run(mean, f"{block}_branch_pool", 1)]
        else:
            ends = [run(x, f"{block}_branch1x1", 1), fork(x, f"{block}_branch3x3", [1], 2, 3),
                    fork(x, f"{block}_branch3x3dbl", [1, 2], 3, 4), run(mean, f"{block}_branch_pool", 1)]
        x = tf.concat(ends, 3)
        found.append(x)
    side = act(tf.nn.avg_pool2d(found[12], 5, 3, "VALID"), "auxiliary_conv1", "auxiliary_bn1")
    side = act(side, "auxiliary_conv2", "auxiliary_bn2", padding="VALID")[:, 0, 0]
    return [*found, net.dense(side, "auxiliary_logits"), net.dense(tf.reduce_mean(x, [1, 2]), "logits")]


def test_inception_computes_what_its_operations_say():
    experiment = override(TABLE["Inception_v3"], ["hyper.image_size=160"])  # at 107, the least, the last grid has 2x2 positions
    model = any_weights(build_training_model(experiment))
    images = examples(experiment, 2)
    layers = (*INCEPTION, "auxiliary_logits", "logits")
    ours = keras.Model(model.input, [model.get_layer(layer).output for layer in layers])(images)
    for mine, theirs in zip(ours, inception(model, images), strict=True):
        assert mine.shape == theirs.shape and np.ptp(theirs) > 0
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-3 * np.abs(theirs).max())


def test_kernels_of_inceptions_branches():  # height x width, in the order in which slim's inception_model.py makes them
    model = skeleton(REGISTRY[4012])
    sizes = {layer.name: layer.kernel_size for layer in model.layers if isinstance(layer, keras.layers.Conv2D)}
    poolings = {layer.name: layer.strides[0] for layer in model.layers if layer.name.endswith("_branch_pool")}

    def kernels(branch):
        return [size for layer, size in sizes.items() if layer.rpartition("_conv")[0] == branch]

    for block in "bcde":
        assert kernels(f"mixed_17x17x768{block}_branch7x7") == [(1, 1), (1, 7), (7, 1)]
        assert kernels(f"mixed_17x17x768{block}_branch7x7dbl") == [(1, 1), (7, 1), (1, 7), (7, 1), (1, 7)]
    assert kernels("mixed_17x17x1280a_branch7x7x3") == [(1, 1), (1, 7), (7, 1), (3, 3)]
    assert kernels("mixed_8x8x2048b_branch3x3dbl") == [(1, 1), (3, 3), (1, 3), (3, 1)]
    assert kernels("auxiliary") == [(1, 1), (5, 5)] and len(sizes) == 96
    assert sorted(poolings.values()) == [1] * 9 + [2] * 2


def test_the_auxiliary_classifier_is_of_training_alone(untrained_inception):
    training, model = untrained_inception, without_auxiliary(untrained_inception)
    images = examples(TABLE["Inception_v3"], 2)
    logits, auxiliary = training(images)
    assert logits.shape == auxiliary.shape == (2, 1001) and [layer.name for layer in training.layers if "auxiliary" in layer.name]
    assert not [layer.name for layer in model.layers if "auxiliary" in layer.name]
    assert training.get_layer("logits") is model.get_layer("logits") and tfprune.unit_layers(model) == INCEPTION
    np.testing.assert_array_equal(model(images), logits)
    assert not np.allclose(logits, auxiliary)
    with tf.GradientTape() as tape:
        auxiliary = tf.reduce_sum(training(images)[1] ** 2)
    gradients = tape.gradient(auxiliary, {weight.name: weight for weight in training.trainable_weights})
    beyond = {name for name in gradients if "1280a" in name or "2048" in name or name.startswith("logits")}
    assert beyond == {name for name, gradient in gradients.items() if gradient is None}


def test_inceptions_dropout_is_of_training_alone():
    experiment = override(TABLE["Inception_v3"], ["hyper.drop_train=0.5"])
    images = examples(experiment, 3)
    model, without = build_training_model(experiment), build_training_model(override(experiment, ["hyper.drop_train=1"]))
    np.testing.assert_array_equal(model(images)[0], model(images)[0])
    np.testing.assert_array_equal(model(images)[0], without(images)[0])
    first, second = model(images, training=True), model(images, training=True)
    assert not np.allclose(first[0], second[0]), "other units are dropped"
    np.testing.assert_array_equal(first[1], second[1])
    kept = keras.Model(model.input, [model.get_layer("pool").output, model.get_layer("dropout").output])
    pooled, dropped = (tensor.numpy() for tensor in kept(images, training=True))
    assert (dropped == 0).mean() - (pooled == 0).mean() == pytest.approx(.5, abs=.1)
    np.testing.assert_allclose(dropped[dropped > 0], 2 * pooled[dropped > 0], rtol=1e-5)


# --- all three


@pytest.mark.parametrize(("name", "layer", "kept", "batch_to_moving"), [
    ("ResNet_cifar", "stem", .997, 8 * 81 / (8 * 81 - 1)), ("ResNet18", "stem", .997, 8 * 289 / (8 * 289 - 1)),
    ("Inception_v3", "conv0", .9997, 8 * 53**2 / (8 * 53**2 - 1))])
def test_normalisation_follows_the_batches_in_training_alone(name, layer, kept, batch_to_moving):
    model, images = build_model(TABLE[name]), examples(TABLE[name], 8)
    norm = model.get_layer(f"{layer}_bn")
    conv = keras.Model(model.input, model.get_layer(f"{layer}_conv").output)(images).numpy()
    model(images, training=False)
    assert not norm.moving_mean.numpy().any() and (norm.moving_variance.numpy() == 1).all()
    model(images, training=True)
    mean, variance = conv.mean((0, 1, 2)), conv.var((0, 1, 2))
    np.testing.assert_allclose(norm.moving_mean, (1 - kept) * mean, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance - kept, (1 - kept) * variance * batch_to_moving, rtol=1e-2, atol=2e-7)


def test_initial_values_of_the_residual_nets():
    model = build_model(override(REGISTRY[4002], ["hyper.image_size=32"]))
    for layer, fan_in in (("stem_conv", 147), ("stage3_block2_conv1", 9 * 256), ("stage4_block1_shortcut", 256)):
        kernel = model.get_layer(layer).kernel.numpy()
        assert kernel.std() == pytest.approx(fan_in ** -.5, rel=.02) and abs(kernel).max() < 2.3 * fan_in ** -.5, "LeCun, truncated"
    logits = model.get_layer("logits")
    assert abs(logits.kernel.numpy()).max() == pytest.approx((6 / (512 + 1001)) ** .5, rel=.01)
    assert not logits.bias.numpy().any()
    norm = model.get_layer("stage1_block1_bn2")
    assert (norm.gamma.numpy() == 1).all() and not norm.beta.numpy().any()


def test_initial_values_of_inception(untrained_inception):
    model = untrained_inception
    for layer, stddev in (("mixed_17x17x768b_branch7x7_conv2", .1), ("auxiliary_conv1", .1), ("auxiliary_conv2", .01), ("logits", .01),
                          ("auxiliary_logits", .001)):
        kernel = model.get_layer(layer).kernel.numpy()
        assert kernel.std() == pytest.approx(.8796 * stddev, rel=.04) and abs(kernel).max() < 2.01 * stddev, layer
    norm = model.get_layer("conv0_bn")
    assert norm.gamma is None and not norm.beta.numpy().any() and norm.epsilon == 1e-3
