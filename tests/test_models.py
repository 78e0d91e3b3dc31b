"""Every net: parameter counts of the original, starting values, unit layers, and a conformance table over all that is registered."""
import functools

import numpy as np
import pytest

import tfprune
from experiments import REGISTRY
from tests.conftest import shared
from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.layers.dropout import Dropout
from tfprune.layers.initializers import activation, kernel_initializer
from tfprune.layers.lrn import LocalResponseNormalization
from tfprune.models import MODELS, build_model, build_training_model, input_shape, parameter_count, without_auxiliary
from tfprune.models.notes import noted_unit_layers
from tfprune.overrides import override

LINEAR = ["dataset.dimension=12"]
REGRESSION = ["hyper.mse=true", "dataset.regression=true"]
TINY = ["hyper.image_size=17", "dnn.neuron_multiplier=0.1"]
SMALL = [*TINY, "dataset.preprocessing=crop"]
EDGE_POPUP = ["dnn.mask=edge_popup", "dnn.last_dense=false"]
DENSE = ["dnn.mask=none"]  # of the deepest nets: 105 masks take a minute to compile, and the shallower ones have the same blocks
# One experiment for every net of MODELS; a new net needs a line here (test_table_is_complete).
TABLE = {
    "Alexnet": override(REGISTRY[2], ["hyper.drop_train=0.5"]),
    "Alexnet_digits": REGISTRY[9002],
    "MLP1": override(REGISTRY[247], LINEAR),
    "MLP1_linear": override(REGISTRY[247], [*LINEAR, "dnn.name=MLP1_linear"]),
    "MLP1_regression": override(REGISTRY[247], [*LINEAR, *REGRESSION, "dnn.name=MLP1_regression"]),
    "MLP1_linear_regression": override(REGISTRY[247], [*LINEAR, *REGRESSION, "dnn.name=MLP1_linear_regression"]),
    "MLP3": override(REGISTRY[247], [*LINEAR, "dnn.name=MLP3"]),
    "ResNet_cifar": override(REGISTRY[217], ["hyper.image_size=9"]),
    "ResNet18": override(REGISTRY[4000], ["hyper.image_size=33"]),
    "Inception_v3": override(REGISTRY[4013], ["hyper.image_size=107"]),
    "FC": REGISTRY[9010],
    "FC4": REGISTRY[9040],
    "Conv2": override(REGISTRY[5019], SMALL), "Conv4": override(REGISTRY[5024], SMALL), "Conv6": override(REGISTRY[5054], SMALL),
    "Conv8": override(REGISTRY[5038], SMALL), "Conv4Wide": override(REGISTRY[5029], SMALL), "Conv6Wide": override(REGISTRY[5036], SMALL),
    "cResNet18": override(REGISTRY[5047], [*SMALL, "dnn.last_dense=true"]),
    "cResNet50": override(REGISTRY[5043], [*SMALL, "dnn.name=cResNet50"]),
    "cResNet101": override(REGISTRY[5044], [*SMALL, "dnn.name=cResNet101", *DENSE]),
    "ResNet18_v15": override(REGISTRY[5000], TINY), "ResNet50_v15": override(REGISTRY[5007], TINY),
    "ResNet101_v15": override(REGISTRY[5005], [*TINY, *DENSE]), "WideResNet50_2": override(REGISTRY[5002], TINY),
    "WideResNet101_2": override(REGISTRY[5011], [*TINY, *DENSE]),
    "ResNet34_v15": override(REGISTRY[7010], ["dnn.name=ResNet34_v15", *TINY]),
    "ResNet152_v15": override(REGISTRY[7010], ["dnn.name=ResNet152_v15", *TINY]),
    "ResNeXt50_32x4d": override(REGISTRY[7010], ["dnn.name=ResNeXt50_32x4d", *TINY, "dnn.neuron_multiplier=0.25"]),
    "ResNeXt101_32x8d": override(REGISTRY[7010], ["dnn.name=ResNeXt101_32x8d", *TINY, "dnn.neuron_multiplier=0.125"]),
    "ResNet20": override(REGISTRY[9030], [*EDGE_POPUP, "dnn.neuron_multiplier=0.2"]),
    "ResNet32": override(REGISTRY[9030], ["dnn.name=ResNet32"]), "ResNet44": override(REGISTRY[9030], ["dnn.name=ResNet44"]),
    "ResNet56": override(REGISTRY[9030], ["dnn.name=ResNet56"]), "ResNet110": override(REGISTRY[9030], ["dnn.name=ResNet110"]),
    "VGG": override(REGISTRY[6376], ["dnn.neuron_multiplier=0.05", "dnn.residual=true"]),
}
# Nets that differ from a shallower one of the table only in how often a block is repeated: building them takes most of the time.
DEEPER = {"cResNet101", "ResNet101_v15", "WideResNet101_2", "ResNet152_v15", "ResNeXt101_32x8d", "ResNet32", "ResNet44", "ResNet56",
          "ResNet110", "Conv6", "Conv6Wide"}


def test_table_is_complete():
    assert set(TABLE) == set(MODELS)


