"""Multiply-adds of any model: against TensorFlow's count of the graph, and by hand."""
import pytest

from experiments import REGISTRY
from tests.small_nets import NETS, build
from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.models import build_model, multiply_adds_of, parameter_count
from tfprune.models.multiply_adds import multiply_adds
from tfprune.overrides import override

layers = keras.layers
RESIDUAL = override(REGISTRY[6999], ["dnn.depth=10", "dnn.features=3,5,4,6,7,7,3,5,4", "dnn.residual=true"])
OTHERS = [name for name in NETS if name != "chain"]  # whose normalisation multiplies matrices too
MASKED = override(REGISTRY[5024], ["dnn.neuron_multiplier=0.05"])


def graph_multiply_adds(model, shape):
    """Multiply-adds by TensorFlow's own count of the graph's operations."""
    graph = tf.function(model).get_concrete_function(tf.TensorSpec([1, *shape])).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(tf.compat.v1.profiler.ProfileOptionBuilder.float_operation())
    options = options.with_empty_output().order_by("float_ops").build()
    count = tf.compat.v1.profiler.profile(graph, cmd="op", options=options)
    return sum(node.total_float_ops - sum(child.total_float_ops for child in node.children) for node in walk(count)
               if node.name in ("Conv2D", "MatMul", "DepthwiseConv2dNative")) // 2


def walk(node):
    yield node
    for child in node.children:
        yield from walk(child)


def separable():
    return keras.Sequential([layers.Input((8, 8, 4)), layers.SeparableConv2D(5, 2, depth_multiplier=3), layers.Conv2D(3, 3, 2, "same")])


@pytest.mark.parametrize("net", [RESIDUAL, MASKED, separable, *OTHERS], ids=["vgg", "masked", "separable", *OTHERS])
def test_equal_tensorflows_count(net):
    model = build_model(net) if net in (RESIDUAL, MASKED) else build(net)
    assert multiply_adds(model) == graph_multiply_adds(model, model.input_shape[1:]) > 0


def test_by_hand():
    first = keras.Sequential([layers.Input((5, 5, 2)), layers.Conv2DTranspose(3, 2, strides=2), layers.Flatten(), layers.Dense(7)])
    assert multiply_adds(first) == 25 * 2 * 2 * 2 * 3 + 300 * 7, "each position that goes in is multiplied by the kernel"
    steps = keras.Sequential([layers.Input((6, 4)), layers.TimeDistributed(layers.Dense(5)), layers.Dense(3), layers.Conv1D(2, 3)])
    assert multiply_adds(steps) == 6 * 4 * 5 + 6 * 5 * 3 + 4 * 3 * 3 * 2
    planes = keras.Sequential([layers.Input((2, 6, 4)), layers.Conv2D(3, 2, data_format="channels_first")])
    assert multiply_adds(planes) == 5 * 3 * 2 * 2 * 2 * 3
    grouped = keras.Sequential([layers.Input((8, 8, 4)), layers.Conv2D(6, 3, strides=2, groups=2)])
    assert multiply_adds(grouped) == 9 * 3 * 3 * 2 * 6
    assert multiply_adds(keras.Sequential([layers.Input((4,)), layers.Embedding(9, 2), layers.Flatten()])) == 0


def test_images_of_any_size_are_refused():
    with pytest.raises(UserError, match="the layer conv takes examples of any size; .* of one size: give the Input that"):
        multiply_adds(keras.Sequential([layers.Input((None, None, 3)), layers.Conv2D(4, 3, name="conv")]))
    with pytest.raises(UserError, match="a tf_keras model is needed"):
        multiply_adds("net")


def test_costs_allocate_no_weights():
    vast = override(REGISTRY[6999], ["dnn.neuron_multiplier=500"])
    assert multiply_adds_of(vast) > 5e13 and parameter_count(vast) > 1e12
    assert multiply_adds_of(MASKED) == multiply_adds(build_model(MASKED))
