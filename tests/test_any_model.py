"""The unit measures on models that tfprune did not build: nets of `keras.applications`, and whatever careless users pass."""
import numpy as np
import pytest

import tfprune
from benchmarks import multiply_adds
from experiments import REGISTRY
from tests.conftest import ROOT
from tests.test_robustness import KINDS, measured, plain_outputs, scores_by_hand
from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.units.graph import activity_function, declare_unit_layers
from tfprune.units.meter import Meter
from tfprune.units.robustness import orders_for

layers = keras.layers
COUNT = 8


def calibrated(model, seed=3):
    """The model with the normalisations' averages of random images: untouched ones would let activations fade or grow."""
    images = np.random.default_rng(seed).normal(size=(16, *model.input_shape[1:])).astype("float32")
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)
    return model


def mobilenet(side=32):
    """MobileNetV2: depthwise convolutions, linear bottlenecks, skips past three unit layers."""
    return calibrated(keras.applications.MobileNetV2((side, side, 3), alpha=0.35, weights=None, classes=10, classifier_activation=None))


def dense_blocks():
    """Every layer sees all before it in its block, concatenated (DenseNet); depthwise convolutions end the blocks."""
    images = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(layers.Rescaling(0.5)(images))
    for block in range(2):
        for layer in range(2):
            y = layers.ReLU()(layers.BatchNormalization()(x))
            x = layers.Concatenate()([x, layers.Conv2D(3, 3, padding="same", name=f"grow{block}{layer}")(y)])
        x = layers.ReLU(name=f"depth_relu{block}")(layers.DepthwiseConv2D(3, strides=2, name=f"depth{block}")(x))
    return calibrated(keras.Model(images, layers.Dense(6)(layers.GlobalAveragePooling2D()(x))))


def skip_past_the_units():
    """The middle unit layer is jumped by a skip connection, from images' side of it to beyond it, twice over."""
    images = keras.Input((8, 8, 3))
    early = layers.Conv2D(6, 3, padding="same", activation="relu", name="early")(images)
    middle = layers.Conv2D(6, 3, padding="same", activation="relu", name="middle")(early)
    late = layers.Conv2D(6, 3, padding="same", activation="relu", name="late")(layers.Add()([early, middle]))
    x = layers.Concatenate()([layers.Flatten()(late), layers.GlobalMaxPooling2D()(early)])
    return declare_unit_layers(keras.Model(images, layers.Dense(4)(x)), ["middle"])


def nested():
    """A frozen net of `keras.applications` inside a Sequential with preprocessing and a new head, as in transfer learning."""
    base = mobilenet()
    features = keras.Model(base.input, base.get_layer("block_3_depthwise_relu").output, name="features")
    features.trainable = False
    model = keras.Sequential([
        keras.Input((32, 32, 3)), layers.RandomFlip(), layers.Rescaling(0.8), features, layers.GlobalAveragePooling2D(),
        layers.Dropout(0.5), layers.Dense(8, activation="relu", name="head"), layers.Dense(5, name="classes")])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


NETS = {net.__name__: net for net in (mobilenet, dense_blocks, skip_past_the_units, nested)}
SOME = {"mobilenet": (0, 7, 8, 30), "dense_blocks": (0, 2, 4), "skip_past_the_units": (0,), "nested": (0, 5, 10)}  # units perturbed alone


def make(net):
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model = NETS[net]()
    return model, np.random.default_rng(1).normal(size=(COUNT, *model.input_shape[1:])).astype("float32")


def weights_of(model):
    return [weight.numpy() for weight in model.weights]


@pytest.mark.parametrize("net", NETS)
def test_outputs_equal_the_plain_loops(net):
    """Each suffix gives what the whole net gives when only the perturbed activities (or kernels) are put in."""
    model, images = make(net)
    before = weights_of(model)
    orders = orders_for(model, KINDS, 2, 0, [[np.eye(n) for n in unit_counts(model, images)]] * 2)
    meter = Meter(model, KINDS, orders, range(2), 3, 0)
    intact = meter.intact(images)
    everything = frozenset(range(len(meter.layers) - 1))
    targets = [frozenset([k]) for k in SOME[net]] + [frozenset(SOME[net]), everything]
    for kind in ("knockout", "noise", "weight_noise"):
        family = meter.passes[kind].family
        condition = family.condition(family.drawn(kind, 1, intact, 0), 0.4)
        outputs = family.sweep.run(intact, targets, family.perturbation(condition))
        for target, output in zip(targets, outputs, strict=True):
            plain = plain_outputs(model, tf.constant(images), kind, 1, 0.4, target, orders, meter).numpy()
            assert np.abs(plain - intact[meter.output]).max() > 1e-4 * np.abs(plain).max(), f"{kind} {set(target)} did nothing"
            np.testing.assert_allclose(output, plain, atol=1e-4 * np.abs(plain).max(), err_msg=f"{kind} {set(target)}")
    for weight, earlier in zip(weights_of(model), before, strict=True):
        np.testing.assert_array_equal(weight, earlier)


