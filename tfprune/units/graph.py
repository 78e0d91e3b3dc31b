"""Where a net's units are: the layers whose output is a unit's activity, and how to get those activities.

A unit layer's output holds the activity after batch normalisation and activation function. The builders of large nets note which these
are (`tfprune.models.notes`), a user can declare them (`declare_unit_layers`); for any other model a rule finds them.
"""
from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.layers.dropout import Dropout
from tfprune.layers.unit_mask import UnitMask
from tfprune.models.multiply_adds import kernels as kernels_of
from tfprune.models.notes import note_unit_layers, noted_unit_layers
from tfprune.units.operations import trace

_ACTIVITY_LAYERS = (
    keras.layers.BatchNormalization, keras.layers.LayerNormalization, keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU,
    keras.layers.PReLU, keras.layers.ELU, keras.layers.ThresholdedReLU, keras.layers.Add,
)
_ACTIVITY_FUNCTIONS = ("nn.relu", "nn.relu6", "nn.leaky_relu", "nn.elu", "nn.selu", "nn.gelu", "nn.silu", "math.sigmoid", "math.tanh",
                       "__operators__.add", "math.add")  # the same, written as functions of Keras tensors
PASSING_LAYERS = (Dropout, keras.layers.Dropout, keras.layers.SpatialDropout2D)  # at inference what went in comes out


def unit_layers(model):
    """Names of the unit layers of a Functional or Sequential model, in order, without the logits.

    Those noted or declared; else, for every convolution and dense layer but the last (the one or ones that no other such layer
    follows), the last of the normalisations, activation functions and residual sums that follow it alone. Layers of nested models are
    named `outer/inner`, further calls of a shared layer `name#2`.

    Raises:
      UserError: the model is subclassed or was never built.
    """
    return noted_unit_layers(model) or tuple(find_unit_layers(trace(model)))


def declare_unit_layers(model, names):
    """Note on a model which layers' outputs are its units' activities; returns the model.

    Raises:
      UserError: the model has no layer of such a name, a name comes twice, or there are none.
    """
    unit_tensors(trace(model), names)
    if not names:
        raise UserError(f"unit layers of '{model.name}': name one or more")
    return note_unit_layers(model, names)


def chosen_layers(model, layers=None):
    """The names of these layers of a model as a tuple; without any, of its unit layers.

    Raises:
      UserError: see `unit_layers` and `unit_tensors`.
    """
    return unit_layers(model) if layers is None else tuple(unit_tensors(trace(model), layers))


def unit_tensors(graph, names):
    """{name: tensor number} of the outputs of these layers.

    Raises:
      UserError: the net has no layer of such a name, a name comes twice, or they are not a list of names.
    """
    tensors = {op.name: op.outputs[0] for op in graph.operations}
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise UserError(f"layers: a list of layers' names is needed, not {names!r}; the net has {_some(tensors)}")
    if unknown := [name for name in names if name not in tensors]:
        raise UserError(f"no layer named {', '.join(unknown)}; the net has {_some(tensors)}")
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise UserError(f"layers: {twice[0]} is named twice")
    return {name: tensors[name] for name in names}


def _some(names, count=12):
    """The first names, and how many more there are: a large net has hundreds."""
    names = list(names)
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")


def activity_function(model, layers=None):
    """A compiled function from a batch of prepared images to (list of unit activities, logits), in inference mode.

    Args:
      model: a Functional or Sequential model with one input.
      layers: names of layers (default: the unit layers); their outputs come in this order, units on the last axis.
    """
    graph = single_path(model)
    wanted = [*unit_tensors(graph, unit_layers(model) if layers is None else layers).values(), graph.outputs[0]]

    @tf.function(input_signature=[graph.specs[graph.inputs[0]]])
    def activities(images):
        *units, logits = graph.run({graph.inputs[0]: images}, wanted)
        return units, logits

    return activities


def single_path(model):
    """`trace` without masks, for a model from one batch of images to one output, whose units are on the last axis.

    Raises:
      UserError: it has several inputs or outputs, or its channels come first.
    """
    graph = trace(model)
    if first := [op.name for op in graph.operations if getattr(op.layer, "data_format", None) == "channels_first"]:
        raise UserError(f"the model '{model.name}' has channels first, in {first[0]}; channels last is needed")
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UserError(f"the model '{model.name}' has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; one of each is needed")
    return graph.without_masks()


def kernels(operation):
    """`tfprune.models.multiply_adds.kernels` of the operation's layer."""
    return kernels_of(operation.layer)


def find_unit_layers(graph):
    """The rule of `unit_layers`, on a `Graph`."""
    found, leads_on = set(), set()  # operations that are, or lead to, a kernel layer
    for op in reversed(graph.operations):
        has_kernel = bool(kernels(op)[1])
        followed = any(following.name in leads_on for t in op.outputs for following in graph.consumers(t))
        if has_kernel and followed:
            found.add(activity_of(graph, op).name)
        if has_kernel or followed:
            leads_on.add(op.name)
    return tuple(op.name for op in graph.operations if op.name in found)


def activity_of(graph, operation):
    """The operation whose output is the final activity of this kernel's units."""
    activity = last = operation
    while len(following := graph.consumers(last.outputs[0])) == 1 and last.outputs[0] not in graph.outputs:
        last = following[0]
        layer = last.layer.layer if isinstance(last.layer, UnitMask) else last.layer
        if isinstance(layer, _ACTIVITY_LAYERS) or getattr(layer, "symbol", None) in _ACTIVITY_FUNCTIONS:
            activity = last
        elif not isinstance(layer, PASSING_LAYERS):
            break
    return activity
