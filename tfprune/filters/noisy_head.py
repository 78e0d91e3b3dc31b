"""What a dense class head recognises with noise at some of its features, a block of examples at a time, compiled."""
from tfprune.keras import tf

BLOCK = 2**22  # features at a time


class Head:
    """A dense class head, kernel [filters, classes] and bias [classes] (or None), and the labels [examples] that it should find."""

    def __init__(self, kernel, bias, labels):
        self.kernel, self.bias = tf.constant(kernel, tf.float32), tf.constant(0.0 if bias is None else bias, tf.float32)
        self.labels, self.classes = tf.constant(labels, tf.int64), kernel.shape[1]

    def correct(self, features, first):
        """How many of each class are right, [classes] ints, of the features of the examples from the `first` on."""
        labels = self.labels[first:first + tf.shape(features)[0]]
        right = tf.argmax(tf.matmul(features, self.kernel) + self.bias, axis=1) == labels
        return tf.math.bincount(tf.cast(tf.boolean_mask(labels, right), tf.int32), minlength=self.classes, maxlength=self.classes)


def counter(population, head, noise):
    """A function from members [classes, filters] and a key to how many images of each class are right with noise at the class's own
    filters, and with noise at all others: [2, classes] ints.

    Args:
      population: a `noises.Population`.
      noise: a function in `noises.NOISES`.
    """
    examples, filters = population.features.shape
    rows = max(BLOCK // filters, 1)
    number = tf.TensorSpec([], tf.int32)

    @tf.function(input_signature=[tf.TensorSpec([head.classes, filters], tf.bool), number, number])
    def count(members, key, first):
        block = population.features[first:first + rows]
        own = tf.gather(members, head.labels[first:first + rows])
        drawn = noise(population, block, first, key)
        return tf.stack([head.correct(tf.where(own, drawn, block), first), head.correct(tf.where(own, block, drawn), first)])

    return lambda members, key: sum(count(members, key, first).numpy() for first in range(0, examples, rows))
