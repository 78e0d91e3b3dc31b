"""How a perturbed net is scored: agreement with the intact net, and accuracy. Sums over batches first, shares at the end.

A score has `sums(outputs, intact, labels)`, in TensorFlow: for each target's outputs [targets, batch, classes] two float64 numbers
(agreement, accuracy) that add up over batches; `totals(intact, labels)`, the same once a batch for what the shares refer to; and
`shares(sums, totals)`, in NumPy: both scores, in [0, 1].
"""
import numpy as np

from tfprune.keras import tf
from tfprune.units.fidelity import is_original


class Classification:
    """Shares of examples whose predicted class is the intact net's, and the label."""

    def sums(self, outputs, intact, labels):
        predicted = tf.argmax(outputs, -1)
        agree = predicted == tf.argmax(intact, -1)[None]
        correct = predicted == tf.cast(labels, tf.int64)[None]
        return tf.stack([tf.reduce_sum(tf.cast(equal, tf.float64), 1) for equal in (agree, correct)], -1)

    def totals(self, intact, labels):
        return tf.fill([2], tf.cast(tf.shape(intact)[0], tf.float64))

    def shares(self, sums, totals):
        return sums / totals


class Regression:
    """Shares of the variance of the intact outputs, and of the labels, that an output reproduces: max(0, 1 - mse / variance)."""

    def sums(self, outputs, intact, labels):
        outputs, intact = tf.cast(outputs[..., 0], tf.float64), tf.cast(intact[..., 0], tf.float64)
        errors = [tf.square(outputs - reference[None]) for reference in (intact, tf.cast(labels, tf.float64))]
        return tf.stack([tf.reduce_sum(error, 1) for error in errors], -1)

    def totals(self, intact, labels):
        """Number, sum and sum of squares: [3, 2]."""
        references = tf.stack([tf.cast(intact[:, 0], tf.float64), tf.cast(labels, tf.float64)], -1)
        return tf.stack([tf.reduce_sum(power, 0) for power in (tf.ones_like(references), references, tf.square(references))])

    def shares(self, sums, totals):
        number, total, squares = totals
        variation = squares - total ** 2 / number
        unexplained = np.divide(sums, variation, out=np.where(sums > 0, np.inf, 0.0), where=variation > 0)
        return np.maximum(0, 1 - unexplained)


class EqualOutputs(Regression):
    """The original's for regression: agreement is the share of exactly equal outputs."""

    def sums(self, outputs, intact, labels):
        equal = tf.reduce_sum(tf.cast(outputs[..., 0] == intact[None, :, 0], tf.float64), 1)
        return tf.stack([equal, super().sums(outputs, intact, labels)[..., 1]], -1)

    def shares(self, sums, totals):
        return np.stack([sums[..., 0] / totals[0, 0], super().shares(sums, totals)[..., 1]], -1)


def score_for(outputs, fidelity):
    """The score for a net with this many outputs: with one it is a regression."""
    if outputs > 1:
        return Classification()
    return EqualOutputs() if is_original(fidelity) else Regression()
