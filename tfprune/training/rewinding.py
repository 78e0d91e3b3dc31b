"""Training that starts from what pruning leaves of another experiment's net: `training.start_from` with `training.pruning=unstructured`.

Of each hidden kernel of the trained net the share hyper.sparsity is cut, the smallest weights first, and stays 0. The rest is trained on
(Han et al. 2015); or, with `training.rewind`, from the weights, biases and averages that the net had after so many epochs, 0 being the
untrained one: a lottery ticket (Frankle & Carbin 2019; Frankle et al. 2020). The training is the experiment's own, schedule and all.
"""
import functools

import numpy as np

from tfprune.experiment import UserError
from tfprune.files import sha256
from tfprune.filters.bases import start_experiment, train_command
from tfprune.models import build_model
from tfprune.overrides import assign, override
from tfprune.pruning.counts import cut_all
from tfprune.run import Run
from tfprune.training.checkpoints import Keeper, load_trained
from tfprune.training.origin import check_start, train_from
from tfprune.training.pruned import prunable_kernels


class PrunedStart:
    """What is left of a trained net, from which one run's training starts.

    Args:
      run: a `Run`.
      registry: where the experiment is found that trained the net.
      overwrite: it may replace what the run holds.

    Attributes:
      base: the `Run` that trained the net, with the same data, seed and fidelity; where it is rewound to an epoch, one that keeps it.

    Raises:
      UserError: there is no such experiment.
    """

    trains = True

    def __init__(self, run, registry, overwrite=False):
        self.run, self.overwrite, self.title, self._training = run, overwrite, run.experiment.flag, run.experiment.training
        experiment, self._changes = start_experiment(run.experiment, registry)
        if self._training.rewind > 0:
            kept = f"training.save_every={self._training.save_every or self._training.rewind}"
            if assign(experiment, [kept]) != experiment:
                self._changes = [*self._changes, kept]
                experiment = override(registry[experiment.id], self._changes, run.experiment.seed, run.experiment.fidelity)
        self.base = Run(experiment, run.results_dir)

    @property
    def has_base(self):
        """Is that net trained?"""
        return self.base.done("train") is not None

    @property
    def origin(self):
        """What the run's done marker says of the net: whose it is, by the SHA-256 of that run's done marker."""
        marker = self.base.marker("train")
        return {"path": str(self.base.path), "sha256": sha256(marker) if marker.exists() else None}

    def read(self):
        """Finds out whether all fits, before anything is written; returns the net that training starts from.

        Raises:
          UserError: the net is not trained, not of the same shape, or was not kept after that epoch; or the run is being trained from
            another one.
        """
        check_start(self.run, self.overwrite, self)
        if not self.has_base:
            raise UserError(f"{self.title}: training.start_from={self._training.start_from} needs the trained net of "
                            f"{self.base.experiment.title} first; run: {self._command()}")
        model = build_model(self.run.experiment)
        ours, theirs = ([tuple(weight.shape) for weight in net.weights] for net in (model, self._trained))
        if ours != theirs:
            raise UserError(f"{self.title}: training.start_from={self._training.start_from} has the net {self.base.experiment.dnn.name} of "
                            f"other shape than the {self.run.experiment.dnn.name} here; weights need the same layers")
        model.set_weights(self._start)
        return model

    def keep(self, folder, micro_batch=None):
        """Trains; returns (files, result) for the run's done marker."""
        return train_from(self.run, folder, self.overwrite, self, micro_batch)

    def put_into(self, trainer):
        """Gives a `Trainer` the weights, and its regime what of the trained net is cut."""
        trainer.model.set_weights(self._start)
        scores = {path: np.abs(kernel.numpy()) for path, kernel in prunable_kernels(self._trained).items()}
        trainer.regime.cut(cut_all(scores, self.run.experiment.hyper.sparsity))

    @functools.cached_property
    def _trained(self):
        return load_trained(self.base, build_model(self.base.experiment))

    @functools.cached_property
    def _start(self):
        """The weights of the whole net before any is cut: trained ones, drawn ones, or those of an epoch."""
        epoch, net = self._training.rewind, build_model(self.base.experiment)
        if epoch < 0:
            return self._trained.get_weights()
        if epoch == 0:
            self._require_drawn()
        elif Keeper(self.base, "epoch", None, model=net).restore([epoch] if epoch in self._epochs() else []) is None:
            kept = ", ".join(map(str, self._epochs())) or "none"
            raise UserError(f"{self.title}: training.rewind={epoch}: {self.base.path} holds no weights after {epoch} epochs; those after "
                            f"{kept} are kept; rewind to one of them, or run: {self._command()} --overwrite")
        return net.get_weights()

    def _epochs(self):
        return sorted(Keeper(self.base, "epoch", None, model=self._trained).numbers())

    def _require_drawn(self):
        """UserError where the net started from weights that were not drawn; those of a net that was pruned before come from a drawn one."""
        started = self.base.done("train")["result"].get("pretrained")
        if started and self.base.experiment.training.pruning == "none":
            raise UserError(f"{self.title}: training.rewind=0: {self.base.path} started from the weights of {started['path']}, so its "
                            "untrained ones are not known; rewind to a later epoch")

    def _command(self):
        return train_command(self.base.experiment, self._changes)


def start_of(run, registry, overwrite=False):
    """The `PrunedStart` of a run whose experiment asks for one, else None.

    None too where it is trained and what it started from is not there any more.
    """
    training = run.experiment.training
    if training.pruning == "none" or training.start_from < 0:
        return None
    source = PrunedStart(run, registry, overwrite)
    return source if source.has_base or overwrite or run.done("train") is None else None
