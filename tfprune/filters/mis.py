"""The mutual information score (MIS) by which CSG (H. Liang et al., ECCV 2020, arXiv 2007.08194) measures how class-specific filters are.

M[class, filter] is the mutual information, in nats, between a filter's response to an image and whether the image is of the class; MIS is
the mean over filters of the largest entry: how much each filter says about the class it tells most about. M is estimated from nearest
neighbours (B. C. Ross, PLoS ONE 9, 2014), by which the study takes scikit-learn's `mutual_info_classif`. Here are the same numbers, sooner:
a filter's responses are points on a line, so one sort finds all neighbours, for every class.
"""
import numpy as np

from tfprune.experiment import UserError
from tfprune.progress import track

NEIGHBOURS = 3
JITTER = 1e-10  # deviations of noise, by which equal responses (zeros) are told apart


def mis(matrix):
    """The score of a matrix of `class_information`."""
    return float(matrix.max(axis=0).mean())


def class_information(features, labels, classes=None, seed=0):
    """M: what each filter says about each class.

    Args:
      features: [examples, filters] responses, averaged over positions.
      labels: [examples], classes from 0.
      classes: how many there are; None for as many as the labels name.
      seed: of the noise that tells equal responses apart.

    Returns:
      float64 [classes, filters], in nats, 0 or more; 0 for classes of fewer than two examples. As sklearn's
      `mutual_info_classif(features, labels == number, random_state=seed)` in each row, to 1e-9.

    Raises:
      UserError: the features are no finite matrix, or the labels do not fit.
    """
    features, labels = _checked(features, labels)
    classes = int(labels.max()) + 1 if classes is None else classes
    if labels.min() < 0 or labels.max() >= classes:
        raise UserError(f"labels: {labels.min()} to {labels.max()}; classes from 0 to {classes - 1} are needed")
    matrix = np.zeros((classes, features.shape[1]))
    for number, column in enumerate(track(_prepared(features, seed).T, features.shape[1], "mutual information")):
        order = np.argsort(column)
        values, numbers = column[order], labels[order]
        for label in np.flatnonzero(np.bincount(labels) > 1):
            matrix[label, number] = _information(values, numbers == label)
    return matrix


def _information(values, own):
    """The estimate for sorted values and whether each is of the class."""
    if len(values) - own.sum() < 2:  # of two examples or more the neighbours can be told, and of one kind alone nothing
        return 0.0
    radii, near, sizes = np.empty_like(values), np.empty(len(values), np.int64), np.empty(len(values), np.int64)
    for kind in (own, ~own):
        sizes[kind] = kind.sum()
        near[kind] = min(NEIGHBOURS, sizes[kind][0] - 1)
        radii[kind] = _distances(values[kind], near[kind][0])
    within = _nearer(values, radii) + _nearer(-values[::-1], radii[::-1])[::-1] + 1
    return max(0.0, _digamma(np.array([len(values)]))[0] + (_digamma(near) - _digamma(sizes) - _digamma(within)).mean())


def _distances(values, near):
    """The distance of each sorted value to its `near`-th neighbour: the width, to either side, of the best window that it is in."""
    best = np.full(len(values), np.inf)
    for left in range(near + 1):
        first, last = left, len(values) - (near - left)
        inside = values[first:last]
        width = np.maximum(inside - values[:last - first], values[near:near + last - first] - inside)
        best[first:last] = np.minimum(best[first:last], width)
    return best


def _nearer(values, radii):
    """How many of the sorted values after each one are less than its radius away. (Sums are rounded otherwise than differences: what a
    search for the sum finds is put right by the differences, by which neighbours were told.)
    """
    radii, last = np.maximum(radii, np.finfo(float).tiny), len(values) - 1
    end = np.searchsorted(values, values + radii)
    while (short := (end <= last) & (values[np.minimum(end, last)] - values < radii)).any():
        end[short] += 1
    while (long := values[end - 1] - values >= radii).any():
        end[long] -= 1
    return end - np.arange(1, last + 2)


def _digamma(numbers):
    """The logarithmic derivative of the gamma function at whole numbers from 1."""
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, numbers.max()))]) if numbers.max() > 1 else np.zeros(1)
    return harmonic[numbers - 1] - np.euler_gamma


def _prepared(features, seed):
    """Features scaled to a deviation of 1, with sklearn's noise."""
    deviation = features.std(axis=0)
    features = features / np.where(deviation < 10 * np.finfo(float).eps, 1, deviation)
    size = np.maximum(1, np.abs(features).mean(axis=0))
    return features + JITTER * size * np.random.RandomState(seed).standard_normal(features.shape)


def _checked(features, labels):
    features, labels = np.asarray(features, np.float64), np.asarray(labels)
    if features.ndim != 2 or not features.size or labels.shape != features.shape[:1] or labels.dtype.kind not in "iu":
        raise UserError(f"features of shape {features.shape} do not fit labels of shape {labels.shape}, {labels.dtype}")
    if not np.isfinite(features).all():
        raise UserError("features: some are NaN or infinite; the net has diverged")
    return features, labels
