"""Gradients of the loss by units' activities, example by example, and by kernels; in compiled passes that store no activity."""
from types import SimpleNamespace

import numpy as np

from tfprune.experiment import UserError
from tfprune.filters.labelled import LabelledBatches
from tfprune.keras import tf
from tfprune.pruning.evaluation import default_loss
from tfprune.units.batches import batches, fitting_batch
from tfprune.units.graph import single_path, unit_tensors


def unit_gradients(net):
    """[all units] float64: the mean over examples of |sum over positions and places of activity x dL/d activity|, L the example's loss."""
    graph, loss = single_path(net.model), default_loss(net.model)
    tensors = list(unit_tensors(graph, list(net.places)).values())
    numbers = np.concatenate(list(net.places.values()))

    @tf.function(reduce_retracing=True)
    def estimates(images, labels):
        with tf.GradientTape() as tape:
            _watch(tape, images)
            *values, outputs = graph.run({graph.inputs[0]: images}, [*tensors, graph.outputs[0]])
            total = loss(outputs, labels) * tf.cast(tf.shape(images)[0], tf.float32)  # of the examples, each on its own
        gradients = tape.gradient(total, values, unconnected_gradients="zero")
        parts = [_over_positions(value, gradient) for value, gradient in zip(values, gradients, strict=True)]
        by_unit = tf.math.unsorted_segment_sum(tf.transpose(tf.concat(parts, 1)), numbers, net.groups.count)
        return tf.reduce_sum(tf.abs(by_unit), 1)

    (total,), count = _totals(net, graph, lambda images, labels: [estimates(images, labels)])
    return total / count


def kernel_gradients(net):
    """{path: dL/dw, float64, of the kernel's shape} for `net.kernels`, L the mean loss over all examples."""
    graph, loss, kernels = single_path(net.model), default_loss(net.model), list(net.kernel_variables.values())

    @tf.function(reduce_retracing=True)
    def gradients(images, labels):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(kernels)
            outputs, = graph.run({graph.inputs[0]: images}, graph.outputs)
            total = loss(outputs, labels) * tf.cast(tf.shape(images)[0], tf.float32)
        return tape.gradient(total, kernels, unconnected_gradients="zero")

    totals, count = _totals(net, graph, gradients)
    return {path: total / count for path, total in zip(net.kernel_variables, totals, strict=True)}


def _watch(tape, images):
    """Lets the tape record everything that depends on the images, trainable or not."""
    if images.dtype.is_floating:
        tape.watch(images)


def _over_positions(value, gradient):
    """[examples, channels] float64: activity x gradient, summed over positions."""
    product = tf.cast(value, tf.float64) * tf.cast(gradient, tf.float64)
    return tf.reduce_sum(tf.reshape(product, [tf.shape(value)[0], -1, value.shape[-1]]), axis=1)


def _totals(net, graph, function):
    """(sums over all batches of what a function of (images, labels) gives, a list, in float64; the number of examples)."""
    totals, count = [], 0
    for images, labels in _pairs(net, graph):
        parts = [part.numpy().astype(np.float64) for part in function(images, labels)]
        totals = [total + part for total, part in zip(totals, parts, strict=True)] if totals else parts
        count += len(images)
    return totals, count


def _pairs(net, graph):
    """Batches of (images, labels), checked: classes, or the numbers that a regression is to give."""
    spec, classes = graph.specs[graph.inputs[0]], graph.specs[graph.outputs[0]].shape[-1]
    if classes > 1:
        yield from LabelledBatches(SimpleNamespace(graph=graph, images=spec, classes=classes), net.images, net.labels, net.batch_size,
                                   "gradients")
        return
    for images, labels in batches(net.images, net.labels, fitting_batch(graph, net.batch_size), spec):
        if labels is None:
            raise UserError("labels: the value for each image is needed, as labels=[..] or in a tf.data.Dataset of (image, label)")
        yield tf.cast(images, spec.dtype), tf.cast(tf.reshape(labels, [-1]), tf.float32)
