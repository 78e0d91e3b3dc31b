"""The magnitude: small weights are cut first (justincosentino/network-pruning, after Han et al. 2015)."""
import numpy as np

from tfprune.pruning.criteria.criterion import Criterion


class Magnitude(Criterion):
    """weights: |w|. units: the L2 norm of all weights that lead into the unit, those of several layers together."""

    name = "magnitude"

    def of_units(self, net):
        return np.sqrt(net.sum_by_unit({path: np.sum(net.columns(path) ** 2, axis=0) for path in net.layers}))
