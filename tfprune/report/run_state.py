"""The state of one run's folder: its experiment, which stages are done, and how training went."""
import os
from dataclasses import dataclass

from tfprune.experiment import UserError
from tfprune.files import parsed_json
from tfprune.report.configs import experiment_of
from tfprune.report.strangers import DONE, in_folder, strangers_in
from tfprune.report.unbelieved import json_object, last_epoch, last_error, names_in, number, outside, whole, written_at
from tfprune.run import STAGES, Run, standing
from tfprune.training.stopping import LOST

STATES = ("finished", "half-finished", "failed", "not trained", "damaged")


@dataclass(frozen=True)
class Entry:
    """A run in a results folder.

    Attributes:
      name: path below the results folder.
      state: one of STATES, all of them about training; "not trained" was measured all the same, with weights from elsewhere.
      reason: why it failed or what is damaged; what else there is to say of the run.
      run: a `Run`; None where its settings are unknown, as in "damaged".
      stages: names of those that are done, with the tag of an override.
      epochs, of: epochs so far (of a finished run the best one), and the most there can be; None where unknown.
      test, val: accuracies; None where unknown.
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
        names = names_in(folder, root)
        run = _run(folder, root, registry)
        done = _done(run, names, known)
        provenance = json_object(folder / "provenance.json") if "provenance.json" in names else {}
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
            for name, log in logs.items() if (error := last_error(log))]


def _run(folder, root, registry):
    run = Run(experiment_of(parsed_json((folder / "config.json").read_bytes(), folder / "config.json"), registry), root)
    if run.path != folder:
        raise UserError("config.json is that of another run")
    for path in map(run.csv, ("redundancy", "robustness")):
        if path.exists() and outside(path, root):
            raise UserError(f"csv/{path.name} is a link to what is outside the results folder")
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
    error, most = last_error(log), run.experiment.hyper.max_num_epochs
    if "train" not in done:
        return _unfinished(names.get("metrics.jsonl"), bool(done), error, log) | {"of": most}
    result, when = done["train"]["result"], provenance.get("train")
    stopped = str(result.get("stopped", ""))
    lost = stopped.startswith(LOST)
    newest = max(names[f"{stage}{DONE}"].stat().st_mtime for stage in done)
    later = f"a later stage failed: {error}" if error and log.stat().st_mtime >= newest else ""
    return {"state": "failed" if lost else "finished", "reason": stopped if lost else later, "of": most,
            "epochs": whole(result.get("best_epoch")), "test": _accuracy(result, "test"), "val": _accuracy(result, "val"),
            "finished": str(when.get("finished") or "")[:25] if isinstance(when, dict) else written_at(names[f"train{DONE}"])}


def _unfinished(metrics, measured, error, log):
    """The same of a run without a trained net; `metrics` is the os.DirEntry of its metrics.jsonl, None where there is none."""
    if metrics and error and log.stat().st_mtime < metrics.stat().st_mtime:
        error = ""  # it has been trained again since
    if error:
        state, reason = "failed", error
    elif measured and not metrics:
        state, reason = "not trained", "measured with weights from elsewhere"
    else:
        state, reason = "half-finished", ""
    return {"state": state, "reason": reason, "epochs": last_epoch(metrics) if metrics else 0}


def _accuracy(result, name):
    return number(result.get(name), "accuracy")
