"""What ablated channels allow: they are known to be zero, so that nobody needs to convolve them, up to the first layer that mixes channels.

Exact, not approximate. A channel is zero at every position. Layers that treat each channel alone and leave zeros zero commute with
the ablation; normalisation across channels, convolution and dense layers can be told which channels are left. Any other layer (batch
normalisation, sums, concatenation, ..) gets the tensor with its zeros.
"""
from dataclasses import dataclass

from tfprune.keras import keras, tf
from tfprune.layers.lrn import LocalResponseNormalization
from tfprune.layers.replaced import replaced
from tfprune.units.graph import PASSING_LAYERS

_layers = keras.layers
_CHANNELWISE = {
    _layers.MaxPooling1D, _layers.MaxPooling2D, _layers.AveragePooling1D, _layers.AveragePooling2D, _layers.GlobalMaxPooling1D,
    _layers.GlobalMaxPooling2D, _layers.GlobalAveragePooling1D, _layers.GlobalAveragePooling2D, _layers.ZeroPadding1D,
    _layers.ZeroPadding2D, _layers.LeakyReLU, _layers.ReLU, *PASSING_LAYERS,
}
_FEW_CHANNELS = 128


@dataclass(frozen=True)
class Kept:
    """The channels that are left, as indices, of how many."""

    index: tf.Tensor
    channels: int

    def select(self, tensor):
        """The tensor with only these channels."""
        if self.channels > _FEW_CHANNELS or tf.config.list_physical_devices("GPU"):  # a GPU would round the product to TF32
            return tf.gather(tensor, self.index, axis=-1)
        return tf.tensordot(tensor, tf.one_hot(self.index, self.channels, axis=0, dtype=tensor.dtype), 1)  # faster on a CPU than a gather

    def mask(self, dtype):
        """1 for these channels, 0 for the others; [channels]."""
        return tf.reduce_sum(tf.one_hot(self.index, self.channels, dtype=dtype), 0)


def is_channelwise(layer):
    """Whether f(x with some channels zero) = f(x) with these channels zero."""
    if type(layer) is _layers.ReLU and layer.threshold > 0 and layer.negative_slope:
        return False
    return type(layer) in _CHANNELWISE and _channels_last(layer)


def absorbs(layer):
    """Whether a layer can do with only the kept channels of its input, and gives all of its own."""
    return type(layer) is _layers.Dense or (type(layer) is _layers.Conv2D and layer.groups == 1 and _channels_last(layer))


def passes(layer):
    """Whether a layer can do with only the kept channels, and gives its output in the same form."""
    return is_channelwise(layer) or type(layer) is LocalResponseNormalization or (type(layer) is _layers.Flatten and _channels_last(layer))


def stays_compact(graph, tensor, sites):
    """Whether a tensor can do without its ablated channels: all that follows passes on what is left until it is absorbed.

    Not where it is perturbed again, at one of `sites`, on the way.
    """
    following = graph.consumers(tensor)
    return bool(following) and tensor not in graph.outputs and all(
        absorbs(op.layer) or (passes(op.layer) and op.outputs[0] not in sites and stays_compact(graph, op.outputs[0], sites))
        for op in following)


def site_of_mask(graph, tensor, others):
    """The last tensor at which masking the channels of `tensor` has the same effect, not beyond one of the `others`.

    What lies before it, pooling mostly, is then done once for all masks.
    """
    following = graph.consumers(tensor)
    if len(following) != 1 or tensor in graph.outputs or not is_channelwise(following[0].layer) or following[0].outputs[0] in others:
        return tensor
    return site_of_mask(graph, following[0].outputs[0], others)


def _channels_last(layer):
    return getattr(layer, "data_format", "channels_last") == "channels_last"


def apply_compact(op, tensor, kept):
    """An operation whose layer `passes` or `absorbs`, on a tensor that has only the kept channels."""
    layer = op.layer
    if type(layer) is LocalResponseNormalization:
        band = tf.constant(layer.band, tensor.dtype)
        return layer.normalise(tensor, tf.gather(tf.gather(band, kept.index, axis=0), kept.index, axis=1))
    if type(layer) is _layers.Flatten:
        return tf.reshape(tensor, [tf.shape(tensor)[0], -1])
    if not absorbs(layer):
        return op(tensor)[0]
    with replaced(layer, kernel=_kept_rows(tf.cast(layer.kernel, layer.compute_dtype), kept), _input_spec=None):
        return op(tensor)[0]


def select_flat(tensor, kept):
    """`kept.select`, also where positions and channels share the last axis (after Flatten)."""
    if tensor.shape[-1] == kept.channels:
        return kept.select(tensor)
    positions = kept.select(tf.reshape(tensor, [-1, tensor.shape[-1] // kept.channels, kept.channels]))
    return tf.reshape(positions, [tf.shape(tensor)[0], -1])


def _kept_rows(kernel, kept):
    """The rows of a kernel [.., inputs, units] that belong to the kept channels; inputs may be positions x channels."""
    *window, inputs, units = kernel.shape
    if inputs == kept.channels:
        return tf.gather(kernel, kept.index, axis=-2)
    rows = tf.gather(tf.reshape(kernel, [inputs // kept.channels, kept.channels, units]), kept.index, axis=1)
    return tf.reshape(rows, [-1, units])
