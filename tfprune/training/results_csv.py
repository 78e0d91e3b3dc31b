"""results.csv of the supermask study: a row a finished training, with the header and the formats of allenai/hidden-networks.

The original appends a row at the end of a run; here the file follows from the done markers (`finished`). "Prune Rate" is the share of
weights that is kept, which is what the original's layers take it for: as asked for, of sampled masks as counted in the end. "Val" is the
validation set, and the test set where the experiment validates on that.
"""
import contextlib
import datetime
import math

from tfprune import files
from tfprune.experiment import UserError
from tfprune.recipe_words import STUDY
from tfprune.training import finished

HEADER = ("Date Finished", "Base Config", "Name", "Prune Rate", "Current Val Top 1", "Current Val Top 5", "Best Val Top 1",
          "Best Val Top 5", "Best Train Top 1", "Best Train Top 5")
FIGURES = ("current_val_top_1", "current_val_top_5", "best_val_top_1", "best_val_top_5", "best_train_top_1", "best_train_top_5")


def summary(experiment, lines, result=None):
    """What a row needs of a training, JSON-ready: shares from 0 to 1, None for what was not counted.

    Args:
      experiment: an `Experiment`.
      lines: of its metrics.jsonl. The untrained net, epoch 0, is no result where there are others.
      result: of the training; nothing here needs it.
    """
    lines = [line for line in lines if line["epoch"]] or lines
    keep = lines[-1]["density"] if experiment.dnn.mask == "sampled" else experiment.hyper.keep

    def best(key):
        return max((line[key] for line in lines if line.get(key) is not None), default=None)

    figures = (lines[-1]["val_accuracy"], lines[-1].get("val_top_5"), best("val_accuracy"), best("val_top_5"), best("train_accuracy"),
               best("train_top_5"))
    return {"config": experiment.recipe or experiment.label, "name": experiment.name, "keep": keep,
            **dict(zip(FIGURES, figures, strict=True))}


def table(experiment=None):
    """The table that an experiment is in, one for all of the study: `hidden_networks/results.csv`."""
    return f"{STUDY}/results.csv"


def rebuild(results_dir, experiment=None):
    """Writes `<results_dir>/csv/hidden_networks/results.csv`; returns its path."""
    return finished.rebuild(results_dir, table(experiment), _row, _table)


def _table(rows):
    return "".join(", ".join(row) + "\n" for row in (HEADER, *rows))


def _row(marker, summary):
    """(when it was finished and its row, by which rows are sorted; its row) of a training of the study."""
    if "config" not in summary:
        return None
    percentages = [f"{math.nan if summary[name] is None else 100 * summary[name]:.02f}" for name in FIGURES]
    ended = _finished(marker)
    row = (ended.strftime("%m-%d-%y_%H:%M:%S"), _field(summary["config"]), _field(summary["name"]), f"{summary['keep']:g}", *percentages)
    return (ended, row), row


def _finished(path):
    """When the stage with this marker was finished, local time: as its provenance says, or its file."""
    with contextlib.suppress(UserError, OSError, KeyError, TypeError, ValueError):
        return datetime.datetime.fromisoformat(files.read_json(path.parent / "provenance.json")["train"]["finished"]).astimezone()
    return datetime.datetime.fromtimestamp(path.stat().st_mtime).astimezone()


def _field(text):
    """A field that stays one: quoted where it holds a comma, a quote or a line's end."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text