def unit_counts(model, images):
    return [activity.shape[-1] for activity in activity_function(model)(images)[0]]


@pytest.mark.parametrize("net", ["dense_blocks", "skip_past_the_units"])
def test_scores_equal_the_plain_loops(net):
    model, images = make(net)
    labels = np.arange(COUNT) % 4
    meter, orders = measured(model, ["knockout", "noise"], images, labels)
    scores = meter.scores()
    for kind in ("knockout", "noise"):
        by_hand = scores_by_hand(model, meter, tf.constant(images), labels, kind, orders)
        np.testing.assert_allclose(scores.agreement[kind], by_hand[..., 0], atol=1e-6, err_msg=kind)
        np.testing.assert_allclose(scores.accuracy[kind], by_hand[..., 1], atol=1e-6, err_msg=kind)


def test_robustness_of_named_layers():
    """Of a large net only a few layers: the same numbers, "all" being all that are named."""
    model, images = make("dense_blocks")
    options = {"kinds": ["noise", "targeted"], "amounts": 3, "crosses": 1}
    names = tfprune.unit_layers(model)
    few = tfprune.robustness(model, images, layers=["depth_relu0", "grow10"], **options)
    assert list(few["layer"].unique()) == ["depth_relu0", "grow10", "all"]
    assert tfprune.unit_layers(model) == names  # nothing was noted on the user's model
    declared = tfprune.robustness(declare_unit_layers(model, ["depth_relu0", "grow10"]), images, **options)
    assert few.equals(declared)
    with pytest.raises(UserError, match="no layer named nowhere"):
        tfprune.robustness(model, images, layers=["nowhere"], **options)


@pytest.mark.parametrize(("experiment_id", "limit"), [(217, 2.3), (223, 2.3), (4000, 3.1), (4002, 2.6)])
def test_multiply_adds_of_residual_nets(experiment_id, limit):
    """What counting them allows against the plain loop, without sharing: ResNet-56 2.3 times, ResNet-18 3.1 and, at full width, 2.6."""
    model = tfprune.build_model(REGISTRY[experiment_id])
    orders = {kind: [[np.arange(layer.output_shape[-1]) for layer in map(model.get_layer, tfprune.unit_layers(model))]] * 3
              for kind in ("knockout", "targeted")}
    meter = Meter(model, ("knockout", "noise", "targeted"), orders, range(3), 7, 0)
    unshared, shared = (multiply_adds.limit(meter, share_all) for share_all in (False, True))
    assert unshared == pytest.approx(limit, abs=0.06)
    assert unshared < shared < unshared + 0.4


APPLICATIONS = {  # name: (smallest side, options, number of unit layers, some of them)
    "MobileNetV2": (32, {"alpha": 0.35}, 52, ("Conv1_relu", "expanded_conv_project_BN", "block_2_add", "out_relu")),
    "ResNet50": (32, {}, 49, ("conv1_relu", "conv2_block1_1_relu", "conv2_block1_out", "conv5_block3_out")),
    "VGG16": (32, {}, 15, ("block1_conv1", "block5_conv3", "fc1", "fc2")),
    "InceptionV3": (75, {}, 94, ("activation", "activation_93")),
    "EfficientNetB0": (32, {}, 81, ("stem_activation", "block2a_expand_activation", "block2b_add", "top_activation")),
    "DenseNet121": (32, {}, 120, ("conv1/relu", "conv2_block1_1_relu", "conv2_block1_2_conv", "conv5_block16_2_conv")),
}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_unit_layers_of_applications(name):
    """After normalisation and activation function, and after the sum where a residual branch ends in one; never the classes."""
    keras.backend.clear_session()
    side, options, count, some = APPLICATIONS[name]
    found = tfprune.unit_layers(getattr(keras.applications, name)(input_shape=(side, side, 3), weights=None, classes=10, **options))
    assert len(found) == len(set(found)) == count
    assert [layer for layer in found if layer in some] == list(some)
    assert "predictions" not in found


