"""Sets of filters, one a class, as a matrix [classes, filters] of whether a class has a filter."""
import numpy as np

from tfprune.experiment import UserError
from tfprune.filters.rankings import at_random
from tfprune.filters.sets import ClassFilters, checked


def membership(index, units, classes=None):
    """An index, {class: [filter, ..]} with sets of any size, as bool [classes, units].

    Args:
      units: how many filters there are.
      classes: how many classes there must be; None for as many as the index has.

    Raises:
      UserError: the index holds filters of another number of features, or see `sets.checked`.
    """
    if getattr(index, "units", units) != units:
        raise UserError(f"index: holds filters of {index.units} features (of layer {index.layer}), not of {units}")
    sets = checked(index, len(index) if classes is None else classes, units)
    if not sets:
        raise UserError("index: has no classes")
    members = np.zeros((len(sets), units), bool)
    for number, own in sets.items():
        members[number, own] = True
    return members


def random_members(sizes, units, seed, draw):
    """Sets of these sizes drawn at random, bool [classes, units]; those of one draw depend on nothing else, the machine included."""
    return at_random(len(sizes), units, (seed, draw)) < np.asarray(sizes)[:, None]


def random_indices(index, units, draws, seed=0):
    """As many filters of each class as an index has, drawn at random: a list of `ClassFilters`, one a draw."""
    sizes = membership(index, units).sum(axis=1)
    drawn = (random_members(sizes, units, seed, draw) for draw in range(draws))
    return [ClassFilters({number: np.flatnonzero(own).tolist() for number, own in enumerate(members)}, units) for members in drawn]
