"""Which runs of the MLP study its figures show: for each setting the learning rate that did best on VALIDATION, never on test.

The original kept its choice in a file that was not published, and the one piece of code that is left of it looks at test accuracy. Here
the judge is the validation accuracy of the epoch whose weights were kept, as `train.done.json` has it; of equals the lower ID is chosen.
"""
import math
import pathlib
from typing import NamedTuple

from tfprune import files
from tfprune.experiment import UserError
from tfprune.overrides import override
from tfprune.run import Run

FIRST, LAST = 247, 3246
PLACE = pathlib.Path("csv") / "frivolous_units" / "ids_mlps.json"  # below the results folder
SETTINGS = (("dimension", "examples", "optimizer", "init_factor", "width"), ("dimension", "examples", "optimizer", "width"))


class Selection(NamedTuple):
    """The chosen IDs, indexed as the original's: `selection[0]` the best learning rate, `selection[1]` the best start as well.

    Attributes:
      best_rate: {(seed, dimension, examples, optimizer, init_factor, width): ID}.
      best: {(seed, dimension, examples, optimizer, width): ID}. Of both, settings without a run are absent.
      candidates: ({(dimension, examples, optimizer, init_factor, width): [ID]}, the same without init_factor).
      seeds: those that were asked for.
    """

    best_rate: dict
    best: dict
    candidates: tuple
    seeds: tuple

    def id_of(self, index, seed, *setting):
        """The chosen ID, or the first candidate's where no run was chosen."""
        return self[index].get((seed, *setting), self.candidates[index][setting][0])


def select(registry, results_dir, seeds=(0,), fidelity="corrected"):
    """Chooses among the runs in `results_dir` and writes what it chose, and from what, into `PLACE` there.

    Args:
      registry: a `Registry` with the experiments 247-3246.
      results_dir: folder of the results; that some runs are missing is no fault.
      seeds: seeds of training; each is judged by itself.
      fidelity: of the runs to look at.

    Returns:
      A `Selection`.

    Raises:
      UserError: the file cannot be written.
    """
    selection, report = choose(registry, results_dir, seeds, fidelity)
    folder = files.writable_folder((pathlib.Path(results_dir) / PLACE).parent, "--results_dir")
    files.write_json(folder / PLACE.name, report)
    return selection


def choose(registry, results_dir, seeds=(0,), fidelity="corrected"):
    """The same without writing anything: (`Selection`, the content of the file)."""
    experiments = [experiment for experiment in registry.values() if FIRST <= experiment.id <= LAST]
    candidates = tuple({} for _ in SETTINGS)
    for experiment in experiments:  # in the order of IDs
        for groups, names in zip(candidates, SETTINGS, strict=True):
            groups.setdefault(_setting(experiment, names), []).append(experiment.id)
    chosen, entries = ({}, {}), []
    for seed in seeds:
        runs = {e.id: Run(override(e, seed=seed, fidelity=fidelity), results_dir) for e in experiments}
        verdicts = {number: validation_accuracy(run) for number, run in runs.items()}
        for found, groups, names in zip(chosen, candidates, SETTINGS, strict=True):
            for setting, ids in groups.items():
                entry = _judge(ids, verdicts)
                if entry["chosen"] is not None:
                    found[seed, *setting] = entry["chosen"]
                entries.append({"seed": seed} | dict(zip(names, setting, strict=True)) | entry)
    report = {"judged_by": "validation accuracy of the epoch that was kept; of equals the lower ID", "fidelity": fidelity,
              "best_learning_rate": [entry for entry in entries if "init_factor" in entry],
              "best_learning_rate_and_init_factor": [entry for entry in entries if "init_factor" not in entry]}
    return Selection(*chosen, candidates, tuple(seeds)), report


def validation_accuracy(run):
    """A trained run's validation accuracy in the epoch that was kept, or in words why it has none."""
    try:
        marker = run.done("train")
        if marker is None:
            return "incomplete" if run.marker("train").exists() else "missing"
        value = marker["result"]["val"]["accuracy"]
    except (UserError, KeyError, TypeError):
        return "damaged, or made with other settings"
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "no finite validation accuracy"
    return float(value)


def _judge(ids, verdicts):
    """What was chosen among the candidates, and what was known of each."""
    known = {number: verdicts[number] for number in ids if isinstance(verdicts[number], float)}
    chosen = min(known, key=lambda number: (-known[number], number), default=None)
    return {"chosen": chosen, "validation_accuracy": known.get(chosen), "considered": {str(number): known[number] for number in known},
            "missing": [number for number in ids if verdicts[number] == "missing"],
            "unusable": {str(number): verdicts[number] for number in ids if number not in known and verdicts[number] != "missing"}}


def _setting(experiment, names):
    values = {"dimension": experiment.dataset.dimension, "examples": experiment.dataset.num_train,
              "optimizer": experiment.hyper.optimizer, "init_factor": experiment.hyper.init_factor,
              "width": int(experiment.dnn.neuron_multiplier)}
    return tuple(values[name] for name in names)
