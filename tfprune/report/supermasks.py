"""The supermask study's result, as report.py gives it: accuracy against the share of weights kept, as a table and as figures.

A run counts once it is trained. Where its redundancy and robustness were exported too, they are in the table and have a figure.
"""
import numpy as np
import pandas as pd

from tfprune import files
from tfprune.datasets import classes
from tfprune.experiment import UserError
from tfprune.report import csvs, exports, mask_figures, scores, unbelieved
from tfprune.report.axes import COLOURS, MARKERS, legend_below, means, panels
from tfprune.report.figures import save
from tfprune.report.measured import readable
from tfprune.report.together import common, curve_labels, first_curves
from tfprune.units import growth

SETS = {"train": "Training", "test": "Test"}
STUDY = "hidden_networks"
UNITS = {"redundancy": "Redundant: 95 % of the variance is in the others", "prunability": "Prunable: 80 % of answers stay without them"}


def concerned(runs):
    """Those of the runs that have masks, and the nets without of the supermasks' study."""
    return [run for run in runs if is_masked(run) or run.experiment.study == STUDY]


def measured(runs):
    """([(run, run)] of nets with masks, and of those without in the supermasks' study; lines of what of them is left out)."""
    found, left_out = exports.as_registered(concerned(runs))
    found, refused = readable(found, lambda run: _result(run) and [(run, run)])
    return found, left_out + refused


def report(runs, folder, form="png"):
    """Writes `supermasks.csv` and the figures, of a form, of the runs, prints a summary, and returns the paths.

    Raises:
      UserError: a run is not trained, or they have different numbers of classes and cannot share an axis.
    """
    common(runs, "data sets with one number of classes", lambda experiment: classes(experiment.dataset))
    for run in runs:
        run.require("train", "the report")
    table = tidy(runs)
    folder = files.writable_folder(folder, "--out")
    files.write(folder / "supermasks.csv", table.to_csv(index=False))
    shown, some = first_curves(table)
    shown.attrs["title"] += some
    drawn = {"accuracy": accuracy(shown)}
    if shown[list(UNITS)].notna().to_numpy().any():
        drawn["units"] = units(shown)
    drawn |= layer_figures(runs, table.attrs["title"])
    paths = [folder / "supermasks.csv", *(folder / f"supermask_{name}.{form}" for name in drawn)]
    for path, figure in zip(paths[1:], drawn.values(), strict=True):
        save(figure, path)
    print(summary(table))
    return paths


def layer_figures(runs, title):
    """{name: figure} of what single layers of the runs with masks keep, and of their scores where training changed some."""
    masked, figures = [run for run in runs if is_masked(run)], {}
    labels = dict(zip(runs, curve_labels([run.experiment for run in runs], "hyper.keep"), strict=True))
    if masked:
        table = pd.concat([of_layers(run, labels[run], layers_of(run)) for run in masked], ignore_index=True)
        table.attrs["title"] = title
        figures["density"] = mask_figures.densities(table)
    scored = [run for run in masked if scores.has_scores(run.experiment) and scores.checkpoints(run)]
    if scored:
        table = scores.tidy(scored, [labels[run] for run in scored])
        table.attrs["title"] = title
        figures["scores"] = mask_figures.scores(table)
    return figures


def tidy(runs):
    """A row a run, ordered by curve and keep.

    Columns: experiment_id, name, curve (what tells it apart from the others but for keep), seed, keep (as asked for), weights (of the
    masked layers; of all in a net without), kept (of these, counted), density (kept / weights), at (where figures have it: at keep, or
    at the density where the rule takes no keep), best_epoch, train, val, test (accuracies from 0 to 1; NaN where there are no such
    examples), chance, redundancy, prunability (shares of the units, on the test set; NaN where not exported).
    """
    labels = curve_labels([run.experiment for run in runs], "hyper.keep")
    table = pd.concat([of_run(run, label, layers_of(run)) for run, label in zip(runs, labels, strict=True)], ignore_index=True)
    table.attrs["title"] = ", ".join(sorted({f"{run.experiment.dnn.name} on {run.experiment.dataset.name}" for run in runs}))
    return ordered(table)


def ordered(table):
    """A tidy table's rows by curve, keep and seed."""
    return table.sort_values(["curve", "keep", "seed"], kind="stable", ignore_index=True)


def layers_of(run):
    """What each masked layer of a trained net keeps: layer, weights, kept; a net without masks has one row, layer "all".

    It is in the done marker of a net with masks; of one that an earlier version trained it is counted in the net.

    Raises:
      UserError: the run is not trained, or its net cannot be read.
    """
    recorded = _result(run).get("masks")
    if recorded:
        return pd.DataFrame([{"layer": layer, **counts} for layer, counts in recorded.items()])
    from tfprune.masks.density import density_report
    from tfprune.masks.layers import masked_layers
    from tfprune.training.checkpoints import trained_model

    model = trained_model(run.experiment, run.results_dir)
    if masked_layers(model):
        return density_report(model).iloc[:-1][["layer", "weights", "kept"]]
    size = sum(weight.shape.num_elements() for weight in model.weights if "kernel" in weight.name)
    return pd.DataFrame([{"layer": "all", "weights": size, "kept": size}])


