"""Masked layers in Keras models: a table of every rule and layer x what a Keras layer must be able to do; cached masks; one threshold."""
import numpy as np
import pytest

from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.masks import layers as masked
from tfprune.masks.cached import cached_masks
from tfprune.masks.keeping import KeepOverAll
from tfprune.masks.layers import SubnetConv2D, SubnetDense, SubnetDepthwiseConv2D, masked_layers
from tfprune.masks.rules import RULES
from tfprune.masks.selection import global_masks, kept_count

KINDS = {"SubnetDense": ((6,), (7,)), "SubnetConv1D": ((6, 3), (9, 4)), "SubnetConv2D": ((6, 3), (8, 8, 2)),
         "SubnetDepthwiseConv1D": ((3,), (9, 4)), "SubnetDepthwiseConv2D": ((3,), (8, 8, 2))}  # arguments, shape of an input
PLAIN = {name: getattr(keras.layers, name.removeprefix("Subnet")) for name in KINDS}
RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.normal(size=(32, 8, 8, 2)).astype("float32"), np.arange(32) % 4


def net(rule="edge_popup", **settings):
    """A net of three kinds of masked layers, one in a nested model."""
    inner = keras.Sequential([keras.Input((6, 6, 8)), SubnetDepthwiseConv2D(3, rule=rule, seed=2, **settings)], name="inner")
    return keras.Sequential([keras.Input((8, 8, 2)), SubnetConv2D(8, 3, activation="relu", rule=rule, seed=1, **settings), inner,
                             keras.layers.Flatten(), SubnetDense(4, rule=rule, seed=3, name="logits", **settings)])


def fitted(model, epochs=1, **compiling):
    model.compile(keras.optimizers.SGD(.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True), **compiling)
    model.fit(IMAGES, LABELS, epochs=epochs, batch_size=16, shuffle=False, verbose=0)
    return model


def snapshot(model):
    return {v.name: v.numpy() for v in model.variables}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("freeze", [True, False])
def test_fit_changes_only_what_is_to_be_trained(rule, freeze):
    model = net(rule, freeze=freeze, use_bias=True)
    before, after = snapshot(model), snapshot(fitted(model))
    trains_scores, trains_kernel = RULES[rule].trains_scores, RULES[rule].trains_kernel or not freeze
    for layer in masked_layers(model):
        kernel = layer.kernel_variable()
        assert [v is kernel for v in layer.trainable_variables if "kernel" in v.name] == [True] * trains_kernel
        for variable, trained in ((kernel, trains_kernel), (layer.scores, trains_scores), (layer.bias, trains_kernel)):
            assert np.any(before[variable.name] != after[variable.name]) == trained, variable.name
            assert any(variable is v for v in model.trainable_variables) == trained
    assert np.all(np.isfinite(model.predict(IMAGES, verbose=0)))


@pytest.mark.parametrize("rule", RULES)
def test_save_restore_clone_and_batch_of_one(rule, tmp_path):
    model = fitted(net(rule, keep=.3))
    expected = model.predict(IMAGES[:1], verbose=0)
    assert expected.shape == (1, 4)
    np.testing.assert_allclose(tf.function(model)(IMAGES[:1]), expected, rtol=1e-5, atol=1e-6)
    model.save_weights(tmp_path / "w.weights.h5")
    clone = keras.models.clone_model(model)
    assert [layer.get_config() for layer in masked_layers(clone)] == [layer.get_config() for layer in masked_layers(model)]
    clone.load_weights(tmp_path / "w.weights.h5")
    np.testing.assert_allclose(clone.predict(IMAGES[:1], verbose=0), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "sampled"])
