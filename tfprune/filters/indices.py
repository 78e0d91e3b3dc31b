"""Which filters serve which class: those that are most often among the largest of an image of that class.

After A. Badola and colleagues, "Decomposing the Deep" (Neural Computing and Applications 35, 2023) and akshaybadola/class_specific_cnn:
of each image the k largest features; a histogram of these for each class; of that the k filters that came most often. (The study divides
the features of an image by their sum first, which does not change their order.) The histograms are summed inside the compiled pass, so
that memory does not grow with the number of images.
"""
import numpy as np

from tfprune.experiment import UserError
from tfprune.filters.features import count_below, feature_function
from tfprune.filters.labelled import LabelledBatches
from tfprune.filters.rankings import whole_tops
from tfprune.filters.sets import ClassFilters
from tfprune.keras import tf


def class_filters(model, images, labels=None, top=5, layer=None, batch_size=128):
    """The filters of each class, found without gradients and without the weights of the head.

    Ties are cut by position: the lower one wins, in an image and in a histogram. A feature that is exactly 0 on an image (a dead filter,
    a black image) is not counted there.

    Args:
      model: a Functional or Sequential model.
      images: an array [images, ..] of prepared images, or a `tf.data.Dataset` of (image, label), batched or not.
      labels: the classes [images] of an array of images, from 0.
      top: filters a class, a whole number from 1. Or a share between 0 and 1 (the study's rule for sets of different sizes): of each
        image of a class as many filters count as on average stay, together, below that share of the image's sum; of the histogram those
        are taken that come, least frequent first, after that share of the counts. The images are then read twice.
      layer: whose filters, averaged over positions; by default those that go into the class head.
      batch_size: images a batch, at most; it changes no result.

    Returns:
      A `ClassFilters`: {class: [filter, ..]} with most frequent filters first. A class without images has none.

    Raises:
      UserError: `top` is not accepted, the labels are no classes of the model, or see `feature_function` and `units.batches`.
    """
    function = feature_function(model, layer)
    top = _checked_top(top, function)
    pairs = LabelledBatches(function, images, labels, batch_size)
    most = np.full(function.classes, top) if top >= 1 else _mean_below(function, pairs, top)
    beyond = np.arange(max(most)) >= most[:, None]  # bin 0: the places that count; bin 1: those beyond, of classes that have fewer
    counts, seen = _histogram(function, pairs, beyond.astype(int))
    counts = counts[..., 0]
    sets = {number: _most_frequent(own, top) if seen[number] else [] for number, own in enumerate(counts)}
    return ClassFilters(sets, function.filters, function.layer, top, counts, seen)


def counts_by_top(model, images, labels=None, tops=(5,), layer=None, batch_size=128):
    """The counts of `class_filters` (in how many of a class's images a filter is among the k largest) for several k, in one pass.

    Args:
      tops: the k, whole numbers from 1 to the number of filters.
      others: see `class_filters`.

    Returns {k: [classes, filters] ints}.

    Raises:
      UserError: as `class_filters`.
    """
    function = feature_function(model, layer)
    tops = whole_tops(tops, function.filters)
    step = np.searchsorted(tops, np.arange(tops[-1]), side="right")  # of each place in an image, the first k that it is inside of
    pairs = LabelledBatches(function, images, labels, batch_size)
    together = np.cumsum(_histogram(function, pairs, np.tile(step, (function.classes, 1)))[0], axis=2)
    return {top: together[..., number] for number, top in enumerate(tops)}


def _histogram(function, pairs, bins):
    """(counts [classes, filters, bins], images [classes]): in how many images each filter's place is of each bin.

    Args:
      bins: [classes, places] ints from 0: the bin of each place among an image's largest, for images of each class.
    """
    counts = tf.Variable(tf.zeros([function.classes, function.filters, int(bins.max()) + 1], tf.int64))
    seen = tf.Variable(tf.zeros([function.classes], tf.int64))
    of_place, largest = tf.constant(bins, tf.int64), bins.shape[1]

    @tf.function(input_signature=[function.images, tf.TensorSpec([None], tf.int64)])
    def count(images, labels):
        features, _ = function.python_function(images)  # one graph: a function within a function takes twice as long to compile
        values, order = tf.math.top_k(features, largest)  # of equal ones the lower position comes first
        classes = tf.broadcast_to(labels[:, None], tf.shape(order))
        where = tf.stack([classes, tf.cast(order, tf.int64), tf.gather(of_place, labels)], axis=-1)
        counts.scatter_nd_add(where, tf.cast(values != 0, tf.int64))
        seen.scatter_nd_add(labels[:, None], tf.ones_like(labels))
        return tf.reduce_all(tf.math.is_finite(features))

    for images, labels in pairs:
        if not count(images, labels):
            raise UserError(f"the features of layer {function.layer} hold NaN or infinite values; the net has diverged")
    return counts.numpy(), seen.numpy()


def _mean_below(function, pairs, share):
    """For each class how many of an image's largest filters stay below a share of its sum, on average, rounded down; 1 or more."""
    sums = tf.Variable(tf.zeros([function.classes, 2], tf.int64))

    @tf.function(input_signature=[function.images, tf.TensorSpec([None], tf.int64)])
    def add(images, labels):
        below = count_below(function.python_function(images)[0], share)
        sums.scatter_nd_add(labels[:, None], tf.stack([below, tf.ones_like(below)], axis=1))

    for images, labels in pairs:
        add(images, labels)
    below, seen = sums.numpy().T
    return np.maximum(below // np.maximum(seen, 1), 1)


def _most_frequent(counts, top):
    """The filters of one class, most frequent first."""
    order = np.argsort(-counts, kind="stable")
    if top >= 1:
        return order[:top].tolist()
    ascending = np.cumsum(counts[order][::-1])
    return order[(ascending > top * ascending[-1])[::-1]].tolist()


def _checked_top(top, function):
    """`top` as an int, or as a float between 0 and 1."""
    numeric = isinstance(top, (int, float, np.integer, np.floating)) and not isinstance(top, bool)
    if not (numeric and (0 < top < 1 or (1 <= top <= function.filters and top == int(top)))):
        raise UserError(f"top={top}: layer {function.layer} has {function.filters} filters; a whole number from 1 to {function.filters} or "
                        "a share between 0 and 1 is accepted")
    return int(top) if top >= 1 else float(top)