@pytest.fixture(params=sorted(set(TABLE) - DEEPER))
def of_each_builder(request):
    return TABLE[request.param]


def examples(experiment, count):
    return np.random.default_rng(0).normal(size=(count, *input_shape(experiment))).astype("float32")


@pytest.fixture(params=sorted(TABLE))
def experiment(request):
    return TABLE[request.param]


@functools.cache
def built(experiment):
    """The net of an experiment of the table, for tests that leave it as it is: the deep ones take seconds."""
    return build_training_model(experiment)


def net_of(experiment):
    return without_auxiliary(built(experiment))


def test_builds_the_same_net_from_the_same_seed_only(of_each_builder):
    weights, again = net_of(of_each_builder).get_weights(), build_model(of_each_builder).get_weights()
    other = build_model(override(of_each_builder, seed=5)).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(weights, again, strict=True))
    kernels = [i for i, weight in enumerate(weights) if weight.ndim > 1]
    assert all(not np.array_equal(weights[i], other[i]) for i in kernels)


def test_one_example_equals_its_row_of_a_batch_also_compiled(experiment):
    model, images = net_of(experiment), examples(experiment, 5)
    whole = model(images).numpy()
    assert whole.dtype == np.float32 and whole.shape == (5, model.output_shape[-1])
    np.testing.assert_allclose(tf.function(model)(images[:1])[0], whole[0], rtol=1e-4, atol=1e-5)


def test_restores_from_a_checkpoint(of_each_builder, tmp_path):
    model, images = net_of(of_each_builder), examples(of_each_builder, 3)
    path = tf.train.Checkpoint(model=model).save(str(tmp_path / "c"))
    other = build_model(override(of_each_builder, seed=9))
    tf.train.Checkpoint(model=other).restore(path).assert_existing_objects_matched()
    np.testing.assert_array_equal(model(images), other(images))


def test_unit_layers_hold_every_hidden_unit(experiment):
    model = net_of(experiment)
    names = tfprune.unit_layers(model)
    assert model.layers[-1].name not in names
    if noted_unit_layers(model) is None:
        kernels = [layer for layer in model.layers if hasattr(layer, "kernel")]
        assert [model.get_layer(name).output.shape[-1] for name in names] == [layer.kernel.shape[-1] for layer in kernels[:-1]]
    else:  # the larger nets note some of their layers
        assert names == noted_unit_layers(model)
        assert {type(model.get_layer(name)) for name in names} <= {keras.layers.ReLU, keras.layers.Concatenate}


@pytest.mark.parametrize(("experiment_id", "count"), [
    (2, 438_746), (3, 1_749_930), (4, 6_989_642), (5, 27_938_442), (6, 111_713_546),
    (247, 418), (297, 834), (347, 1_666), (397, 3_330), (447, 6_658),
    (497, 320_098), (547, 640_194), (597, 1_280_386), (647, 2_560_770), (697, 5_121_538),
    (217, 54_518), (220, 215_362), (223, 856_058), (226, 3_413_482), (229, 13_632_458),
    (4000, 831_513), (4001, 3_057_225), (4002, 11_694_249), (4003, 45_710_697), (4004, 180_713_193),
    (4012, 27_145_970), (4013, 2_286_026), (4014, 7_571_266),
    (4015, 25_993_598), (4016, 26_350_842), (4017, 29_058_786), (4018, 34_174_658)])
def test_parameter_counts(experiment_id, count):  # facts 2.5
    assert parameter_count(REGISTRY[experiment_id]) == count


def test_counts_the_net_that_is_built(experiment):
    model = built(experiment)
    assert parameter_count(experiment) == sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def test_counting_leaves_nothing_behind_and_allocates_no_weights():
    small = TABLE["ResNet18"]
    before = build_model(small)
    assert parameter_count(override(REGISTRY[4004], ["dnn.neuron_multiplier=300"])) > 1e12, "of which no machine could hold the 4 TB"
    after, images = build_model(small), examples(small, 2)
    assert tf.executing_eagerly() and [weight.name for weight in after.weights] == [weight.name for weight in before.weights]
    np.testing.assert_array_equal(before(images), after(images))


def test_pooling_halves_what_the_dense_layers_see():  # G21
    model = build_model(REGISTRY[2])
    assert [model.get_layer(name).output.shape[1] for name in ("conv1", "pool1", "pool2", "flatten")] == [32, 16, 8, 8 * 8 * 64]


@pytest.mark.parametrize(("init_type", "conv1", "fc3"), [
    (0, .028427, .010921), (1, .049237, .018916), (2, .163299, .011049), (3, .282843, .019137), (4, .115470, .007812), (5, .2, .013532)])
def test_initial_values_of_alexnet(init_type, conv1, fc3):  # G14: standard deviation (normal) or limit (uniform)
    for shape, expected in (((5, 5, 3, 96), conv1), ((16384, 384), fc3)):
        values = kernel_initializer(init_type, seed=1)(shape).numpy()
        measured = abs(values).max() if init_type % 2 else values.std()
        assert measured == pytest.approx(expected, rel=.03)
        assert init_type % 2 or abs(values).max() < 2.3 * expected, "the normal ones are truncated"


