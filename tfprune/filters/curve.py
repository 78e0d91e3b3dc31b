"""Accuracy against the number of filters that each class's logit sees, without training: all numbers in one pass over the images."""
import numpy as np
import pandas as pd

from tfprune.experiment import UserError
from tfprune.filters.decomposition import head_weights
from tfprune.filters.features import feature_function
from tfprune.filters.labelled import LabelledBatches
from tfprune.filters.rankings import at_random, by_value, some_tops, whole_tops
from tfprune.keras import tf
from tfprune.models.heads import find_head


def accuracy_curve(model, counts, images, labels=None, tops=None, draws=5, seed=0, batch_size=128):
    """The accuracy of decomposed heads of many sizes, and of heads of as many other filters.

    Args:
      model: a model with a dense class head.
      counts: by which the filters of a class are ranked, [classes, filters], such as `ClassFilters.counts`; or these for each number of
        filters, {k: [classes, filters]}, as `counts_by_top` finds them (the study's rule: top k per image, then top k by count).
      images, labels: as of `class_filters`; to test with.
      tops: numbers of filters a class; by default some from 1 to all, or those of `counts`.
      draws, seed: of the heads of random filters.

    Returns a DataFrame, a row a head, with the columns
      filters: "own" (by count), "weights" (those whose weight in the class's logit is largest in magnitude), "random" or "dense" (all).
      draw: of random filters, 0 to draws - 1; 0 of others.
      top: filters a class.     accuracy: from 0 to 1.

    Raises:
      UserError: counts that do not fit the model, a number of filters that it does not have, or as `class_filters`.
    """
    kernel, bias = head_weights(find_head(model)[1])
    filters, classes = kernel.shape
    of_each = counts if isinstance(counts, dict) else {}
    tops = whole_tops(tops or of_each or some_tops(filters), filters)
    own = {(top,): of_each[top] for top in tops if top in of_each} if of_each else {tuple(tops): counts}
    _check_counts(own, tops, (classes, filters))
    ranked = [("own", 0, sizes, by_value(values)) for sizes, values in own.items()]
    ranked.append(("weights", 0, tuple(tops), by_value(abs(kernel.T))))
    ranked += [("random", draw, tuple(tops), at_random(classes, filters, (seed, draw))) for draw in range(draws)]
    right, dense = _right(model, kernel, bias, [(ranking, sizes) for *_, sizes, ranking in ranked], images, labels, batch_size)
    rows = [(name, draw, top, accuracy) for (name, draw, sizes, _), accuracies in zip(ranked, right, strict=True)
            for top, accuracy in zip(sizes, accuracies, strict=True)]
    return pd.DataFrame([*rows, ("dense", 0, filters, dense)], columns=["filters", "draw", "top", "accuracy"])


def by_top(table):
    """The accuracies (%) of a table of `accuracy_curve`, a row a number of filters; of random ones the mean over draws."""
    means = 100 * table.pivot_table("accuracy", "top", "filters")
    return means[[name for name in ("own", "weights", "random") if name in means]].rename_axis(columns=None).reset_index()


def _right(model, kernel, bias, ranked, images, labels, batch_size):
    """(for each of (ranking, sizes) the shares of images that heads of these sizes get right, that of the dense head)."""
    function = feature_function(model)
    weights, biases = tf.constant(kernel.T), 0.0 if bias is None else tf.constant(bias)

    @tf.function(reduce_retracing=True)
    def count(features, labels, ranking, sizes):
        seen = tf.where(ranking < sizes[:, None, None], weights, 0.0)  # [heads, classes, filters]
        logits = tf.einsum("bn,hcn->bhc", features, seen) + biases
        return tf.math.count_nonzero(tf.argmax(logits, axis=2) == labels[:, None], axis=0)

    constants = [(tf.constant(ranking), tf.constant(sizes)) for ranking, sizes in ranked]
    totals, dense, number = [0] * len(ranked), 0, 0
    for batch_images, batch_labels in LabelledBatches(function, images, labels, batch_size, "accuracy"):
        features, outputs = function(batch_images)
        totals = [total + count(features, batch_labels, *each) for total, each in zip(totals, constants, strict=True)]
        dense += int(tf.math.count_nonzero(tf.argmax(outputs, axis=1) == batch_labels))
        number += len(batch_labels)
    return [total.numpy() / number for total in totals], dense / number


def _check_counts(own, tops, shape):
    missing = sorted(set(tops).difference(*own))
    if missing:
        raise UserError(f"tops: there are no counts for {missing[0]} filters")
    for values in own.values():
        if np.shape(values) != shape:
            raise UserError(f"counts: {shape[0]} classes x {shape[1]} filters are needed, not {' x '.join(map(str, np.shape(values)))}")
