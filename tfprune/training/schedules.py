"""The learning rate of every update, and when training ends: the recipes of `training.schedule`.

"decay" multiplies the rate by a factor every so many epochs and goes on to `hyper.max_num_epochs`, which bounds the others too.
"resnet_cifar" and "resnet_imagenet" are those of TensorFlow's official ResNets: the rate falls to a tenth after certain epochs.
"cosine" and "constant" are those of allenai/hidden-networks: one rate an epoch, rising over the first `training.warm_up` ones to the full
rate; a cosine then takes it towards 0, which the epoch after the last would have.
"milestones" multiplies the rate by `hyper.learning_rate_factor_per_decay` at half and at three quarters of all epochs, as
akamaster/pytorch_resnet_cifar10 does. "warm_restarts" (`restarts`) lets it fall and start again. `hyper.gated_rate` is a factor of any
rate in the gated epochs of training.trainer=csg.
"""
import math
from dataclasses import dataclass

from tfprune.experiment import UserError
from tfprune.training import restarts
from tfprune.training.gated import is_gated
from tfprune.training.optimizers import ADAM, ADAM_DEFAULT_RATE, OPTIMIZERS
from tfprune.training.restarts import cosine

FALLS = (1, 0.1, 0.01, 0.001)
CIFAR_IMAGES = 50_000  # an epoch as the original's CIFAR schedule counts it
MILESTONES = (1 / 2, 3 / 4)  # of all epochs
WARMED_UP = {"cosine": cosine, "constant": lambda share: 1.0}


@dataclass(frozen=True)
class Stairs:
    """A rate that falls to a tenth after each of the epochs in `falls`, and a training that ends after `end` epochs if that is set.

    It rises linearly, from 0 in the first update, over `warm_up` epochs. `per_images`: `hyper.learning_rate` is that of a batch of so
    many images, and grows with the batch.
    """

    falls: tuple
    end: int | None = None
    warm_up: int = 0
    per_images: int | None = None


STAIRS = {"resnet_cifar": Stairs(falls=(91, 136), end=182), "resnet_imagenet": Stairs((30, 60, 80), warm_up=5, per_images=256)}


class Schedule:
    """The schedule of one training.

    Args:
      experiment: an `Experiment`.
      updates_per_epoch: how many.
      passes: epochs in one pass over all records; 1, but 3 in the original's accumulated split.
      batch: images in a batch, where there are fewer than `hyper.batch_size`.
      full_batches: updates of an epoch that have a full batch; default: all.

    Attributes:
      epochs: after how many training ends. reason: why then, in words.

    Raises:
      UserError: `dnn.time_step` leaves no epoch.
    """

    def __init__(self, experiment, updates_per_epoch=1, passes=1.0, batch=None, full_batches=None):
        self.experiment, self.updates_per_epoch = experiment, updates_per_epoch
        self.full_batches = full_batches or updates_per_epoch
        self.batch = batch or experiment.hyper.batch_size
        self.stairs = STAIRS.get(experiment.training.schedule)
        self.epochs, self.reason = _length(experiment, self.stairs, passes)

    def rates(self, epoch, step, count):
        """The learning rates of `count` updates of an epoch, after `epoch` epochs and `step` updates: list of float."""
        return [self.rate(epoch, later) for later in range(step, step + count)]

    def rate(self, epoch, step=0):
        """The learning rate of the update after `epoch` epochs and `step` updates."""
        return self._scheduled(epoch, step) * (self.experiment.hyper.gated_rate if is_gated(self.experiment, epoch) else 1)

    def _scheduled(self, epoch, step):
        hyper, kind = self.experiment.hyper, self.experiment.training.schedule
        if kind == "warm_restarts":
            return self._rate(restarts.factor(self.experiment, epoch, step, self.updates_per_epoch, self.full_batches))
        if kind in WARMED_UP:
            return self._rate(self._of_the_epoch(epoch))
        if kind == "milestones":
            return self._rate(hyper.learning_rate_factor_per_decay ** sum(epoch >= share * hyper.max_num_epochs for share in MILESTONES))
        if self.stairs is None:
            return self._rate(hyper.learning_rate_factor_per_decay ** (epoch // hyper.num_epochs_per_decay))
        done = epoch * self.updates_per_epoch + step
        base = self.batch / self.stairs.per_images if self.stairs.per_images else 1
        risen = self.stairs.warm_up * self.updates_per_epoch
        if done < risen:
            return self._rate(base * done / risen)
        return self._rate(base * FALLS[sum(done >= fall for fall in self._falls())])

    def _of_the_epoch(self, epoch):
        """The factor of the rate in an epoch, of the schedules that have one an epoch; epochs count from 0."""
        warm_up, epochs = self.experiment.training.warm_up, self.experiment.hyper.max_num_epochs
        if epoch < warm_up:
            return (epoch + 1) / warm_up
        return WARMED_UP[self.experiment.training.schedule]((epoch - warm_up) / max(1, epochs - warm_up))

    def _falls(self):
        """How many updates come before each fall of the rate.

        The original's CIFAR schedule counts epochs of 50,000 images whatever it trains on, and as TensorFlow's piecewise_constant takes
        the earlier value at the boundary itself, one update more has the higher rate.
        """
        if self.stairs.end is not None and self.experiment.training.learning_rates == "original":
            batch = self.experiment.hyper.batch_size
            return [int(CIFAR_IMAGES / batch * epoch) + 1 for epoch in (*self.stairs.falls, self.stairs.end)]
        return [epoch * self.updates_per_epoch for epoch in self.stairs.falls]

    def _rate(self, factor):
        """The rate that the optimiser gets: the width study's adaptive ones take a tenth.

        The original never lowers that of adaptive ones and gives Adam 0.001 whatever the setting (`training.learning_rates=original`).
        """
        hyper = self.experiment.hyper
        if not OPTIMIZERS[hyper.optimizer][1]:
            return hyper.learning_rate * factor
        if self.experiment.training.learning_rates == "corrected":
            return hyper.learning_rate * factor / 10
        return ADAM_DEFAULT_RATE if hyper.optimizer == ADAM else hyper.learning_rate / 10


def _length(experiment, stairs, passes):
    """(epochs, why training ends after these); of stairs with an end, whichever comes first."""
    epochs, earlier = experiment.hyper.max_num_epochs, experiment.dnn.time_step
    reason = f"all {epochs} epochs done"
    if stairs is not None and stairs.end is not None:
        end = math.ceil(stairs.end * passes) if experiment.training.learning_rates == "original" else stairs.end
        if end <= epochs:
            epochs, reason = end, f"the schedule's {end} epochs are done"
    if earlier and epochs - earlier < 1:
        raise UserError(f"--set dnn.time_step={earlier}: training ends after {epochs} epochs, and {earlier} before that nothing is left; "
                        f"less than {epochs}, or more than hyper.max_num_epochs={experiment.hyper.max_num_epochs}, is needed")
    return epochs - earlier, f"{epochs - earlier} of {epochs} epochs done (dnn.time_step={earlier})" if earlier else reason
