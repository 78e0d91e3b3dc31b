"""Multiply-adds of a forward pass: every kernel's entries times the positions that it is applied to.

Convolutions and dense layers count, masked ones as if nothing were masked; biases, normalisation, pooling and activation functions do not.
"""
import math

from tfprune.experiment import UserError
from tfprune.keras import keras
from tfprune.models.rebuild import check_graph, graph_nodes, is_graph

_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")
TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)


def multiply_adds(model):
    """Multiply-adds of one example through a Functional or Sequential model, an int; a layer that is called twice counts twice.

    Raises:
      UserError: the model has no graph of layers, or takes images of any size, of which each needs another number.
    """
    check_graph(model)
    total = 0
    for node in graph_nodes(model):
        total += multiply_adds(node.layer) if is_graph(node.layer) else of_layer(node.layer, node.input_shapes, node.output_shapes)
    return total


def of_layer(layer, input_shape, output_shape):
    """Multiply-adds of one call of a layer for one example, of the shapes (batch, ..) of its input and output; 0 of a layer without kernel.

    Raises:
      UserError: the shape has an axis of unknown size.
    """
    owner, names = kernels(layer)
    if not names:
        return 0
    shape = input_shape if isinstance(owner, TRANSPOSED) else output_shape
    positions = shape[2:] if getattr(owner, "data_format", None) == "channels_first" else shape[1:-1]
    if None in positions:
        raise UserError(f"the layer {layer.name} takes examples of any size; multiply-adds are those of one size: give the Input that")
    return math.prod(positions) * sum(math.prod(getattr(owner, name).shape) for name in names)


def kernels(layer):
    """(the layer that owns them, attribute names) of the kernels of a convolution or dense layer; no names for any other layer."""
    if isinstance(layer, keras.layers.Wrapper):
        layer = layer.layer
    has_units = hasattr(layer, "units") or hasattr(layer, "filters")
    return layer, [name for name in _KERNELS if has_units and name in layer.__dict__]
