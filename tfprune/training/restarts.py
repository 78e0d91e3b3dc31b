"""A rate that falls along a cosine in cycles, update by update: SGDR (I. Loshchilov, F. Hutter, ICLR 2017).

The first cycle has `hyper.restart_epochs` epochs, each later one `hyper.restart_growth` times as many as that before; in each the rate
falls from the full one towards `hyper.least_rate`.
"""
import math


def cosine(share):
    """Half a cosine: 1 at 0, 0 at 1."""
    return 0.5 * (1 + math.cos(math.pi * share))


def factor(experiment, epoch, step, updates, full_batches):
    """What `hyper.learning_rate` is multiplied by after `epoch` epochs and `step` updates; 1 in a cycle's first update.

    MrtnMndt/Rethinking_CNN_Layerwise_Feature_Amounts (`training.restarts=late`) counts an epoch's updates from 1, measures them against
    those with a full batch, and sees that a cycle is over one update late; so it never has the full rate.

    Args:
      updates, full_batches: of an epoch; the latter leaves out a smaller last one.
    """
    hyper, late = experiment.hyper, experiment.training.restarts == "late"
    length, since = hyper.restart_epochs, epoch
    while since > length or since == length and not (late and step == 0):
        since, length = since - length, length * hyper.restart_growth
    since += (step + 1) / full_batches if late else step / updates
    least = hyper.least_rate / hyper.learning_rate
    return least + (1 - least) * cosine(since / length)
