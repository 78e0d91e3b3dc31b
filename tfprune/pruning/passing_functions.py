"""What functions of Keras tensors, such as `tf.nn.relu(x) + y` in a Functional model, do with units; Keras makes layers of them."""
import numpy as np

from tfprune.keras import tf
from tfprune.pruning.passing import UNKNOWN, Opaque
from tfprune.pruning.passing_merges import joined, merge, multiply
from tfprune.units.operations import Ref

# by their `symbol`: elementwise ones of one tensor and numbers, ..
ELEMENTWISE_FUNCTIONS = (
    "abs", "cast", "clip_by_value", "identity", "stop_gradient", "math.abs", "math.negative", "math.sigmoid", "math.softplus",
    "math.square", "math.tanh", "math.pow", "math.truediv", "math.divide", "nn.elu", "nn.gelu", "nn.leaky_relu", "nn.relu", "nn.relu6",
    "nn.selu", "nn.silu")
MERGING = ("__operators__.add", "math.add", "math.add_n", "math.maximum", "math.minimum", "math.subtract")  # .. and of several tensors
MULTIPLYING = "math.multiply"
REDUCING = ("math.reduce_max", "math.reduce_mean", "math.reduce_sum")


def function_rule(op):
    """The rule, as in `passing_rules`, for an operation that is a function; raises `Opaque`."""
    symbol = op.layer.symbol
    if symbol == "concat":
        return lambda passage, op, layer, *numbers: joined(passage, op, argument(op, "axis"), numbers)
    if symbol in REDUCING:
        return _reduced
    others = [a for a in tf.nest.flatten(op.arguments) if not isinstance(a, (Ref, str, bool, tf.DType, type(None)))]
    if symbol not in (*ELEMENTWISE_FUNCTIONS, *MERGING, MULTIPLYING) or any(np.ndim(other) for other in others):
        raise Opaque(UNKNOWN)
    if symbol in ELEMENTWISE_FUNCTIONS and len(op.inputs) > 1:
        raise Opaque("is not known for two tensors")
    return _with_zeros


def argument(op, name):
    """The second positional argument of a function, or that of this name."""
    args, kwargs = op.arguments
    return args[1] if len(args) > 1 else kwargs.get(name)


def _with_zeros(passage, op, layer, *numbers):
    """As the layer that does the same; but where it makes something of zeros, no mask can follow it."""
    specs = [passage.graph.specs[tensor] for tensor in op.inputs]
    if np.any(op(*(tf.zeros([1] * spec.shape.rank, spec.dtype) for spec in specs))[0]):
        raise Opaque("makes something of zeros; written as a layer (Activation, Rescaling) it could be masked")
    rule = multiply if layer.symbol == MULTIPLYING else merge
    return rule(passage, op, layer, *numbers)


def _reduced(passage, op, layer, numbers):
    rank, axis = passage.graph.specs[op.inputs[0]].shape.rank, argument(op, "axis")
    if axis is None or not {int(a) % rank for a in np.atleast_1d(axis)} <= set(range(1, rank - 1)):
        raise Opaque("reduces more than positions")
    return numbers
