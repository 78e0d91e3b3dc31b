"""A sweep's tasks: all stages of one run. What is done is known from the run's done markers, who is at it from a claim."""
import contextlib
import fcntl
import os
import pathlib
from collections.abc import Callable
from dataclasses import dataclass

from tfprune.files import writable_folder
from tfprune.run import Run


@dataclass(frozen=True)
class Stage:
    """A stage of a sweep.

    Attributes:
      name: as in --stages.
      done: function of (`Run`, `known` as of `run.standing`): is nothing left to do?
    """

    name: str
    done: Callable


@dataclass(frozen=True)
class Task:
    """The stages of one run, which one process does one after the other."""

    run: Run
    stages: tuple

    @property
    def label(self):
        """What it is called in a table: its ID and seed."""
        return f"{self.run.experiment.label} seed {self.run.experiment.seed}"

    @property
    def log(self):
        """Path of the file that gets all that its process says."""
        return self._beside(".log")

    def finished(self):
        """Are all of its stages done? UserError where one was done with other settings."""
        known = {}
        return all(stage.done(self.run, known) for stage in self.stages)

    @contextlib.contextmanager
    def claimed(self):
        """Yields whether the task was nobody's: then it is this process's within the block. The kernel frees it when its owner dies."""
        path = self._beside(".claim")
        writable_folder(path.parent, "--results_dir")
        with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def is_claimed(self):
        """Is another process at it?"""
        if not self._beside(".claim").exists():
            return False
        with self.claimed() as mine:
            return not mine

    def _beside(self, suffix):
        experiment = self.run.experiment
        return pathlib.Path(self.run.results_dir) / "sweep" / experiment.family / (experiment.name + suffix)
