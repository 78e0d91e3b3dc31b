"""Which layers of a model hold its hidden kernels: all convolutions and dense layers but the last, or last ones."""
from tfprune.keras import tf
from tfprune.models.multiply_adds import kernels
from tfprune.models.rebuild import check_graph, graph_nodes, is_graph, walk


def hidden_layers(model):
    """The layers with kernels that another layer with kernels follows on some way to an output, in the model's order, each once.

    Args:
      model: a Functional or Sequential model; layers of nested models count, and which follow those.

    Raises:
      UserError: the model has no graph of layers.
    """
    check_graph(model)
    return list({id(layer): layer for layer in reversed(_hidden(model, followed=False))}.values())


def _hidden(model, followed):
    """The same, last one first; of a model that is nested in another, whether a layer with kernels follows it there."""
    found, leading = [], {id(tensor) for tensor in model.outputs} if followed else set()  # tensors that lead to a layer with kernels
    for node in reversed(graph_nodes(model)):
        follows = any(id(tensor) in leading for tensor in tf.nest.flatten(node.outputs))
        inner = _hidden(node.layer, follows) if is_graph(node.layer) else [node.layer] if follows and kernels(node.layer)[1] else []
        found += inner
        if follows or _has_kernels(node.layer):
            leading.update(map(id, node.keras_inputs))
    return found


def _has_kernels(layer):
    return any(kernels(inner)[1] for inner in ([inner for _, inner in walk(layer)] if is_graph(layer) else [layer]))
