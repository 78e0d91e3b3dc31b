"""A net as the one function that a server or a phone calls."""
from tfprune.keras import tf
from tfprune.units.graph import single_path


def serving_function(model):
    """A compiled function of prepared images [batch, ...], any number of them, that gives {"logits": float32 [batch, classes]}.

    Its attribute `images` is the `tf.TensorSpec` of a batch.

    Raises:
      UserError: the model has no graph of layers, or several inputs or outputs.
    """
    graph = single_path(model)
    spec = tf.TensorSpec(graph.specs[graph.inputs[0]].shape, graph.specs[graph.inputs[0]].dtype, name="images")

    @tf.function(input_signature=[spec])
    def logits(images):
        return {"logits": tf.cast(model(images, training=False), tf.float32)}

    logits.images = spec
    return logits


def weights_of(model):
    """What TensorFlow needs to write a `serving_function`: its variables. With the model itself its training functions would be written."""
    module = tf.Module()
    module.weights = list(model.weights)
    return module
