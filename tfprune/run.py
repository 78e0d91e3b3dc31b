"""One experiment's directory: where its files are, which stages are done, and how a stage is run so that no crash can fool the next.

A stage is done when its marker `<stage>.done.json` exists, names the settings it was asked for and the very results of the stages
it was made from, and the files it lists are there. The marker is written last. Anything short of that is done again from the start
(training continues from its last checkpoint).
"""
import contextlib
import fcntl
import functools
import hashlib
import os
import pathlib
import stat

from tfprune import flags, provenance
from tfprune.experiment import UserError
from tfprune.files import parsed_json, read_json, remove_unfinished, sha256, writable_folder, write_json
from tfprune.progress import say

# The `measure.` settings that decide a stage's files; overriding one of them renames those files and leaves the trained net alone.
ROWS = ("crosses", "max_rows", "fidelity")
SCORED = (*ROWS, "streaming")
FOUND = ("augmented", "layer")
OF_FILTERS = {"indices": FOUND, "validate": FOUND, "essential": (*FOUND, "noise", "draws"), "mutual_info": (*FOUND, "draws"),
              "curve": ("augmented", "tops", "draws"), "psi": ("layer",), "selectivity": ("layer",),
              "csg": ("augmented", "gates", "tops", "noise", "draws")}  # of decompose.py
RANKED = ("criterion", "scope", "excluded", "renormalised", "fidelity")
OF_PRUNING = {"prune": ("sparsities", "prune_by", *RANKED), "shrink": ("cut", "formats", *RANKED)}
STAGES = {"train": (), **OF_PRUNING, **OF_FILTERS, "get_activations": ROWS, "get_redundancy": SCORED,
          "get_robustness": (*SCORED, "amounts", "kinds")}


def standing(path, known=None):
    """The content of a done marker; None where it or one of its files is missing, or a stage it was made from has changed since.

    `known` is a dictionary that several calls may share, so that no marker is read twice: sweeps ask for thousands.

    Raises:
      UserError: the marker is damaged.
    """
    known, path = {} if known is None else known, str(path)
    if path not in known:
        known[path] = _standing(path, known)
    return known[path]


def _standing(path, known):
    content = _content(path, known)
    if content is None:
        return None
    marker, folder = parsed_json(content, path), os.path.dirname(path)
    if not isinstance(marker, dict) or not all(isinstance(marker.get(name), dict) for name in ("settings", "result", "files", "made_from")):
        raise UserError(f"{path}: damaged (not a done marker); remove it and run the stage again")
    elsewhere = marker["files"].keys() - _names(folder, "", known)
    complete = all(name in _names(folder, below, known) for below, _, name in (path.rpartition("/") for path in elsewhere))
    sources = [(os.path.join(folder, name), digest) for name, digest in marker["made_from"].items()]
    return marker if complete and all(_is_as_before(source, digest, known) for source, digest in sources) else None


def _is_as_before(path, digest, known):
    """Does a stage's marker still say what it said when another stage was made from it?"""
    content = _content(path, known)
    return content is not None and hashlib.sha256(content).hexdigest() == digest and standing(path, known) is not None


def _names(folder, below, known):
    """What there is in a folder `below` another; read once, which is sooner than to ask for each of its files."""
    key = ("names", folder, below)
    if key not in known:
        try:
            with os.scandir(os.path.join(folder, below)) as entries:
                known[key] = {entry.name for entry in entries if not entry.is_symlink() or os.path.exists(entry.path)}
        except (FileNotFoundError, NotADirectoryError, ValueError):  # the last of a name that no file can have
            known[key] = set()
    return known[key]


def _content(path, known):
    """The bytes of a file, read once; None where there is none, or something else, which might have no end."""
    key = ("content", path)
    if key not in known:
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                known[key] = file.read() if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
        except (FileNotFoundError, NotADirectoryError, ValueError):  # the last of a name that no file can have
            known[key] = None
    return known[key]


def asked(registry, positional=(), more=()):
    """The runs of the experiments that the command line asks for (`flags.experiments`, also for the arguments), in order."""
    if set("*?[]") & set(flags.FLAGS.results_dir):
        raise UserError(f"--results_dir={flags.FLAGS.results_dir}: TensorFlow cannot keep checkpoints in a path with any of * ? [ ]")
    return [Run(experiment, flags.FLAGS.results_dir) for experiment in flags.experiments(registry, positional, more)]


