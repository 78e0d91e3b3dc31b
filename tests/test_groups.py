"""Which channels are one unit, checked on small nets of every kind of layer; and over the whole table of nets in test_shrink."""
import numpy as np
import pytest

from tests.small_nets import build
from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.layers.kept_features import KeptFeatures
from tfprune.layers.option_a import PaddedShortcut
from tfprune.pruning.groups import unit_groups

layers = keras.layers


def net(*shape):
    return keras.Input(shape, name="images")


def model(images, x):
    return keras.Model(images, layers.Dense(2, name="out")(layers.Flatten(name="flat")(x)))


def members(groups):
    return {group.name: (group.layers, len(group.units)) for group in groups.groups if not group.fixed}


def why(groups):
    return {group.name: group.fixed for group in groups.groups if group.fixed}


def test_a_chain_numbers_each_layer_and_follows_flatten():
    groups = unit_groups(build("chain"))
    assert members(groups) == {"conv1": (("conv1",), 6), "conv2": (("conv2",), 5), "fc3": (("fc3",), 7)}
    assert list(why(groups).values())[0].endswith("is an output of the net")
    assert groups.count == 2 + 6 + 5 + 7 + 4
    np.testing.assert_array_equal(groups.read["conv2"], groups.produced["conv1"])
    np.testing.assert_array_equal(groups.read["fc3"], np.tile(groups.produced["conv2"], len(groups.read["fc3"]) // 5))
    assert groups.activity["conv1"] == "conv1" and unit_groups(build("normalised")).activity["conv2"] == "act2"


def test_sums_unite_and_shared_layers_are_one():
    groups = unit_groups(build("residual"))
    assert sorted(len(own) for own, _ in members(groups).values()) == [1, 2, 2], "the two ends of each shortcut are one group"
    nested = unit_groups(build("nested"))
    assert "examples" in why(nested)["shared"] or "input" in why(nested)["shared"], "a layer that reads the input and its own output"
    assert set(members(nested)) == {"inner/a", "inner/b"}


def test_products_concatenations_and_reductions():
    images = net(6, 6, 3)
    x = tf.nn.relu(layers.Conv2D(4, 3, name="conv")(images))
    gate = layers.Conv2D(4, 1, activation="sigmoid", name="gate")(tf.reduce_mean(x, [1, 2], keepdims=True))
    attention = layers.Conv2D(1, 1, activation="sigmoid", name="attention")(x)
    joined = layers.Concatenate(name="joined")([x * gate, x * attention, layers.Conv2D(3, 3, name="beside")(images)])
    groups = unit_groups(model(images, layers.BatchNormalization(name="norm")(joined)))
    assert members(groups) == {"conv": (("conv", "gate"), 4), "beside": (("beside",), 3)}
    assert "multiplies many channels by one" in why(groups)["attention"]
    np.testing.assert_array_equal(groups.produced["norm"],
                                  np.concatenate([groups.produced[path] for path in ("conv", "conv", "beside")]))


def test_depthwise_separable_and_transposed_convolutions():
    images = net(8, 8, 3)
    x = layers.Conv2D(4, 3, name="conv")(images)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depth")(x)
    x = layers.SeparableConv2D(5, 1, depth_multiplier=2, name="separable")(x)
    groups = unit_groups(model(images, layers.Conv2DTranspose(3, 2, name="transposed")(x)))
    units = groups.produced["conv"]
    np.testing.assert_array_equal(groups.produced["depth"], np.repeat(units, 2))
    np.testing.assert_array_equal(groups.read["separable"], np.repeat(units, 2))
    assert members(groups) == {"conv": (("conv",), 4), "separable": (("separable",), 5), "transposed": (("transposed",), 3)}
    depth_first = unit_groups(model(images, layers.DepthwiseConv2D(3, name="depth")(images)))
    assert "depth" in depth_first.produced and set(why(depth_first)) == {"out"} and not members(depth_first)


def test_reshape_folds_positions_into_units():
    vectors = keras.Input((7,), name="vectors")
    x = layers.Reshape((2, 2, 3), name="folded")(layers.Dense(12, activation="relu", name="dense")(vectors))
    groups = unit_groups(model(vectors, layers.Conv2D(5, 1, name="conv")(x)))
    np.testing.assert_array_equal(groups.produced["dense"], np.tile(groups.read["conv"], 4))
    assert members(groups)["dense"] == (("dense",), 3)


def test_shortcuts_without_weights_and_features_that_are_picked():
    images = net(8, 8, 3)
    x = layers.Conv2D(4, 3, padding="same", name="narrow")(images)
    y = layers.Conv2D(7, 3, 2, padding="same", name="wide")(x)
    groups = unit_groups(model(images, layers.Add()([y, PaddedShortcut(7)(x)])))
    np.testing.assert_array_equal(groups.produced["narrow"], groups.produced["wide"][1:5])
    assert members(groups) == {"narrow": (("narrow", "wide"), 7)}
    vectors = keras.Input((7,))
    picked = unit_groups(model(vectors, KeptFeatures([1, 4])(layers.Dense(6, name="dense")(vectors))))
    np.testing.assert_array_equal(picked.read["out"], picked.produced["dense"][[1, 4]])


@pytest.mark.parametrize(("mixing", "says"), [
    (layers.LayerNormalization(name="m"), "m (LayerNormalization) mixes its channels"),
    (layers.Softmax(name="m"), "m (Softmax) mixes its channels"),
    (layers.Activation("softmax", name="m"), "m (Activation) mixes its channels"),
    (layers.Lambda(lambda x: x[..., ::-1], name="m"), "m (Lambda) mixes or makes channels in a way that is not known"),
    (layers.BatchNormalization(axis=1, name="m"), "m (BatchNormalization) normalises another axis than the last"),
    (layers.Conv2D(4, 1, groups=2, name="m"), "m (Conv2D) convolves its channels in 2 groups of one size"),
    (layers.Permute((3, 1, 2), name="m"), "m (Permute) mixes or makes"),
    (tf.math.cos, "tf.math.cos (TFOpLambda) mixes or makes"),
    (tf.math.sigmoid, "tf.math.sigmoid (TFOpLambda) makes something of zeros"),
    (lambda x: x + np.arange(4, dtype="float32"), "tf.__operators__.add (TFOpLambda) mixes or makes")])
def test_layers_that_mix_or_are_not_known_fix_what_enters_them(mixing, says):
    keras.backend.clear_session()
    images = net(6, 6, 3)
    x = layers.Conv2D(4, 3, name="before")(images)
    groups = unit_groups(model(images, layers.Conv2D(5, 1, name="after")(mixing(x))))
    assert why(groups)["before"].startswith(says)
    assert members(groups) == {"after": (("after",), 5)}, "what comes after is not concerned"


def test_excluded_layers_leave_their_groups_whole():
    groups = unit_groups(build("chain"))
    assert [group.name for group in groups.prunable(["conv1"])] == ["conv2", "fc3"]
    with pytest.raises(UserError, match="no layer conv9 has units; there are conv1, conv2"):
        groups.prunable(["conv9"])


def test_what_has_no_graph_is_refused():
    with pytest.raises(UserError, match="has no graph of layers"):
        unit_groups(keras.Sequential([layers.Dense(3)]))
