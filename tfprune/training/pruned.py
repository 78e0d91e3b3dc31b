"""Training under masks that hold weights at 0: gradually more of them (tensorflow-model-optimization), or those that were cut before.

The net stays the plain one: masks are variables beside it, and after every update each kernel is multiplied by its own. So checkpoints
hold the plain net with zeros in its kernels, and there are no wrappers to strip. The kernels of convolutions and dense layers are
pruned, each to the same share; the last layer is left whole, and so are biases, normalisation, depthwise kernels (as by tfmot) and
auxiliary classifiers.
"""
import math

import numpy as np

from tfprune.keras import tf
from tfprune.models import without_auxiliary
from tfprune.models.hidden_layers import hidden_layers
from tfprune.models.multiply_adds import kernels
from tfprune.models.rebuild import walk
from tfprune.training.regime import Default
from tfprune.training.schedules import Schedule
from tfprune.training.stopping import epochs_seen


def prunable_kernels(model):
    """{path of a layer: its kernel} of all that training prunes, in the net's order."""
    hidden = set(map(id, hidden_layers(model)))
    owners = {path: kernels(layer) for path, layer in walk(model) if id(layer) in hidden}
    return {path: owner.kernel for path, (owner, names) in owners.items() if "kernel" in names}


class Pruned(Default):
    """All of the net is trained, and what its masks cut stays 0.

    Attributes:
      kernels: {path of a layer: kernel}. masks: {path: variable of the kernel's shape and type, 1 where a weight is kept}.
    """

    def __init__(self, experiment, model):
        super().__init__(experiment, model)
        self.kernels = prunable_kernels(without_auxiliary(model))
        self.masks = {path: tf.Variable(tf.ones_like(kernel), trainable=False) for path, kernel in self.kernels.items()}

    def cut(self, cut):
        """Sets to 0, from now on, the weights that are marked: {path: bool array of the kernel's shape}."""
        for path, mask in self.masks.items():
            mask.assign(tf.cast(~cut[path], mask.dtype))
        self.refresh()

    def refresh(self, phase=None, update=None):
        super().refresh(phase, update)
        for path, kernel in self.kernels.items():
            kernel.assign(kernel * self.masks[path])

    def tracked(self):
        return {"masks": self.masks}

    def density(self):
        """The share of all these kernels' weights that the masks keep now."""
        return sum(float(np.sum(mask)) for mask in self.masks.values()) / sum(mask.shape.num_elements() for mask in self.masks.values())

    def figures(self):
        return super().figures() | {"density": self.density()}

    def result(self):
        """The share of each kernel's weights that are 0."""
        return {"sparsity": {path: float(np.mean(kernel.numpy() == 0)) for path, kernel in self.kernels.items()}}


class Gradual(Pruned):
    """What the masks cut grows while the net trains, by the schedule of the settings (`gradual`)."""

    @classmethod
    def settled(cls, experiment):
        training, epochs = experiment.training, _epochs(experiment)
        if prunes_at_once(training):
            return math.floor(training.prune_from * epochs + 1e-9) + 1
        return max(1, math.ceil(training.prune_until * epochs - 1e-9))

    def plan(self, updates_per_epoch):
        from tfprune.training.gradual import Pruner  # here, for it is the one door to tensorflow-model-optimization

        updates = _epochs(self.experiment) * updates_per_epoch
        self._pruner = Pruner(self.experiment, [(kernel, self.masks[path]) for path, kernel in self.kernels.items()], updates)

    def refresh(self, phase=None, update=None):
        if update is not None:
            self._pruner(update)
        super().refresh(phase, update)


def _epochs(experiment):
    """All epochs of whose nets one may be kept: by the last of them the final share must be reached."""
    return epochs_seen(experiment, Schedule(experiment).epochs)


def prunes_at_once(training):
    """Are all weights that go cut the first time that any are?"""
    return training.pruning == "2_of_4" or training.prune_schedule == "constant"