class Run:
    """The directory `<results_dir>/<family>/<name>` of one experiment."""

    def __init__(self, experiment, results_dir):
        self.experiment = experiment
        self.results_dir = pathlib.Path(results_dir)
        self.path = self.results_dir.joinpath(experiment.family, experiment.name)

    def file(self, stage, name):
        """Path of a stage's file: `corr0.pkl` is `corr0+<hash8>.pkl` where an override of the measure decides its content."""
        stem, dot, suffix = name.rpartition(".")
        return self.path / f"{stem}{self.experiment.tag(*STAGES[stage])}{dot}{suffix}"

    def csv(self, kind):
        """Path of the exported table: `kind` is "redundancy" or "robustness"."""
        tag = self.experiment.tag(*STAGES[f"get_{kind}"])
        return self.results_dir.joinpath("csv", self.experiment.family, f"{self.experiment.name}_{kind}{tag}.csv")

    def exported(self, kind):
        """Whether that table is there, and from after the run was last measured."""
        try:
            written = self.csv(kind).stat()
        except FileNotFoundError:
            return False
        try:
            return stat.S_ISREG(written.st_mode) and self.marker(f"get_{kind}").stat().st_mtime <= written.st_mtime
        except FileNotFoundError:
            return True

    def marker(self, stage):
        """Path of the stage's done marker."""
        return self.path / f"{stage}{self.experiment.tag(*STAGES[stage])}.done.json"

    def done(self, stage, known=None):
        """The content of the stage's marker, or None where the stage is not complete or what it was made from has changed.

        `known` is as of `standing`.

        Raises:
          UserError: the stage was done with other settings than those asked for now.
        """
        path = self.marker(stage)
        marker = standing(path, known)
        if marker is not None and marker["settings"] != self._settings(stage):
            raise UserError(f"{path}: made with other settings than {self.experiment.title} has now; "
                            "--overwrite makes it again, another --results_dir keeps both")
        return marker

    def require(self, stage, what):
        """The marker of the stage that `what` needs; UserError with the command that runs it where it is missing."""
        marker = self.done(stage)
        if marker is None:
            script = f"decompose.py {stage}" if stage in OF_FILTERS else f"{stage}.py"
            raise UserError(f"{self.experiment.flag}: {what} needs {stage} first; run: python {script} "
                            f"{self.experiment.flag} (with the same --set, --seed, --fidelity, --streaming)")
        return marker

    def done_from(self, stage, needs=()):
        """As `done`; None too where the stage was made from other stages than `needs`, which are as of `execute`."""
        marker = self.done(stage)
        return marker if marker and marker["made_from"].keys() == self._sources(needs).keys() else None

    def _sources(self, needs):
        """{path of a marker, as seen from this run's directory: its own path} of the stages that one is made from."""
        markers = [run.marker(stage) for run, stage in self._runs_of(needs)]
        return {os.path.relpath(marker, self.path): marker for marker in markers}

    def _runs_of(self, needs):
        return [(self, need) if isinstance(need, str) else need for need in needs]

    def execute(self, stage, work, records=None, needs=(), overwrite=False, dry_run=False, remark=None):
        """Runs a stage of this run unless it is done already.

        Args:
          stage: name in STAGES.
          work: does the stage, given the folder of records; returns `(paths of its files, JSON-ready result)`.
          records: finds or builds the records and returns their folder; called before anything is written into the run.
          needs: stages that must be done, of this run; of another as (run, stage).
          overwrite: do it again. dry_run: only say what would be done.
          remark: of a finished stage's marker, the words that follow `finished before`; raises UserError where what it finished is not
            what is asked for.

        Returns the stage's marker (None on a dry run).
        """
        for run, earlier in self._runs_of(needs):
            if not (dry_run and run.done(earlier) is None):
                run.require(earlier, stage)
        marker = None if overwrite else self.done_from(stage, needs)
        if marker is not None:
            words = remark(marker) if remark else ""
            say(f"{self.experiment.label} {stage}: finished before{words} ({self.path}); --overwrite does it again")
        elif dry_run:
            say(f"{self.experiment.label} {stage}: would run, into {self.path}")
        else:
            folder = records() if records else None
            self._check_records(folder, needs)
            writable_folder(self.path, "--results_dir")
            with self._lock():  # asked again: another process may have done it since
                marker = None if overwrite else self.done_from(stage, needs)
                if marker and remark:
                    remark(marker)
                marker = marker or self._work(stage, work, folder, needs)
            say(f"{self.experiment.label} {stage}: done ({self.path})")
        return marker

    def _check_records(self, folder, needs):
        """UserError where an earlier stage saw other records: the raw data have changed since."""
        for run, earlier in self._runs_of(needs):
            before = run.require(earlier, "this stage").get("records")
            if folder and before not in (None, folder.name):
                raise UserError(f"--data_dir: {earlier} of {run.experiment.title} used the records {before}, the data there now "
                                f"make {folder.name}; bring the data back, or: python {earlier}.py --overwrite")

    def _work(self, stage, work, folder, needs):
        started = provenance.now()
        remove_unfinished(self.path)
        self.marker(stage).unlink(missing_ok=True)
        write_json(self.path / "config.json", self.experiment.settings())
        files, result = work(folder)
        self._record(stage, provenance.collect(started) | {"records": folder.name if folder else None, "seed": self.experiment.seed})
        marker = {"stage": stage, "settings": self._settings(stage), "result": result, "records": folder.name if folder else None,
                  "made_from": {name: sha256(marker) for name, marker in self._sources(needs).items()},
                  "files": {str(path.relative_to(self.path)): sha256(path) for path in files}}
        write_json(self.marker(stage), marker)
        return marker

    def _settings(self, stage):
        """What must not have changed for a finished stage to count."""
        measured = {name: getattr(self.experiment.measure, name) for name in STAGES[stage]}
        measured = {name: list(value) if isinstance(value, tuple) else value for name, value in measured.items()}
        return {"trained_hash": self._trained_hash, "measure": measured}

    @functools.cached_property
    def _trained_hash(self):
        return self.experiment.trained_hash()

    def _record(self, stage, entry):
        path, stages = self.path / "provenance.json", {}
        with contextlib.suppress(UserError, FileNotFoundError):  # a damaged one is no reason to lose the stage's work
            stages = dict(read_json(path))
        write_json(path, stages | {stage + self.experiment.tag(*STAGES[stage]): entry})

    @contextlib.contextmanager
    def _lock(self):
        """Holds the run for this process; a second one leaves with one line. The kernel frees it when the owner dies."""
        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        with open(descriptor, "w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"{self.path}: another process is working on this run; wait for it to end") from None
            yield
