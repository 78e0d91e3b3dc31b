"""Reads a TensorFlow 1 checkpoint of the original studies into one of our nets. Arrays are read from it, and nothing else."""
import functools
import glob
import pathlib

import numpy as np

from tfprune.experiment import UserError
from tfprune.files import sha256
from tfprune.keras import tf
from tfprune.training import tf1_names

UNREADABLE = (tf.errors.OpError, ValueError, LookupError, RuntimeError, TypeError, OSError)  # what TensorFlow raises on a damaged one


class Tf1Checkpoint:
    """A checkpoint on disk.

    Args:
      path: what its files' names begin with (`model-37` of `model-37.index` and `model-37.data-00000-of-00001`; or, as TensorFlow once
        wrote them, its only file), one of these files, or a folder whose newest checkpoint is meant.

    Attributes:
      path: what the files' names begin with.

    Raises:
      UserError: there is none.
    """

    def __init__(self, path):
        self.path = _prefix(pathlib.Path(path))
        self._title = f"--pretrained={self.path}"
        self._files = _files(self.path) if str(path) and self.path.name else []  # "." and "/" have no name, and begin none
        if not self._files:
            raise UserError(f"--pretrained={path}: no checkpoint there; give what the names of its .index and .data files begin with, "
                            "or their folder")

    @functools.cached_property
    def sha256(self):
        """SHA-256 (hex) of each of its files, by their endings ('' where it is one file); a checkpoint is the same under any name."""
        return {path.name.removeprefix(self.path.name): sha256(path) for path in self._files}

    def load_into(self, model, experiment):
        """Gives every variable of the experiment's net its value from here; returns the model.

        What else there is, such as an optimiser's variables or an auxiliary classifier, is left alone.

        Raises:
          UserError: the checkpoint cannot be read, lacks a variable, or has one that does not fit or is not finite.
        """
        try:
            reader = tf.train.load_checkpoint(str(self.path))
            shapes = reader.get_variable_to_shape_map()
        except UNREADABLE as error:
            raise self._damaged(error) from None
        net = f"{experiment.dnn.name} of {experiment.title}"
        pairs = list(tf1_names.variables(experiment.dnn.name, model, shapes))
        assert {id(variable) for variable, _ in pairs} == {id(variable) for variable in model.weights if variable.dtype.is_floating}
        for variable, name in pairs:
            if name not in shapes:
                raise UserError(f"{self._title}: has no variable {name}, so it is not of the net {net}")
            if list(variable.shape) != shapes[name]:
                raise UserError(f"{self._title}: {name} has the shape {tuple(shapes[name])}, that of {net} is {tuple(variable.shape)}; "
                                "a checkpoint of a net of the same width is needed")
        for variable, name in pairs:
            variable.assign(self._array(reader, name))
        return model

    def _array(self, reader, name):
        try:
            value = np.asarray(reader.get_tensor(name))
        except UNREADABLE as error:
            raise self._damaged(error) from None
        if not np.issubdtype(value.dtype, np.floating) or not np.isfinite(value).all():
            raise UserError(f"{self._title}: {name} holds values that are no finite numbers")
        return value.astype(np.float32)

    def _damaged(self, error):
        reason = str(getattr(error, "message", error)).strip().partition("\n")[0][:200]
        return UserError(f"{self._title}: cannot be read as a TensorFlow checkpoint, it is none or it is damaged ({reason})")


def _prefix(path):
    """What the names of the checkpoint's files begin with; of a folder, the newest one's."""
    if not path.is_dir():
        ending = next((ending for ending in (".index", ".meta", ".data-") if ending in path.name), None)
        return path.with_name(path.name.partition(ending)[0]) if ending and path.is_file() else path
    newest = tf.train.latest_checkpoint(str(path))
    if newest is not None:
        return pathlib.Path(newest)
    indices = sorted(path.glob("*.index"), key=lambda index: (index.stat().st_mtime, index.name))
    return indices[-1].with_suffix("") if indices else path


def _files(path):
    if path.is_file():
        return [path]
    data = sorted(path.parent.glob(f"{glob.escape(path.name)}.data-*"))
    index = path.with_name(path.name + ".index")
    return [index, *data] if index.is_file() else []
