"""How active units are: sums over all examples and positions, found in one compiled pass that stores no activity."""
from dataclasses import dataclass

import numpy as np

from tfprune.keras import tf
from tfprune.progress import track
from tfprune.units.activations import input_spec
from tfprune.units.batches import batches, fitting_batch, without_labels
from tfprune.units.graph import activity_function


@dataclass(frozen=True, eq=False)
class Activity:
    """Figures of all units of a net, by their global numbers; 0 for those that are not ranked."""

    mean: np.ndarray  # of |activity|, float64
    nonzero: np.ndarray  # how many activities are not exactly 0
    count: np.ndarray  # how many there are: examples x positions, over all places


def activity(net):
    """The `Activity` of a `Net`."""
    function, spec = activity_function(net.model, list(net.places)), input_spec(net.model)

    @tf.function(input_signature=[spec])
    def sums(images):
        found, _ = function(images)
        return [_sums(tensor) for tensor in found]

    totals = 0.0
    pairs = batches(without_labels(net.images), None, fitting_batch(net.model, net.batch_size), spec)
    for images, _ in track(pairs, label="activity"):
        found = sums(tf.cast(images, spec.dtype))
        totals = totals + np.array([net.sum_by_unit(dict(zip(net.places, (part.numpy() for part in parts), strict=True)), net.places)
                                    for parts in zip(*found, strict=True)])
    magnitude, nonzero, count = totals
    return Activity(magnitude / np.maximum(count, 1), nonzero, count)


def _sums(tensor):
    """[channels] of a batch's activity, float64: the sum of magnitudes, how many are not 0, how many there are."""
    rows = tf.abs(tf.reshape(tensor, [-1, tensor.shape[-1]]))
    nonzero = tf.math.count_nonzero(rows, axis=0, dtype=tf.float64)
    return tf.reduce_sum(tf.cast(rows, tf.float64), axis=0), nonzero, tf.zeros_like(nonzero) + tf.cast(tf.shape(rows)[0], tf.float64)
