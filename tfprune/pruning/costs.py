"""What a net costs: weights, multiply-adds, the size of its file, and the time that it takes."""
import os
import statistics
import tempfile
import time

import numpy as np

from tfprune.keras import tf
from tfprune.layers.unit_mask import UnitMask
from tfprune.masks.dense_twin import to_dense
from tfprune.masks.layers import masked_layers
from tfprune.models.multiply_adds import multiply_adds
from tfprune.models.rebuild import check_graph, walk

WARM_UP, LEAST, SECONDS = 3, 9, 0.5  # calls that are not counted; then at least so many, for at least so long


def costs_of(model):
    """{"parameters", "nonzero", "multiply_adds", "bytes"} of a Functional or Sequential model, ints.

    Parameters are all weights, the averages of normalisations too, but no masks; those that are not 0; of one example; of the file of
    weights (Keras' HDF5). Of masked layers the plain ones that they amount to count.

    Raises:
      UserError: the model has no graph of layers, or takes examples of any size.
    """
    check_graph(model)
    plain = to_dense(model) if masked_layers(model) else model
    masks = {id(layer.mask) for _, layer in walk(plain) if isinstance(layer, UnitMask)}
    weights = [weight.numpy() for weight in plain.weights if weight.dtype.is_floating and id(weight) not in masks]
    return {"parameters": sum(weight.size for weight in weights), "nonzero": sum(map(np.count_nonzero, weights)),
            "multiply_adds": multiply_adds(plain), "bytes": _file_size(plain)}


def latencies(models, batch):
    """Seconds that a compiled forward pass of so many random examples takes, of each of several models."""
    return seconds_of([_compiled(model, batch) for model in models])


def seconds_of(calls):
    """The median seconds of several functions without arguments, called in turn, so that what else the machine does befalls all of them."""
    times, started = [[] for _ in calls], None
    for number in range(10**6):
        if number == WARM_UP:
            started = time.perf_counter()
        elif number >= WARM_UP + LEAST and time.perf_counter() - started > SECONDS * len(calls):
            break
        for call, own in zip(calls, times, strict=True):
            before = time.perf_counter()
            call()
            own.append(time.perf_counter() - before)
    return [statistics.median(own[WARM_UP:]) for own in times]


def _compiled(model, batch):
    """A function without arguments that runs a model on random examples that stay in memory, and waits for what comes out."""
    generator = np.random.default_rng(0)
    inputs = [tf.cast(generator.normal(size=[batch, *tensor.shape[1:]]), tensor.dtype) for tensor in model.inputs]
    function = tf.function(lambda *given: model(given[0] if len(given) == 1 else list(given), training=False))
    return lambda: [output.numpy() for output in tf.nest.flatten(function(*inputs))]


def _file_size(model):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "weights.h5")
        model.save_weights(path)
        return os.path.getsize(path)
