"""The class-selectivity index of each filter, as A. S. Morcos et al. (ICLR 2018) and M. L. Leavitt and A. S. Morcos (2020) define it.

(largest class mean - mean of the other class means) / (their sum), of responses averaged over positions. `units.selectivity`, which has the
index, compares with the mean over the *examples* of the other classes, as the width study does; in balanced sets they are the same.
"""
import numpy as np

from tfprune.filters.responses import responses, sizes
from tfprune.units.selectivity import class_means, class_sums, from_means


def class_selectivity(model, images, labels=None, layers=None, batch_size=128):
    """The index of each filter; nothing is stored but sums.

    Args:
      model, images, labels, layers, batch_size: see `responses`.

    Returns:
      DataFrame with a row a layer and filter: `layer`, `unit`, `preferred` (the class with the largest mean) and `selectivity`; -1 and 0
      for a filter that never responds. Classes without examples do not count.

    Raises:
      UserError: see `responses`.
    """
    import pandas as pd

    number_of_classes, filters = sizes(model, layers)
    sums = {layer: np.zeros((number_of_classes, number)) for layer, number in filters.items()}
    counts = np.zeros(number_of_classes, np.int64)
    for values, labels_of_batch in responses(model, images, labels, layers, batch_size):
        there = np.unique(labels_of_batch)
        counts += np.bincount(labels_of_batch, minlength=number_of_classes)
        for layer, rows in values.items():
            sums[layer][there] += class_sums(rows, labels_of_batch, there)[0]
    return pd.concat([pd.DataFrame({"layer": layer} | of_sums(own, counts)) for layer, own in sums.items()], ignore_index=True)


def layer_selectivity(table):
    """{layer: mean index of its filters}, of a table of `class_selectivity`."""
    return table.groupby("layer", sort=False)["selectivity"].mean().to_dict()


def of_sums(sums, counts):
    """The columns of `class_selectivity` for the sums of the responses to each class, [classes, filters], and its examples, [classes]."""
    there = np.flatnonzero(counts)
    means = class_means(sums[there], counts[there, None])[0]
    others = (means.sum(axis=0) - means) / max(len(there) - 1, 1)
    index, silent = from_means((means, others), (means, others))[0], ~means.any(axis=0)
    return {"unit": np.arange(sums.shape[1]), "preferred": np.where(silent, -1, there[means.argmax(axis=0)]),
            "selectivity": np.where(silent, 0.0, index)}
