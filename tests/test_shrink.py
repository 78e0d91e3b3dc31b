"""Real removal: silenced units say nothing, the smaller net computes what the masked one does, for every net and kind of layer."""
import numpy as np
import pytest

import tfprune
from tests.small_nets import NETS, build, examples
from tests.test_models import DEEPER, TABLE, built
from tests.test_models import examples as examples_of
from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.layers.decomposed_head import DecomposedHead, MaskedHead
from tfprune.layers.gated_dense import GatedDense
from tfprune.layers.kept_features import KeptFeatures
from tfprune.layers.lrn import LocalResponseNormalization
from tfprune.layers.option_a import PaddedShortcut
from tfprune.layers.unit_mask import UnitMask
from tfprune.masks.convert import masked_copy
from tfprune.masks.dense_twin import to_dense
from tfprune.models import without_auxiliary
from tfprune.models.rebuild import walk
from tfprune.pruning.costs import costs_of, latencies
from tfprune.pruning.groups import unit_groups
from tfprune.pruning.passing_rules import NORMALISATIONS
from tfprune.pruning.shrinking import shrink
from tfprune.pruning.silence import silenced
from tfprune.units.operations import trace

layers = keras.layers
# Nets like smaller ones of the table, and those of `test_groups_of_branches_and_of_grouped_convolutions`.
COUSINS = {"ResNet_cifar", "ResNet18_v15", "ResNet34_v15", "ResNet50_v15", "WideResNet50_2", "cResNet50", "Inception_v3", "ResNeXt50_32x4d"}


def outputs(model, inputs):
    return np.concatenate([np.ravel(output) for output in tf.nest.flatten(model(inputs))])


def half_of(groups):
    """Every other unit that can be pruned, but for one of each layer."""
    cut = np.zeros(groups.count, bool)
    for group in groups.prunable():
        cut[group.units[1::2]] = True
        for path in group.layers:
            cut[groups.produced[path][0]] = False
    return cut


def check_smaller(model, inputs, tolerance=1e-5):
    """Silences half of the units and takes them out; returns (groups, cut, masked model, smaller model)."""
    groups = unit_groups(model)
    cut = half_of(groups)
    masked = silenced(model, groups, cut)
    smaller = shrink(masked)
    expected = outputs(masked, inputs)
    assert np.abs(outputs(model, inputs) - expected).max() > 1e-3 * np.abs(expected).max(), "units that count were silenced"
    np.testing.assert_allclose(outputs(smaller, inputs), expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())
    assert unit_groups(smaller).count <= (~cut).sum(), "all of them are gone"
    assert [layer.name for layer in smaller.layers] == [layer.name for layer in model.layers]
    assert tfprune.unit_layers(smaller) == tfprune.unit_layers(model)
    return groups, cut, masked, smaller


@pytest.mark.parametrize("name", sorted(set(TABLE) - DEEPER - COUSINS))
def test_every_net_of_the_table(name):
    model = to_dense(without_auxiliary(built(TABLE[name])))
    generator = np.random.default_rng(0)
    for _, layer in walk(model):
        if isinstance(layer, NORMALISATIONS):
            for variable in layer.weights:
                low, high = (-.2, .2) if "beta" in variable.name or "mean" in variable.name else (.7, 1.3)
                variable.assign(generator.uniform(low, high, variable.shape))
    groups, cut, masked, smaller = check_smaller(model, examples_of(TABLE[name], 2))
    assert [group.fixed.split(" (")[0] for group in groups.groups if group.fixed] == [f"{model.layers[-1].name} is an output of the net"]
    assert costs_of(smaller)["multiply_adds"] < costs_of(model)["multiply_adds"]


def test_groups_of_branches_and_of_grouped_convolutions():
    """Of the large nets that are not cut here, for building them again and again takes a minute."""
    groups = unit_groups(without_auxiliary(built(TABLE["Inception_v3"])))
    assert len(groups.prunable()) == len(groups.groups) - 1 == 94 and all(len(group.layers) == 1 for group in groups.groups)
    grouped = unit_groups(without_auxiliary(built(TABLE["ResNeXt50_32x4d"])))
    assert [len(group.layers) for group in grouped.prunable()] == [1, 4, 5, 7, 4], "the stem, and the stages' sums"
    assert sum("in 32 groups of one size" in group.fixed for group in grouped.groups) == 16


