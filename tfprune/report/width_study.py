"""The width study's result, as report.py gives it: tables and figures of measured nets of any study, and a summary in text."""
import numpy as np
import pandas as pd

from tfprune import files
from tfprune.datasets import classes
from tfprune.report import exports, figures, tables, unit_tables
from tfprune.report.comparisons import Curve
from tfprune.report.sections.width import DISTURBED
from tfprune.report.together import common, curve_labels, first_curves
from tfprune.settings import KINDS

# file name -> (quantity, set)
SUMMARISED = {"train_accuracy": ("accuracy", "train"), "test_accuracy": ("accuracy", "test"), "prunability": ("prunability", "test"),
              "redundancy": ("redundancy", "test")}
FIGURES = SUMMARISED | {"train_squared_error": ("squared_error", "train"), "test_squared_error": ("squared_error", "test"),
                        "non_prunability": ("non_prunability", "test"), "non_redundancy": ("non_redundancy", "test")}
PANELS, VIOLINS = 12, 4  # curves of which perturbations, and correlations, are drawn


def measured(runs):
    """([(run, run)] of nets without masks for each time that their redundancy or robustness was exported; lines of what is left out)."""
    found, left_out = exports.of_units([run for run in runs if run.experiment.dnn.mask == "none"])
    return [(run, run) for run in found], left_out


def report(runs, folder, form="png", missing="error"):
    """Writes `width_study.csv` and the figures, of a form, of the runs, prints a summary, and returns the paths.

    Where there are perturbation curves and correlations these have a table and figures too.

    Args:
      missing: "error", or "gap": whether figures name the runs of which something was not exported; as of `tidy`.
    """
    fidelity = common(runs, "measures under one fidelity", lambda experiment: experiment.measure.fidelity)
    common(runs, "data sets with one number of classes", lambda experiment: classes(experiment.dataset))
    title = ", ".join(dict.fromkeys(f"{run.experiment.dnn.name} on {run.experiment.dataset.name}" for run in runs))
    table = tidy(runs, missing)
    written = {"width_study": table[table.quantity != "chance"]}
    shown, some = first_curves(table)
    drawn = {name: figures.against_width(shown, quantity, chosen, title + some, fidelity)
             for name, (quantity, chosen) in _drawn(table, FIGURES).items()}
    for more_tables, more_figures in (_perturbations(runs, table, title), _correlations(runs, table, title)):
        written |= more_tables
        drawn |= more_figures
    folder = files.writable_folder(folder, "--out")
    for name, rows in written.items():
        files.write(folder / f"{name}.csv", rows.to_csv(index=False))
    for name, figure in drawn.items():
        figures.save(figure, folder / f"{name}.{form}")
    print(summary(table, fidelity))
    return [folder / f"{name}.csv" for name in written] + [folder / f"{name}.{form}" for name in drawn]


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
             for name, (quantity, chosen) in _drawn(table, SUMMARISED).items()}
    lines = [pd.DataFrame(means).to_string(float_format=lambda value: f"{value:.4f}")]
    for quantity in ("prunability", "redundancy"):
        lines += [f"growth of {quantity} when the width doubles, {label}: g = {g:.2f}"
                  for label, g in tables.growth_factors(table, quantity, fidelity).items() if not np.isnan(g)]
    return "\n".join(lines)


def _perturbations(runs, table, title):
    """({"perturbations": table}, {"perturbation_<kind>": figure}) of what was exported."""
    found = _together(runs, table, PANELS, unit_tables.agreements)
    kinds = [kind for kind in KINDS if len(found) and kind in set(found.kind)]
    drawn = {}
    for kind in kinds:
        words, axis, factor = DISTURBED[kind][:3]
        drawn[f"perturbation_{kind}"] = figures.perturbation_curves(found[found.kind == kind], f"{words}: {title}", axis, factor)
    return ({"perturbations": found} if kinds else {}), drawn


def _correlations(runs, table, title):
    """The same of "correlations": of the nets' second unit layer, as in the study's figures, but where a net has one alone."""
    layer = unit_tables.correlated_layer(table)
    found = _together(runs, table, VIOLINS, unit_tables.correlations, curve=Curve(layer=layer))
    if not len(found) or found.value.isna().all():
        return {}, {}
    figure = figures.violins(found, f"Correlations between units: {title}", f"unit layer {layer + 1}")
    return {"correlations": found}, {"correlations": figure}


def _together(runs, table, most, table_of, **options):
    """The tables that `table_of(run, label, ...)` gives of the runs of the first curves, as one."""
    labels = dict(zip(table.name, table.curve, strict=True))
    chosen = list(dict.fromkeys(table.curve))[:most]
    return pd.concat([table_of(run, labels[run.experiment.name], **options) for run in runs if labels[run.experiment.name] in chosen],
                     ignore_index=True)


def _drawn(table, named):
    """The figures that the table has something for: a regression has no accuracy, and ImageNet's training set is not measured."""
    known = table[table.value.notna()]
    there = set(zip(known.quantity, known["set"], strict=True))
    return {name: what for name, what in named.items() if what in there}
