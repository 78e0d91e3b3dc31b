"""The criteria by which weights and units are ranked, by name. A new one is one file, a line here, and its name in `settings.CRITERIA`.

What a criterion gives are scores: the lower, the sooner cut. Where they are about examples, units that are never anything but 0 have the
lowest of their layer.
"""
from tfprune.experiment import UserError
from tfprune.pruning.criteria.activation import Activation
from tfprune.pruning.criteria.apoz import APoZ
from tfprune.pruning.criteria.l1 import L1
from tfprune.pruning.criteria.l2 import L2
from tfprune.pruning.criteria.magnitude import Magnitude
from tfprune.pruning.criteria.net import Net
from tfprune.pruning.criteria.norm_scale import NormScale
from tfprune.pruning.criteria.random import Random
from tfprune.pruning.criteria.redundancy import Redundancy
from tfprune.pruning.criteria.taylor import Taylor

CRITERIA = {
    "magnitude": Magnitude(),
    "l1": L1(),
    "l2": L2(),
    "norm_scale": NormScale(),
    "activation": Activation(),
    "apoz": APoZ(),
    "taylor": Taylor(),
    "redundancy": Redundancy(),
    "random": Random(),
}


def criterion_named(name):
    """The `Criterion` of a name; UserError where there is none."""
    if name not in CRITERIA:
        raise UserError(f"criterion={name}: expected one of {', '.join(CRITERIA)}")
    return CRITERIA[name]


__all__ = ["CRITERIA", "Net", "criterion_named"]
