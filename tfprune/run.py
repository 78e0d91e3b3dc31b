"""One experiment's directory: where its files are, which stages are done, and how a stage is run so that no crash can fool the next.

A stage is done when its marker `<stage>.done.json` exists, names the settings it was asked for and the very results of the stages
it was made from, and the files it lists are there. The marker is written last. Anything short of that is done again from the start
(training continues from its last checkpoint).
"""
import contextlib
import fcntl
import hashlib
import pathlib

from tfprune import flags, provenance
from tfprune.experiment import UserError
from tfprune.files import read_json, writable_folder, write_json
from tfprune.progress import say

# The `measure.` settings that decide a stage's files; overriding one of them renames those files and leaves the trained net alone.
ROWS = ("crosses", "max_rows", "fidelity")
SCORED = (*ROWS, "streaming")
STAGES = {"train": (), "get_activations": ROWS, "get_redundancy": SCORED, "get_robustness": (*SCORED, "amounts", "kinds")}


def asked(registry, positional=()):
    """The runs of the experiments that the command line asks for (`flags.experiments`), in order."""
    return [Run(experiment, flags.FLAGS.results_dir) for experiment in flags.experiments(registry, positional)]


class Run:
    """The directory `<results_dir>/<family>/<name>` of one experiment."""

    def __init__(self, experiment, results_dir):
        self.experiment = experiment
        self.results_dir = pathlib.Path(results_dir)
        self.path = self.results_dir / experiment.family / experiment.name

    def file(self, stage, name):
        """Path of a stage's file: `corr0.pkl` is `corr0+<hash8>.pkl` where an override of the measure decides its content."""
        stem, dot, suffix = name.rpartition(".")
        return self.path / f"{stem}{self.experiment.tag(*STAGES[stage])}{dot}{suffix}"

    def csv(self, kind):
        """Path of the exported table: `kind` is "redundancy" or "robustness"."""
        tag = self.experiment.tag(*STAGES[f"get_{kind}"])
        return self.results_dir / "csv" / self.experiment.family / f"{self.experiment.name}_{kind}{tag}.csv"

    def marker(self, stage):
        """Path of the stage's done marker."""
        return self.path / f"{stage}{self.experiment.tag(*STAGES[stage])}.done.json"

    def done(self, stage):
        """The content of the stage's marker, or None where the stage is not complete or what it was made from has changed.

        Raises:
          UserError: the stage was done with other settings than those asked for now.
        """
        path = self.marker(stage)
        if not path.exists():
            return None
        marker = read_json(path)
        if marker.get("settings") != self._settings(stage):
            raise UserError(f"{path}: made with other settings than experiment {self.experiment.id} has now; "
                            "--overwrite makes it again, another --results_dir keeps both")
        complete = all((self.path / name).exists() for name in marker["files"])
        current = all(self._digest(name) == digest for name, digest in marker["made_from"].items())
        return marker if complete and current else None

    def require(self, stage, script):
        """The marker of a stage that must come first; UserError with the command that runs it where it is missing."""
        marker = self.done(stage) if self.path.is_dir() else None
        if marker is None:
            raise UserError(f"--experiment_id={self.experiment.id}: {script} needs {stage} first; run: python {stage}.py "
                            f"--experiment_id={self.experiment.id} (with the same --set, --seed, --fidelity, --streaming)")
        return marker

    def execute(self, stage, work, records=None, needs=(), overwrite=False, dry_run=False):
        """Runs a stage of this run unless it is done already.

        Args:
          stage: name in STAGES.
          work: does the stage, given the folder of records; returns `(paths of its files, JSON-ready result)`.
          records: finds or builds the records and returns their folder; called before anything is written into the run.
          needs: stages that must be done.
          overwrite: do it again. dry_run: only say what would be done.

        Returns the stage's marker (None on a dry run).
        """
        for earlier in needs:
            self.require(earlier, stage)
        marker = None if overwrite else self.done(stage)
        if marker is not None:
            say(f"ID {self.experiment.id} {stage}: finished before ({self.path}); --overwrite does it again")
        elif dry_run:
            say(f"ID {self.experiment.id} {stage}: would run, into {self.path}")
        else:
            folder = records() if records else None
            writable_folder(self.path, "--results_dir")
            with self._lock():
                marker = self._work(stage, work, folder, needs)
            say(f"ID {self.experiment.id} {stage}: done ({self.path})")
        return marker

    def _work(self, stage, work, folder, needs):
        started = provenance.now()
        self.marker(stage).unlink(missing_ok=True)
        write_json(self.path / "config.json", self.experiment.settings())
        files, result = work(folder)
        self._record(stage, provenance.collect(started) | {"records": folder.name if folder else None, "seed": self.experiment.seed})
        names = sorted(str(path.relative_to(self.path)) for path in files)
        made_from = {self.marker(earlier).name: self._digest(self.marker(earlier).name) for earlier in needs}
        marker = {"stage": stage, "settings": self._settings(stage), "made_from": made_from, "result": result,
                  "files": {name: self._digest(name) for name in names}}
        write_json(self.marker(stage), marker)
        return marker

    def _digest(self, name):
        """SHA-256 (hex) of a file of this run; None where it is missing."""
        try:
            with open(self.path / name, "rb") as handle:
                return hashlib.file_digest(handle, "sha256").hexdigest()
        except FileNotFoundError:
            return None

    def _settings(self, stage):
        """What must not have changed for a finished stage to count."""
        measured = {name: getattr(self.experiment.measure, name) for name in STAGES[stage]}
        measured = {name: list(value) if isinstance(value, tuple) else value for name, value in measured.items()}
        return {"trained_hash": self.experiment.trained_hash(), "measure": measured}

    def _record(self, stage, entry):
        path = self.path / "provenance.json"
        stages = read_json(path) if path.exists() else {}
        write_json(path, stages | {stage + self.experiment.tag(*STAGES[stage]): entry})

    @contextlib.contextmanager
    def _lock(self):
        """Holds the run for this process; a second one leaves with one line. The kernel frees it when the owner dies."""
        with open(self.path / ".lock", "w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"{self.path}: another process is working on this run; wait for it to end") from None
            yield
