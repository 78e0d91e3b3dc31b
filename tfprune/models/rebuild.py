"""A Functional or Sequential model built again, with some of its layers replaced."""
from tfprune.experiment import UserError
from tfprune.keras import keras
from tfprune.models.notes import copy_notes


def is_graph(layer):
    """Whether a layer is a model whose graph of layers Keras knows."""
    return isinstance(layer, keras.Model) and getattr(layer, "_is_graph_network", False) and bool(layer.inputs)


def check_graph(model):
    """UserError where a model has no graph of layers to read, with the way out: it is no tf_keras model, subclassed, or never built."""
    if is_graph(model):
        return
    if not isinstance(model, keras.Model):
        kind = type(model)
        if any(base.__module__.split(".")[0] == "keras" for base in kind.__mro__):
            raise UserError(f"the model '{getattr(model, 'name', kind.__name__)}' is of Keras 3; a tf_keras (Keras 2) model is needed: set "
                            "TF_USE_LEGACY_KERAS=1 before TensorFlow is imported, or build it again with tf_keras and copy get_weights()")
        raise UserError(f"a tf_keras model is needed (Sequential or Functional), not {kind.__module__}.{kind.__qualname__}")
    way_out = "build it first: model.build(input_shape)" if isinstance(model, keras.Sequential) else "give a Functional one"
    raise UserError(f"the model '{model.name}' has no graph of layers; {way_out}")


def graph_nodes(model):
    """The layer calls of a graph model, as Keras' nodes, each after those it depends on (the order in which Keras runs them)."""
    by_depth = model._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth] if not node.is_input]


def walk(model, prefix=""):
    """(path, layer) of each layer of a model in order, those of nested models in their place, as `outer/inner`; a shared one comes once."""
    for layer in model.layers:
        path = prefix + layer.name
        yield from walk(layer, f"{path}/") if is_graph(layer) else [(path, layer)]


def rebuilt(model, replace, channels=None):
    """A copy of a model with the same names, weights and unit notes, not compiled; nested models are copied too.

    Args:
      model: a Functional or Sequential model.
      replace: function from (path as in `walk`, layer) to the layer that takes its place, with its weights, or None to copy it.
      channels: function from the path of a nested model to the sizes of the last axes of its inputs, where these change.

    Raises:
      UserError: the model has no graph, or a layer of it cannot be copied.
    """
    check_graph(model)
    return _rebuilt(model, replace, channels, "")


def _rebuilt(model, replace, channels, prefix):
    copies = []

    def instead(layer):
        path = prefix + layer.name
        if is_graph(layer):
            return _rebuilt(layer, replace, channels, f"{path}/")
        new = replace(path, layer)
        if new is None:
            new = _copy(path, layer)
            copies.append((layer, new))
        return new

    sizes = channels(prefix[:-1]) if channels and prefix else None
    inputs = sizes and [_narrowed(tensor, size) for tensor, size in zip(model.inputs, sizes, strict=True)]
    new = keras.models.clone_model(model, inputs, clone_function=instead)
    if not new.built:
        new.build(model.input_shape)
    for layer, copy in copies:
        copy.set_weights(layer.get_weights())
    return copy_notes(model, new)


def _narrowed(tensor, size):
    """An input like that of a model; of another size of its last axis, unless that is None."""
    shape = [*tensor.shape[:-1], tensor.shape[-1] if size is None else size]
    return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=tensor._keras_history.layer.name)


def _copy(path, layer):
    try:
        return type(layer).from_config(layer.get_config())
    except (NotImplementedError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()
        raise UserError(f"the layer {path} ({type(layer).__name__}) cannot be copied by its get_config: "
                        f"{reason[0] if reason else type(error).__name__}") from None