def of_layers(run, label, layers):
    """The rows of `layers_of` with the share kept, `density`, and what tells the run apart: experiment_id, curve, keep (of all layers
    together where the rule takes none), seed.
    """
    experiment = run.experiment
    keep = _at(experiment, layers.kept.sum() / layers.weights.sum())
    same = {"experiment_id": experiment.id, "curve": label, "keep": keep, "seed": experiment.seed}
    return layers.assign(density=layers.kept / layers.weights, **same)[[*same, *layers, "density"]]


def is_masked(run):
    """Whether the run's net has masks."""
    return run.experiment.dnn.mask != "none"


def accuracy(table):
    """Accuracy against the share of weights kept, training and test set; a tick under a point is the share that its mask really has."""
    figure, every = panels(len(SETS), table.attrs.get("title", ""))
    for axes, (chosen, title) in zip(every, SETS.items(), strict=True):
        for number, (label, rows) in enumerate(table.groupby("curve", sort=False)):
            _curve(axes, rows, chosen, label, number)
            axes.plot(100 * rows.density, np.full(len(rows), 1.5), "|", color=COLOURS[number % len(COLOURS)], markersize=9)
        chance = 100 * table.chance.iloc[0]
        axes.axhline(chance, linestyle="--", color="grey", linewidth=1, label=f"guessing ({chance:.2g} %)")
        axes.plot([], [], "|", color="grey", markersize=9, label="share the mask really keeps")
        axes.set(title=f"{title} accuracy", ylabel="accuracy [%]", ylim=(0, 103))
        _keep_axis(axes)
    return figure


def units(table):
    """Redundant and prunable units, as shares of the net's, against the share of weights kept."""
    figure, every = panels(len(UNITS), table.attrs.get("title", ""))
    for axes, (quantity, title) in zip(every, UNITS.items(), strict=True):
        for number, (label, rows) in enumerate(table.groupby("curve", sort=False)):
            _curve(axes, rows, quantity, label, number)
        axes.set(title=title, ylabel=f"{quantity} [% of the net's units]", ylim=(0, 103))
        _keep_axis(axes)
    return figure


def summary(table):
    """The table as text: shares of weights, and accuracies from 0 to 1."""
    columns = ["experiment_id", "curve", "keep", "kept", "density", "train", "val", "test", *UNITS]
    return table[columns].dropna(axis=1, how="all").to_string(index=False, float_format=lambda value: f"{value:.4f}")


def of_run(run, label, layers):
    """The row of one run in the tidy table, whose curve is `label`; `layers` as of `layers_of`."""
    experiment, result = run.experiment, _result(run)
    weights, kept = int(layers.weights.sum()), int(layers.kept.sum())
    accuracies = {chosen: result.get(chosen, {}).get("accuracy", np.nan) for chosen in ("train", "val", "test")}
    return pd.DataFrame([{
        "experiment_id": experiment.id, "name": experiment.name, "curve": label, "seed": experiment.seed, "keep": experiment.hyper.keep,
        "weights": weights, "kept": kept, "density": kept / weights, "at": _at(experiment, kept / weights),
        "best_epoch": result["best_epoch"], **accuracies,
        "chance": 1 / classes(experiment.dataset), "redundancy": _redundancy(run), "prunability": _prunability(run)}])


def _result(run):
    """What the done marker of a training says; UserError where the run is not trained, or what should be numbers there are none."""
    result = run.require("train", "the report")["result"]
    try:
        counts = [unbelieved.whole(layer[name]) for layer in (result.get("masks") or {}).values() for name in ("weights", "kept")]
        accuracies = [unbelieved.number(result[chosen], "accuracy") for chosen in ("train", "val", "test") if result.get(chosen)]
        if None in [*counts, *accuracies, unbelieved.whole(result["best_epoch"])]:
            raise ValueError(result)
    except files.DAMAGE:
        raise UserError(f"{run.marker('train')}: damaged, or another version's; train the net again with --overwrite") from None
    return result


def _at(experiment, density):
    """The share of weights that figures have a net at: what it was asked to keep; of the rule "sampled", which takes none, the density."""
    return density if experiment.dnn.mask == "sampled" else experiment.hyper.keep


def _redundancy(run):
    if not run.exported("redundancy"):
        return np.nan
    table = csvs.redundancy(run)
    return growth.redundancy(table[(table["set"] == "test") & (table.layer != "all")].compressability.to_numpy(), 1, 1)


def _prunability(run):
    """The mean over crosses of what the knockout of units of all layers leaves."""
    if not run.exported("robustness"):
        return np.nan
    table = csvs.robustness(run)
    chosen = table[(table["set"] == "test") & (table.layer == "all") & (table.kind == "knockout")]
    curves = np.stack([rows.sort_values("amount").agreement.to_numpy() for _, rows in chosen.groupby("cross")])
    return growth.prunability(curves, 1, 1, fidelity=run.experiment.measure.fidelity)


def _curve(axes, rows, column, label, number):
    """Means over seeds with the standard deviation, in percent."""
    groups = rows.groupby("keep")
    by_keep = 100 * groups[column].agg(["mean", lambda values: values.std(ddof=0)])
    means(axes, 100 * groups["at"].mean(), by_keep.iloc[:, 0], by_keep.iloc[:, 1], label=label, markersize=5,
          color=COLOURS[number % len(COLOURS)], marker=MARKERS[number % len(MARKERS)])


def _keep_axis(axes):
    axes.set(xlabel="weights kept [%]", xlim=(-2, 102), xticks=range(0, 101, 10))
    axes.grid(alpha=0.3)
    legend_below(axes)
