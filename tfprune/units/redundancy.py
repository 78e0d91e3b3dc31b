"""How many of a layer's units repeat one another: correlated pairs, and the directions in which their activity varies.

The measures are those of get_redundancy.py of xboix/frivolous_dnns. Any array of activations can be measured, or a model while it
runs, without ever storing its activations.
"""
from dataclasses import dataclass

import numpy as np

from tfprune.experiment import UserError
from tfprune.units.covariance import Moments, narrow_blas
from tfprune.units.fidelity import is_original

ENERGIES = (0.95, 0.8)  # shares of the variance that the largest principal components have to exceed
REST = 0.05  # the share that the smallest have to exceed
SIMILAR = 0.5  # units with a correlation of at least this are similar


@dataclass(frozen=True, eq=False)
class Redundancy:
    """How redundant the units of one layer are."""

    correlation: np.ndarray  # (units, units) float64: Pearson; dead units have 0 with others and 1 with themselves (original: NaN)
    similarity_mean: float  # over units: the number of other units with |correlation| >= 0.5
    similarity_std: float  # (population)
    eigenvalues: np.ndarray  # (units,) float64, ascending: the variances along the principal components
    eigenvectors: np.ndarray  # (units, units) float64: column i belongs to eigenvalue i
    num_components: tuple  # principal components that explain more than 95 % and more than 80 % of the variance
    compressability: float  # share of units: components, smallest first, up to the one that takes them past 5 % of the variance
    dead_units: int  # units whose activation never changes


def redundancy(source, images=None, layers=None, batch_size=128, fidelity="corrected"):
    """The redundancy of stored activations, or of a model's layers while it runs.

    `redundancy(activations)` measures an array (rows, units); further axes before the last are rows too. `redundancy(model, images)`
    streams: it measures every position of every image, and keeps only units x units numbers a layer.

    Args:
      source: the activations, or a Keras model.
      images: for a model: an array, or a tf.data.Dataset of images or of (images, labels).
      layers: for a model: names of the layers to measure; by default its unit layers.
      batch_size: for a model: images a forward pass, at most.
      fidelity: "original" gives dead units a correlation of NaN and a similarity of -1; "corrected" 0 and 0. Nothing else differs.

    Returns:
      A `Redundancy`; for a model a dictionary of them, {layer: Redundancy}.

    Raises:
      UserError: fewer than 2 rows, activations that are not finite, or an unknown layer.
    """
    if images is None:
        activations = np.asarray(source)
        if activations.ndim < 2:
            raise UserError(f"activations must have the shape (rows, units), got {activations.shape}")
        return from_moments(Moments.of(activations.reshape(-1, activations.shape[-1])), fidelity)
    from tfprune.units.streaming import stream  # only this needs TensorFlow
    return {name: from_moments(moments, fidelity) for name, moments in stream(source, images, layers, batch_size).items()}


def from_moments(moments, fidelity="corrected"):
    """The `Redundancy` of units of which the `Moments` are known."""
    dead, correlation = moments.constant, correlation_of(moments, fidelity)
    similar = (np.abs(correlation) >= SIMILAR).sum(axis=0) - 1  # but for the unit itself
    with narrow_blas(len(dead)):
        eigenvalues, eigenvectors = np.linalg.eigh(moments.covariance)
    return Redundancy(
        correlation, float(similar.mean()), float(similar.std()), eigenvalues, eigenvectors,
        num_components=tuple(_components(eigenvalues[::-1], energy) for energy in ENERGIES),
        compressability=_components(eigenvalues, REST) / len(dead), dead_units=int(dead.sum()))


def correlation_of(moments, fidelity="corrected"):
    """The correlations (units, units) of units of which the `Moments` are known; of dead ones see `redundancy`."""
    correlation = moments.correlation
    if is_original(fidelity):
        dead = moments.constant
        correlation[dead, :] = correlation[:, dead] = np.nan
    return correlation


def _components(eigenvalues, energy):
    """How many eigenvalues, in the given order, it takes to exceed a share of their sum; 1 where all are 0."""
    with np.errstate(invalid="ignore"):
        shares = np.cumsum(eigenvalues / eigenvalues.sum())
    return int(np.argmax(~(shares <= energy))) + 1
