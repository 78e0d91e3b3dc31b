"""The features of which class filters are some: what goes into a net's class head, or what any other layer gives."""
from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.models.heads import find_head
from tfprune.units.graph import single_path, unit_tensors


def feature_function(model, layer=None):
    """A compiled function from prepared images to (features [batch, filters] float32, outputs [batch, classes]), in inference mode.

    One forward pass a batch, and one compilation for batches of any size; masked layers are run with the weights that their masks leave
    now. Its attributes: `layer`, the name; `filters` and `classes`, how many; `images`, the `tf.TensorSpec` of a batch; `graph`.

    Args:
      model: a Functional or Sequential model with one input and one output, nested ones too.
      layer: whose output the features are, averaged over positions; in nested models `outer/inner`. None: the input of the class head.

    Raises:
      UserError: the model has no graph of layers, no such layer or (without one) no class head; or its outputs are no vectors.
    """
    graph = single_path(model)
    output = graph.outputs[0]
    if graph.specs[output].shape.rank != 2:
        raise UserError(f"the model '{model.name}' gives outputs of shape {tuple(graph.specs[output].shape[1:])}; a score for each class "
                        "is needed")
    name, tensor = _of_head(model, graph) if layer is None else (layer, unit_tensors(graph, [layer])[layer])

    @tf.function(input_signature=[graph.specs[graph.inputs[0]]])
    def features(images):
        activity, scores = graph.run({graph.inputs[0]: images}, [tensor, output])
        return tf.cast(over_positions(activity), tf.float32), scores

    features.layer, features.graph, features.images = name, graph, graph.specs[graph.inputs[0]]
    features.filters, features.classes = graph.specs[tensor].shape[-1], graph.specs[output].shape[-1]
    return features


def over_positions(activity):
    """The mean over all positions, [batch, filters], of an activity [batch, .., filters]."""
    return tf.reduce_mean(activity, list(range(1, activity.shape.rank - 1)))


def shares_of(features):
    """Features [batch, filters] divided by the sum of their magnitudes (L1 norm), float64; zeros where all are zero."""
    features = tf.cast(features, tf.float64)
    return tf.math.divide_no_nan(features, tf.reduce_sum(tf.abs(features), axis=1, keepdims=True))


def count_below(features, share):
    """For each example, how many of its largest features together stay below a share of all: [batch] ints."""
    together = tf.cumsum(tf.sort(shares_of(features), axis=1, direction="DESCENDING"), axis=1)
    return tf.reduce_sum(tf.cast(together < share, tf.int64), axis=1)


def _of_head(model, graph):
    """(name, tensor) of the features that go into the class head; the name is that of the layer that gives them."""
    path = find_head(model)[0]
    tensor = next(op for op in graph.operations if op.name == path).inputs[0]
    return next((op.name for op in graph.operations if tensor in op.outputs), "images"), tensor
