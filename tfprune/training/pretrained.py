"""`train.py --pretrained`: the weights of an original study's checkpoint in place of a training, for all later stages to measure."""
import sys

import numpy as np

from tfprune.experiment import DATASETS, UserError
from tfprune.input import records
from tfprune.keras import keras
from tfprune.models import build_model
from tfprune.progress import say
from tfprune.training.checkpoints import Keeper
from tfprune.training.evaluate import Evaluator, final_figures, in_words
from tfprune.training.losses import build_loss
from tfprune.training.tf1_checkpoints import Tf1Checkpoint
from tfprune.training.tf1_names import NETS
from tfprune.training.train import remove_traces


class Pretrained:
    """The checkpoint that a command line asks for, for one run.

    Args:
      run: a `Run`.
      path: of the checkpoint (`Tf1Checkpoint`).
      overwrite: it may replace what the run holds.

    Raises:
      UserError: there is no checkpoint, or no study shares any of such a net.
    """

    def __init__(self, run, path, overwrite=False):
        if run.experiment.dnn.name not in NETS:
            raise UserError(f"--pretrained={path}: experiment {run.experiment.id} has the net {run.experiment.dnn.name or '(none)'}; "
                            f"checkpoints can be read of {', '.join(NETS)} (experiments 2-240 and 4000-4038)")
        self.run, self.overwrite, self.checkpoint = run, overwrite, Tf1Checkpoint(path)

    def read(self):
        """Reads the checkpoint into the experiment's net, `self.model`; UserError where it does not fit or training is under way."""
        if not self.overwrite and Keeper(self.run, "last", 2).numbers():
            raise UserError(f"--pretrained={self.checkpoint.path}: {self.run.path} is being trained; --overwrite puts these weights in "
                            "its place, another --results_dir keeps both")
        keras.backend.clear_session()
        self.model = self.checkpoint.load_into(build_model(self.run.experiment), self.run.experiment)

    def keep(self, folder):
        """Keeps the weights as a training would keep its best ones; returns (checkpoint files, result) for the run's done marker."""
        experiment, best = self.run.experiment, Keeper(self.run, "best", 1, model=self.model)
        splits = {name: records.load(folder, name) for name in ("train", "val", "test")}
        loss = build_loss(experiment, self.model)
        figures = final_figures(experiment, Evaluator(experiment, self.model, loss), splits)
        remove_traces(self.run, Keeper(self.run, "last", 2), best)
        best.save(0)
        say(f"ID {experiment.id} train: weights of {self.checkpoint.path}; accuracy: {in_words(figures)}")
        _warn_of_missing_classes(experiment, splits["test"].labels)
        return best.files(0), {"pretrained": {"path": str(self.checkpoint.path), "sha256": self.checkpoint.sha256}, **figures}


def _warn_of_missing_classes(experiment, labels):
    """Encoded images are numbered by the class folders that are there; with fewer of them a checkpoint's numbers mean others."""
    examples, present = DATASETS[experiment.dataset.name], len(np.unique(labels))
    if examples.encoded and present < examples.classes - 1:
        say(f"only {present} of {examples.classes - 1} classes are in the test set: if training folders are missing too, the checkpoint "
            "numbers the classes otherwise, and its accuracy means nothing", sys.stderr)


def finished_with(marker, source=None):
    """What to add to the line that says that a run's training was finished before.

    Args:
      marker: the run's.
      source: the `Pretrained` that is asked for, or None.

    Raises:
      UserError: it was finished with other weights than those that are asked for.
    """
    before = marker["result"].get("pretrained")
    if source is not None and (before is None or before["sha256"] != source.checkpoint.sha256):
        done = "was trained" if before is None else f"holds the weights of {before['path']}"
        raise UserError(f"--pretrained={source.checkpoint.path}: {source.run.path} {done}; --overwrite puts these weights in their place, "
                        "another --results_dir keeps both")
    return f" with the weights of {before['path']}" if before else ""
