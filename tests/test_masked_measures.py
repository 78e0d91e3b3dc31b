"""Nets under masks as plain nets: the dense twin, masked copies of existing models, and every measure of units on them."""
import numpy as np
import pytest

import tfprune
from tests.small_nets import NETS, build, examples
from tests.test_any_model import make
from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.masks.convert import KINDS as MASKABLE
from tfprune.masks.dense_twin import dense_twin, save_dense
from tfprune.masks.layers import Masked, SubnetConv2D, SubnetDense, masked_layers
from tfprune.masks.rules import RULES
from tfprune.models.notes import noted_unit_layers
from tfprune.models.rebuild import walk
from tfprune.settings import KINDS
from tfprune.units.channels import absorbs
from tfprune.units.graph import single_path

layers = keras.layers
COUNT = 9


def masked(net, keep=0.4, **options):
    """A masked copy of a small net, and examples for it."""
    model = tfprune.masked_copy(build(net), keep, **options)
    return model, examples(model, COUNT)


def outputs(model, images):
    return model(images, training=False).numpy()


def kernel_names(model):
    return [path for path, layer in walk(model) if type(layer) in MASKABLE]


@pytest.mark.parametrize("net", NETS)
def test_masked_copy_keeps_everything_but_the_masked_weights(net):
    plain = build(net)
    copy, images = tfprune.masked_copy(plain, 1.0), examples(plain, COUNT)
    np.testing.assert_array_equal(outputs(copy, images), outputs(plain, images))
    assert [path for path, layer in walk(copy) if isinstance(layer, Masked)] == kernel_names(plain)
    assert noted_unit_layers(copy) == noted_unit_layers(plain) and copy.name == plain.name
    assert np.abs(outputs(tfprune.masked_copy(plain, 0.3), images) - outputs(plain, images)).max() > 1e-3
    assert not {id(v) for v in copy.weights} & {id(v) for v in plain.weights}


@pytest.mark.parametrize("net", NETS)
def test_dense_net_gives_the_same_outputs(net):
    model, images = masked(net)
    dense = tfprune.to_dense(model)
    np.testing.assert_array_equal(outputs(dense, images), outputs(model, images))
    assert not masked_layers(dense)
    assert {path: type(layer) for path, layer in walk(dense)} == {path: type(layer) for path, layer in walk(build(net))}
    assert noted_unit_layers(dense) == noted_unit_layers(model) and dense.name == model.name
    assert [v.name for v in dense.weights] == [v.name for v in build(net).weights]
    for layer in masked_layers(model):
        assert np.count_nonzero(layer.effective_kernel(False)) < layer.scores.shape.num_elements()


@pytest.mark.parametrize("rule", RULES)
def test_dense_net_under_every_rule(rule):
    model, images = masked("chain", rule=rule)
    np.testing.assert_array_equal(outputs(tfprune.to_dense(model), images), outputs(model, images))


@pytest.mark.parametrize("keep", [0.0, 1.0])
def test_nothing_and_everything_kept(keep):
    """No weight, no bias: zero logits everywhere; all weights: the random net itself."""
    images = np.random.default_rng(0).normal(size=(COUNT, 6, 6, 2)).astype("float32")
    keras.backend.clear_session()
    model = keras.Sequential([keras.Input((6, 6, 2)), SubnetConv2D(4, 3, keep=keep, activation="relu"), layers.Flatten(),
                              SubnetDense(3, keep=keep)])
    flat = tf.reshape(tf.nn.relu(tf.nn.conv2d(images, model.layers[0].kernel, 1, "VALID")), [COUNT, -1])
    expected = (tf.matmul(flat, model.layers[2].kernel) * keep).numpy()
    for net in (model, tfprune.to_dense(model)):
        np.testing.assert_allclose(outputs(net, images), expected, atol=1e-6)
        assert outputs(net, images[:1]).shape == (1, 3)


MEASURES = {
    "activations": lambda model, images: tfprune.activations(model, images),
    "redundancy": lambda model, images: {name: found.correlation for name, found in tfprune.redundancy(model, images).items()},
    "robustness": lambda model, images: tfprune.robustness(model, images, np.arange(COUNT) % 3, kinds=KINDS, amounts=3, crosses=1),
}
MEASURED = [(net, measure) for net in NETS for measure in MEASURES if measure != "robustness" or net in ("chain", "nested", "depthwise")]


@pytest.mark.parametrize(("net", "measure"), MEASURED)
def test_measures_equal_those_of_the_dense_net(net, measure):
    model, images = masked(net)
    ours, dense = (MEASURES[measure](one, images) for one in (model, tfprune.to_dense(model)))
    if measure == "robustness":
        assert ours.equals(dense) and ours["agreement"].nunique() > 1
    else:
        assert list(ours) == list(dense)
        for name in ours:
            np.testing.assert_array_equal(ours[name], dense[name])


