"""What is trained in which epoch, and what share of the weights a mask keeps then: the parts of all regimes (`regimes.REGIMES`)."""
import contextlib

from tfprune.masks.density import density_report
from tfprune.masks.keeping import KeepOverAll
from tfprune.masks.layers import masked_layers


class Default:
    """Everything that the net trains, in every epoch.

    Epochs that train the same things the same way are of one phase, 0 or 1.

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
        """After how many epochs a net first holds what it is trained for, such as its masks; nets before that are never the best one."""
        falling = experiment.training.keep_epochs
        return cls.masks_from + falling + 1 if cls.masks_from or falling else 0

    @classmethod
    def problem(cls, experiment):
        """What of an experiment's settings does not go with this regime, in words, or None."""

    def phase(self, epoch):
        """A number that changes when what is trained does."""
        return int(epoch >= self.masks_from)

    def trained(self, phase):
        """The weights that are trained in a phase."""
        return list(self.model.trainable_weights)

    def decaying(self, phase):
        """Those of them that weight decay may concern."""
        return self.trained(phase)

    def path(self, phase, labels):
        """A context in which the net is what it is in a phase, for a batch with these labels."""
        return contextlib.nullcontext()

    def weight(self, phase):
        """The factor of the data's loss in an update of a phase."""
        return 1.0

    def penalty(self, phase):
        """What the loss of an update of a phase holds besides the data's, scalar."""
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

    def plan(self, updates_per_epoch):
        """Learns how many updates an epoch has, before the first of them."""

    def tracked(self):
        """What of the regime's state a checkpoint of training must hold besides the net, by name."""
        return {}

    def refresh(self, phase=None, update=None):
        """Follows the `update`-th update of training (scalar tensor), one of a phase, or new weights (neither is given): rules redraw,
        one threshold for all is found."""
        if update is not None:
            for layer in self.masked:
                layer.rule.refresh(layer, update)
        if self._over_all is not None:
            self._over_all.refresh()

    def figures(self):
        """What a line of metrics says of the net besides its loss and accuracy: {name: number}."""
        return {"density": self.density()} if self.masked else {}

    def result(self):
        """What a finished training's done marker says of the net that is kept, by name: how many of a layer's weights its mask keeps."""
        if not self.masked:
            return {}
        report = density_report(self.model).iloc[:-1]
        return {"masks": {row.layer: {"weights": int(row.weights), "kept": int(row.kept)} for row in report.itertuples()}}

    def density(self):
        """The share of all masked layers' weights that their masks keep now; None without masks."""
        sizes = [layer.scores.shape.num_elements() for layer in self.masked]
        kept = sum(layer.density() * size for layer, size in zip(self.masked, sizes, strict=True))
        return kept / sum(sizes) if sizes else None
