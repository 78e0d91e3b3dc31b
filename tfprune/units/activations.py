"""What the units of a net do on examples: one forward pass a batch for all layers, of which a bounded number of rows is kept.

Every spatial position is a row. Which rows are kept follows get_activations.py of xboix/frivolous_dnns: of each batch and layer the same
number, drawn without replacement.
"""
import itertools
from dataclasses import dataclass

import numpy as np

from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.progress import track
from tfprune.units.batches import batches, count_examples, measured_batches, without_labels
from tfprune.units.graph import activity_function, chosen_layers, single_path


def top_accuracies(outputs, labels, ranks=(1, 5)):
    """Shares of examples whose label is among the `k` largest outputs, one for each of the ranks.

    Of equal outputs the first counts as the larger, as in argmax and tf.math.top_k. (tf.math.in_top_k, which the original calls, counts
    all of them in, so that a net with constant outputs would always be right.) An example with a NaN among its outputs is wrong.
    """
    own = np.take_along_axis(outputs, labels[:, None], axis=1)
    before = np.arange(outputs.shape[1]) < labels[:, None]
    place = ((outputs > own) | (outputs == own) & before).sum(axis=1)
    sound = ~np.isnan(outputs).any(axis=1)
    return np.array([(sound & (place < rank)).mean() for rank in ranks])


# What a net's outputs [batch, outputs] are worth, given the labels [batch]: a number, or an array of some.
METRICS = {
    "accuracy": lambda outputs, labels: (outputs.argmax(axis=1) == labels).mean(),
    "top_1_and_5": top_accuracies,
    "mse": lambda outputs, labels: ((labels - outputs[:, 0]) ** 2).mean(),
    "mse_broadcast": lambda outputs, labels: ((labels - outputs) ** 2).mean(),  # the original: every label with every output
}


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows kept of one pass over a set."""

    rows: list  # for each layer, and at last for the outputs (logits): (rows, units) float32
    labels: list  # for each of these: (rows,), the label of the example that a row belongs to; or None without labels
    score: float | list  # of the whole set, in the metric asked for; NaN without labels


def activations(model, images, layers=None, max_rows=50_000, seed=0, batch_size=128, fidelity="corrected"):
    """The activations of a model's unit layers.

    Args:
      model: a Functional or Sequential Keras model.
      images: an array, or a tf.data.Dataset of images or of (images, labels), batched or not.
      layers: names of layers; by default the model's unit layers.
      max_rows: rows to keep of a layer at most. Every batch gives the same number of them.
      seed: of the choice of rows.
      batch_size: images a batch. It decides, with `seed`, which rows are kept.
      fidelity: "original" measures floor(images / batch_size) - 1 batches; "corrected" all, the last partial one too.

    Returns:
      {layer: (rows, units) float32 array}.

    Raises:
      UserError: an unknown layer, images that do not fit the model, or fewer rows allowed than there are batches.
    """
    names = chosen_layers(model, layers)
    sample, = samples(model, without_labels(images), crosses=(seed,), layers=names, max_rows=max_rows, batch_size=batch_size,
                      fidelity=fidelity)
    return dict(zip(names, sample.rows, strict=False))  # without the outputs


def samples(model, images, labels=None, crosses=(0,), layers=None, max_rows=50_000, batch_size=128, fidelity="corrected",
            metric="accuracy", num_examples=None):
    """A `Sample` for each cross, all of the same pass over the images; each is what a pass of its own would give.

    Args:
      labels: of an array of images; a Dataset brings its own.
      crosses: seeds of the choice of rows, one a cross.
      metric: a name in METRICS.
      num_examples: how many examples a Dataset holds, where that is known; else they are counted first, by reading them once.
      others: see `activations`.
    """
    spec = input_spec(model)
    count = count_examples(images, batch_size, spec) if num_examples is None else num_examples
    num_batches, rows_per_batch = rows_of(count, batch_size, max_rows, fidelity)
    function = activity_function(model, layers)
    kept = [_Kept(np.random.RandomState(seed), rows_per_batch) for seed in crosses]
    seen, score = 0, 0.0
    pairs = itertools.islice(batches(images, labels, batch_size, spec), num_batches)
    for batch_images, batch_labels in track(pairs, num_batches, "activations"):
        units, outputs = function(tf.cast(batch_images, spec.dtype))
        batch_labels = None if batch_labels is None else np.asarray(batch_labels)
        seen += len(outputs)
        score += len(outputs) * (np.nan if batch_labels is None else METRICS[metric](_numpy(outputs), batch_labels))
        _keep([*units, outputs], batch_labels, kept)
    return [cross.sample(score / seen) for cross in kept]


def rows_of(count, batch_size, max_rows=50_000, fidelity="corrected"):
    """(number of batches to measure, most rows to keep of a layer in each) for a set of `count` examples."""
    num_batches = measured_batches(count, batch_size, fidelity)
    if max_rows < num_batches:
        raise UserError(f"max_rows={max_rows}: at least a row for each of the {num_batches} batches is needed")
    return num_batches, max_rows // num_batches


def input_spec(model):
    """The `tf.TensorSpec` of a batch of a model's images."""
    graph = single_path(model)
    return graph.specs[graph.inputs[0]]


def _keep(tensors, labels, kept):
    """Hands each cross its rows of a batch, layer by layer, which is the order in which the original draws."""
    for layer, tensor in enumerate(tensors):
        units = tensor.shape[-1]
        tensor = tf.reshape(tensor, [-1, units])
        positions = len(tensor) // len(tensors[-1])
        chosen = [cross.choose(len(tensor)) for cross in kept]
        rows = np.split(_numpy(tf.gather(tensor, np.concatenate(chosen))), len(kept))  # only these leave the device
        for cross, own, index in zip(kept, rows, chosen, strict=True):
            cross.add(layer, own, None if labels is None else labels[index // positions])


def _numpy(tensor):
    return tf.cast(tensor, tf.float32).numpy()


class _Kept:
    """The rows that one cross has kept so far."""

    def __init__(self, random, rows_per_batch):
        self._random, self._rows_per_batch = random, rows_per_batch
        self._rows, self._labels = [], []

    def choose(self, count):
        """Indices of the rows to keep of `count`."""
        return np.arange(count) if count <= self._rows_per_batch else self._random.permutation(count)[:self._rows_per_batch]

    def add(self, layer, rows, labels):
        if layer == len(self._rows):
            self._rows.append([])
            self._labels.append([])
        self._rows[layer].append(rows)
        self._labels[layer].append(labels)

    def sample(self, score):
        """The `Sample`; frees each layer's pieces as it goes."""
        rows, labels = [], []
        while self._rows:
            rows.append(np.concatenate(self._rows.pop(0)))
            pieces = self._labels.pop(0)
            labels.append(None if pieces[0] is None else np.concatenate(pieces))
        return Sample(rows, labels, np.asarray(score).tolist())
