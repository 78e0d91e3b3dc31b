"""Prunability and redundancy of a net relative to the widest of its family, and how fast they grow with width.

The quantities of the notebooks of xboix/frivolous_dnns, as plain functions. A curve is the agreement with the intact net (share of equal
predictions) at amounts of ablation that rise evenly from 0 to 1; the width of a net is its width factor. With fidelity="original" the
numbers are the notebooks'; docs/fidelity.md says where they differ.
"""
import numpy as np

from tfprune.units.fidelity import is_original

THRESHOLD = 0.8  # a net works as long as this share of its predictions is unchanged


def threshold(curve, th=THRESHOLD, fidelity="corrected"):
    """The share of units that can be ablated before the agreement falls below `th`, interpolated linearly.

    Args:
      curve: (amounts,) agreement at evenly spaced amounts from 0 to 1.
      th: the lowest agreement with which a net counts as working.
      fidelity: where the curve never falls below `th`, "original" returns the curve's first value.

    Returns:
      A share in [0, 1]: 1 where the curve never falls below `th`, 0 where it starts below.
    """
    curve = np.asarray(curve, np.float64)
    crossings = np.flatnonzero((curve[:-1] >= th) & (curve[1:] < th))
    steps = len(curve) - 1
    if is_original(fidelity):
        if len(crossings) == 0:
            return float(curve[0])
    elif len(crossings) == 0 or curve[0] < th:
        return 0.0 if curve[0] < th else 1.0
    first = crossings[0]
    return float((first + (curve[first] - th) / (curve[first] - curve[first + 1])) / steps)


def prunability(curves, width, max_width, th=THRESHOLD, fidelity="corrected"):
    """The units that can be pruned, as a share of all units of the widest net.

    Args:
      curves: (crosses, amounts), or one curve, of agreement on the test set with all unit layers ablated at once.
      width, max_width: width factors of this net and of the widest (the study's: 4, and 16 for MLPs).
      th: see `threshold`.
      fidelity: the mean over crosses; "original": their maximum.
    """
    shares = [threshold(curve, th, fidelity) for curve in np.atleast_2d(curves)]
    return float(np.max(shares) if is_original(fidelity) else np.mean(shares)) * width / max_width


def non_prunability(curves, width, max_width, th=THRESHOLD, fidelity="corrected"):
    """The units that cannot be pruned, as a share of all units of the widest net (of crosses the mean; "original": the minimum)."""
    return width / max_width - prunability(curves, width, max_width, th, fidelity)


def redundancy(compressabilities, width, max_width):
    """The redundant units, as a share of all units of the widest net: the mean compressability of the unit layers (and crosses)."""
    return float(np.mean(compressabilities)) * width / max_width


def non_redundancy(compressabilities, width, max_width):
    """The units that are not redundant, as a share of all units of the widest net."""
    return width / max_width - redundancy(compressabilities, width, max_width)


def growth_factor(values, measure="prunability", fidelity="corrected"):
    """By how much a quantity grows when the width doubles: the mean of the ratios of successive values.

    Above 2, units of that sort grow faster than the net.

    Args:
      values: (..., widths): prunability, redundancy or their complements at widths of which each is twice the one before; 0 or NaN
        where a net is missing.
      measure: "prunability", "non_prunability", "redundancy" or "non_redundancy".
      fidelity: of "redundancy" and "non_redundancy", "original" leaves the first ratio out.

    Returns:
      The growth factor, of the shape of `values` without its last axis; NaN where no two neighbours are known.
    """
    values = np.array(values, np.float64)
    values[values == 0] = np.nan
    ratios = values[..., 1:] / values[..., :-1]
    if is_original(fidelity) and measure in ("redundancy", "non_redundancy"):
        ratios = ratios[..., 1:]
    known = ~np.isnan(ratios)
    with np.errstate(invalid="ignore"):
        mean = np.where(known, ratios, 0).sum(axis=-1) / known.sum(axis=-1)
    return mean if mean.ndim else float(mean)