@pytest.mark.parametrize("name", NETS)
def test_small_nets(name):
    model = build(name)
    groups, cut, masked, smaller = check_smaller(model, examples(model, 3))
    graph = trace(masked)
    places = {op.name: op.outputs[0] for op in graph.operations}
    for path, place in groups.activity.items():  # what a silenced unit gives is exactly 0
        value, = graph.run({graph.inputs[0]: tf.constant(examples(model, 3))}, [places[place]])
        assert not np.any(value.numpy()[..., cut[groups.produced[path]]])
    assert not any(isinstance(layer, UnitMask) for layer in smaller.layers)


def squeeze_excite():
    images = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(images)
    gate = layers.Dense(4, activation="relu")(layers.GlobalAveragePooling2D()(x))
    gate = layers.Reshape((1, 1, 8))(layers.Dense(8, activation="sigmoid")(gate))
    x = tf.concat([tf.nn.relu(x * gate), 2. * x], -1)
    return images, layers.GlobalMaxPooling2D()(layers.Conv2D(5, 3, activation="softplus")(x))


def prelu():
    images = keras.Input((6, 6, 3))
    x = layers.PReLU()(layers.Conv2D(8, 3)(images))
    x = layers.PReLU(shared_axes=[1, 2])(layers.BatchNormalization(scale=False)(layers.Conv2D(6, 3)(x)))
    return images, layers.PReLU()(layers.BatchNormalization(center=False)(layers.Flatten()(x)))


def separable():
    images = keras.Input((8, 8, 3))
    x = layers.SeparableConv2D(8, 3, activation="relu", depth_multiplier=2)(images)
    x = layers.SeparableConv2D(6, 3, depth_multiplier=2, activation="softplus")(x)
    return images, layers.DepthwiseConv2D(2, depth_multiplier=3, activation="sigmoid")(x)


def one_dimensional():
    series = keras.Input((12, 3))
    x = layers.MaxPooling1D()(layers.DepthwiseConv1D(3, activation="relu")(layers.Conv1D(8, 3, activation="elu")(series)))
    x = layers.TimeDistributed(layers.Dense(6, activation="sigmoid"))(x)
    return series, layers.SeparableConv1D(4, 2)(layers.Conv1DTranspose(5, 2)(x))


def decoder():
    vectors = keras.Input((10,))
    x = layers.BatchNormalization()(layers.Reshape((4, 4, 6))(layers.Dense(96, activation="relu")(vectors)))
    return vectors, layers.UpSampling2D()(layers.Conv2DTranspose(5, 3, strides=2, activation="gelu")(x))


def option_a():
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(images)
    y = layers.BatchNormalization()(layers.Conv2D(9, 3, strides=2, padding="same")(x))
    return images, layers.ReLU()(layers.Add()([y, PaddedShortcut(9)(x)]))


def nested_twice():
    within = keras.Input((6, 6, 5))
    inner = keras.Model(within, layers.BatchNormalization()(layers.Conv2D(5, 3, padding="same")(within)), name="inner")
    chain = keras.Sequential([keras.Input((6, 6, 5)), layers.ReLU(), layers.Conv2D(4, 1, name="q", activation="sigmoid")], name="chain")
    pool = keras.Sequential([keras.Input((6, 6, 4)), layers.MaxPooling2D(2)], name="pool")
    images = keras.Input((6, 6, 3))
    x = layers.Conv2D(5, 3, padding="same")(images)
    x = chain(layers.Add()([x, inner(inner(x))]))
    return images, layers.Subtract()([pool(x), pool(layers.Conv2D(4, 1)(x))])


def shared_sigmoid():
    sigmoid, vectors = layers.Activation("sigmoid"), keras.Input((8,))
    return vectors, sigmoid(layers.Dense(6)(sigmoid(layers.Dense(6)(vectors))))


def offsets():
    images = keras.Input((6, 6, 3))
    x = layers.MaxPooling2D()(layers.Rescaling(2., 1.)(layers.Conv2D(6, 3)(images)))
    return images, layers.ReLU(threshold=.1, negative_slope=.1)(x)


def neighbours():
    images = keras.Input((6, 6, 3))
    return images, LocalResponseNormalization(alpha=.3)(LocalResponseNormalization(alpha=.3)(layers.Conv2D(9, 3)(images)))


