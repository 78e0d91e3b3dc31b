"""What the filters of layers respond to each image: their activities, averaged over positions; and what goes into the class head."""
import numpy as np

from tfprune.filters.features import feature_function, over_positions
from tfprune.filters.labelled import LabelledBatches
from tfprune.keras import tf
from tfprune.units.graph import chosen_layers, single_path, unit_tensors


def responses(model, images, labels=None, layers=None, batch_size=128, reduce=tf.identity):
    """Yields ({layer: array}, labels [examples] int64) of a batch after the other, in inference mode; one forward pass for all layers.

    Args:
      model: a Functional or Sequential Keras model that gives class scores.
      images, labels: arrays, or a `tf.data.Dataset` of (image, label).
      layers: names of layers; by default the model's unit layers.
      batch_size: images a forward pass, at most; it changes no result.
      reduce: what is made of a layer's responses, float32 [examples, filters], inside the compiled pass.

    Raises:
      UserError: there are no labels, or some that are no class of the model's; an unknown layer; images that do not fit the model.
    """
    names = chosen_layers(model, layers)
    function = _function(model, names, reduce)
    for batch_images, batch_labels in LabelledBatches(function, images, labels, batch_size, "responses"):
        values = function(batch_images)
        yield {name: value.numpy() for name, value in zip(names, values, strict=True)}, batch_labels.numpy()


def sizes(model, layers=None):
    """(number of classes, {layer: number of filters}) of a model and the layers that `responses` would give."""
    graph = single_path(model)
    tensors = unit_tensors(graph, chosen_layers(model, layers))
    return graph.specs[graph.outputs[0]].shape[-1], {layer: graph.specs[tensor].shape[-1] for layer, tensor in tensors.items()}


def collected_features(model, images, labels=None, layer=None, batch_size=128):
    """(features float32 [images, filters], labels int64 [images]) of a whole set: 4 bytes a number, 400 MB for 50,000 images and 2,048
    filters. Arguments and errors as of `class_filters`.
    """
    function = feature_function(model, layer)
    pairs = [(function(batch_images)[0].numpy(), batch_labels.numpy())
             for batch_images, batch_labels in LabelledBatches(function, images, labels, batch_size, "responses")]
    features, numbers = zip(*pairs, strict=True)
    return np.concatenate(features), np.concatenate(numbers)


def _function(model, names, reduce):
    graph = single_path(model)
    wanted = list(unit_tensors(graph, names).values())

    @tf.function(input_signature=[graph.specs[graph.inputs[0]]])
    def function(images):
        activities = graph.run({graph.inputs[0]: images}, wanted)
        return [reduce(tf.cast(over_positions(activity), tf.float32)) for activity in activities]

    function.graph, function.images, function.classes = graph, graph.specs[graph.inputs[0]], graph.specs[graph.outputs[0]].shape[-1]
    return function
