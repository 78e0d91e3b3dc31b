"""The CSV of a family of VGGs: a row a finished training, with the columns of MrtnMndt/Rethinking_CNN_Layerwise_Feature_Amounts, then ours.

A table is of runs that differ in where their features are and in nothing else: of one depth, data set and seed, and of one set of
overrides. The original appends to a table in memory and begins an empty one when it goes on; here the file follows from the done markers
(`finished`). Accuracies are in percent; "Val" is the validation set, and the test set where the experiment validates on that. Epochs count
from 0, the untrained net being none of them. "Mean", "Variance" and "Skew" are location, scale and shape of the distribution of features,
which is what the original means by them; "Parameters" is its count, "Trainable" the true one.
"""
import csv
import io
from dataclasses import replace

from tfprune import families
from tfprune.datasets import classes
from tfprune.training import finished

HEADER = ("", "Filters", "Parameters", "Mean", "Variance", "Skew", "BestVal", "BestValsTrain", "BestEpoch", "LastValPrec", "LastTrainPrec",
          "AllTrain", "AllVal", "ExperimentID", "Name", "Trainable", "MACs", "Test", "BestValTop5", "Stopped", "Seconds")
PLACE = ("location", "scale", "shape")


def summary(experiment, lines, result):
    """What a row needs of a training, JSON-ready: accuracies from 0 to 1, None for what was not counted; None for another net than a VGG.

    Args:
      experiment: an `Experiment`.
      lines: of its metrics.jsonl.
      result: of the training, for its done marker: `best_epoch`, `stopped`, and the figures of the weights that are kept.
    """
    if experiment.dnn.name != "VGG":
        return None
    from tfprune.models import multiply_adds_of, parameter_count  # here: a sweep asks where tables are, and waits for no TensorFlow
    from tfprune.models.vgg import features_of

    features, trained = features_of(experiment), [line for line in lines if line["epoch"]]
    spread = experiment.dnn.scale and not experiment.dnn.features
    best = [line for line in trained if line["epoch"] == result["best_epoch"]]
    return {"family": family(experiment), "id": experiment.id, "name": experiment.name, "features": list(features),
            "parameters": families.parameters(features, classes(experiment.dataset)), "trainable": parameter_count(experiment),
            "multiply_adds": multiply_adds_of(experiment), **{name: getattr(experiment.dnn, name) if spread else 0.0 for name in PLACE},
            "best_epoch": result["best_epoch"] - 1 if best else None, "best_top_5": best[0].get("val_top_5") if best else None,
            "train": [line["train_accuracy"] for line in trained], "val": [line["val_accuracy"] for line in trained],
            "test": result.get("test", {}).get("accuracy"), "stopped": result["stopped"]}


def family(experiment):
    """The name of an experiment's table: with the hash of what its runs share, where that is not as registered."""
    name = f"VGG{experiment.dnn.depth}_{experiment.dataset.name}_seed={experiment.seed}"
    shared = replace(experiment, dnn=replace(experiment.dnn, location=0.0, scale=0.0, shape=0.0, features=()))
    return f"{name}+{shared.trained_hash()[:8]}" if "+" in experiment.name else name


def table(experiment):
    """The table that an experiment is in: `<study>/<name>.csv`."""
    return f"{experiment.study}/{family(experiment)}.csv"


def rebuild(results_dir, experiment):
    """Writes `<results_dir>/csv/<study>/<name>.csv`, the table that an experiment is in; returns its path."""
    name = family(experiment)

    def row(marker, summary):
        if summary.get("family") != name:
            return None
        return (int(summary["id"]), str(summary["name"])), [*_row(summary), _seconds(marker)]

    return finished.rebuild(results_dir, table(experiment), row, _table)


def _table(rows):
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(HEADER)
    lines.writerows([number, *row] for number, row in enumerate(rows))
    return text.getvalue()


def _row(summary):
    """A row but for its number and seconds, as pandas would write it: numbers that are missing are empty."""
    train, val, best = [_percent(value) for value in summary["train"]], [_percent(value) for value in summary["val"]], summary["best_epoch"]

    def at(values, epoch):
        return values[epoch] if values and epoch is not None else None

    return ([float(width) for width in summary["features"]], float(summary["parameters"]), *(float(summary[name]) for name in PLACE),
            at(val, best), at(train, best), best, at(val, -1), at(train, -1), train, val,
            summary["id"], summary["name"], summary["trainable"], summary["multiply_adds"], _percent(summary["test"]),
            _percent(summary["best_top_5"]), summary["stopped"])


def _seconds(marker):
    """What training and evaluation took, without what a killed process lost; not in the marker, which is the same for every training."""
    from tfprune.training import metrics

    return round(sum(line.get("seconds") or 0.0 for line in metrics.read(marker.parent / "metrics.jsonl")), 1)


def _percent(share):
    return None if share is None else round(100 * share, 6)