EXAMPLE = """\
import tfprune
from tfprune.keras import keras
from tfprune.units.growth import prunability

model = keras.applications.MobileNetV2()
images = keras.applications.mobilenet_v2.preprocess_input(photographs)    # (images, 224, 224, 3), 0 to 255
layers = [name for name in tfprune.unit_layers(model) if name.endswith("expand_relu")]    # or all 52: leave `layers` out
for name, found in tfprune.redundancy(model, images, layers).items():
    print(name, f"{found.similarity_mean:.1f} similar units each, {found.compressability:.0%} hardly add to the variance")
table = tfprune.robustness(model, images, kinds=["knockout"], layers=layers)
for name, rows in table.groupby("layer", sort=False):
    print(name, f"{prunability(rows.pivot(index='cross', columns='amount', values='agreement'), 1, 1):.0%} can be pruned")
"""


def test_readme_example(capsys, monkeypatch):
    """The ten lines of docs/own_models.md, on a small untrained net: redundancy and prunability of a net of `keras.applications`."""
    assert EXAMPLE in (ROOT / "docs/own_models.md").read_text()
    keras.utils.set_random_seed(0)
    model = mobilenet()
    monkeypatch.setattr(keras.applications, "MobileNetV2", lambda: model)
    exec(EXAMPLE, {"photographs": np.random.default_rng(0).integers(256, size=(16, 32, 32, 3)).astype("float32")})
    printed = capsys.readouterr().out.splitlines()
    blocks = [f"block_{number}_expand_relu" for number in range(1, 17)]
    assert [line.split()[0] for line in printed] == [*blocks, *blocks, "all"]
    pruned = [int(line.split()[1].rstrip("%")) for line in printed[len(blocks):]]
    assert all(0 <= share <= 100 for share in pruned) and pruned[-1] < 100


def small(**last):
    """A convolution with normalisation, a dense layer with dropout, three classes."""
    return keras.Sequential([
        keras.Input((6, 6, 3)), layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(), layers.ReLU(name="relu"), layers.Flatten(),
        layers.Dense(5, activation="relu", name="hidden"), layers.Dropout(0.5), layers.Dense(3, **last)], name="small")


IMAGES = np.random.default_rng(0).normal(size=(9, 6, 6, 3)).astype("float32")
LABELS = np.arange(9) % 3
QUICK = {"kinds": ["knockout", "noise", "targeted"], "amounts": 3, "crosses": 1}
MEASURES = {
    "activations": tfprune.activations, "redundancy": tfprune.redundancy,
    "robustness": lambda model, images: tfprune.robustness(model, images, **QUICK),
}
Dataset = tf.data.Dataset.from_tensor_slices


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("images", [
    IMAGES.tolist(), list(IMAGES), IMAGES.astype("float64"), (40 * IMAGES).astype("uint8"), tf.constant(IMAGES), Dataset(IMAGES),
    Dataset((IMAGES, LABELS)).batch(4), Dataset((IMAGES.astype("float64"), LABELS, np.ones(9))), Dataset((40 * IMAGES).astype("uint8"))])
def test_takes_images_in_any_form(measure, images):
    assert len(MEASURES[measure](small(), images))


@pytest.mark.parametrize("measure", [MEASURES["activations"], MEASURES["redundancy"]])
def test_labels_do_not_matter_where_none_are_needed(measure):
    assert len(measure(small(), Dataset((IMAGES, np.eye(3)[LABELS])).batch(4)))


BROKEN = np.where(np.arange(9)[:, None, None, None] == 4, np.nan, IMAGES)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(("images", "message"), [
    (BROKEN, "images: some values are NaN or infinite"), (Dataset(BROKEN), "NaN"),
    (IMAGES[:, :5], r"shape \(5, 6, 3\) does not fit the net"),
    (IMAGES[0], "does not fit the net"), (np.full((9, 6, 6, 3), "a.png"), "images: numbers are needed, not string"),
    ((image for image in IMAGES), "images: an array or a tf.data.Dataset is needed, not generator"),
    ([IMAGES[0], IMAGES[1, :4]], "different shapes"), (IMAGES[:0], "none|0 examples"), (Dataset(IMAGES[:0]), "none|0 examples"),
    (Dataset({"image": IMAGES, "label": LABELS}), r"a tf.data.Dataset of \(image, label\) is needed, not of dict")])
