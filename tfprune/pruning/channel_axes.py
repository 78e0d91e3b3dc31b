"""Which entries of a layer's weights belong to which of its input and output channels."""
import numpy as np

from tfprune.keras import keras
from tfprune.layers.decomposed_head import MaskedHead
from tfprune.layers.gated_dense import GatedDense
from tfprune.models.multiply_adds import TRANSPOSED
from tfprune.pruning.passing_rules import DEPTHWISE, NORMALISATIONS

SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)


def taken(layer, rows, columns):
    """{attribute: array}: what of a layer's weights belongs to chosen channels.

    Args:
      layer: a built layer with weights for each channel.
      rows: bool array over its input channels, where it has a kernel that reads them. columns: the same over its output channels.
    """
    arrays = {}
    for name, axes in _axes(layer, rows, columns).items():
        arrays[name] = getattr(layer, name).numpy()
        for axis, chosen in axes.items():
            arrays[name] = arrays[name] if chosen is None else np.compress(chosen, arrays[name], axis=axis)
    return arrays


def silent(layer, columns):
    """{attribute: array}: a layer's weights with zeros for all but the chosen output channels, where the others would not be 0 without."""
    arrays = {}
    for name, axes in _axes(layer, None, columns).items():
        if name == "moving_variance" or (name == "moving_mean" and layer.gamma is not None):
            continue
        arrays[name] = getattr(layer, name).numpy()
        for axis, chosen in axes.items():
            if chosen is not None:
                np.moveaxis(arrays[name], axis, 0)[~chosen] = 0
    return arrays


def _axes(layer, rows, columns):
    """{attribute: {axis: which of its entries, or None}}."""
    if isinstance(layer, NORMALISATIONS):
        return {name: {-1: columns} for name in ("gamma", "beta", "moving_mean", "moving_variance") if getattr(layer, name) is not None}
    if isinstance(layer, keras.layers.PReLU):
        return {"alpha": {-1: columns}}
    bias = {"bias": {-1: columns}} if layer.use_bias else {}
    if isinstance(layer, DEPTHWISE):  # [.., channels, multiplier]
        return bias | {"depthwise_kernel": {-2: columns[::layer.depth_multiplier]}}
    if isinstance(layer, SEPARABLE):
        repeated = None if rows is None else np.repeat(rows, layer.depth_multiplier)
        return bias | {"depthwise_kernel": {-2: rows}, "pointwise_kernel": {-2: repeated, -1: columns}}
    if isinstance(layer, TRANSPOSED):  # [.., outputs, inputs]
        return bias | {"kernel": {-1: rows, -2: columns}}
    further = {"mask": {-2: rows, -1: columns}} if isinstance(layer, MaskedHead) else {}
    further |= {"gates": {-1: rows, -2: columns}} if isinstance(layer, GatedDense) else {}
    return bias | further | {"kernel": {-2: rows, -1: columns}}
