"""The width study's result: accuracy, prunability and redundancy against width, from the CSV files of finished runs.

One tidy table (a row for each experiment, quantity, set, layer and cross) feeds both the CSV and the figures.
"""
import dataclasses

import numpy as np
import pandas as pd

from tfprune import files
from tfprune.experiment import DATASETS, GROUPS, UserError, non_defaults
from tfprune.report import figures
from tfprune.units import growth

WIDEST, WIDEST_MLP = 4, 16  # width factors of the study's widest nets: units are counted as shares of theirs
# file name -> (quantity, set, title, y label, is its growth of interest)
FIGURES = {
    "train_accuracy": ("accuracy", "train", "Training accuracy", "accuracy [%]", False),
    "test_accuracy": ("accuracy", "test", "Test accuracy", "accuracy [%]", False),
    "prunability": ("prunability", "test", "Prunable: 80 % of answers stay without them", "prunable units [% of the widest net]", True),
    "redundancy": ("redundancy", "test", "Redundant: 95 % of the variance is in the others", "redundant units [% of the widest net]", True),
}


def report(runs, folder):
    """Writes the four figures and `width_study.csv` of the runs, prints a summary, and returns the paths."""
    fidelity = _common(runs, "measures under one fidelity", lambda experiment: experiment.measure.fidelity)
    classes = _common(runs, "data sets with one number of classes", lambda experiment: DATASETS[experiment.dataset.name].classes)
    widest = _common(runs, "nets of one kind, MLPs or others", _widest)
    references = {True: ("all units of the net (g = 2)", lambda width: width / widest), False: ("guessing", lambda width: 1 / classes)}
    table = tidy(runs)
    folder = files.writable_folder(folder, "--out")
    paths = [folder / "width_study.csv"]
    files.write(paths[0], table.to_csv(index=False))
    for name, (quantity, evaluation_set, title, ylabel, grows) in FIGURES.items():
        if quantity not in set(table.quantity):
            continue  # a regression has no accuracy
        factors = growth_factors(table, quantity, fidelity) if grows else {}
        notes = [f"growth when the width doubles: g = {g:.2f}" + (f"  {label}" if len(factors) > 1 else "")
                 for label, g in factors.items() if not np.isnan(g)]
        paths.append(folder / f"{name}.png")
        with files.atomic(paths[-1]) as temporary:
            figures.against_width(curves(table, quantity, evaluation_set), title, ylabel, temporary, grows, references[grows],
                                  "\n".join(notes))
    print(summary(table, fidelity))
    return paths


def _common(runs, what, value):
    """What `value(experiment)` gives for all runs; UserError where they differ, for they cannot share an axis."""
    values = {value(run.experiment) for run in runs}
    if len(values) > 1:
        raise UserError(f"--experiment_ids: a report is of {what}, not of {', '.join(map(str, sorted(values)))} at once")
    return values.pop()


def summary(table, fidelity="corrected"):
    """The means by curve and width as text, and below them the growth factors (above 2: faster than the net)."""
    columns = {name: (quantity, chosen) for name, (quantity, chosen, *_) in FIGURES.items() if quantity in set(table.quantity)}
    means = {name: table[(table.quantity == quantity) & (table["set"] == chosen)].groupby(["curve", "width_factor"]).value.mean()
             for name, (quantity, chosen) in columns.items()}
    lines = [pd.DataFrame(means).to_string(float_format=lambda value: f"{value:.4f}")]
    for quantity in ("prunability", "redundancy"):
        lines += [f"growth of {quantity} when the width doubles, {label}: g = {g:.2f}"
                  for label, g in growth_factors(table, quantity, fidelity).items() if not np.isnan(g)]
    return "\n".join(lines)


def tidy(runs):
    """The table of all runs.

    Columns: experiment_id, name, curve, width_factor, seed, quantity, set, layer, cross, value. `curve` says what sets the run's kind of
    net apart from the others'. Accuracy (squared_error in a regression) has no layer and cross; prunability is of all layers at once;
    redundancy is one value a layer.

    Raises:
      UserError: a run's CSV files are missing; it names the command that makes them.
    """
    labels = _curve_labels([run.experiment for run in runs])
    return pd.concat([_of_run(run, label) for run, label in zip(runs, labels, strict=True)], ignore_index=True)


def curves(table, quantity, evaluation_set="test"):
    """{label: (widths, means, standard deviations)} of a quantity, over seeds, crosses and layers."""
    chosen = table[(table.quantity == quantity) & (table["set"] == evaluation_set)]
    found = {}
    for label, rows in chosen.groupby("curve", sort=False):
        by_width = rows.groupby("width_factor").value
        found[label] = (by_width.mean().index.to_numpy(), by_width.mean().to_numpy(), by_width.std(ddof=0).to_numpy())
    return found