def test_short_cuts_hold_under_masks():
    """Convolutions skip ablated channels under masks too, and a layer that is called twice has one twin."""
    model, _ = masked("chain")
    assert all(absorbs(op.layer) for op in single_path(model).operations if op.name in ("conv1", "conv2", "fc3"))
    shared, _ = masked("nested")
    twins = {op.name: op.layer for op in single_path(shared).operations}
    assert twins["shared"] is twins["shared#2"] and twins["inner/a"] is twins["inner#2/a"]


def test_weights_that_are_perturbed_are_the_effective_ones():
    """Weights under a mask that are knocked out are out of the net; the mask is no knock-out that can be drawn twice."""
    model, images = masked("chain", keep=0.0)
    table = tfprune.robustness(model, images, kinds=["weight_noise"], amounts=3, crosses=1)
    assert (table["agreement"] == 1).all()  # noise in proportion to the deviation of kernels that are all zero


def test_units_of_a_users_own_masked_net():
    """SubnetConv2D and SubnetDense in a model that nobody declared anything on."""
    keras.backend.clear_session()
    model = keras.Sequential([
        keras.Input((8, 8, 2)), SubnetConv2D(6, 3, name="conv", strides=2), layers.BatchNormalization(), layers.ReLU(name="units"),
        layers.Flatten(), SubnetDense(5, activation="relu", name="hidden", use_bias=True, bias_initializer="ones"), SubnetDense(3)])
    assert tfprune.unit_layers(model) == ("units", "hidden")
    dense = tfprune.to_dense(model)
    images = np.random.default_rng(0).normal(size=(COUNT, 8, 8, 2)).astype("float32")
    np.testing.assert_array_equal(outputs(dense, images), outputs(model, images))
    conv, hidden = dense.get_layer("conv"), dense.get_layer("hidden")
    assert type(conv) is layers.Conv2D and conv.strides == (2, 2) and not conv.use_bias
    assert type(hidden) is layers.Dense and hidden.bias.numpy().all() and hidden.activation is keras.activations.relu
    assert all(weight.trainable for weight in (conv.kernel, hidden.kernel))  # fine-tuning is open


def test_twin_is_of_now():
    layer = SubnetDense(4, keep=0.5)
    layer.build((None, 6))
    before = dense_twin(layer).kernel.numpy()
    layer.keep = 1.0
    np.testing.assert_array_equal(dense_twin(layer).kernel, layer.kernel)
    assert np.count_nonzero(before) == 12
    plain = layers.Dense(3)
    assert dense_twin(plain) is plain


def test_wrapped_layers():
    keras.backend.clear_session()
    model = keras.Sequential([keras.Input((5, 4)), layers.TimeDistributed(SubnetDense(6, keep=0.5), name="steps"), layers.Flatten(),
                              layers.Dense(3)])
    images = np.random.default_rng(0).normal(size=(COUNT, 5, 4)).astype("float32")
    np.testing.assert_array_equal(outputs(tfprune.to_dense(model), images), outputs(model, images))
    assert tfprune.density_report(model)["kept"].tolist() == [12, 12]
    assert len(tfprune.activations(model, images)) == 1


def test_half_precision_nets():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = keras.Sequential([keras.Input((6,)), SubnetDense(8, activation="relu"), SubnetDense(3, dtype="float32")])
    finally:
        keras.mixed_precision.set_global_policy("float32")
    images = np.random.default_rng(0).normal(size=(COUNT, 6)).astype("float32")
    dense = tfprune.to_dense(model)
    assert dense.layers[0].compute_dtype == "bfloat16"
    np.testing.assert_array_equal(outputs(dense, images), outputs(model, images))


def test_masked_mobilenet():
    """A net of `keras.applications` with depthwise convolutions, drawn again: it is masked, measured, made dense."""
    model, images = make("mobilenet")
    copy = tfprune.masked_copy(model, 0.5, init="signed_constant", seed=4, last_dense=True)
    assert len(masked_layers(copy)) == 52 and not isinstance(copy.layers[-1], Masked)
    depthwise = copy.get_layer("block_3_depthwise")
    np.testing.assert_allclose(np.abs(depthwise.depthwise_kernel), (2 / 9) ** 0.5, rtol=1e-6)
    assert np.abs(depthwise.scores).max() <= 1 / 3 < 1.1 * np.abs(depthwise.scores).max()
    np.testing.assert_array_equal(outputs(tfprune.to_dense(copy), images), outputs(copy, images))
    assert tfprune.unit_layers(copy) == tfprune.unit_layers(model)
    assert np.isfinite(tfprune.redundancy(copy, images, ["block_3_depthwise_relu"])["block_3_depthwise_relu"].compressability)


