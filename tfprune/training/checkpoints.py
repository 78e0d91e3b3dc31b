"""What training keeps on disk: the last state, from which it goes on, and the weights of the best epoch, which are measured; the
untrained weights too of nets that are trained as allenai/hidden-networks does, and those of every so many epochs where they are asked for.

Only variables are read from a checkpoint, into a net built from the registry; a damaged one is never an answer.
"""
import shutil

from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.models import build_model
from tfprune.progress import say
from tfprune.run import Run

# What TensorFlow raises on a checkpoint that is truncated, overwritten, or of another net.
DAMAGED = (tf.errors.OpError, ValueError, KeyError, AssertionError, IndexError, TypeError)
LATER = {"micro_batch"}  # what checkpoints of interrupted trainings may lack: it is tracked since there are families of VGGs


class Keeper:
    """Saves and restores one kind of checkpoint (`last`, `best`, `initial`, `epoch`) in its folder, as `<kind>-<number>`.

    Args:
      run: a `Run`.
      kind: the name.
      keep: how many are kept; None for all.
      tracked: what is in them, by name.
    """

    def __init__(self, run, kind, keep, **tracked):
        self.kind, self.folder, self.tracked = kind, run.path / "checkpoints" / kind, tracked
        self.checkpoint = tf.train.Checkpoint(**tracked)
        self.manager = tf.train.CheckpointManager(self.checkpoint, str(self.folder), max_to_keep=keep, checkpoint_name=kind)

    def save(self, number):
        """Writes a checkpoint; the same number again replaces it."""
        self.checkpoint.save_counter.assign(0)  # a resumed run has saved a different number of times, and must write the same bytes
        self.manager.save(checkpoint_number=number)

    def numbers(self):
        """Numbers of the checkpoints in the folder, newest first; from the files, as the index that TensorFlow keeps may be damaged."""
        names = [path.name.removesuffix(".index").rpartition("-")[2] for path in self.folder.glob(f"{self.kind}-*.index")]
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def restore(self, numbers=None):
        """Restores the first sound one of these checkpoints (default: all, newest first) and says which damaged ones it passed over.

        Returns its number, or None if there is no checkpoint, or only a damaged one of a training that had not begun.

        Raises:
          UserError: there are checkpoints, and all are damaged.
        """
        numbers = self.numbers() if numbers is None else numbers
        for number in numbers:
            path = self.folder / f"{self.kind}-{number}"
            try:
                self._as_saved(path).restore(str(path)).assert_existing_objects_matched()
                return number
            except DAMAGED:
                say(f"{path}: damaged checkpoint, passed over")
        if any(numbers) or (numbers and self.kind != "last"):
            raise UserError(f"{self.folder}: every checkpoint is damaged; train.py --overwrite trains again from the start")
        return None

    def _as_saved(self, path):
        """The checkpoint object without what an earlier version of tfprune did not save; that stays as it is."""
        saved = {name.partition("/")[0] for name, _ in tf.train.list_variables(str(path))}
        if saved.issuperset(LATER & self.tracked.keys()):
            return self.checkpoint
        return tf.train.Checkpoint(**{name: part for name, part in self.tracked.items() if name not in LATER})

    def remove_all_but(self, *numbers):
        """Removes the other checkpoints of this kind, and what a killed process left half-written; nothing else in the folder."""
        kept = tuple(f"{self.kind}-{number}." for number in numbers)
        for path in [*self.folder.glob(f"{self.kind}-*"), *self.folder.glob("checkpoint.tmp*")]:
            if path.is_dir() and path.name.endswith("_temp"):
                shutil.rmtree(path)
            elif path.is_file() and not path.name.startswith(kept):
                path.unlink()

    def files(self, *numbers):
        """The files of these checkpoints."""
        return [path for number in numbers for path in sorted(self.folder.glob(f"{self.kind}-{number}.*"))]


class Keepers:
    """The checkpoints of a training: `last` and `best`; and `initial` and those of every `training.save_every`-th epoch."""

    def __init__(self, run, trainer):
        self.trainer, self.every = trainer, run.experiment.training.save_every
        self.last = Keeper(run, "last", 2, **trainer.tracked())
        self.best, self.initial, self.epoch = (
            Keeper(run, kind, keep, model=trainer.model) for kind, keep in (("best", 1), ("initial", 1), ("epoch", None)))
        self.all = (self.last, self.best, self.initial, self.epoch)
        self.keeps_initial = self.every > 0 or run.experiment.like_hidden_networks

    def save_initial(self):
        """The weights before training, where they are kept."""
        if self.keeps_initial:
            self.initial.save(0)

    def save_last(self):
        """The state of training as it stands."""
        self.last.save(int(self.trainer.epoch) * self.trainer.updates_per_epoch + int(self.trainer.step))

    def save_epoch(self):
        """The weights after an epoch, where its turn has come."""
        epoch = int(self.trainer.epoch)
        if self.every and epoch and epoch % self.every == 0:
            self.epoch.save(epoch)

    def tidied(self):
        """Removes what is left over from on the way; returns the files that a finished training keeps."""
        trained = range(self.every, int(self.trainer.evaluated), self.every) if self.every else ()
        kept = ((self.last, self.last.numbers()[:1]), (self.best, [int(self.trainer.best_epoch)]),
                (self.initial, [0] if self.keeps_initial else []), (self.epoch, trained))
        for keeper, numbers in kept:
            keeper.remove_all_but(*numbers)
        return [path for keeper, numbers in kept for path in keeper.files(*numbers)]


def load_trained(run, model):
    """Puts the best epoch's weights of a trained run into `model`; UserError naming the checkpoint where it is damaged or missing."""
    if Keeper(run, "best", keep=1, model=model).restore() is None:
        raise UserError(f"{run.path / 'checkpoints' / 'best'}: no checkpoint; "
                        f"run: python train.py {run.experiment.flag} --overwrite")
    return model


def trained_model(experiment, results_dir):
    """The net of an experiment with the weights of its best epoch, from the run that train.py left in `results_dir`."""
    return load_trained(Run(experiment, results_dir), build_model(experiment))