def test_keeping_none_and_all(rule):
    none, everything = net(rule, keep=0), net(rule, keep=1)
    assert not none.predict(IMAGES, verbose=0).any()
    for layer in masked_layers(everything):
        assert layer.density() == 1
        if rule not in ("signed", "biprop"):
            np.testing.assert_array_equal(layer.effective_kernel(), layer.kernel_variable())


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_keras_own_with_another_kernel(kind):
    arguments, shape = KINDS[kind]
    layer = getattr(masked, kind)(*arguments, keep=.4, activation="tanh", use_bias=True, bias_initializer="normal")
    plain = PLAIN[kind](*arguments, activation="tanh")
    inputs = RNG.normal(size=(2, *shape)).astype("float32")
    outputs = layer(inputs)
    plain.build(inputs.shape)
    plain.set_weights([layer.effective_kernel(), layer.bias])
    np.testing.assert_allclose(outputs, plain(inputs), rtol=1e-5, atol=1e-6)
    size = layer.scores.shape.num_elements()
    assert np.count_nonzero(layer.mask()) == int(layer.kept) == kept_count(size, .4)
    assert layer.density() == kept_count(size, .4) / size
    fan_in = np.prod(layer.scores.shape[:-1 if "Depthwise" not in kind else -2])
    np.testing.assert_allclose(np.abs(layer.kernel_variable()), np.sqrt(2 / fan_in), rtol=1e-6)
    assert np.abs(layer.scores).max() <= 1 / np.sqrt(fan_in)
    again = type(layer).from_config(layer.get_config())
    again.build(inputs.shape)
    np.testing.assert_array_equal(again.scores, layer.scores)


@pytest.mark.parametrize("rule", RULES)
def test_mixed_precision_masks_in_float32(rule):
    inputs = tf.random.normal([2, 7])
    layer, full = SubnetDense(5, rule=rule, seed=1, dtype="mixed_bfloat16"), SubnetDense(5, rule=rule, seed=1)
    with tf.GradientTape() as tape:
        outputs = layer(inputs)
    gradients = tape.gradient(outputs, layer.trainable_variables)
    assert outputs.dtype == tf.bfloat16 and layer.effective_kernel().dtype == layer.scores.dtype == layer.kernel.dtype == tf.float32
    assert all(g.dtype == tf.float32 for g in gradients) and len(gradients) == 1
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), full(inputs), atol=.05)
    np.testing.assert_array_equal(layer.effective_kernel(), full.effective_kernel())


def test_a_net_in_half_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = net()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert model(IMAGES).dtype == tf.bfloat16 and all(layer.scores.dtype == tf.float32 for layer in masked_layers(model))
    np.testing.assert_allclose(tf.cast(model(IMAGES), tf.float32), net()(IMAGES), atol=.05)


@pytest.mark.parametrize("rule", ["edge_popup", "signed", "random"])
def test_xla_trains_as_the_graph_does(rule):
    plain, compiled = (fitted(net(rule), jit_compile=jit).get_weights() for jit in (False, True))
    for one, other in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_share_may_change_at_any_time():
    model, layer = net(keep=.5), SubnetDense(3, keep=.2)
    first = model.predict(IMAGES, verbose=0)
    for inner in masked_layers(model):
        inner.keep = .1
    assert np.any(model.predict(IMAGES, verbose=0) != first)  # the compiled function follows the variable
    assert [int(inner.kept) for inner in masked_layers(model)] == [kept_count(size, .1) for size in (144, 72, 512)]
    layer.keep = .3  # not built yet
    layer.build((None, 10))
    assert int(layer.kept) == kept_count(30, .3) and layer.get_config()["keep"] == .3


@pytest.mark.parametrize("keep", [-.1, 1.5, float("nan"), "half"])
def test_shares_outside_0_to_1_are_refused(keep):
    layer = SubnetDense(3)
    layer.build((None, 10))
    for call in (lambda: SubnetDense(3, keep=keep), lambda: setattr(layer, "keep", keep)):
        with pytest.raises(UserError, match=f"keep={keep}: .* from 0 to 1"):
            call()
    assert layer.keep == .5 and int(layer.kept) == 15


def test_unknown_rules_are_refused():
    with pytest.raises(UserError, match="rule=edgepopup: expected one of edge_popup, sampled"):
        SubnetDense(3, rule="edgepopup")


