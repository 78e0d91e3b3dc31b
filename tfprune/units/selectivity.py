"""How much more active a unit is for one class than for all others.

The measure of get_redundancy.py of xboix/frivolous_dnns, after A. S. Morcos et al., "On the importance of single directions for
generalization", ICLR 2018: (mean of the preferred class - mean of the others) / (their sum).
"""
import numpy as np

from tfprune.experiment import UserError
from tfprune.units.fidelity import is_original

CHUNK = 2**18  # elements


def selectivity(activations, labels, test_activations, test_labels, fidelity="corrected"):
    """The selectivity of each unit on two sets, for the class that it prefers on the first.

    Args:
      activations, test_activations: (rows, units) arrays.
      labels, test_labels: the class of each row: (rows,) integers. The test set may lack classes, but have no new ones.
      fidelity: "original" takes the means in the activations' own precision; for units whose means nearly cancel the digits differ.

    Returns:
      Three (units,) float64 arrays: selectivity, test selectivity, and their squared difference ("generalisation"). NaN where a unit
      is silent (0 / 0) or the test set lacks its class; for activations of either sign the values are not bounded.

    Raises:
      UserError: the numbers of rows and labels differ, or a class of the test set is new.
    """
    classes = np.unique(labels)
    unknown = np.setdiff1d(test_labels, classes)
    if len(unknown):
        raise UserError(f"selectivity: the test set has the class {unknown[0]}, of which the training set has no example")
    pairs = (activations, labels), (test_activations, test_labels)
    return from_means(*(_means(*pair, classes, fidelity) for pair in pairs))


def selectivity_of_one(activations, labels, fidelity="corrected"):
    """The selectivity of each unit on a single set, for the class that it prefers there: (units,) float64; arguments as above."""
    means = _means(activations, labels, np.unique(labels), fidelity)
    return from_means(means, means)[0]


def from_means(train, test):
    """What `selectivity` returns, from the `class_means` of the two sets."""
    preferred, others = train
    best = np.where(np.isnan(preferred), -np.inf, preferred).argmax(axis=0)[None]  # a class without examples has no mean
    on_train, on_test = _index(preferred, others, best), _index(*test, best)
    with np.errstate(invalid="ignore"):
        return on_train, on_test, (on_train - on_test) ** 2


def class_sums(activations, labels, classes):
    """The sums over the rows of each class, (classes, units) float64, and how many rows each has, (classes, 1)."""
    sums = np.zeros((len(classes), activations.shape[1]))
    size = max(CHUNK // activations.shape[1], 1)
    for start in range(0, len(labels), size):
        members = (labels[start:start + size] == classes[:, None]).astype(np.float64)
        sums += members @ activations[start:start + size].astype(np.float64)
    return sums, (labels == classes[:, None]).sum(axis=1)[:, None]


def class_means(sums, counts):
    """The means over the rows of each class, and over the rows of all other classes: two (classes, units) arrays; NaN without rows."""
    with np.errstate(invalid="ignore"):
        return sums / counts, (sums.sum(axis=0) - sums) / (counts.sum() - counts)


def _means(activations, labels, classes, fidelity):
    activations, labels = _checked(activations, labels)
    if is_original(fidelity):
        return _means_in_own_precision(activations, labels, classes)
    return class_means(*class_sums(activations, labels, classes))


def _means_in_own_precision(activations, labels, classes):
    def mean(rows):
        return activations[rows].mean(axis=0) if rows.any() else np.full(activations.shape[1], np.nan)
    own, others = zip(*((mean(labels == label), mean(labels != label)) for label in classes), strict=True)
    return np.array(own, np.float64), np.array(others, np.float64)


def _index(preferred, others, best):
    preferred, others = (np.take_along_axis(means, best, axis=0)[0] for means in (preferred, others))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (preferred - others) / (preferred + others)


def _checked(activations, labels):
    activations, labels = np.asarray(activations), np.asarray(labels)
    if activations.ndim != 2 or labels.shape != activations.shape[:1]:
        raise UserError(f"selectivity: activations of shape {activations.shape} cannot have labels of shape {labels.shape}")
    return activations, labels
