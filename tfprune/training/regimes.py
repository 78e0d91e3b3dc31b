"""What is trained in which epoch, and what share of the weights a mask keeps then: `training.trainer` of an experiment.

"default": everything that the net trains, in every epoch. "ss": likewise, with hyper.score_penalty * sum of sigmoid(score) in the loss.
"lottery": for six epochs the net's weights under masks that keep all of them (`training.lottery_start=empty`: none), scores at rest;
from then on the scores at hyper.keep, weights at rest. After the three trainers of allenai/hidden-networks. With `training.keep_epochs`
the share kept falls from all to hyper.keep, over so many epochs from the first in which masks are sought (chrundle/biprop does so to keep
layers from running empty).
"""
from tfprune.keras import tf
from tfprune.masks.keeping import KeepOverAll
from tfprune.masks.layers import masked_layers

WEIGHTS = ("kernel", "depthwise_kernel", "bias", "gamma", "beta")  # what layers call what is not a score
LOTTERY_EPOCHS = 6


class Default:
    """Everything that the net trains, in every epoch.

    Args:
      experiment: an `Experiment`.
      model: its net, with all of its outputs.

    Attributes:
      masked: its masked layers. masks_from: the epoch, from 0, from which masks are sought.
    """

    masks_from = 0
    needs_scores = False

    def __init__(self, experiment, model):
        self.experiment, self.model, self.masked = experiment, model, masked_layers(model)
        self._over_all = KeepOverAll(model) if self.masked and experiment.dnn.keep_over == "all" else None

    @classmethod
    def settled(cls, experiment):
        """After how many epochs a net first holds the masks that it is trained for; nets before that are never the best one."""
        falling = experiment.training.keep_epochs
        return cls.masks_from + falling + 1 if cls.masks_from or falling else 0

    def phase(self, epoch):
        """A number that changes when what is trained does."""
        return int(epoch >= self.masks_from)

    def trained(self, phase):
        """The weights that are trained in a phase."""
        return list(self.model.trainable_weights)

    def penalty(self):
        """What the loss of an update holds besides the data's, scalar."""
        return 0.0

    def share(self, epoch):
        """The share of weights that masks keep in an epoch."""
        falling, keep = self.experiment.training.keep_epochs, self.experiment.hyper.keep
        fallen = min(1.0, (epoch - self.masks_from) / falling) if falling else 1.0
        return keep if fallen == 1 else 1 - (1 - keep) * fallen

    def begin(self, epoch):
        """Sets the share kept in an epoch; the same again where a resumed run is in its midst."""
        share = self.share(epoch)
        if self._over_all is not None:
            self._over_all.keep = share
        else:
            for layer in self.masked:
                layer.keep = share

    def refresh(self, update=None):
        """Follows the `update`-th update of training (scalar tensor), or new weights: rules redraw, one threshold for all is found."""
        if update is not None:
            for layer in self.masked:
                layer.rule.refresh(layer, update)
        if self._over_all is not None:
            self._over_all.refresh()

    def density(self):
        """The share of all masked layers' weights that their masks keep now; None without masks."""
        sizes = [layer.scores.shape.num_elements() for layer in self.masked]
        kept = sum(layer.density() * size for layer, size in zip(self.masked, sizes, strict=True))
        return kept / sum(sizes) if sizes else None


class SigmoidPenalty(Default):
    """Scores are pushed down by hyper.score_penalty times the sum of sigmoid(score), so that few weights are wanted."""

    needs_scores = True

    def penalty(self):
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


REGIMES = {"default": Default, "ss": SigmoidPenalty, "lottery": Lottery}
