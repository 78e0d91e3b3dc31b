"""results.csv of the supermask study: a row a finished training, with the header and the formats of allenai/hidden-networks.

The original appends a row at the end of a run. Here the file is made anew from the done markers of all trainings, so that a process that
dies loses no row, and a training done again doubles none. "Prune Rate" is the share of weights that is kept, which is what the original's
layers take it for: as asked for, of sampled masks as counted in the end. "Val" is the validation set, and the test set where the
experiment validates on that.
"""
import contextlib
import datetime
import fcntl
import math
import pathlib

from tfprune import files
from tfprune.experiment import UserError
from tfprune.progress import say
from tfprune.recipe_words import STUDY
from tfprune.run import standing

HEADER = ("Date Finished", "Base Config", "Name", "Prune Rate", "Current Val Top 1", "Current Val Top 5", "Best Val Top 1",
          "Best Val Top 5", "Best Train Top 1", "Best Train Top 5")
FIGURES = ("current_val_top_1", "current_val_top_5", "best_val_top_1", "best_val_top_5", "best_train_top_1", "best_train_top_5")


def is_listed(experiment):
    """Is a training of this experiment a row?"""
    return experiment.study == STUDY


def summary(experiment, lines):
    """What a row needs of a training, JSON-ready: shares from 0 to 1, None for what was not counted.

    Args:
      experiment: an `Experiment`.
      lines: of its metrics.jsonl. The untrained net, epoch 0, is no result where there are others.
    """
    lines = [line for line in lines if line["epoch"]] or lines
    keep = lines[-1]["density"] if experiment.dnn.mask == "sampled" else experiment.hyper.keep

    def best(key):
        return max((line[key] for line in lines if line.get(key) is not None), default=None)

    figures = (lines[-1]["val_accuracy"], lines[-1].get("val_top_5"), best("val_accuracy"), best("val_top_5"), best("train_accuracy"),
               best("train_top_5"))
    return {"config": experiment.recipe or experiment.label, "name": experiment.name, "keep": keep,
            **dict(zip(FIGURES, figures, strict=True))}


def rebuild(results_dir):
    """Writes `<results_dir>/csv/hidden_networks/results.csv` from the done markers below `results_dir`; returns its path."""
    folder = files.writable_folder(pathlib.Path(results_dir) / "csv" / STUDY, "--results_dir")
    path = folder / "results.csv"
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # markers are read under it, so that the last to write has read them all
        rows = sorted(row for marker in pathlib.Path(results_dir).glob("*/*/train.done.json") for row in _row(marker))
        text = "".join(", ".join(row) + "\n" for row in (HEADER, *(row for _, row in rows)))
        if not path.exists() or path.read_text() != text:
            files.write(path, text)
    return path


def _row(path):
    """[(when it was finished, its row)] of the training with this done marker; [] where it is none of the study or not complete."""
    try:
        marker = standing(path)
    except UserError as problem:
        say(f"{problem} (it has no row in results.csv)")
        return []
    if marker is None or not isinstance(marker["result"], dict) or "summary" not in marker["result"]:
        return []
    result, finished = marker["result"]["summary"], _finished(path)
    percentages = [f"{math.nan if result[name] is None else 100 * result[name]:.02f}" for name in FIGURES]
    row = (finished.strftime("%m-%d-%y_%H:%M:%S"), _field(result["config"]), _field(result["name"]), f"{result['keep']:g}", *percentages)
    return [(finished, row)]


def _finished(path):
    """When the stage with this marker was finished, local time: as its provenance says, or its file."""
    with contextlib.suppress(UserError, OSError, KeyError, TypeError, ValueError):
        return datetime.datetime.fromisoformat(files.read_json(path.parent / "provenance.json")["train"]["finished"]).astimezone()
    return datetime.datetime.fromtimestamp(path.stat().st_mtime).astimezone()


def _field(text):
    """A field that stays one: quoted where it holds a comma, a quote or a line's end."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text
