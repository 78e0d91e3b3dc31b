"""`train.py --pretrained=FILE.pth`, `--resume=FILE.pth`: training starts from a checkpoint of allenai/hidden-networks, or goes on from it.

As in the original, `--pretrained` puts the weights and scores of a file in the place of the initial ones, and training follows; with
`--evaluate`, or `hyper.max_num_epochs=0`, it does not. `--resume` also takes the epoch and the state of the optimiser. The best figure so
far is counted anew: the file's is of the test images, and the weights that had it are not in the file.
"""
from tfprune.keras import keras
from tfprune.models import build_model
from tfprune.training.origin import check_start, train_from
from tfprune.training.regimes import Default
from tfprune.training.torch_checkpoints import TorchCheckpoint
from tfprune.training.torch_optimizers import Resumed


class TorchStart:
    """The checkpoint from which a command line asks that one run's training starts.

    Args:
      run: a `Run`.
      path: of the file.
      overwrite: it may replace what the run holds.
      resume: the original's training goes on, rather than one that starts from its weights.

    Raises:
      UserError: there is no such file, or no PyTorch.
    """

    trains = True

    def __init__(self, run, path, overwrite=False, resume=False):
        self.run, self.overwrite, self.resume = run, overwrite, resume
        flag = "--resume" if resume else "--pretrained"
        self.checkpoint, self.title = TorchCheckpoint(path, flag), f"{flag}={path}"

    @property
    def origin(self):
        """What the run's done marker says of the weights."""
        return {"path": str(self.checkpoint.path), "sha256": self.checkpoint.sha256, "resumed": self.resume}

    def read(self):
        """Finds out whether all fits, before anything is written; returns the experiment's net with the checkpoint's weights.

        Raises:
          UserError: it does not fit, or the run is being trained from other weights.
        """
        check_start(self.run, self.overwrite, self)
        keras.backend.clear_session()
        model = self.checkpoint.load_into(build_model(self.run.experiment), self.run.experiment)
        Default(self.run.experiment, model).refresh()  # one threshold for all layers, where there is such, follows from the scores
        if self.resume:
            Resumed(self.checkpoint, model, self.run.experiment)
        return model

    def keep(self, folder, micro_batch=None):
        """Trains; returns (files, result) for the run's done marker."""
        return train_from(self.run, folder, self.overwrite, self, micro_batch)

    def put_into(self, trainer):
        """Gives a `Trainer` the checkpoint's weights, and where it resumes its epoch and what its optimiser remembers."""
        self.checkpoint.load_into(trainer.model, self.run.experiment)
        if self.resume:
            Resumed(self.checkpoint, trainer.model, self.run.experiment).put_into(trainer)
