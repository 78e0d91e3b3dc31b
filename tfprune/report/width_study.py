"""The width study's result, as report.py gives it: a table and four figures of the runs that were asked for, and a summary in text."""
import numpy as np
import pandas as pd

from tfprune import files
from tfprune.datasets import classes
from tfprune.report import figures, tables
from tfprune.report.together import common, curve_labels

# file name -> (quantity, set)
FIGURES = {"train_accuracy": ("accuracy", "train"), "test_accuracy": ("accuracy", "test"), "prunability": ("prunability", "test"),
           "redundancy": ("redundancy", "test")}


def report(runs, folder, form="png"):
    """Writes the figures, of a form, and `width_study.csv` of the runs, prints a summary, and returns the paths."""
    fidelity = common(runs, "measures under one fidelity", lambda experiment: experiment.measure.fidelity)
    common(runs, "data sets with one number of classes", lambda experiment: classes(experiment.dataset))
    table = tidy(runs)
    folder = files.writable_folder(folder, "--out")
    paths = [folder / "width_study.csv"]
    files.write(paths[0], table[table.quantity != "chance"].to_csv(index=False))
    for name, (quantity, evaluation_set) in _drawn(table).items():
        paths.append(folder / f"{name}.{form}")
        figures.save(figures.against_width(table, quantity, evaluation_set, fidelity=fidelity), paths[-1])
    print(summary(table, fidelity))
    return paths


def tidy(runs, missing="error"):
    """The tidy table (tfprune/report/tables.py) of all runs; `curve` says what sets the run's kind of net apart from the others'.

    Raises:
      UserError: a run's CSV files are missing, and `missing` is "error"; it names the command that makes them.
    """
    labels = curve_labels([run.experiment for run in runs], "dnn.neuron_multiplier")
    return pd.concat([tables.of_run(run, label, missing=missing) for run, label in zip(runs, labels, strict=True)], ignore_index=True)


def summary(table, fidelity="corrected"):
    """The means by curve and width as text, and below them the growth factors (above 2: faster than the net)."""
    means = {name: table[(table.quantity == quantity) & (table["set"] == chosen)].groupby(["curve", "width_factor"]).value.mean()
             for name, (quantity, chosen) in _drawn(table).items()}
    lines = [pd.DataFrame(means).to_string(float_format=lambda value: f"{value:.4f}")]
    for quantity in ("prunability", "redundancy"):
        lines += [f"growth of {quantity} when the width doubles, {label}: g = {g:.2f}"
                  for label, g in tables.growth_factors(table, quantity, fidelity).items() if not np.isnan(g)]
    return "\n".join(lines)


def _drawn(table):
    """The figures that the table has something for: a regression has no accuracy, and ImageNet's training set is not measured."""
    there = set(zip(table.quantity, table["set"], strict=True))
    return {name: what for name, what in FIGURES.items() if what in there}