def test_initial_values_of_the_mlp_and_biases():
    hidden, hidden_bias, output, output_bias = build_model(override(REGISTRY[597], ["hyper.init_factor=10"])).get_weights()
    assert hidden.std() == pytest.approx(1e-2 * .8796, rel=.01), "TF1's truncated normal is not corrected for the truncation"
    assert output.std() == pytest.approx(1e-1 * .8796, rel=.1)
    assert not hidden_bias.any() and not output_bias.any()
    alexnet = build_model(REGISTRY[2])
    biases = [float(alexnet.get_layer(name).bias[0]) for name in ("conv1", "conv2", "fc3", "fc4", "softmax_linear")]
    np.testing.assert_allclose(biases, [0, .1, .1, .1, 0], rtol=1e-6)


def test_local_response_normalisation():
    layer = LocalResponseNormalization()
    channels = tf.constant([[[[100., 200., 300., 400., 500.]]]])
    np.testing.assert_allclose(layer(channels)[0, 0, 0], [36.74196, 46.473618, 46.530243, 62.827312, 82.780014], rtol=1e-5)  # G11
    images = tf.constant(np.random.default_rng(0).normal(size=(2, 4, 4, 24)).astype("float32") * 100)
    wide = LocalResponseNormalization()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(images)
        ours, theirs = wide(images), tf.nn.lrn(images, 2, 1.0, 2e-5, 0.75)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(tape.gradient(ours, images), tape.gradient(theirs, images), rtol=1e-3, atol=1e-5)


def test_activation_functions():  # G21
    values = [float(activation(code)(tf.constant(-1.))) for code in range(6)]
    np.testing.assert_allclose(values, [0, -.2, -.632121, -1.111331, .268941, -.761594], rtol=1e-5)


def test_dropout_keeps_its_share_and_its_place_in_a_checkpoint(tmp_path):
    layer, ones = Dropout(.25, seed=3), tf.ones([1, 40_000])
    kept = layer(ones, training=True).numpy()
    assert (kept > 0).mean() == pytest.approx(.75, abs=.01) and kept.max() == pytest.approx(1 / .75)
    assert layer(ones, training=False) is ones
    path = tf.train.Checkpoint(layer=layer).save(str(tmp_path / "c"))
    following = layer(ones, training=True).numpy()
    resumed = Dropout(.25, seed=3)
    tf.train.Checkpoint(layer=resumed).restore(path)
    np.testing.assert_array_equal(resumed(ones, training=True), following)


@pytest.mark.parametrize(("experiment_id", "settings", "says"), [
    (0, [], "only prepares data"), (2, ["dnn.name=Alexnet5"], "the net Alexnet5 is not available; there are Alexnet, "),
    (247, ["hyper.mse=true"], "go together"), (2, ["dnn.name=MLP1"], "does not fit"), (247, ["dnn.name=Alexnet"], "does not fit"),
    (9002, ["dnn.neuron_multiplier=0.01"], "without units"), (247, ["dataset.preprocessing=crop"], "vectors, which take none"),
    (9002, ["dataset.preprocessing=none", "hyper.image_size=16"], "leaves digits's images as they are, with hyper.image_size=8"),
    (2, ["dataset.preprocessing=resnet"], "resnet: cifar10 has images, which take crop or pad"),
    (247, ["dataset.preprocessing=inception"], "vectors, which take none"),
    (4000, ["dataset.preprocessing=crop"], "crop: imagenet has files of images, which take resnet or inception"),
    (4012, ["dataset.preprocessing=none"], "none: imagenet has files of images, which take resnet or inception"),
    (4012, ["hyper.image_size=106"], "image_size=106: too small for Inception_v3; the least is 107"),
    (4015, ["dnn.factor_end=0.02"], "factor_end=0.02: leaves a layer of Inception_v3 without units; the least is 0.0208333"),
    (4013, ["dnn.factor_end=0.08"], "without units; the least is 0.0833333"),
    (4000, ["dnn.factor_end=2"], "factor_end=2.0: ResNet18 has no block with a width of its own; it takes 1"),
    (4013, ["dnn.neuron_multiplier=0.03"], "neuron_multiplier=0.03: leaves a layer of Inception_v3 without units; the least is 0.03125"),
    (4000, ["dnn.neuron_multiplier=0.01"], "the least is 0.015625"), (217, ["dnn.neuron_multiplier=0.06"], "the least is 0.0625")])
def test_what_cannot_be_built_says_so(experiment_id, settings, says):
    with pytest.raises(UserError, match=says):
        build_model(override(REGISTRY[experiment_id], settings))


def test_alexnet_computes_what_the_original_computed():
    golden = np.load(shared("golden/frivolous_units/alexnet.npz"))
    model = original_weights(build_model(REGISTRY[2]), golden)
    np.testing.assert_allclose(model(golden["resized"]), golden["logits"][:4], atol=1e-4)


def original_weights(model, golden):
    """Puts the original's trained weights into our net."""
    for layer in model.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
            layer.set_weights([golden[f"weight/{layer.name}/weights"], golden[f"weight/{layer.name}/biases"]])
    return model
