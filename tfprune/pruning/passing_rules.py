"""What each type of layer does with the units of its input channels; a rule takes (passage, operation, layer, units of each input).

A rule returns the units of the output's channels, or raises `Opaque`.
"""
import numpy as np

from tfprune.keras import keras
from tfprune.layers.decomposed_head import DecomposedHead, MaskedHead
from tfprune.layers.dropout import Dropout
from tfprune.layers.gated_dense import GatedDense
from tfprune.layers.grouped import GroupedConv2D
from tfprune.layers.kept_features import KeptFeatures
from tfprune.layers.lrn import LocalResponseNormalization
from tfprune.layers.normalisation import TorchBatchNormalization
from tfprune.layers.option_a import PaddedShortcut
from tfprune.masks.layers import Masked
from tfprune.pruning.activations import leaves_zero, mixes
from tfprune.pruning.passing import UNKNOWN, Opaque, same_everywhere
from tfprune.pruning.passing_functions import function_rule
from tfprune.pruning.passing_merges import joined, merge, multiply

_k = keras.layers


def rule_of(op, layer):
    """The rule for an operation; `layer` is its layer without wrappers."""
    if getattr(layer, "data_format", None) == "channels_first":
        raise Opaque("has its channels first")
    if hasattr(layer, "symbol"):
        return function_rule(op)
    kind = next(kind for kind in type(layer).__mro__ if not issubclass(kind, Masked))
    rule = _RULES.get(kind)
    if rule is None:
        raise Opaque(UNKNOWN)
    if isinstance(op.layer, _k.TimeDistributed) and rule is not _kernel:
        raise Opaque("within TimeDistributed is not known")
    return rule


def _kernel(passage, op, layer, numbers):
    if getattr(layer, "groups", 1) > 1:
        raise Opaque(f"convolves its channels in {layer.groups} groups of one size")
    passage.reads(layer, numbers)
    made = passage.makes(layer, layer.filters if hasattr(layer, "filters") else layer.units)
    return _activated(passage, op, layer, made)


def _depthwise(passage, op, layer, numbers):
    made = np.repeat(numbers, layer.depth_multiplier)
    passage.holds(layer, made)
    return _activated(passage, op, layer, made)


def _activated(passage, op, layer, numbers):
    """After a layer's own activation function."""
    if mixes(layer.activation, passage.graph.specs[op.outputs[0]].shape.rank):
        passage.units.fix(numbers, f"{op.name} ({type(layer).__name__}) has an activation function that mixes its channels")
    return numbers


def _mixing(passage, op, layer, numbers):
    raise Opaque("mixes its channels")


def _normalisation(passage, op, layer, numbers):
    last = passage.graph.specs[op.inputs[0]].shape.rank - 1
    if not isinstance(layer, TorchBatchNormalization) and list(np.atleast_1d(layer.axis)) not in ([-1], [last]):
        raise Opaque("normalises another axis than the last")
    passage.holds(layer, numbers)
    return numbers


def _prelu(passage, op, layer, numbers):
    if layer.alpha.shape[-1] == len(numbers):
        passage.holds(layer, numbers)
    return numbers


def _keep(passage, op, layer, numbers):
    return numbers


def _local_response(passage, op, layer, numbers):
    return passage.binds(layer, numbers, numbers)


def _elementwise(passage, op, layer, numbers):
    if mixes(getattr(layer, "activation", None), passage.graph.specs[op.inputs[0]].shape.rank):
        raise Opaque("mixes its channels")
    if np.ndim(getattr(layer, "scale", 0)) or np.ndim(getattr(layer, "offset", 0)):
        raise Opaque("has numbers for each channel that are no weights")
    if not leaves_zero(layer):
        passage.holds(layer, numbers)  # the `UnitMask` that it needs
    return numbers


def _reshape(passage, op, layer, numbers):
    """What row-major order makes of it: channels repeated for several positions, or one axis folded into positions and channels."""
    count = passage.graph.specs[op.outputs[0]].shape[-1]
    repeated = same_everywhere(numbers, count)
    if repeated is not None:
        return passage.binds(layer, numbers, repeated)
    if len(numbers) % count:
        raise Opaque("takes channels apart")
    folded = numbers.reshape(-1, count)
    for row in folded[1:]:
        passage.units.unite(folded[0], row)
    return passage.binds(layer, numbers, folded[0])


def _concatenate(passage, op, layer, *numbers):
    return joined(passage, op, layer.axis, numbers)


def _kept_features(passage, op, layer, numbers):
    return passage.binds(layer, numbers, numbers[layer.positions])


def _padded(passage, op, layer, numbers):
    before, after = layer.added(len(numbers))
    return passage.binds(layer, numbers, np.concatenate([passage.units.fresh(before), numbers, passage.units.fresh(after)]))


POSITIONAL = (  # what they do to positions leaves each channel alone
    *(getattr(_k, f"{kind}Pooling{n}D") for kind in ("Max", "Average", "GlobalMax", "GlobalAverage") for n in (1, 2, 3)),
    *(getattr(_k, f"{kind}{n}D") for kind in ("Cropping", "UpSampling", "ZeroPadding", "SpatialDropout") for n in (1, 2, 3)),
    Dropout, _k.Dropout, _k.GaussianDropout, _k.GaussianNoise, _k.AlphaDropout, _k.ActivityRegularization, _k.RepeatVector)
KERNELS = (_k.Dense, _k.Conv1D, _k.Conv2D, _k.Conv3D, _k.Conv1DTranspose, _k.Conv2DTranspose, _k.Conv3DTranspose, _k.SeparableConv1D,
           _k.SeparableConv2D, GroupedConv2D, MaskedHead, GatedDense, DecomposedHead)
DEPTHWISE = (_k.DepthwiseConv1D, _k.DepthwiseConv2D)
NORMALISATIONS = (_k.BatchNormalization, TorchBatchNormalization)
ELEMENTWISE = (_k.Activation, _k.ReLU, _k.LeakyReLU, _k.ELU, _k.ThresholdedReLU, _k.Rescaling)
_MIXING = (_k.LayerNormalization, _k.GroupNormalization, _k.UnitNormalization, _k.Softmax)
_RULES = {
    **dict.fromkeys(_MIXING, _mixing),
    **dict.fromkeys(POSITIONAL, _keep), **dict.fromkeys(KERNELS, _kernel), **dict.fromkeys(DEPTHWISE, _depthwise),
    **dict.fromkeys(NORMALISATIONS, _normalisation), **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys((_k.Add, _k.Subtract, _k.Average, _k.Maximum, _k.Minimum), merge), **dict.fromkeys((_k.Flatten, _k.Reshape), _reshape),
    LocalResponseNormalization: _local_response, _k.PReLU: _prelu, _k.Multiply: multiply,
    _k.Concatenate: _concatenate, KeptFeatures: _kept_features, PaddedShortcut: _padded,
}
