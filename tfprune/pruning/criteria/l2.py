"""The L2 norm, by its own name."""
from tfprune.pruning.criteria.magnitude import Magnitude


class L2(Magnitude):
    """The same as `magnitude`, which the study calls so."""

    name = "l2"