def test_drawn_again_by_seed():
    plain = build("nested")
    first, again, other = (tfprune.masked_copy(plain, init="kaiming_normal", seed=seed) for seed in (1, 1, 2))
    for one, same, different in zip(*map(masked_layers, (first, again, other)), strict=True):
        for name in ("kernel", "scores"):
            np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
            assert np.abs(getattr(one, name) - getattr(different, name)).min() > 0
    kernels = [layer.kernel.numpy() for layer in masked_layers(first) if layer.kernel.shape == (6, 6)]
    assert all(np.abs(one - other).min() > 0 for one, other in zip(kernels, kernels[1:], strict=False))


def test_trains_scores_alone():
    model, images = masked("chain")
    before = [layer.kernel.numpy() for layer in masked_layers(model)]
    assert [v.name.split("/")[-1] for v in model.trainable_weights] == ["scores:0"] * 4
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    scores = [layer.scores.numpy() for layer in masked_layers(model)]
    model.fit(images, np.arange(COUNT) % 4, epochs=2, verbose=0)
    for layer, kernel, score in zip(masked_layers(model), before, scores, strict=True):
        np.testing.assert_array_equal(layer.kernel, kernel)
        assert np.abs(layer.scores - score).max() > 0


def test_chosen_layers():
    plain = build("nested")
    some = tfprune.masked_copy(plain, layers=["inner/b", "shared"])
    assert {layer.name for layer in masked_layers(some)} == {"b", "shared"}
    first, last = (tfprune.masked_copy(build("chain"), **{flag: True}) for flag in ("first_dense", "last_dense"))
    assert [layer.name for layer in masked_layers(first)][:2] == ["conv2", "fc3"]
    assert [layer.name for layer in masked_layers(last)] == ["conv1", "conv2", "fc3"]


def test_density_report():
    table = tfprune.density_report(masked("nested", keep=0.3)[0])
    assert set(table["layer"]) == {"shared", "inner/a", "inner/b", kernel_names(build("nested"))[-1], "total"}
    row = table.set_index("layer").loc["inner/a"]
    assert (row["weights"], row["kept"], row["density"]) == (30, 30 - int(0.7 * 30), pytest.approx(0.3))
    total = table.iloc[-1]
    assert total["kept"] == table["kept"][:-1].sum() and total["density"] == total["kept"] / total["weights"]


def test_saves_dense_weights(tmp_path):
    model, _ = masked("nested")
    save_dense(model, tmp_path / "dense.npz")
    with np.load(tmp_path / "dense.npz") as saved:
        dense = dict(walk(tfprune.to_dense(model)))
        assert {name.rpartition("/")[0] for name in saved} == {path for path, layer in dense.items() if layer.weights}
        np.testing.assert_array_equal(saved["inner/a/kernel"], dense["inner/a"].kernel)
        np.testing.assert_array_equal(saved["inner/a/bias"], dense["inner/a"].bias)


class Odd(keras.layers.Layer):
    """A layer that nothing can copy: what it is made from is not in its config."""

    def __init__(self, other):
        super().__init__()

    def call(self, inputs):
        return inputs


class Subclassed(keras.Model):
    """A model without a graph."""


def plain(*added):
    return keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(4, 3, name="conv"), layers.Flatten(name="flat"), *added], name="plain")


@pytest.mark.parametrize(("model", "options", "message"), [
    (plain, {"layers": ["fc"]}, "layers: the model 'plain' has no layer fc; there are conv"),
    (plain, {"layers": ["flat"]},
     "layers: flat is a Flatten; only Dense, Conv1D, Conv2D, GroupedConv2D, DepthwiseConv1D, DepthwiseConv2D can be masked"),
    (plain, {"layers": []}, "the model 'plain' has no layer to mask"), (plain, {"first_dense": True}, "has no layer to mask"),
    (plain, {"layers": "conv"}, "layers: a list of layers' names is needed, not 'conv'"),
    (plain, {"keep": 1.5}, "keep=1.5"), (plain, {"keep": float("nan")}, "keep=nan"), (plain, {"rule": "popup"}, "popup"),
    (plain, {"init": "he"}, "scheme=he"), (lambda: plain(Odd(object())), {}, r"the layer odd(_\d+)? \(Odd\) cannot be copied"),
    (lambda: keras.Sequential([layers.Dense(3)]), {}, "build it first"), (Subclassed, {}, "has no graph of layers"),
    (lambda: None, {}, "a tf_keras model is needed")])
def test_refusals_of_masked_copy(model, options, message):
    with pytest.raises(UserError, match=message) as refusal:
        tfprune.masked_copy(model(), **options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("ask", [tfprune.to_dense, tfprune.density_report])
def test_refusals_of_others(ask):
    with pytest.raises(UserError, match="has no graph of layers"):
        ask(Subclassed())
    with pytest.raises(UserError, match="has no masked layers"):
        tfprune.density_report(plain())