KINDS = (squeeze_excite, prelu, separable, one_dimensional, decoder, option_a, nested_twice, shared_sigmoid, offsets, neighbours)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_kinds_of_layers(kind, tmp_path):
    def made():
        images, x = kind()
        return keras.Model(images, layers.Dense(3)(layers.Flatten()(x)))

    model = build(made)
    _, _, masked, smaller = check_smaller(model, examples(model, 3))
    assert not any(isinstance(layer, UnitMask) for _, layer in walk(smaller))
    masked.save(tmp_path / "masked.keras")
    again = keras.models.load_model(tmp_path / "masked.keras", safe_mode=False)
    np.testing.assert_allclose(outputs(again, examples(model, 3)), outputs(masked, examples(model, 3)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("head", "becomes", "units"), [
    (lambda: DecomposedHead(3, 2), MaskedHead, 1), (lambda: MaskedHead(3), MaskedHead, 3), (lambda: GatedDense(3), GatedDense, 3)])
def test_heads_and_features(head, becomes, units):
    def made():
        vectors = keras.Input((8,))
        x = layers.Dense(10, activation="relu", name="hidden")(vectors)
        return keras.Model(vectors, head()(KeptFeatures([1, 2, 4, 7, 8, 9])(x)))

    model = build(made)
    _, _, _, smaller = check_smaller(model, examples(model, 3))
    assert type(smaller.layers[-1]) is becomes
    assert smaller.get_layer("hidden").units == units, "of those that are picked, and seen by the head, the even ones are left"


def test_a_decomposed_head_whose_filters_stay_is_one_still():
    vectors = keras.Input((8,))
    x = layers.Dense(6, activation="relu", name="hidden")(vectors)
    model = build(lambda: keras.Model(vectors, DecomposedHead(2, 2, name="head")(x)))
    model.get_layer("head").indices.assign([[1, 5], [5, 3]])
    smaller = shrink(model)
    assert smaller.get_layer("hidden").units == 3 and smaller.get_layer("head").class_filters() == [[0, 2], [2, 1]]
    np.testing.assert_allclose(smaller(examples(model, 4)), model(examples(model, 4)), atol=1e-6)


def test_survivors_keep_their_positions_in_local_response_normalisation():
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 8)).astype("float32") * 5
    kept = [0, 3, 4, 7]
    masked = np.zeros_like(x)
    masked[..., kept] = x[..., kept]
    whole, cut = LocalResponseNormalization(alpha=.5), LocalResponseNormalization(alpha=.5, positions=kept)
    np.testing.assert_allclose(cut(x[..., kept]), whole(masked).numpy()[..., kept], rtol=1e-6)
    np.testing.assert_allclose(cut(x[..., kept]), [[[[
        v / (1 + .5 * sum(u * u for u, q in zip(pixel, kept, strict=True) if abs(p - q) <= 2)) ** .75
        for v, p in zip(pixel, kept, strict=True)] for pixel in row] for row in image] for image in x[..., kept]], rtol=1e-5)
    assert np.abs(LocalResponseNormalization(alpha=.5)(x[..., kept]) - cut(x[..., kept])).max() > 1e-2


def two_layers():
    """8 -> 5 ReLU -> 4 ReLU -> 2 with all weights positive but for what a test changes."""
    model = build(lambda: keras.Sequential([keras.Input((8,)), layers.Dense(5, activation="relu", name="first"),
                                            layers.Dense(4, activation="relu", name="second"), layers.Dense(2, name="out")]))
    for weight in model.weights:
        weight.assign(np.abs(weight) + .1)
    return model


def test_units_that_are_constantly_0_or_unread_go_and_take_others_along():
    model = two_layers()
    first, second, out = model.layers
    first.kernel.assign(first.kernel.numpy() * [1, 0, 1, 1, 1])
    first.bias.assign([1, -.5, 1, 1, 1])  # the second unit: ReLU of a negative bias
    rows = second.kernel.numpy()
    rows[2] = 0  # the third unit: nobody reads it
    rows[3, [0, 2, 3]] = 0  # the fourth: read only by a unit that nobody reads
    second.kernel.assign(rows)
    out.kernel.assign(out.kernel.numpy() * np.array([[1], [0], [1], [1]]))
    smaller = shrink(model)
    assert [layer.units for layer in smaller.layers] == [2, 3, 2]
    np.testing.assert_array_equal(smaller.get_layer("first").kernel, first.kernel.numpy()[:, [0, 4]])
    np.testing.assert_array_equal(smaller.get_layer("second").kernel, second.kernel.numpy()[[0, 4]][:, [0, 2, 3]])
    np.testing.assert_allclose(smaller(examples(model, 5)), model(examples(model, 5)), rtol=1e-6)


def test_a_unit_that_is_constant_but_not_0_stays():
    model = two_layers()
    model.layers[0].kernel.assign(model.layers[0].kernel.numpy() * [1, 0, 1, 1, 1])  # its bias is positive
    assert shrink(model).get_layer("first").units == 5


