"""The averages of batch normalisation found anew, which pruning has made wrong.

A pruned net's units have other means and variances than those that its normalisations remember. Found anew here are the moments of the
whole set, layer by layer: first of the normalisations that no other comes before, then, with these in use, of those behind them. Running
the net in training mode instead would give averages of batches' statistics, which depend on the batch size and, at every layer, on how
the batch normalised the layers before; what is found here depends on the images alone. (That pruned nets are judged
better with averages of their own: Li et al. 2020, EagleEye.)
"""
import collections

import numpy as np

from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.layers.normalisation import TorchBatchNormalization
from tfprune.progress import track
from tfprune.pruning.norm_levels import frontiers_of, levels_of, passed_by
from tfprune.units.batches import MEMORY, batches, bytes_of_an_example, fitting_batch, without_labels
from tfprune.units.graph import single_path


def renormalise(model, images, batch_size=128):
    """Gives a model's batch normalisations the moments of these images, in place; returns the model.

    Scales, offsets and everything else stay. The variance is the unbiased one where the layer's own averages are (PyTorch's, and Keras'
    fused kernel, which images go through), else the population's. A model without batch normalisation stays as it is.

    Args:
      model: a Functional or Sequential model, nested ones too; give a copy where the old averages are still needed.
      images: an array, or a tf.data.Dataset of images or of (images, labels), batched or not, prepared as for the net.
      batch_size: images a forward pass, at most; the result does not depend on it.

    Raises:
      UserError: the model has no graph, a normalisation is called again behind itself, or the images do not fit.
    """
    return Renormaliser(model)(images, batch_size)


class Renormaliser:
    """`renormalise` of one model, compiled once: it follows the weights as they are at every call."""

    def __init__(self, model):
        self.model, self.graph = model, single_path(model)
        self.image = self.graph.inputs[0]
        passed = passed_by(self.graph)
        self.levels, self.frontiers = levels_of(self.graph, passed), frontiers_of(self.graph, passed)
        self.sections = [self._section(number) for number in range(len(self.levels))]

    def __call__(self, images, batch_size=128):
        if not self.levels:
            return self.model
        given = _Given(images, fitting_batch(self.graph, batch_size), self.graph.specs[self.image])
        held = self._held(given)
        for number, calls in enumerate(track(self.levels, label="batch normalisation")):
            moments = collections.defaultdict(_Moments)
            for place, values in enumerate(given if held is None else held):
                *kept, statistics = self._run(number, values, from_images=held is None)
                for op, found in zip(calls, statistics, strict=True):
                    moments[op.layer].add(*(part.numpy() for part in found))
                if held is not None:
                    held[place] = kept
            for layer, found in moments.items():
                found.assign_to(layer)
        return self.model

    def _run(self, number, values, from_images):
        """The section's results from its frontier, or from the images through all the sections before."""
        for before in range(number if from_images else 0):
            *values, _ = self.sections[before](values)
        return self.sections[number](values)

    def _held(self, given):
        """All batches, so that no layer is run twice, where what is kept of them at once fits into memory; else None."""
        widest = max(sum(bytes_of_an_example(self.graph.specs[tensor]) for tensor in frontier) for frontier in self.frontiers)
        held, room = [], MEMORY
        for values in given:
            room -= widest * len(values[0])
            if room < 0:
                return None
            held.append(values)
        return held

    def _section(self, number):
        """From the tensors of one frontier to those of the next one, and the moments of this level's inputs."""
        before, after = self.frontiers[number:number + 2]
        calls = self.levels[number]

        def run(values):
            inputs = [op.inputs[0] for op in calls]
            wanted = list(dict.fromkeys([*after, *inputs]))
            found = dict(zip(wanted, self.graph.run(dict(zip(before, values, strict=True)), wanted), strict=True))
            return [*(found[tensor] for tensor in after), [_sums(found[op.inputs[0]], op.layer) for op in calls]]

        return tf.function(run, input_signature=[[self.graph.specs[tensor] for tensor in before]])


class _Given:
    """The images, a batch at a time, each as the list of the first frontier's tensors; may be read more than once."""

    def __init__(self, images, batch_size, spec):
        self.images, self.batch_size, self.spec = without_labels(images), batch_size, spec

    def __iter__(self):
        for images, _ in batches(self.images, None, self.batch_size, self.spec):
            yield [tf.cast(images, self.spec.dtype)]


class _Moments:
    """Count, mean and sum of squared deviations of each channel, merged batch by batch (Chan, Golub & LeVeque 1983)."""

    def __init__(self):
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, count, mean, squares):
        together, apart = self.count + count, mean - self.mean
        self.squares = self.squares + squares + apart ** 2 * (self.count * count / together)
        self.mean = self.mean + apart * (count / together)
        self.count = together

    def assign_to(self, layer):
        if not (np.isfinite(self.mean).all() and np.isfinite(self.squares).all()):
            raise UserError(f"renormalise: what goes into {layer.name} is NaN or infinite for some of the images")
        freedom = max(self.count - 1, 1) if layer.fused else self.count
        layer.moving_mean.assign(self.mean)
        layer.moving_variance.assign(self.squares / freedom)


def _sums(tensor, layer):
    """(count, mean, sum of squared deviations) of a batch, float64, of each channel."""
    axis = -1 if isinstance(layer, TorchBatchNormalization) else layer.axis[0]  # the former takes any number of axes
    others = [number for number in range(tensor.shape.rank) if number != axis % tensor.shape.rank]
    values = tf.cast(tensor, tf.float64)
    mean = tf.reduce_mean(values, others, keepdims=True)
    count = tf.cast(tf.size(values) // tf.shape(values)[axis], tf.float64)
    return count, tf.squeeze(mean, others), tf.reduce_sum(tf.square(values - mean), others)
