"""What training keeps on disk: the last state, from which it goes on, and the weights of the best epoch, which are measured.

Only variables are read from a checkpoint, into a net built from the registry; a damaged one is never an answer.
"""
import shutil

from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.progress import say

# What TensorFlow raises on a checkpoint that is truncated, overwritten, or of another net.
DAMAGED = (tf.errors.OpError, ValueError, KeyError, AssertionError, IndexError, TypeError)


class Keeper:
    """Saves and restores one kind of checkpoint (`last` or `best`) in its folder."""

    def __init__(self, run, kind, keep, **tracked):
        self.folder = run.path / "checkpoints" / kind
        self.checkpoint = tf.train.Checkpoint(**tracked)
        self.manager = tf.train.CheckpointManager(self.checkpoint, str(self.folder), max_to_keep=keep, checkpoint_name=kind)

    def save(self, number):
        """Writes a checkpoint; the same number again replaces it."""
        self.checkpoint.save_counter.assign(0)  # a resumed run has saved a different number of times, and must write the same bytes
        self.manager.save(checkpoint_number=number)

    def restore(self):
        """Restores the newest sound checkpoint and says which damaged one it passed over; returns its path, or None if there is none.

        Raises:
          UserError: there are checkpoints, and all are damaged.
        """
        found = list(reversed(self.manager.checkpoints))
        for path in found:
            try:
                self.checkpoint.restore(path).assert_existing_objects_matched()
                return path
            except DAMAGED:
                say(f"{path}: damaged checkpoint, passed over")
        if found:
            raise UserError(f"{self.folder}: every checkpoint is damaged; train.py --overwrite trains again from the start")
        return None

    def keep_newest(self):
        """Removes all but the newest checkpoint, and what a killed process left half-written."""
        newest = self.manager.latest_checkpoint
        for path in self.folder.iterdir():
            if path.name != "checkpoint" and not str(path).startswith(f"{newest}."):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def files(self):
        """The files of the newest checkpoint."""
        return sorted(self.folder.glob(f"{(self.manager.latest_checkpoint or '-').rpartition('/')[2]}.*"))


def load_trained(run, model):
    """Puts the best epoch's weights of a trained run into `model`; UserError naming the checkpoint where it is damaged or missing."""
    if Keeper(run, "best", keep=1, model=model).restore() is None:
        raise UserError(f"{run.path / 'checkpoints' / 'best'}: no checkpoint; "
                        f"run: python train.py --experiment_id={run.experiment.id} --overwrite")
    return model
