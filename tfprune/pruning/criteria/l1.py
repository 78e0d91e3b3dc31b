"""The L1 norm (Li et al. 2017, Pruning Filters for Efficient ConvNets)."""
import numpy as np

from tfprune.pruning.criteria.criterion import Criterion


class L1(Criterion):
    """weights: |w|. units: the sum of |w| over all weights that lead into the unit, those of several layers together."""

    name = "l1"

    def of_units(self, net):
        return net.sum_by_unit({path: np.sum(np.abs(net.columns(path)), axis=0) for path in net.layers})
