"""The state of one run's folder: its experiment, which stages are done, and how training went."""
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime

from tfprune.experiment import UserError
from tfprune.files import parsed_json
from tfprune.report.configs import experiment_of
from tfprune.report.strangers import DONE, in_folder, strangers_in
from tfprune.run import STAGES, Run, standing
from tfprune.training.stopping import LOST

STATES = ("finished", "half-finished", "failed", "damaged")
LARGEST = 2 ** 26  # bytes of a file of JSON that is read
TAIL = 4000  # bytes of a log


@dataclass(frozen=True)
class Entry:
    """A run in a results folder.

    Attributes:
      name: path below the results folder.
      state: one of STATES. "finished" and the others are about training.
      reason: why it failed or what is damaged; what else there is to say of the run.
      run: a `Run`; None where its settings are unknown, as in "damaged".
      stages: names of those that are done, with the tag of an override.
      epochs, of: epochs so far (of a finished run the best one), and the most there can be; None where unknown.
      test, val: accuracies; parameters: of the net; each None where unknown.
      finished: when training was (ISO 8601); "" where unknown.
      provenance: {stage: JSON object}.
    """

    name: str
    state: str
    reason: str = ""
    run: Run | None = None
    stages: tuple = ()
    epochs: int | None = None
    of: int | None = None
    test: float | None = None
    val: float | None = None
    parameters: int | None = None
    finished: str = ""
    provenance: dict | None = None

    @property
    def trained(self):
        """Has it a trained net with results?"""
        return self.run is not None and "train" in self.stages


def entry(folder, root, registry, known, strangers, log):
    """The `Entry` of a run's folder.

    Args:
      folder, root: paths of it and of the results folder, which it is in.
      registry: a `Registry`.
      known: as of `run.standing`, shared by all calls.
      strangers: {path: why it is left out}, which this adds to.
      log: path of its sweep's log; None where there is none.
    """
    name = os.fsencode(folder.relative_to(root)).decode(errors="replace")
    run = None
    try:
        names = _names(folder)
        run = _run(folder, root, registry)
        done = _done(run, names, known)
        provenance = _object(folder / "provenance.json") if "provenance.json" in names else {}
        made = _made(run, names, done, provenance, log)
    except UserError as problem:
        return Entry(name, "damaged", in_folder(problem, folder), run)
    except OSError as problem:
        return Entry(name, "damaged", problem.strerror or "cannot be read", run)
    strangers.update({f"{name}/{file}": why for file, why in strangers_in(folder, names, done).items()})
    return Entry(name, run=run, stages=tuple(done), provenance=provenance, **made)


def never_begun(logs, root, registry):
    """Entries of runs that failed before they had a folder, of {path below the results folder: log}."""
    by_name = {f"{experiment.family}/{experiment.name}".lstrip("/"): experiment for experiment in registry.values()} if logs else {}
    return [Entry(name, "failed", error, Run(by_name[name], root) if name in by_name else None)
            for name, log in logs.items() if (error := _error(log))]


def _names(folder):
    """{name: os.DirEntry} of what is in the folder; UserError where what must be a file is none, or far too large."""
    with os.scandir(folder) as scanned:
        names = {entry.name: entry for entry in scanned}
    for name, found in names.items():
        if name.endswith((".json", ".jsonl", ".pkl")) and not found.is_file():
            raise UserError(f"{name} is no file")
        if name.endswith((".json", ".jsonl")) and found.stat().st_size > LARGEST:
            raise UserError(f"{name} is too large to be ours")
    return names


def _run(folder, root, registry):
    run = Run(experiment_of(parsed_json((folder / "config.json").read_bytes(), folder / "config.json"), registry), root)
    if run.path != folder:
        raise UserError("config.json is that of another run")
    return run


def _done(run, names, known):
    """{stage, with its tag: content of the marker} of what is done, as STAGES has it in order; of no stage of ours nothing."""
    order, stages = list(STAGES), {}
    for name in (name for name in names if name.endswith(DONE)):
        stage = name.removesuffix(DONE)
        if stage.partition("+")[0] in STAGES and (marker := standing(run.path / name, known)):
            stages[stage] = marker
    if "train" in stages:
        run.done("train", known)
    elif f"train{DONE}" in names:
        raise UserError(f"train{DONE}: files that it lists are missing; train again")
    return {stage: stages[stage] for stage in sorted(stages, key=lambda stage: (order.index(stage.partition("+")[0]), stage))}


def _made(run, names, done, provenance, log):
    """What training has come to: fields of `Entry`."""
    most, when = run.experiment.hyper.max_num_epochs, provenance.get("train")
    error = _error(log)
    if "train" not in done:
        epochs = _epochs(run.path / "metrics.jsonl") if "metrics.jsonl" in names else 0
        return {"state": "failed" if error else "half-finished", "reason": error, "epochs": epochs, "of": most}
    result = done["train"]["result"]
    stopped, best, summary = str(result.get("stopped", "")), result.get("best_epoch"), result.get("summary")
    lost = stopped.startswith(LOST)
    newest = max(names[f"{stage}{DONE}"].stat().st_mtime for stage in done)
    later = f"a later stage failed: {error}" if error and log.stat().st_mtime >= newest else ""
    return {"state": "failed" if lost else "finished", "reason": stopped if lost else later, "of": most,
            "epochs": best if type(best) is int else None, "test": _accuracy(result, "test"), "val": _accuracy(result, "val"),
            "parameters": _number(summary, "parameters"),
            "finished": str(when.get("finished") or "")[:25] if isinstance(when, dict) else _time(names[f"train{DONE}"])}


def _epochs(path):
    """The last epoch in a metrics.jsonl, without torn lines; 0 where there is none."""
    for line in reversed(path.read_text(errors="replace").splitlines()):
        try:
            epoch = json.loads(line)["epoch"]
        except (ValueError, TypeError, LookupError, RecursionError):
            continue
        if type(epoch) is int:
            return epoch
    return 0


def _object(path):
    value = parsed_json(path.read_bytes(), path)
    if not isinstance(value, dict):
        raise UserError(f"{path.name}: damaged (a JSON object is expected)")
    return value


def _error(log):
    """The last line of a sweep's log where it is an error's; "" otherwise."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            lines = file.read().decode(errors="replace").split("\n")
    except (OSError, TypeError):  # the last of None
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return last.removeprefix("error:").strip()[:300] if last.startswith("error:") else ""


def _accuracy(result, name):
    return _number(result.get(name), "accuracy")


def _number(values, name):
    value = values.get(name) if isinstance(values, dict) else None
    return value if type(value) in (int, float) else None


def _time(found):
    return datetime.fromtimestamp(found.stat().st_mtime, UTC).isoformat(timespec="seconds")