def growth_factors(table, quantity, fidelity="corrected"):
    """{label: g} of a quantity on the test set; NaN where a curve has no two widths of which one is twice the other."""
    factors = {}
    for label, (widths, means, _) in curves(table, quantity).items():
        doublings = np.log2(widths / widths[0])
        steps = np.round(doublings).astype(int)
        on_grid, exact = np.full(steps[-1] + 1, np.nan), np.isclose(doublings, steps)  # a missing width is a gap, not a neighbour
        on_grid[steps[exact]] = means[exact]
        factors[label] = growth.growth_factor(on_grid, quantity, fidelity) if len(on_grid) > 1 else float("nan")
    return factors


def _of_run(run, label):
    experiment = run.experiment
    redundancy, robustness = (_read(run, kind) for kind in ("redundancy", "robustness"))
    width, widest = experiment.dnn.neuron_multiplier, _widest(experiment)
    performance = "squared_error" if experiment.hyper.mse else "accuracy"
    rows = [*_performances(redundancy, performance), *_redundancies(redundancy, width, widest),
            *_prunabilities(robustness, width, widest, experiment.measure.fidelity)]
    table = pd.DataFrame(rows, columns=["quantity", "set", "layer", "cross", "value"])
    for place, (column, value) in enumerate({"experiment_id": experiment.id, "name": experiment.name, "curve": label,
                                             "width_factor": width, "seed": experiment.seed}.items()):
        table.insert(place, column, value)
    return table


def _widest(experiment):
    return WIDEST_MLP if experiment.dataset.name == "linear" else WIDEST


def _performances(redundancy, quantity):
    for evaluation_set, rows in redundancy.groupby("evaluation_set", sort=False):
        yield quantity, evaluation_set, None, None, rows.performance.iloc[0]


def _redundancies(redundancy, width, widest):
    """One energy is enough: compressability does not depend on it."""
    one_energy = redundancy[redundancy.preserved_energy == redundancy.preserved_energy.max()]
    for row in one_energy[one_energy.layer != "all"].itertuples():
        for quantity, function in (("redundancy", growth.redundancy), ("non_redundancy", growth.non_redundancy)):
            yield quantity, row.evaluation_set, row.layer, row.cross_validation, function([row.compressability_95], width, widest)


def _prunabilities(robustness, width, widest, fidelity):
    """A value a cross; the original's rule takes the best cross and so gives one value, under cross "max"."""
    chosen = robustness[(robustness.perturbation_layer == "all") & (robustness.perturbation_name == "Activation Knockout")]
    for evaluation_set, rows in chosen.groupby("evaluation_set", sort=False):
        by_cross = {cross: of_cross.sort_values("perturbation_amount").performance.to_numpy()
                    for cross, of_cross in rows.groupby("cross_validation")}
        if fidelity == "original":
            by_cross = {"max": np.stack(list(by_cross.values()))}
        for cross, curve in by_cross.items():
            for quantity, function in (("prunability", growth.prunability), ("non_prunability", growth.non_prunability)):
                yield quantity, evaluation_set, "all", cross, function(curve, width, widest, fidelity=fidelity)


def _read(run, kind):
    path = run.csv(kind)
    marker = run.marker(f"get_{kind}")
    if not path.exists() or (marker.exists() and marker.stat().st_mtime > path.stat().st_mtime):
        raise UserError(f"--experiment_id={run.experiment.id}: no up-to-date {path}; run: python pkl2csv_{kind}.py "
                        f"--experiment_id={run.experiment.id} (with the same --set, --seed, --fidelity, --streaming)")
    return pd.read_csv(path, quotechar="|")


def _curve_labels(experiments):
    """For each experiment, the settings other than the width in which the experiments differ, as text."""
    settings = []
    for experiment in experiments:
        fixed = dataclasses.replace(experiment, dnn=dataclasses.replace(experiment.dnn, neuron_multiplier=1.0))
        settings.append({f"{group}.{key}": value for group in GROUPS for key, value in non_defaults(getattr(fixed, group)).items()})
    keys = [key for key in dict.fromkeys(key for values in settings for key in values)
            if len({str(values.get(key)) for values in settings}) > 1]
    return [", ".join(f"{key.partition('.')[2]}={values[key]}" for key in keys if key in values) or experiment.dnn.name
            for values, experiment in zip(settings, experiments, strict=True)]