def test_what_a_normalisation_scales_to_0_is_its_offset():
    """Network slimming: scale and shift are 0, the convolution's weights are not; after a ReLU a negative shift is as good."""
    model = build(lambda: keras.Sequential([
        keras.Input((6, 6, 2)), layers.Conv2D(5, 3, name="conv"), layers.BatchNormalization(name="norm"), layers.ReLU(),
        layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(2)]))
    norm = model.get_layer("norm")
    norm.gamma.assign([0, 0, 0, .7, -.4])
    norm.beta.assign([0, -.3, .3, .2, .1])
    smaller = shrink(model)
    assert smaller.get_layer("conv").filters == 3  # the third channel is .3 everywhere
    np.testing.assert_allclose(smaller(examples(model, 5)), model(examples(model, 5)), atol=1e-5)


def test_normalisation_decides_whether_zeros_stay_zeros():
    def made():
        images = keras.Input((5, 5, 2))
        x = layers.ReLU()(layers.BatchNormalization(name="norm")(layers.Conv2D(3, 3, name="conv", use_bias=False)(images)))
        return keras.Model(images, layers.Dense(2)(layers.Flatten()(x)))

    model = build(made)
    model.get_layer("conv").kernel.assign(model.get_layer("conv").kernel.numpy() * [0, 0, 1])
    for name, values in (("gamma", [1, 1, 1]), ("beta", [.5, -.5, .5]), ("moving_mean", [0, 0, 0])):
        getattr(model.get_layer("norm"), name).assign(values)
    smaller = shrink(model)
    assert smaller.get_layer("conv").filters == 2, "the first is .5 everywhere, the second ReLU(-.5)"
    np.testing.assert_allclose(smaller(examples(model, 3)), model(examples(model, 3)), atol=1e-5)


def test_masked_layers_become_plain_ones_and_nothing_to_cut_is_an_equal_copy():
    model = build("regression")
    masked = masked_copy(model, keep=.2, seed=1)
    smaller = shrink(masked)
    np.testing.assert_allclose(smaller(examples(model, 4)), masked(examples(model, 4)), atol=1e-6)
    assert smaller.count_params() < model.count_params() and type(smaller.get_layer("hidden1")) is layers.Dense
    copy = shrink(model)
    assert copy is not model and all(np.array_equal(a, b) for a, b in zip(copy.get_weights(), model.get_weights(), strict=True))
    single = keras.Sequential([keras.Input((3,)), layers.Dense(2, activation="softmax")])
    np.testing.assert_array_equal(shrink(single).get_weights()[0], single.get_weights()[0])


def test_half_precision_keeps_its_policy():
    model = build("regression")
    with_policy = keras.Sequential([keras.Input((4,)), layers.Dense(8, activation="sigmoid", dtype="mixed_bfloat16", name="a"),
                                    layers.Dense(1, dtype="float32")])
    with_policy.set_weights([*model.get_weights()[:2], np.ones((8, 1)), np.ones(1)])
    groups = unit_groups(with_policy)
    cut = half_of(groups)
    smaller = shrink(silenced(with_policy, groups, cut))
    assert smaller.get_layer("a").compute_dtype == "bfloat16" and smaller.get_layer("a").units == (~cut[groups.produced["a"]]).sum()


def test_costs():
    model = two_layers()
    costs = costs_of(model)
    assert costs["parameters"] == costs["nonzero"] == 8 * 5 + 5 + 5 * 4 + 4 + 4 * 2 + 2 and costs["multiply_adds"] == 40 + 20 + 8
    assert costs["bytes"] > 4 * costs["parameters"]
    sparse = tfprune.magnitude_prune(model, .5)
    assert costs_of(sparse)["nonzero"] == costs["nonzero"] - 20 - 10 and costs_of(sparse)["parameters"] == costs["parameters"]
    assert 0 < latencies([model], 2)[0] < 1


def test_what_cannot_be_cut_says_so():
    model = two_layers()
    groups = unit_groups(model)
    everything = np.zeros(groups.count, bool)
    everything[groups.produced["second"]] = True
    with pytest.raises(UserError, match="the layer .* would be empty: none of its . units has a part in the output; prune fewer units"):
        shrink(silenced(model, groups, everything))
    images = keras.Input((4,))
    mixed = keras.Model(images, layers.Dense(2)(layers.LayerNormalization(name="norm")(layers.Dense(3)(images))), name="mixed")
    with pytest.raises(UserError, match="'mixed' cannot be cut, .*: norm .LayerNormalization. mixes its channels"):
        shrink(mixed)
    with pytest.raises(UserError, match="has no graph of layers"):
        shrink(keras.Sequential([layers.Dense(3)]))