def test_refuses_images_in_one_line(measure, images, message):
    with pytest.raises(UserError, match=message) as refusal:
        MEASURES[measure](small(), images)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("labels", "message"), [
    (np.eye(3)[LABELS], "not one-hot"), (np.array(list("abcabcabc")), "labels: numbers are needed .of classes, or values., not string"),
    (LABELS[:5], "labels: there are 5 for 9 images")])
def test_refuses_labels_in_one_line(labels, message):
    with pytest.raises(UserError, match=message) as refusal:
        tfprune.robustness(small(), IMAGES, labels, **QUICK)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("measure", [tfprune.activations, tfprune.redundancy, tfprune.robustness])
@pytest.mark.parametrize(("names", "message"), [
    (["relu", "relu"], "layers: relu is named twice"), ("relu", "layers: a list of layers' names is needed, not 'relu'"),
    ([small().layers[0]], "a list of layers' names is needed"), (["fc9"], "no layer named fc9; the net has conv")])
def test_refuses_layers_in_one_line(measure, names, message):
    with pytest.raises(UserError, match=message) as refusal:
        measure(small(), IMAGES, layers=names)
    assert "\n" not in str(refusal.value)


class NotOurs:
    """Stands for a module of another library."""


NotOurs.__module__ = "torch.nn.modules.container"


def channels_first():
    return keras.Sequential([keras.Input((3, 6, 6)), layers.Conv2D(4, 3, data_format="channels_first"), layers.Flatten(), layers.Dense(3)],
                            name="first")


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(("model", "message"), [
    (NotOurs(), "a tf_keras model is needed .Sequential or Functional., not torch.nn.modules.container.NotOurs"),
    (np.tanh, "a tf_keras model is needed"), (None, "a tf_keras model is needed"), ("net.h5", "a tf_keras model is needed"),
    (layers.Dense(3), "a tf_keras model is needed"), (channels_first(), "'first' has channels first, in conv2d")])
def test_refuses_what_is_no_such_model(measure, model, message):
    with pytest.raises(UserError, match=message) as refusal:
        MEASURES[measure](model, IMAGES)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("measure", MEASURES)
def test_says_what_to_do_with_a_keras_3_model(measure):
    keras3 = pytest.importorskip("keras", minversion="3")
    model = keras3.Sequential([keras3.Input((6, 6, 3)), keras3.layers.Flatten(), keras3.layers.Dense(3)], name="modern")
    with pytest.raises(UserError, match="'modern' is of Keras 3; .*TF_USE_LEGACY_KERAS=1 .*tf_keras") as refusal:
        MEASURES[measure](model, IMAGES)
    assert "\n" not in str(refusal.value)


def test_robustness_needs_one_row_of_outputs_an_image():
    model = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Conv2D(3, 1)], name="segments")
    assert list(tfprune.redundancy(model, IMAGES)) == [model.layers[0].name]
    with pytest.raises(UserError, match="'segments' gives an output of 4 axes; .examples, classes."):
        tfprune.robustness(model, IMAGES, **QUICK)


def test_half_precision_policies():
    """Of float16 and bfloat16: nearly float32's agreement, though a last layer in float32 follows one in half precision."""
    keras.utils.set_random_seed(0)
    single = calibrated(small(dtype="float32"))
    expected = tfprune.robustness(single, IMAGES, **QUICK)
    for policy in ("mixed_float16", "mixed_bfloat16"):
        keras.mixed_precision.set_global_policy(policy)
        try:
            half = small(dtype="float32")
        finally:
            keras.mixed_precision.set_global_policy("float32")
        half.set_weights(single.get_weights())
        table = tfprune.robustness(half, IMAGES, **QUICK)
        assert np.abs(table["agreement"] - expected["agreement"]).mean() < 0.05


def test_models_that_insist_on_training_are_measured_in_inference_mode():
    """Normalisation and dropout called with training=True: nothing random, and no weight moves."""
    images = keras.Input((6, 6, 3))
    x = layers.ReLU(name="relu")(layers.BatchNormalization()(layers.Conv2D(4, 3)(images), training=True))
    x = layers.Dropout(0.5)(layers.Flatten()(x), training=True)
    model = keras.Model(images, layers.Dense(3, activation="softmax")(x))
    before = weights_of(model)
    first, second = (tfprune.robustness(model, IMAGES, LABELS, **QUICK) for _ in range(2))
    assert first.equals(second)
    for weight, earlier in zip(weights_of(model), before, strict=True):
        np.testing.assert_array_equal(weight, earlier)
    logits = keras.Model(images, model.layers[-2].output)
    assert activity_function(logits)(IMAGES)[1].shape == [9, 64]
