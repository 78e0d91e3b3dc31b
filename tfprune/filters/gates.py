"""What class-specific gates (CSG: H. Liang et al., ECCV 2020) say: the filters of each class, and how sparse the gates are."""
import numpy as np

from tfprune.experiment import UserError
from tfprune.filters.rankings import largest

WHICH = ("largest", "smallest")


def gate_filters(gates, top, which="largest"):
    """The filters of each class with the largest gates, largest first; of equal ones the lower filter comes first.

    Args:
      gates: [classes, filters].
      top: filters a class.
      which: "smallest" takes the smallest, ascending: the index file of akshaybadola/decomposing-the-deep and its comparisons have those,
        and so the filters that a class uses least (docs/fidelity.md).

    Returns:
      A `ClassFilters`.

    Raises:
      UserError: `gates`, `top` or `which` is not accepted.
    """
    gates = _matrix(gates)
    if isinstance(top, bool) or top != int(top) or not 1 <= top <= gates.shape[1]:
        raise UserError(f"top={top}: there are gates of {gates.shape[1]} filters; a whole number from 1 to {gates.shape[1]} is accepted")
    if which not in WHICH:
        raise UserError(f"gates={which}: expected {' or '.join(WHICH)}")
    return largest(gates if which == "largest" else -gates, int(top))


def l1_density(gates):
    """The mean size of a gate; 1 / classes where every filter serves one class alone."""
    return float(np.abs(_matrix(gates)).mean())


def filters_per_class(gates):
    """How many filters have their largest gate at each class: [classes] ints that add up to the number of filters."""
    gates = _matrix(gates)
    return np.bincount(gates.argmax(axis=0), minlength=len(gates))


def _matrix(gates):
    gates = np.asarray(gates, np.float64)
    if gates.ndim != 2 or not gates.size or not np.isfinite(gates).all():
        raise UserError(f"gates: finite numbers [classes, filters] are needed, not an array of shape {gates.shape} or with NaN")
    return gates
