"""Redundancy: of units that say the same, one is enough."""
import numpy as np

from tfprune.pruning.criteria.criterion import Criterion

DEAD = -1.0  # the score of a unit that never changes
GONE = -1.0  # in place of the largest correlation of a unit that is cut
EQUAL = 1 + 1e-9  # variances that differ by less count as equal


class Redundancy(Criterion):
    """units: 1 - the |correlation| with the unit most like it of those that are still there when it is cut.

    Of the two units that are most alike one goes first, then of the two most alike among the rest, and so on, so that of two twins one
    stays. It is the one that varies less, for the other says the same and is heard better; of equal ones the later. Units that never
    change tell nothing and go before all others. Scores rise in the order of cutting.
    """

    name, ranks, needs_images = "redundancy", ("unit",), True

    def of_units(self, net):
        return {group.name: greedy(*net.correlation(group)) for group in net.ranked}


def greedy(correlation, variance):
    """The scores [units] of units with these correlations [units, units] and variances [units]; 0 is that of a dead one."""
    dead, alike = variance == 0, np.abs(correlation)
    alike = np.maximum(alike, alike.T)  # equal to the last bit
    np.fill_diagonal(alike, 0)
    alike[dead] = alike[:, dead] = 0
    nearest, largest = alike.argmax(axis=1), np.where(dead, GONE, alike.max(axis=1))
    scores = np.where(dead, DEAD, 1.0)
    for _ in range(np.count_nonzero(~dead) - 1):
        most_alike = np.flatnonzero(largest == largest.max())
        weak = variance[most_alike] <= variance[most_alike].min() * EQUAL
        out = most_alike[weak][-1]
        scores[out] = 1 - largest[out]
        alike[:, out], largest[out] = 0, GONE
        for unit in np.flatnonzero((nearest == out) & (largest != GONE)):
            nearest[unit] = alike[unit].argmax()
            largest[unit] = alike[unit, nearest[unit]]
    return scores
