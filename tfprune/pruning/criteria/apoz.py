"""The average percentage of zeros (Hu et al. 2016, Network Trimming)."""
from tfprune.pruning.criteria.criterion import Criterion


class APoZ(Criterion):
    """units: the share of activities that are not exactly 0, so that units with most zeros are cut first.

    Where as many are 0 the unit with the smaller mean |activity| goes first: it adds less than one activity would. So units that never
    are 0 (those of tanh, say) have an order too: that of `activation`.
    """

    name, ranks, needs_images = "apoz", ("unit",), True

    def of_units(self, net):
        activity = net.activity
        return (activity.nonzero + activity.mean / (1 + activity.mean)) / (activity.count + 1)
