"""The class head of a net: its last dense layer, and what may stand in its place."""
from tfprune.experiment import UserError
from tfprune.keras import keras
from tfprune.layers.decomposed_head import DecomposedHead, MaskedHead
from tfprune.layers.gated_dense import GatedDense
from tfprune.models.notes import copy_notes
from tfprune.models.rebuild import check_graph, is_graph

HEADS = (keras.layers.Dense, DecomposedHead)  # and their subclasses: masked ones, `MaskedHead`, `GatedDense`
DECOMPOSED = (DecomposedHead, MaskedHead)
_FOLLOWING = (keras.layers.Activation, keras.layers.Softmax)  # what may come after a head


def head_of(model):
    """The layer that gives the class scores of a model, a dense one or a decomposed head; its input are the features [batch, filters].

    Raises:
      UserError: as `find_head`.
    """
    return find_head(model)[1]


def find_head(model):
    """(path, layer, features): where the class head of a model is, its layer, and the tensor that goes into it.

    Args:
      model: a Functional or Sequential model; of several outputs the first one counts. An activation function may follow the head, and
        it may be inside nested models, which its path names (`outer/inner`).

    Raises:
      UserError: the model has no graph of layers, or ends otherwise.
    """
    check_graph(model)
    prefix, tensor = "", model.outputs[0]
    while True:
        layer, node, place = tensor._keras_history
        if is_graph(layer):
            prefix, tensor = f"{prefix}{layer.name}/", layer.outputs[place]
        elif isinstance(layer, _FOLLOWING):
            tensor = layer.get_input_at(node)
        else:
            break
    if not isinstance(layer, HEADS) or len(layer.get_input_shape_at(node)) != 2:
        raise UserError(f"the model '{model.name}' ends in {layer.name} ({type(layer).__name__}), not in one dense layer of class scores, "
                        "so it has no head to decompose")
    return prefix + layer.name, layer, layer.get_input_at(node)


def with_head(model, make):
    """The model with `make(head)`, a layer, in the place of its head; all other layers, and further outputs, are shared with it."""
    _, head, features = find_head(model)
    logits = make(head)(features)
    return copy_notes(model, keras.Model(model.inputs, [logits, *model.outputs[1:]] if model.outputs[1:] else logits, name=model.name))


def decomposed_head(dense, top, units=None):
    """A decomposed head of the same name, classes and activation as a head's, for `top` filters a class (a share: any number).

    Args:
      units: number of classes, where that is another.
    """
    shared = {"units": units or dense.units, "activation": dense.activation, "use_bias": dense.use_bias, "name": dense.name,
              "trainable": dense.trainable, "dtype": dense.get_config()["dtype"]}
    return DecomposedHead(top=int(top), **shared) if top >= 1 else MaskedHead(**shared)


def with_settings(experiment, model):
    """A net just built, with the head that an experiment's settings ask for: decomposed (`dnn.top`), or with gates.

    Raises:
      UserError: `dnn.top` is no whole number, or more than the filters there are.
    """
    top = experiment.dnn.top
    if top:
        filters = find_head(model)[2].shape[-1]
        if top > filters or (top > 1 and top != int(top)):
            raise UserError(f"--set dnn.top={top:g}: the head of {experiment.dnn.name} has {filters} filters; a whole number from 1 to "
                            f"{filters}, a share between 0 and 1, or 0 for all is accepted")
        return with_head(model, lambda head: decomposed_head(head, top))
    if experiment.training.trainer == "csg":
        return with_head(model, GatedDense.like)
    return model
