"""Psi: how few of a layer's filters carry its response to a class (akshaybadola/class_specific_cnn).

An image's responses, averaged over positions, are divided by their sum; n is how many of the largest stay, together, below a fraction.
Psi of a class is (filters - median n) / filters: high where few filters carry that fraction. A layer's is the mean over the classes.
"""
import numpy as np

from tfprune.experiment import UserError
from tfprune.filters.features import count_below
from tfprune.filters.responses import responses, sizes
from tfprune.keras import tf


def psi(model, images, labels=None, layers=None, fraction=0.5, batch_size=128):
    """Psi of each layer and class; nothing is stored but counts.

    Args:
      model, images, labels, layers, batch_size: see `responses`.
      fraction: of an image's response, between 0 and 1; of filters that are below 0 the sizes count. Of an image to which no filter
        responds n is the number of filters.

    Returns:
      DataFrame with a row a layer and class: `layer`, `class`, `examples`, `psi`, and `psi_of_mean`, with the mean n in place of the
      median. Both are NaN for a class without examples.

    Raises:
      UserError: see `responses`; or the fraction is not accepted.
    """
    import pandas as pd

    if not 0 < fraction < 1:
        raise UserError(f"fraction={fraction}: a number between 0 and 1 is needed")
    number_of_classes, filters = sizes(model, layers)
    counts = {layer: np.zeros((number_of_classes, number + 1), np.int64) for layer, number in filters.items()}
    for below, classes in responses(model, images, labels, layers, batch_size, lambda values: count_below(tf.abs(values), fraction)):
        for layer, numbers in below.items():
            np.add.at(counts[layer], (classes, numbers), 1)
    return pd.concat([pd.DataFrame({"layer": layer} | of_counts(count)) for layer, count in counts.items()], ignore_index=True)


def layer_psi(table):
    """{layer: Psi}, the mean over the classes in a table of `psi`."""
    return table.groupby("layer", sort=False)["psi"].mean().to_dict()


def of_counts(counts):
    """The columns of `psi` for counts [classes, filters + 1] of how many images of a class have n = 0, 1, .. filters."""
    filters, examples = counts.shape[1] - 1, counts.sum(axis=1)
    with np.errstate(invalid="ignore"):
        means = counts @ np.arange(filters + 1) / examples
    medians = np.array([_median(count) for count in counts])
    return {"class": np.arange(len(counts)), "examples": examples, "psi": 1 - medians / filters, "psi_of_mean": 1 - means / filters}


def _median(counts):
    """The median of the numbers 0, 1, .. that come so many times each; between two of them their mean."""
    total, until = counts.sum(), counts.cumsum()
    return np.searchsorted(until, [(total - 1) // 2, total // 2], side="right").mean() if total else np.nan