def test_a_lost_score_reaches_the_loss():
    for rule in ("edge_popup", "sampled", "signed", "biprop", "iterand"):
        layer = SubnetDense(3, rule=rule)
        layer.build((None, 10))
        layer.scores.assign(tf.tensor_scatter_nd_update(layer.scores, [[0, 0]], [np.nan]))
        assert np.isnan(tf.function(layer)(tf.ones([1, 10]))).any(), rule


def test_masks_are_made_once_where_they_are_cached(monkeypatch):
    model, calls = net(), []
    original = RULES["edge_popup"].effective
    monkeypatch.setattr(RULES["edge_popup"], "effective", lambda *arguments: calls.append(1) or original(*arguments))
    expected = model(IMAGES).numpy()

    @tf.function
    def over_batches(batches):
        with cached_masks(model):
            total = tf.TensorArray(tf.float32, 2)
            for number, batch in batches.enumerate():
                total = total.write(tf.cast(number, tf.int32), model(batch, training=False))
        return total.concat()

    calls.clear()
    np.testing.assert_allclose(over_batches(tf.data.Dataset.from_tensor_slices(IMAGES).batch(16)), expected, rtol=1e-5, atol=1e-6)
    assert len(calls) == 3
    for layer in masked_layers(model):
        layer.scores.assign(-layer.scores[::-1])
    changed = over_batches(tf.data.Dataset.from_tensor_slices(IMAGES).batch(16))
    assert np.any(np.abs(changed - expected) > 1e-3)  # made anew on each entry
    np.testing.assert_allclose(changed, model(IMAGES), rtol=1e-5, atol=1e-6)
    with cached_masks(model):
        inside = model(IMAGES, training=False)
        calls.clear()
        model(IMAGES, training=True)  # training sees its own masks
        assert len(calls) == 3
    np.testing.assert_allclose(inside, model(IMAGES), rtol=1e-5, atol=1e-6)


def test_what_is_traced_where_masks_are_cached_does_not_keep_them():
    model = net()
    with cached_masks(model):
        model.predict(IMAGES, verbose=0)  # Keras keeps the function that it traces here
    for layer in masked_layers(model):
        layer.scores.assign(-layer.scores[::-1])
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), model(IMAGES), rtol=1e-5, atol=1e-6)


def test_masks_drawn_in_use_are_not_cached():
    model = net("sampled", options={"evaluation": "sample"})
    with cached_masks(model):
        assert np.any(model(IMAGES) != model(IMAGES))


@pytest.mark.parametrize("rule", ["edge_popup", "dnw", "random"])
def test_one_threshold_over_all_layers(rule):
    model = net(rule, keep=.3)
    layers = masked_layers(model)
    keeper = KeepOverAll(model)
    for keep in (.3, .05):
        keeper.keep = keep
        tf.function(keeper.refresh)()
        ranked = [np.abs(layer.kernel_variable() if rule == "dnw" else layer.scores) for layer in layers]
        for layer, expected in zip(layers, global_masks(ranked, keep), strict=True):
            np.testing.assert_array_equal(layer.mask(), expected)
        assert sum(int(layer.kept) for layer in layers) == kept_count(144 + 72 + 512, keep)
    layers[0].keep = .5
    with pytest.raises(UserError, match="different shares, keep=0.05, 0.5"):
        KeepOverAll(model)
    with pytest.raises(UserError, match="no masked layer whose rule ranks"):
        KeepOverAll(net("sampled"))


def test_layers_without_a_seed_draw_differently_and_keep_their_seed():
    keras.utils.set_random_seed(3)
    one, other = SubnetDense(5), SubnetDense(5)
    for layer in (one, other):
        layer.build((None, 7))
    assert not np.array_equal(one.kernel, other.kernel) and not np.array_equal(one.scores, other.scores)
    keras.utils.set_random_seed(3)
    again, copy = SubnetDense(5), SubnetDense.from_config(one.get_config())
    for layer in (again, copy):
        layer.build((None, 7))
        np.testing.assert_array_equal(layer.kernel, one.kernel)
        np.testing.assert_array_equal(layer.scores, one.scores)
