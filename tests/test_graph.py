"""The view of a Keras model as operations, and the rule that finds its unit layers."""
import numpy as np
import pytest

import tfprune
from experiments import REGISTRY
from tests.small_nets import NETS, build, examples
from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.layers.replaced import replaced
from tfprune.units.graph import activity_function, declare_unit_layers, single_path, unit_tensors
from tfprune.units.operations import trace

UNIT_LAYERS = {
    "chain": ("conv1", "conv2", "fc3"),
    "normalised": ("conv1", "act2"),
    "residual": ("relu0", "relu1", "relu2", "tf.nn.relu"),
    "branches": ("stem", "right1", "left", "right2"),
    "nested": ("inner/a", "inner/b", "shared", "inner#2/a", "inner#2/b", "shared#2"),
    "sequential": ("conv", "leaky"),
    "depthwise": ("conv", "depth_relu", "conv1d"),
    "regression": ("hidden1", "hidden2"),
    "declared": ("conv", "pool", "linear"),
}


def test_table_is_complete():
    assert set(UNIT_LAYERS) == set(NETS)


@pytest.mark.parametrize("net", NETS)
def test_finds_the_unit_layers(net):
    found = tfprune.unit_layers(build(net))
    assert sorted(found) == sorted(UNIT_LAYERS[net])
    if net != "branches":  # whose two sides have no order
        assert found == UNIT_LAYERS[net]


@pytest.mark.parametrize(("experiment_id", "layers"), [(2, ("conv1", "conv2", "fc3", "fc4")), (67, ("conv1", "conv2", "fc3", "fc4"))])
def test_unit_layers_of_alexnet(experiment_id, layers):
    assert tfprune.unit_layers(tfprune.build_model(REGISTRY[experiment_id])) == layers


def test_unit_layers_of_the_mlp():
    experiment = tfprune.override(REGISTRY[247], ["dataset.dimension=5"])
    assert tfprune.unit_layers(tfprune.build_model(experiment)) == ("hidden1",)


@pytest.mark.parametrize("net", NETS)
def test_operations_give_what_the_model_gives(net):
    model = build(net)
    images = examples(model, 5)
    activities, logits = activity_function(model)(images)
    np.testing.assert_allclose(logits, model(images, training=False), atol=1e-5)
    assert [activity.shape[0] for activity in activities] == [5] * len(tfprune.unit_layers(model))


def test_activities_are_those_of_the_layers():
    model = build("residual")
    images = examples(model, 4)
    names = ("relu1", "relu2")
    activities, _ = activity_function(model, names)(images)
    keras_activities = keras.Model(model.input, [model.get_layer(name).output for name in names])(images)
    for activity, expected in zip(activities, keras_activities, strict=True):
        np.testing.assert_allclose(activity, expected, atol=1e-5)


def test_is_always_inference():
    model = build("sequential")
    images = examples(model, 4)
    run = activity_function(model)
    np.testing.assert_array_equal(run(images)[1], run(images)[1])  # its dropout would differ


def test_runs_only_what_is_between():
    """From a tensor behind a skip's start: the other way of the skip has to be known, and then suffices."""
    model = build("residual")
    graph = single_path(model)
    tensors = unit_tensors(graph, ("relu0", "relu1"))
    images = tf.constant(examples(model, 3))
    relu0, relu1, logits = graph.run({graph.inputs[0]: images}, [*tensors.values(), graph.outputs[0]])
    suffix = graph.run({tensors["relu0"]: relu0, tensors["relu1"]: relu1}, [graph.outputs[0]])[0]
    np.testing.assert_allclose(suffix, logits, atol=1e-6)
    with pytest.raises(ValueError, match="do not follow"):
        graph.run({tensors["relu1"]: relu1}, [graph.outputs[0]])


def test_declared_unit_layers_win_and_stay_out_of_checkpoints(tmp_path):
    model = build("chain")
    before = tf.train.Checkpoint(model=model).write(str(tmp_path / "before"))
    assert declare_unit_layers(model, ["conv2", "fc3"]) is model
    assert tfprune.unit_layers(model) == ("conv2", "fc3")
    after = tf.train.Checkpoint(model=model).write(str(tmp_path / "after"))
    assert tf.train.list_variables(before) == tf.train.list_variables(after)
    with pytest.raises(UserError, match="no layer named nowhere"):
        declare_unit_layers(model, ["conv2", "nowhere"])


def test_names_no_such_layer():
    with pytest.raises(UserError, match="no layer named fc9; the net has conv1"):
        activity_function(build("chain"), ["fc9"])


class Subclassed(keras.Model):
    """A model whose call could be anything."""

    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(("model", "advice"), [
    (Subclassed(name="mine"), "the model 'mine' has no graph of layers; give a Functional"),
    (keras.Sequential([keras.layers.Dense(2)], name="new"), "build it first"),
])
def test_refuses_models_without_a_graph_in_one_line(model, advice):
    with pytest.raises(UserError, match=advice) as refusal:
        tfprune.unit_layers(model)
    assert "\n" not in str(refusal.value)


def test_refuses_several_inputs():
    one, two = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([one, two], keras.layers.Dense(2)(keras.layers.Add()([one, two])))
    assert tfprune.unit_layers(model) == ()
    with pytest.raises(UserError, match="2 inputs and 1 outputs"):
        single_path(model)


def test_nested_models_with_several_inputs_are_taken_apart():
    a, b = keras.Input((3,)), keras.Input((3,))
    inner = keras.Model({"a": a, "b": b}, keras.layers.Dense(4, name="mix")(keras.layers.Concatenate()([a, b])), name="inner")
    x = keras.Input((3,))
    model = keras.Model(x, keras.layers.Dense(2)(inner({"b": keras.layers.Dense(3, name="first")(x), "a": x})))
    images = examples(model, 4)
    assert tfprune.unit_layers(model) == ("first", "inner/mix")
    np.testing.assert_allclose(activity_function(model)(images)[1], model(images), atol=1e-6)


def test_replaced_puts_a_layers_own_kernel_back():
    layer = build("regression").get_layer("hidden1")
    own = layer.kernel
    with pytest.raises(ZeroDivisionError), replaced(layer, kernel=tf.zeros_like(own)):
        assert not np.any(layer(tf.ones([1, 4])) - layer.activation(layer.bias))
        raise ZeroDivisionError
    assert layer.kernel is own
    assert [weight.name for weight in layer.weights] == ["hidden1/kernel:0", "hidden1/bias:0"]


def test_trace_numbers_tensors_once():
    graph = trace(build("nested"))
    made = [tensor for op in graph.operations for tensor in op.outputs]
    assert len(set(made)) == len(made)
    assert {op.name for op in graph.operations} >= {"inner/a", "inner#2/a"}
