"""The mean activation, one of the criteria that Molchanov et al. 2017 compare."""
from tfprune.pruning.criteria.criterion import Criterion


class Activation(Criterion):
    """units: the mean of |activity| over all examples and positions, and over all places where units that live together are active."""

    name, ranks, needs_images = "activation", ("unit",), True

    def of_units(self, net):
        return net.activity.mean
