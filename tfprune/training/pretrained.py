"""`train.py --pretrained` of nets that others trained: the weights of a checkpoint in place of a training, for later stages to measure."""
import sys

import numpy as np

from tfprune.datasets import DATASETS, classes
from tfprune.input import records
from tfprune.keras import keras
from tfprune.models import build_model
from tfprune.progress import say
from tfprune.training.checkpoints import Keeper
from tfprune.training.evaluate import Evaluator, final_figures, in_words
from tfprune.training.losses import build_loss
from tfprune.training.origin import check_start
from tfprune.training.train import remove_traces


class Pretrained:
    """The checkpoint that a command line asks for, for one run.

    Args:
      run: a `Run`.
      checkpoint: a `Tf1Checkpoint` or a `TorchCheckpoint`.
      overwrite: it may replace what the run holds.
    """

    trains = False

    def __init__(self, run, checkpoint, overwrite=False):
        self.run, self.overwrite, self.checkpoint = run, overwrite, checkpoint
        self.title = f"--pretrained={self.checkpoint.path}"

    @property
    def origin(self):
        """What the run's done marker says of the weights."""
        return {"path": str(self.checkpoint.path), "sha256": self.checkpoint.sha256}

    def read(self):
        """Reads the checkpoint into the experiment's net and returns it; UserError where it does not fit or training is under way."""
        check_start(self.run, self.overwrite, self)
        keras.backend.clear_session()
        self.model = self.checkpoint.load_into(build_model(self.run.experiment), self.run.experiment)
        return self.model

    def keep(self, folder):
        """Keeps the weights as a training would keep its best ones; returns (checkpoint files, result) for the run's done marker."""
        experiment, best = self.run.experiment, Keeper(self.run, "best", 1, model=self.model)
        splits = {name: records.load(folder, name) for name in ("train", "val", "test")}
        loss = build_loss(experiment, self.model)
        figures = final_figures(experiment, Evaluator(experiment, self.model, loss), splits)
        remove_traces(self.run, Keeper(self.run, "last", 2), best)
        best.save(0)
        say(f"{experiment.label} train: weights of {self.checkpoint.path}; accuracy: {in_words(figures)}")
        _warn_of_missing_classes(experiment, splits["test"].labels)
        return best.files(0), {"pretrained": self.origin, **figures}


def _warn_of_missing_classes(experiment, labels):
    """Encoded images are numbered by the class folders that are there; with fewer of them a checkpoint's numbers mean others."""
    shown, present = classes(experiment.dataset) - experiment.dataset.background, len(np.unique(labels))
    if DATASETS[experiment.dataset.name].encoded and present < shown:
        say(f"only {present} of {shown} classes are in the test set: if training folders are missing too, the checkpoint "
            "numbers the classes otherwise, and its accuracy means nothing", sys.stderr)
