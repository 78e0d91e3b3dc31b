"""Statistics of every position of every image, taken while a net runs: no activation is ever stored.

A forward pass takes only as many images as keep the unit layers' outputs small; how many does not change the sums. On a CPU the sums
are numpy's (its BLAS halves the work of symmetric products); next to an accelerator they are made there, in float64, and only
units x units numbers come back.
"""
import math
from dataclasses import dataclass

import numpy as np

from tfprune.keras import tf
from tfprune.progress import track
from tfprune.units.activations import METRICS, input_spec
from tfprune.units.batches import batches, bytes_of_an_example, without_labels
from tfprune.units.covariance import Moments
from tfprune.units.graph import activity_function, chosen_layers, single_path, unit_tensors
from tfprune.units.selectivity import class_sums

MANY_CLASSES = 8  # so many times more than labels: then only those that are there are summed
OUTPUT_BYTES = 2**24  # of all unit layers in one forward pass; the rest of the pass takes a few times as much


@dataclass(frozen=True, eq=False)
class Streamed:
    """The statistics of one set: for each layer, and at last for the outputs (logits)."""

    moments: list  # of `Moments`
    class_sums: list  # of (sums, counts) as `selectivity.class_sums` gives them; None without labels
    score: float | list  # in the metric asked for; NaN without labels


def stream(model, images, layers=None, batch_size=128):
    """{layer: Moments} of the layers (by default the unit layers) over all images; arguments as for `redundancy`."""
    names = chosen_layers(model, layers)
    statistics = streamed(model, without_labels(images), layers=names, batch_size=batch_size)
    return dict(zip(names, statistics.moments, strict=False))  # without the outputs


def streamed(model, images, labels=None, layers=None, batch_size=128, classes=None, metric="accuracy"):
    """The `Streamed` statistics of a set.

    Args:
      model, images, layers: see `redundancy`.
      labels: of an array of images; a Dataset brings its own.
      batch_size: images a forward pass, at most.
      classes: the labels of which sums are wanted, in order; None for no sums.
      metric: a name in `activations.METRICS`.
    """
    names = chosen_layers(model, layers)
    spec, function = input_spec(model), activity_function(model, names)
    size = _images_a_pass(model, names, batch_size)
    statistics = [_LayerStatistics(classes) for _ in [*names, "outputs"]]
    seen, score = 0, 0.0
    for batch_images, batch_labels in track(batches(images, labels, batch_size, spec), label="streaming"):
        batch_labels = None if batch_labels is None else np.asarray(batch_labels)
        for start in range(0, len(batch_images), size):
            units, outputs = function(tf.cast(batch_images[start:start + size], spec.dtype))
            own = None if batch_labels is None else batch_labels[start:start + size]
            for layer, tensor in zip(statistics, (*units, outputs), strict=True):
                layer.update(tensor, own)
            seen += len(outputs)
            score += len(outputs) * (math.nan if own is None else METRICS[metric](tf.cast(outputs, tf.float32).numpy(), own))
    return Streamed([layer.moments for layer in statistics], [layer.sums for layer in statistics], np.asarray(score / seen).tolist())


class _LayerStatistics:
    def __init__(self, classes):
        self.moments, self.sums = Moments(), None
        self._classes = None if classes is None else np.asarray(classes)
        self._on_device = bool(tf.config.list_physical_devices("GPU"))

    def update(self, tensor, labels):
        rows = tf.reshape(tensor, [-1, tensor.shape[-1]])
        if self._on_device:
            count, *parts = device_moments(rows)
            self.moments.merge(Moments(int(count), *(part.numpy() for part in parts)))
        else:
            self.moments.update(rows.numpy())
        if self._classes is not None and labels is not None:
            examples = tf.reduce_sum(tf.cast(tf.reshape(rows, [len(labels), -1, rows.shape[-1]]), tf.float64), axis=1)
            self._add_sums(examples.numpy(), labels, len(rows) // len(labels))

    def _add_sums(self, examples, labels, positions):
        if self.sums is None:
            self.sums = np.zeros((len(self._classes), examples.shape[1])), np.zeros((len(self._classes), 1), np.int64)
        chosen = np.isin(self._classes, labels) if len(self._classes) > MANY_CLASSES * len(labels) else slice(None)
        sums, counts = class_sums(examples, labels, self._classes[chosen])
        self.sums[0][chosen] += sums
        self.sums[1][chosen] += counts * positions


def _images_a_pass(model, names, batch_size):
    graph = single_path(model)
    image_bytes = sum(bytes_of_an_example(graph.specs[tensor]) for tensor in unit_tensors(graph, names).values())
    return min(batch_size, max(OUTPUT_BYTES // max(image_bytes, 1), 1))


@tf.function(reduce_retracing=True)
def device_moments(rows):
    """The arguments of `Moments` for rows (rows, units), as float64 tensors, for use inside other compiled functions."""
    rows = tf.cast(rows, tf.float64)  # not float32: TensorFlow lets GPUs multiply that with 10 bits (TF32)
    constant = tf.reduce_all(rows == rows[:1], axis=0)
    shift = tf.where(constant, rows[0], tf.reduce_mean(rows, axis=0))
    shifted = rows - shift
    return tf.shape(rows)[0], shift, tf.reduce_sum(shifted, axis=0), tf.matmul(shifted, shifted, transpose_a=True)
