"""What criteria ask of a net: its kernels, and what its units do on images, found when first asked for."""
import functools

import numpy as np

from tfprune.models.multiply_adds import TRANSPOSED
from tfprune.models.multiply_adds import kernels as kernels_of
from tfprune.models.rebuild import walk
from tfprune.pruning.criteria.activity import activity
from tfprune.pruning.criteria.gradients import kernel_gradients, unit_gradients
from tfprune.units.streaming import stream


class Net:
    """A model whose weights or units are ranked.

    Args:
      model: a Functional or Sequential model without masked layers (`to_dense` of one with them).
      groups: its `unit_groups`.
      images, labels: the examples, an array and class numbers, or a tf.data.Dataset of (image, label); for criteria that need them.
      seed: of the criterion "random".
      excluded: paths of layers whose units are not ranked.
      batch_size: examples a forward pass, at most; no score depends on it.

    Attributes:
      ranked: the groups whose units are ranked.
      layers: paths of the kernel layers that produce them. paths: {path: layer} of all.
      places: {operation: global unit numbers of its channels}: the operations whose outputs are those units' activities.
    """

    def __init__(self, model, groups, images=None, labels=None, seed=0, excluded=(), batch_size=128):
        self.model, self.groups, self.images, self.labels, self.seed, self.batch_size = model, groups, images, labels, seed, batch_size
        self.paths = dict(walk(model))
        self.ranked = tuple(groups.prunable(excluded))
        self.layers = tuple(dict.fromkeys(path for group in self.ranked for path in group.layers))
        self.places = {groups.activity[path]: groups.produced[path] for path in self.layers}

    @functools.cached_property
    def kernel_variables(self):
        """{path: variable} of all kernels; of a layer with several {path/name: variable}."""
        return {path if len(names) == 1 else f"{path}/{name}": getattr(owner, name)
                for path, (owner, names) in ((path, kernels_of(layer)) for path, layer in self.paths.items()) for name in names}

    @functools.cached_property
    def kernels(self):
        """The same as arrays."""
        return {path: variable.numpy() for path, variable in self.kernel_variables.items()}

    def columns(self, path):
        """The weights that lead into each unit of a layer: [weights, channels]; of a separable convolution those of its second kernel."""
        layer, names = kernels_of(self.paths[path])
        kernel = getattr(layer, names[-1]).numpy()
        axis = -2 if isinstance(layer, TRANSPOSED) else -1
        return np.moveaxis(kernel, axis, -1).reshape(-1, kernel.shape[axis])

    def sum_by_unit(self, values, places=None):
        """The sums [all units] of {path: values [channels]} over each unit's channels; with `places`, {path: unit numbers}, over those."""
        places = self.groups.produced if places is None else places
        total = np.zeros(self.groups.count, np.result_type(np.float32, *values.values()))
        for path, own in values.items():
            np.add.at(total, places[path], own)
        return total

    @functools.cached_property
    def activity(self):
        """The `Activity` of all units."""
        return activity(self)

    @functools.cached_property
    def moments(self):
        """{operation: `Moments`} of the activities."""
        return stream(self.model, self.images, list(self.places), self.batch_size)

    def correlation(self, group):
        """(correlations [units, units], variances [units]) of a group's units; where they are active in several places, means over these.

        Units that share no place have a correlation of 0; the variance of units that are constant in every place is exactly 0.
        """
        size, place = len(group.units), np.full(self.groups.count, -1)
        place[group.units] = np.arange(size)
        total, shared, variance = np.zeros((size, size)), np.zeros((size, size)), np.zeros(size)
        for operation in dict.fromkeys(self.groups.activity[path] for path in group.layers):
            units, moments = place[self.places[operation]], self.moments[operation]
            np.add.at(total, np.ix_(units, units), moments.correlation)
            np.add.at(shared, np.ix_(units, units), 1)
            np.add.at(variance, units, np.diagonal(moments.covariance))
        shared = np.maximum(shared, 1)
        return total / shared, variance / np.diagonal(shared)

    @functools.cached_property
    def unit_gradients(self):
        """`gradients.unit_gradients`."""
        return unit_gradients(self)

    @functools.cached_property
    def kernel_gradients(self):
        """`gradients.kernel_gradients`."""
        return kernel_gradients(self)
