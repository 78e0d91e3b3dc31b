"""Chance, against which every other criterion is held."""
import numpy as np

from tfprune.pruning.criteria.criterion import Criterion


class Random(Criterion):
    """Uniform random numbers, which follow from `net.seed` and the layer's path alone."""

    name = "random"

    def of_weights(self, net):
        return {path: _drawn(net.seed, path, kernel.shape) for path, kernel in net.kernels.items()}

    def of_units(self, net):
        return {group.name: _drawn(net.seed, group.name, len(group.units)) for group in net.ranked}


def _drawn(seed, path, shape):
    return np.random.default_rng([seed, *path.encode()]).random(shape, np.float32)
