"""A class taken out of a net: its logit, and the filters that nobody else sees.

Features that no class sees any more are cut away before the head, so that the head is one of fewer features; the convolutions that make
them stay.
"""
import numpy as np

from tfprune.experiment import UserError
from tfprune.filters.decomposition import build, build_decomposed, head_weights
from tfprune.keras import keras
from tfprune.layers.decomposed_head import DecomposedHead
from tfprune.layers.kept_features import KeptFeatures
from tfprune.models.heads import DECOMPOSED, find_head
from tfprune.models.rebuild import rebuilt


def remove_class(model, number):
    """A copy of a model without one of its classes; the other logits stay as they are, and later classes move up by one.

    With a decomposed head the features that only this class sees are cut away (`kept_filters` says which are left); a dense head, whose
    classes all see all of them, loses a column.

    Args:
      model: a Functional or Sequential model, see `find_head`; not compiled afterwards. Classes can be removed one after the other.
      number: of the class, from 0.

    Raises:
      UserError: the model has no class head, no such class, or no other one.
    """
    path, head, features = find_head(model)
    _check_class(number, head.units)
    kernel, bias = head_weights(head)
    kernel, bias = np.delete(kernel, number, axis=1), None if bias is None else np.delete(bias, number)
    if not isinstance(head, DECOMPOSED):
        return rebuilt(model, _replace({path: _dense(head, kernel, bias)}))
    sets = [own for place, own in enumerate(head.class_filters()) if place != number]
    left = sorted(set().union(*sets))
    new = {filter_: position for position, filter_ in enumerate(left)}
    form = "gather" if isinstance(head, DecomposedHead) else "mask"
    smaller = build_decomposed(head, (kernel[left], bias), [[new[filter_] for filter_ in own] for own in sets], form)
    return rebuilt(model, _replace(_with_cut(path, features, left, smaller)))


def kept_filters(model):
    """The features that a model's class head is given, as positions in the whole feature vector: all, but after `remove_class`."""
    features = find_head(model)[2]
    layer = features._keras_history.layer
    return list(layer.positions) if isinstance(layer, KeptFeatures) else list(range(features.shape[-1]))


def _with_cut(path, features, left, head):
    """{path: layer}: a head of the features that are left, and before it what cuts the others away, where there are any."""
    before = features._keras_history.layer
    if isinstance(before, KeptFeatures):  # of an earlier removal, in the same nested model
        kept = KeptFeatures([before.positions[position] for position in left], name=before.name)
        return {path: head, path.removesuffix(head.name) + before.name: kept}
    if len(left) == features.shape[-1]:
        return {path: head}
    return {path: keras.Sequential([KeptFeatures(left, name="kept_features"), head], name=head.name)}


def _dense(head, kernel, bias):
    """A dense layer like a head with this kernel and bias, for whatever number of classes these are of."""
    new = keras.layers.Dense(kernel.shape[1], activation=head.activation, use_bias=bias is not None, name=head.name,
                             trainable=head.trainable, dtype=head.get_config()["dtype"])
    build(new, len(kernel))
    new.set_weights([kernel] if bias is None else [kernel, bias])
    return new


def _replace(layers):
    return lambda path, _: layers.get(path)


def _check_class(number, classes):
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or not 0 <= number < classes:
        raise UserError(f"number={number}: a class from 0 to {classes - 1} is accepted")
    if classes == 1:
        raise UserError("number=0: it is the only class of the model")
