"""The filters of a net in an order of each class's own, of which a class head of any size takes the first.

A ranking is an array [classes, filters] of places: 0 for the filter that a class would keep last of all.
"""
import numpy as np

from tfprune.experiment import UserError
from tfprune.filters.sets import ClassFilters


def by_value(values):
    """The ranking by values [classes, filters], largest first; of equal ones the lower filter comes first."""
    order = np.argsort(-np.asarray(values), axis=1, kind="stable")
    places = np.empty(order.shape, np.int32)
    np.put_along_axis(places, order, np.arange(order.shape[1], dtype=np.int32)[None], axis=1)
    return places


def at_random(classes, filters, seed):
    """A ranking of each class drawn on its own."""
    return np.random.default_rng(seed).permuted(np.tile(np.arange(filters, dtype=np.int32), (classes, 1)), axis=1)


def largest(values, top):
    """The `top` filters of each class with the largest values [classes, filters], a `ClassFilters`; of equal ones the lower comes first."""
    order = np.argsort(-np.asarray(values), axis=1, kind="stable")[:, :top]
    return ClassFilters({number: own.tolist() for number, own in enumerate(order)}, np.shape(values)[1], top=top)


def some_tops(filters):
    """1, 2, 3, 5, 10, 20, 30, 50, 100, .. below the number of filters, and that number."""
    steps = [digit * 10**power for power in range(6) for digit in (1, 2, 3, 5)]
    return [top for top in steps if top < filters] + [filters]


def whole_tops(tops, filters):
    """The numbers of filters asked for, in order, each once; UserError for one that is not from 1 to `filters`."""
    for top in tops:
        if isinstance(top, bool) or top != int(top) or not 1 <= top <= filters:
            raise UserError(f"tops: {top} is no number of filters; whole numbers from 1 to {filters} are accepted")
    return sorted({int(top) for top in tops})
