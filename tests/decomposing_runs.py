"""Decomposing on a few digits, for tests: files of weights, and runs of every kind."""
import contextlib
import dataclasses
import functools
import io

import numpy as np

import data
from experiments import REGISTRY
from tfprune.filters.source import Source
from tfprune.filters.stages import execute
from tfprune.models import build_model, torch_names
from tfprune.overrides import override
from tfprune.registry import Registry
from tfprune.run import Run

FEW = "dataset.limit=120"
SHORT = Registry(dataclasses.replace(REGISTRY[number], hyper=dataclasses.replace(
    REGISTRY[number].hyper, max_num_epochs=epochs)) for number, epochs in ((9030, 2), (9031, 2), (9032, 2), (9034, 2)))


def variant(number, *settings, registry=SHORT, **options):
    """An experiment on a few digits."""
    return override(registry[number], [FEW, *settings], **options)


def records(experiment, data_dir):
    """What finds the folder of an experiment's records."""
    return functools.partial(data.ensure, experiment.dataset, data_dir)


def source(experiment, results, weights=None, indices=None, registry=SHORT):
    """The `Source` of an experiment's run."""
    return Source(Run(experiment, results), registry, weights, indices)


def done(command, origin, data_dir, **options):
    """(done marker, what was printed) of a command."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        marker = execute(command, origin, records(origin.experiment, data_dir), **options)
    return marker, printed.getvalue()


def write_weights(path, number=9030, seed=0, without=None, **extra):
    """Writes the initial weights of an experiment's net, moving means apart, as an .npz under PyTorch's names; returns the path."""
    experiment = variant(number, seed=seed)
    arrays = {entry.key: as_torch(entry.variable.numpy()) for entry in torch_names.entries(experiment.dnn.name, build_model(experiment))}
    np.savez(path, **{key: value for key, value in arrays.items() if key != without}, **extra)
    return path


def as_torch(array):
    """A kernel with its outputs first; anything else as it is."""
    return {4: lambda: array.transpose(3, 2, 0, 1), 2: lambda: array.T}.get(array.ndim, lambda: array)()
