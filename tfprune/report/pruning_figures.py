"""The figures of one run of the study of pruning. Functions from tables to figures, 1200x400 pixels as the original's."""
import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfprune.report.axes import COLOURS, MARKERS

DPI = 100
SIZE = (12, 4)  # inches
SECONDARY = {"linestyle": "--", "alpha": 0.5}
BY = {"weight": "weights", "unit": "units"}


def loss_accuracy(lines, best_epoch, title=""):
    """Loss and accuracy of training and validation against epochs of training, with the epoch whose weights are pruned.

    Args:
      lines: of metrics.jsonl; the untrained net, epoch 0, is left out, for its loss would flatten the others.
      best_epoch: whose weights count.
    """
    lines = [line for line in lines if line["epoch"]]
    figure, (losses, accuracies) = _two_panels(title)
    penalised = any("penalty" in line for line in lines)
    for number, (name, label) in enumerate((("train", "training"), ("val", "validation"))):
        _curve(losses, lines, f"{name}_loss", label, number)
        _curve(accuracies, lines, f"{name}_accuracy", label, number, 100)
    if penalised:
        without = [line | {"val_loss": line["val_loss"] - line["penalty"]} for line in lines if line.get("val_loss") is not None]
        _curve(losses, without, "val_loss", "validation, without the penalty", 2)
    for axes, words in ((losses, "loss, with the penalty" if penalised else "loss"), (accuracies, "accuracy [%]")):
        axes.axvline(best_epoch, linestyle="--", color="grey", linewidth=1, label=f"epoch {best_epoch}: its weights are pruned")
        axes.set(xlabel="epoch", ylabel=words)
        axes.xaxis.set_major_locator(MaxNLocator(min(len(lines) + 1, 20), integer=True))
        axes.legend(fontsize="small")
    return figure


def against_sparsity(table, classes, title=""):
    """Loss and accuracy on the test set against sparsity, a curve for weights and for units, with the figures of guessing.

    Args:
      table: of the stage "prune" (tfprune/pruning/stage.py): by, sparsity, loss, loss_with_penalty, accuracy; accuracy_before where
        averages of batch normalisation were found anew.
      classes: how many there are; of a single output, a regression, nothing is said of guessing.
    """
    figure, (losses, accuracies) = _two_panels(title)
    penalised = not np.allclose(table.loss, table.loss_with_penalty, equal_nan=True)
    for number, (by, rows) in enumerate(table.sort_values("sparsity", kind="stable").groupby("by", sort=False)):
        style = {"color": COLOURS[number], "marker": MARKERS[number], "markersize": 4}
        losses.plot(100 * rows.sparsity, rows.loss, label=BY[by], **style)
        if penalised:
            losses.plot(100 * rows.sparsity, rows.loss_with_penalty, label=f"{BY[by]}, with the penalty", **style, **SECONDARY)
        accuracies.plot(100 * rows.sparsity, 100 * rows.accuracy, label=BY[by], **style)
        if "accuracy_before" in rows:
            accuracies.plot(100 * rows.sparsity, 100 * rows.accuracy_before, label=f"{BY[by]}, old averages", **style, **SECONDARY)
    for axes, guessing, label in ((losses, math.log(classes), f"guessing (ln {classes} = {math.log(classes):.3g})"),
                                  (accuracies, 100 / classes, f"guessing ({100 / classes:.3g} %)")):
        if classes > 1:
            axes.axhline(guessing, linestyle=":", color="grey", linewidth=1, label=label)
        axes.set(xlabel="sparsity [%]", xlim=(-2, 102), xticks=range(0, 101, 10))
        axes.legend(fontsize="small")
    losses.set(ylabel="test loss" if penalised else "test loss (there is no penalty)", ylim=(0, None))
    accuracies.set(ylabel="test accuracy [%]", ylim=(0, 103))
    return figure


def _two_panels(title=""):
    figure = Figure(figsize=SIZE, layout="constrained")
    every = figure.subplots(1, 2)
    for axes in every:
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    return figure, every


def _curve(axes, lines, name, label, number, scale=1):
    """A quantity against epochs, where it was measured."""
    values = [np.nan if line.get(name) is None else scale * line[name] for line in lines]
    if not np.isnan(values).all():
        axes.plot([line["epoch"] for line in lines], values, label=label, color=COLOURS[number], marker=MARKERS[number], markersize=4)
