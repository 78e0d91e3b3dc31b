"""A net in Keras' own layers as far as these compute the same in inference, so that a file of it needs as little of tfprune as can be."""
from tfprune.keras import keras
from tfprune.layers.dropout import Dropout
from tfprune.layers.grouped import GroupedConv2D
from tfprune.layers.normalisation import TorchBatchNormalization
from tfprune.models.rebuild import rebuilt

TWINS = {Dropout: keras.layers.Dropout, GroupedConv2D: keras.layers.Conv2D, TorchBatchNormalization: keras.layers.BatchNormalization}


def plain(model):
    """A copy of a model with a Keras layer in the place of each that has such a twin, and no initialisers but Keras' own."""
    return rebuilt(model, _twin)


def _twin(_, layer):
    """The layer that takes a layer's place, with its weights; None where it may stay."""
    if not layer.weights and type(layer) not in TWINS:
        return None
    own = layer.get_config()
    config = own | {key: "zeros" for key, value in own.items() if _of_others(key, value)}
    if isinstance(layer, TorchBatchNormalization):
        del config["affine"], config["frozen"]
        config |= {"axis": -1, "center": layer.affine, "scale": layer.affine}
    if config == own and type(layer) not in TWINS:
        return None
    twin = TWINS.get(type(layer), type(layer)).from_config(config)
    twin.build(layer.get_input_shape_at(0))
    twin.set_weights(layer.get_weights())
    return twin


def _of_others(key, value):
    """Is this setting of a layer an initialiser that is not Keras' own? What it would draw is not needed any more."""
    return key.endswith("_initializer") and isinstance(value, dict) and not (value.get("module") or "").startswith("keras.")
