"""What is known of a net's channels without any images: which are one number, the same everywhere and for every image."""
import numpy as np

from tfprune.keras import keras, tf
from tfprune.layers.decomposed_head import DecomposedHead, MaskedHead
from tfprune.layers.kept_features import KeptFeatures
from tfprune.layers.option_a import PaddedShortcut
from tfprune.layers.unit_mask import UnitMask
from tfprune.models.multiply_adds import TRANSPOSED
from tfprune.pruning.activations import mixes
from tfprune.pruning.channel_axes import SEPARABLE
from tfprune.pruning.passing import owner, same_everywhere, tensors_of
from tfprune.pruning.passing_functions import ELEMENTWISE_FUNCTIONS, MERGING, MULTIPLYING
from tfprune.pruning.passing_rules import DEPTHWISE, ELEMENTWISE, NORMALISATIONS, POSITIONAL

_k = keras.layers
_COMPUTED = (*ELEMENTWISE, *NORMALISATIONS, _k.Add, _k.Subtract, _k.Average, _k.Maximum, _k.Minimum, _k.Multiply)
_PADDING = (_k.ZeroPadding1D, _k.ZeroPadding2D, _k.ZeroPadding3D)


def constants(passage, dead, matrices):
    """{tensor: float array [channels]}: the number that a channel always holds, or NaN where there is no such or it is not known.

    Args:
      passage: a `Passage`.
      dead: bool array over its units; those are 0 wherever they come.
      matrices: {id of a kernel layer: its `matrix`}.
    """
    values = {tensor: None if units is None else np.full(len(units), np.nan) for tensor, units in passage.tensors.items()}
    for op in passage.graph.operations:
        if op.name in passage.opaque:
            continue
        units, given = passage.tensors[op.outputs[0]], [values[tensor] for tensor in tensors_of(op)]
        result = _value(passage, op, owner(op.layer), given, matrices, dead)
        if result is not None:
            if isinstance(op.layer, UnitMask):
                result = np.where(op.layer.mask.numpy() > 0, result, 0)
            values[op.outputs[0]] = np.where(dead[units], 0, result)
    return values


def matrix(layer):
    """Bool array [input channels, outputs]: whether any weight of a kernel leads from the one to the other."""
    if isinstance(layer, (DecomposedHead, MaskedHead)):
        return layer.dense_kernel() != 0
    if isinstance(layer, SEPARABLE):
        depthwise, pointwise = _nonzero(layer.depthwise_kernel), _nonzero(layer.pointwise_kernel)
        return (depthwise[..., None] & pointwise.reshape(*depthwise.shape, -1)).any(1)
    return _nonzero(layer.kernel).T if isinstance(layer, TRANSPOSED) else _nonzero(layer.kernel)


def _nonzero(kernel):
    """Bool array of a kernel's last two axes: whether anything in its window is not 0."""
    return (kernel.numpy() != 0).any(tuple(range(kernel.shape.rank - 2)))


def _value(passage, op, layer, given, matrices, dead):
    """The constants of an operation's output from those of its inputs; None where nothing is known of it."""
    first, symbol, count = given[0], getattr(layer, "symbol", None), len(passage.tensors[op.outputs[0]])
    if id(layer) in matrices:
        return _biases(layer, matrices[id(layer)][first != 0].any(0))
    if isinstance(layer, DEPTHWISE):
        return _biases(layer, np.ravel(_nonzero(layer.depthwise_kernel) & (first != 0)[:, None]))
    if isinstance(layer, NORMALISATIONS) and layer.gamma is not None:
        given = [np.where(layer.gamma.numpy() == 0, 0, first)]  # whatever enters there, only the offset leaves
    if isinstance(layer, _COMPUTED) or symbol in (*ELEMENTWISE_FUNCTIONS, *MERGING, MULTIPLYING):
        return _computed(passage, op, given, dead, isinstance(layer, _k.Multiply) or symbol == MULTIPLYING)
    if isinstance(layer, _k.PReLU):
        return np.where(first >= 0, first, np.nan)
    if isinstance(layer, _k.Concatenate) or symbol == "concat":
        return _joined(given, count)
    if isinstance(layer, (_k.Flatten, _k.Reshape)):
        tiled = same_everywhere(first, count)
        return _same(first.reshape(-1, count)) if tiled is None else tiled
    if isinstance(layer, KeptFeatures):
        return first[layer.positions]
    if isinstance(layer, PaddedShortcut):
        return np.pad(first, layer.added(len(first)))
    if isinstance(layer, POSITIONAL) and not isinstance(layer, _PADDING):
        return first
    return np.where(first == 0, 0, np.nan)  # zeros that are padded, normalised or summed are zeros


def _biases(layer, live):
    """NaN for the live outputs of a kernel, the activation function of the bias for the others."""
    if mixes(layer.activation, 2):
        return np.full(len(live), np.nan)
    biases = layer.bias if layer.use_bias else tf.zeros([len(live)])
    return np.where(live, np.nan, np.ravel(layer.activation(tf.convert_to_tensor(biases)[None])))


def _computed(passage, op, given, dead, multiplies):
    """What an operation that takes each element alone makes of constants, by running it on them."""
    known, specs = dict(zip(tensors_of(op), given, strict=True)), passage.graph.specs
    unknown = np.logical_or.reduce(np.broadcast_arrays(*map(np.isnan, given)))
    result = np.full(len(unknown), np.nan)
    if not (unknown | dead[passage.tensors[op.outputs[0]]]).all():
        inputs = [tf.constant(np.nan_to_num(known[t]).reshape([1] * (specs[t].shape.rank - 1) + [-1]), specs[t].dtype) for t in op.inputs]
        result = np.where(unknown, np.nan, np.ravel(tf.cast(op(*inputs)[0], tf.float64)))
    if multiplies:
        result[np.logical_or.reduce(np.broadcast_arrays(*(value == 0 for value in given)))] = 0
    return result


def _joined(given, count):
    """Side by side on the channel axis, or on another one, where they have to be the same."""
    return np.concatenate(given) if sum(map(len, given)) == count else _same(np.stack(given))


def _same(rows):
    """What all rows hold, NaN where they differ."""
    return np.where((rows == rows[0]).all(0), rows[0], np.nan)
