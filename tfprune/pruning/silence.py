"""Units that are there but say nothing: every output of a silenced unit is exactly 0, in a net that is otherwise the same."""
import numpy as np

from tfprune.layers.unit_mask import UnitMask
from tfprune.masks.dense_twin import to_dense
from tfprune.masks.layers import masked_layers
from tfprune.models.rebuild import rebuilt, walk
from tfprune.pruning.activations import leaves_zero
from tfprune.pruning.channel_axes import silent
from tfprune.pruning.passing import owner
from tfprune.pruning.passing_rules import DEPTHWISE, ELEMENTWISE, KERNELS


def silenced(model, groups, cut):
    """A copy of a model in which units are silenced, not compiled.

    Args:
      model: a Functional or Sequential model; of masked layers the copy has plain twins.
      groups: its `Groups`. cut: bool array [groups.count], True for the units to silence.

    Raises:
      UserError: a layer cannot be copied.
    """
    copy = prepared(model, groups)
    silence(copy, groups, cut)
    return copy


def prepared(model, groups):
    """A copy of a model in which `silence` can silence any unit that can be pruned.

    Layers whose function makes something of zero (sigmoid) stand in a `UnitMask` of their name.
    """
    model = to_dense(model) if masked_layers(model) else model
    able = np.zeros(groups.count, bool)
    for group in groups.prunable():
        able[group.units] = True

    def instead(path, layer):
        numbers = groups.produced.get(path)
        if numbers is None or isinstance(layer, UnitMask) or not able[numbers].any() or _can_be_silent(layer):
            return None
        return UnitMask(type(layer).from_config(layer.get_config()))

    copy = rebuilt(model, instead)
    layers = dict(walk(copy))
    for path, layer in walk(model):
        if type(layers[path]) is not type(layer):
            layers[path].layer.set_weights(layer.get_weights())
    return copy


def silence(model, groups, cut):
    """Silences units of a model in place: kernel columns, biases, and the scale and shift of normalisations become 0.

    Args:
      model: as `prepared` returns it. groups: of the model that this is a copy of. cut: bool array [groups.count].
    """
    for path, layer in walk(model):
        numbers = groups.produced.get(path)
        if numbers is None or not cut[numbers].any():
            continue
        if isinstance(layer, UnitMask):
            layer.mask.assign(layer.mask.numpy() * ~cut[numbers])
        plain = owner(layer)
        if plain.weights:
            for name, values in silent(plain, ~cut[numbers]).items():
                getattr(plain, name).assign(values)


def _can_be_silent(layer):
    """Whether weights alone silence a layer's units."""
    layer = owner(layer)
    return not isinstance(layer, (*KERNELS, *DEPTHWISE, *ELEMENTWISE)) or leaves_zero(layer)
