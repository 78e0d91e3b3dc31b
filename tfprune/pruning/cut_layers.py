"""Layers without the channels of some units: what their settings and their weights become."""
import numpy as np

from tfprune.keras import keras
from tfprune.layers.decomposed_head import DecomposedHead
from tfprune.layers.kept_features import KeptFeatures
from tfprune.layers.lrn import LocalResponseNormalization
from tfprune.layers.option_a import PaddedShortcut
from tfprune.layers.unit_mask import UnitMask
from tfprune.models.heads import decomposed_head
from tfprune.pruning.channel_axes import taken
from tfprune.pruning.passing import owner
from tfprune.pruning.passing_rules import KERNELS


class Cutter:
    """Makes the layers of a smaller net.

    Args:
      passage: the `Passage` of the whole one. stays: bool array over its units.
    """

    def __init__(self, passage, stays):
        self._passage, self._stays = passage, stays
        self._weights = []  # (new layer, {attribute: array})

    def cut(self, layer):
        """The layer that takes the place of one, unbuilt, or None where nothing of it is cut."""
        plain = owner(layer)
        entering, leaving = self._ends(plain)
        if not isinstance(layer, UnitMask) and all(kept is None or kept.all() for kept in (entering, leaving)):
            return None
        new, arrays = _DIFFERENT.get(type(plain), _with_weights)(plain, entering, leaving)
        self._weights.append((new, arrays))
        return self._wrapped(layer, new, leaving)

    def channels(self, nested):
        """How many channels are left of each input of a nested model, None where it has no channel axis."""
        return [None if units is None else np.count_nonzero(self._stays[units]) for units in self._passage.inputs[id(nested)]]

    def assign_weights(self):
        """Gives the layers made so far their weights, now that they are built."""
        for layer, arrays in self._weights:
            for name, values in arrays.items():
                getattr(layer, name).assign(values)

    def _ends(self, layer):
        """(which channels are left of what enters a layer, of what leaves it), bool arrays, None where its weights do not depend on it."""
        passage, key = self._passage, id(layer)
        ends = passage.ends.get(key, (passage.read.get(key), passage.produced.get(key)))
        return tuple(None if units is None else self._stays[units] for units in ends)

    def _wrapped(self, layer, new, leaving):
        """What stands around a layer stands around the new one; a `UnitMask` only where units are left that it silences."""
        if layer is owner(layer):
            return new
        inner = self._wrapped(layer.layer, new, leaving)
        if not isinstance(layer, UnitMask):
            return type(layer)(inner, **{key: value for key, value in layer.get_config().items() if key != "layer"})
        mask = layer.mask.numpy()[leaving]
        if mask.all():
            return inner
        masked = UnitMask(inner)
        self._weights.append((masked, {"mask": mask}))
        return masked


def _with_weights(layer, entering, leaving):
    config = layer.get_config()
    if isinstance(layer, KERNELS):
        config["filters" if hasattr(layer, "filters") else "units"] = np.count_nonzero(leaving)
    return type(layer).from_config(config), taken(layer, entering, leaving) if layer.weights else {}


def _changed(layer, **settings):
    return type(layer).from_config(layer.get_config() | settings), {}


def _kept_features(layer, entering, leaving):
    places = np.cumsum(entering) - 1
    return _changed(layer, positions=places[layer.positions][leaving].tolist())


def _padded(layer, entering, leaving):
    before, _ = layer.added(len(entering))
    return _changed(layer, units=np.count_nonzero(leaving), before=np.count_nonzero(leaving[:before]))


def _local_response(layer, entering, leaving):
    positions = np.arange(len(leaving)) if layer.positions is None else np.array(layer.positions)
    return _changed(layer, positions=positions[leaving].tolist())


def _reshaped(layer, entering, leaving):
    *positions, channels = layer.target_shape
    return _changed(layer, target_shape=(*positions, channels if channels == -1 else np.count_nonzero(leaving)))


def _decomposed(layer, entering, leaving):
    """Of the same kind where each class keeps all of its filters; else the form in which classes may have any number of them."""
    indices, bias = layer.indices.numpy(), {"bias": layer.bias.numpy()} if layer.use_bias else {}
    if entering[indices].all():
        new = type(layer).from_config(layer.get_config())
        return new, bias | {"kernel": layer.kernel.numpy(), "indices": (np.cumsum(entering) - 1)[indices]}
    mask = np.zeros([len(entering), layer.units], "float32")
    np.put_along_axis(mask, indices.T, 1, axis=0)
    return decomposed_head(layer, 0), bias | {"kernel": layer.dense_kernel()[entering], "mask": mask[entering]}


_DIFFERENT = {KeptFeatures: _kept_features, PaddedShortcut: _padded, LocalResponseNormalization: _local_response,
              keras.layers.Reshape: _reshaped, DecomposedHead: _decomposed}
