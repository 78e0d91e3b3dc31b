"""Loss and accuracy of one model again and again, while its weights change: compiled once, its images prepared and held once."""
import math

from tfprune.experiment import UserError
from tfprune.filters.labelled import class_numbers
from tfprune.keras import keras, tf
from tfprune.layers.dropout import Dropout
from tfprune.training.losses import Score
from tfprune.units.batches import MEMORY, batches, fitting_batch, rebatched
from tfprune.units.graph import single_path

SOFTMAX = ("nn.softmax", "softmax")  # `symbol` of the functions
HANDING_ON = (Dropout, *(getattr(keras.layers, name) for name in (
    "Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Flatten", "Reshape")))


class Evaluation:
    """Figures of a model on a set of examples, as often as it is called; it follows the weights as they are at every call.

    Args:
      model: a Functional or Sequential model with one input and one output: a number a class, or a single number (regression).
      images: array [examples, ..] prepared for the net, or a `tf.data.Dataset` of (image, label), batched or not. They are held in memory,
        on the device, where they take no more than a GiB; else read anew for each call.
      labels: [examples] class numbers or target values; None with a Dataset.
      loss: function (outputs, labels) -> scalar mean; default: `default_loss`.
      batch_size: examples a forward pass, at most.

    Attributes:
      traced: how often the evaluation was compiled.

    Raises:
      UserError: the images or labels do not fit the model, or there are none.
    """

    def __init__(self, model, images, labels=None, loss=None, batch_size=250):
        graph = single_path(model)
        self.spec, output = graph.specs[graph.inputs[0]], graph.specs[graph.outputs[0]]
        if output.shape.rank != 2:
            raise UserError(f"the model '{model.name}' gives outputs of shape {tuple(output.shape[1:])}; a score for each class is needed")
        self.model, self.classes, self.traced = model, output.shape[-1], 0
        self.loss, self.score = loss or default_loss(model), Score(regression=self.classes == 1)
        self.batch_size = fitting_batch(graph, batch_size)
        held = self._held(images, labels)
        self._run = self._over_tensors(*held) if held else self._over_stream(self._stream(images, labels))

    def __call__(self):
        """{"loss", "accuracy"}: without any penalty on weights; the share of right classes, or of the variance that is explained."""
        self.score.reset()
        self._run()
        return self.score.result()

    def _over_tensors(self, images, labels):
        @tf.function
        def run():
            self.traced += 1
            for start in tf.range(0, len(labels), self.batch_size):
                self._add(images[start:start + self.batch_size], labels[start:start + self.batch_size])
        return run

    def _over_stream(self, stream):
        @tf.function
        def run():
            self.traced += 1
            for images, labels in stream:
                self._add(images, labels)
        return run

    def _add(self, images, labels):
        outputs = self.model(images, training=False)
        self.score.update(self.loss(outputs, labels), outputs, labels)

    def _held(self, images, labels):
        """(images, labels) as two tensors, checked; None where the images take too much memory to be held."""
        parts, room = [], MEMORY
        for some, numbers in batches(images, labels, self.batch_size, self.spec):
            numbers = self._checked(numbers)
            room -= math.prod(some.shape) * self.spec.dtype.size
            parts = [*parts, self._cast(some, numbers)] if room >= 0 else []  # the rest is only checked
        return [tf.concat(part, 0) for part in zip(*parts, strict=True)]

    def _stream(self, images, labels):
        """The batches as a Dataset that is read anew for each pass."""
        if isinstance(images, tf.data.Dataset):
            stream = rebatched(images, self.batch_size, self.spec).map(lambda some, numbers, *_: self._cast(some, numbers))
        else:
            signature = self.spec, tf.TensorSpec([None], self._cast([0], [0])[1].dtype)
            stream = tf.data.Dataset.from_generator(
                lambda: (self._cast(*batch) for batch in batches(images, labels, self.batch_size, self.spec)), output_signature=signature)
        return stream.prefetch(2)

    def _cast(self, images, labels):
        return tf.cast(images, self.spec.dtype), tf.cast(tf.reshape(labels, [-1]), tf.float32 if self.classes == 1 else tf.int64)

    def _checked(self, labels):
        """The labels of a batch; UserError where there are none, or one is no class."""
        return labels if self.classes == 1 and labels is not None else class_numbers(labels, self.classes)


def default_loss(model):
    """The loss for a model of which nothing is known: squared error of a single output, else cross-entropy.

    The outputs are probabilities where the model ends in a softmax (dropout and the like behind it change nothing), logits otherwise.
    """
    if model.output_shape[-1] == 1:
        return lambda outputs, labels: tf.reduce_mean(tf.square(tf.cast(outputs[:, 0], tf.float32) - labels))
    logits = not _ends_in_softmax(single_path(model))

    def loss(outputs, labels):
        return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, tf.cast(outputs, tf.float32), from_logits=logits))

    return loss


def _ends_in_softmax(graph):
    """Whether a softmax makes the output, or what other layers only hand on."""
    made_by, tensor = {tensor: op for op in graph.operations for tensor in op.outputs}, graph.outputs[0]
    while op := made_by.get(tensor):
        activation = getattr(op.layer, "activation", None)
        if isinstance(op.layer, keras.layers.Softmax) or activation is keras.activations.softmax or \
                getattr(op.layer, "symbol", "") in SOFTMAX:
            return True
        if not isinstance(op.layer, HANDING_ON) and not (isinstance(op.layer, keras.layers.Activation)
                                                         and activation is keras.activations.linear):
            return False
        tensor = op.inputs[0]
    return False
