"""What is trained in which epoch, and what share of the weights a mask keeps then: `training.trainer` of an experiment.

"default": everything that the net trains, in every epoch. "ss": likewise, with hyper.score_penalty * sum of sigmoid(score) in the loss.
"lottery": for six epochs the net's weights under masks that keep all of them (`training.lottery_start=empty`: none), scores at rest;
from then on the scores at hyper.keep, weights at rest. After the three trainers of allenai/hidden-networks. With `training.keep_epochs`
the share kept falls from all to hyper.keep, over so many epochs from the first in which masks are sought (chrundle/biprop does so to keep
layers from running empty).
"csg": class-specific gates (`gated`). "head": the class head alone. With `training.pruning` the default one prunes (`pruned`).
"""
from tfprune.keras import tf
from tfprune.models import without_auxiliary
from tfprune.models.heads import head_of
from tfprune.training.gated import Gated
from tfprune.training.pruned import Gradual, Pruned
from tfprune.training.regime import Default

WEIGHTS = ("kernel", "depthwise_kernel", "bias", "gamma", "beta")  # what layers call what is not a score
LOTTERY_EPOCHS = 6


class SigmoidPenalty(Default):
    """Scores are pushed down by hyper.score_penalty times the sum of sigmoid(score), so that few weights are wanted."""

    needs_scores = True

    def penalty(self, phase):
        return self.experiment.hyper.score_penalty * tf.add_n([tf.reduce_sum(tf.sigmoid(layer.scores)) for layer in self.masked])


class Lottery(Default):
    """First the weights, then the scores."""

    masks_from = LOTTERY_EPOCHS
    needs_scores = True

    def trained(self, phase):
        if phase:
            return [layer.scores for layer in self.masked]
        named = {id(getattr(layer, name, None)) for layer in self.model.submodules for name in WEIGHTS}
        return [weight for weight in self.model.weights if id(weight) in named]  # in the net's order

    def share(self, epoch):
        if epoch >= self.masks_from:
            return super().share(epoch)
        return 1.0 if self.experiment.training.lottery_start == "dense" else 0.0


class Head(Default):
    """The class head alone, on a net at rest: what normalises by the batch in training normalises by its running averages, which stay.

    Sets `trainable` of all other layers to False, so it must be there before what asks for the net's trainable weights.
    """

    def __init__(self, experiment, model):
        super().__init__(experiment, model)
        head = head_of(without_auxiliary(model))
        for layer in model.layers:
            layer.trainable = layer is head

    @classmethod
    def problem(cls, experiment):
        return "training.keep_epochs changes masks, which stay as they are; 0 is needed" if experiment.training.keep_epochs else None

    def refresh(self, phase=None, update=None):
        super().refresh()  # no rule redraws


REGIMES = {"default": Default, "ss": SigmoidPenalty, "lottery": Lottery, "csg": Gated, "head": Head}


def regime_of(experiment):
    """The class of an experiment's regime: what prunes while it trains, or trains what was pruned before, is one of its own."""
    training = experiment.training
    if training.pruning == "none":
        return REGIMES[training.trainer]
    return Pruned if training.start_from >= 0 else Gradual
