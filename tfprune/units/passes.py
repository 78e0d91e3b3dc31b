"""Compiled passes over perturbed nets: from a batch's intact tensors to the sums that score every target."""
import functools

import numpy as np

from tfprune.keras import tf
from tfprune.units.batches import MEMORY, largest_tensor

LABELS = tf.TensorSpec([None], tf.float32)


class IntactPass:
    """The intact net: from images to the tensors that the other passes need, as {tensor: value}."""

    def __init__(self, graph, tensors):
        self.tensors = sorted(tensors)
        image = graph.specs[graph.inputs[0]]
        self._run = tf.function(lambda images: graph.run({graph.inputs[0]: images}, self.tensors), input_signature=[image])
        self._dtype = image.dtype

    def __call__(self, images):
        return dict(zip(self.tensors, self._run(tf.cast(images, self._dtype)), strict=True))


class Pass:
    """One family of perturbations, compiled once: what changes from one condition to the next is an input.

    Args:
      graph: the net's `Graph`.
      family: see `tfprune.units.ablation`.
      targets: frozensets of unit layers.
      score: see `tfprune.units.scores`.
      batch_size: the largest batch to come; targets are taken in parts whose tensors, with all rows, fit in MEMORY.
    """

    def __init__(self, graph, family, targets, score, batch_size):
        self.graph, self.family, self.score = graph, family, score
        self.output = graph.outputs[0]
        self.tensors = sorted({*family.sweep.intact_tensors(), self.output})
        part = max(1, MEMORY // (batch_size * largest_tensor(graph)))
        self.parts = [targets[start:start + part] for start in range(0, len(targets), part)]

    @functools.cached_property
    def functions(self):
        """A compiled function for each part of the targets, traced when first needed and never again."""
        signature = [[self.graph.specs[tensor] for tensor in self.tensors], LABELS, self.family.signature()]
        return [tf.function(functools.partial(self._run, targets), input_signature=signature).get_concrete_function()
                for targets in self.parts]

    def _run(self, targets, values, labels, condition):
        intact = dict(zip(self.tensors, values, strict=True))
        outputs = self.family.sweep.run(intact, targets, self.family.perturbation(condition))
        return self.score.sums(tf.stack(outputs), intact[self.output], labels)

    def sums(self, intact, labels, condition):
        """[targets, 2], summed over the batch."""
        values = [intact[tensor] for tensor in self.tensors]
        return np.concatenate([function(values, labels, condition) for function in self.functions])


class TotalPass:
    """Total ablation: one example is run, once, for the targets whose outputs then depend on no image."""

    def __init__(self, graph, family, targets, score, batch_size):
        self.family, self.score, self.output = family, score, graph.outputs[0]
        depends = np.array([family.depends_on_images(target) for target in targets])
        self.constant, self.moving = np.flatnonzero(~depends), np.flatnonzero(depends)
        self._constant_targets = [targets[i] for i in self.constant]
        self._pass = Pass(graph, family, [targets[i] for i in self.moving], score, batch_size)
        self.tensors = self._pass.tensors
        self._outputs = None

    def sums(self, intact, labels):
        """[targets, 2], summed over the batch."""
        sums = np.zeros((len(self.constant) + len(self.moving), 2))
        if len(self.constant):
            sums[self.constant] = self.score.sums(self._constant_outputs(intact), intact[self.output], labels)
        if len(self.moving):
            sums[self.moving] = self._pass.sums(intact, labels, [])
        return sums

    def _constant_outputs(self, intact):
        if self._outputs is None:
            example = {tensor: value[:1] for tensor, value in intact.items()}
            self._outputs = tf.stack(self.family.sweep.run(example, self._constant_targets, self.family.perturbation([])))
        return self._outputs
