"""The study of feature amounts as report.py gives it: accuracy against where along its depth a VGG has its features.

Data flow one way: done markers of trained runs -> tidy table -> figure and page (feature_page.py). A report is of one depth and data set.
"""

import numpy as np
import pandas as pd

from tfprune import files
from tfprune.experiment import UserError
from tfprune.families import plain_features, widened
from tfprune.report import feature_page
from tfprune.report.axes import COLOURS, legend_below, panels
from tfprune.report.figures import save
from tfprune.report.measured import readable
from tfprune.report.together import common
from tfprune.report.unbelieved import number, whole

STUDY = "feature_amounts"
MOST_LAYERS = 1_000  # of any net
BEST, WORST, PLAIN = COLOURS[0], COLOURS[1], COLOURS[6]


def measured(runs):
    """([(run, run)] of the study's nets, a line for each that is damaged)."""
    return readable([run for run in runs if run.experiment.study == STUDY], lambda run: of_run(run) and [(run, run)])


def report(runs, folder, form="png"):
    """Writes `feature_amounts.csv`, the figure of a form and, where plotly is installed, `.html`; prints a summary, and returns the paths.

    Raises:
      UserError: a run is not trained, or they are not of one depth and data set.
    """
    common(runs, "VGGs of one depth on one data set", family_of)
    table, plain = tidy(runs), plain_profile(runs[0].experiment)
    folder = files.writable_folder(folder, "--out")
    paths = [folder / f"feature_amounts.{suffix}" for suffix in ("csv", form, "html")]
    files.write(paths[0], table.assign(features=[" ".join(map(str, features)) for features in table.features]).to_csv(index=False))
    save(figure(table, plain), paths[1])
    try:
        files.write(paths[2], feature_page.html(table, plain, layer_names(plain)))
    except UserError as missing:
        print(missing)
        del paths[2]
    print(summary(table))
    return paths


def tidy(runs):
    """A row a run, in order of the IDs.

    Columns: experiment_id, name, seed, kind ("family", "plain", or "listed" where `dnn.features` lists them), location, scale, shape (of
    the skew normal distribution; 0, 0, 0 of a net without one), features (tuple: of every layer but the last), centre (the features'
    centre of mass, in layers, the first being 1), parameters (as the study counts), trainable (all that is trained), macs (multiply-adds
    of one image), train, val, test (accuracies from 0 to 1 after the best epoch; NaN where there are no such examples), gap (train -
    test), best_epoch, stopped (why training ended).

    Raises:
      UserError: a run is not trained.
    """
    return table_of([of_run(run) for run in runs], runs[0].experiment)


def table_of(rows, first):
    """The tidy table of rows as of `of_run`; `first` is an `Experiment` of them, which are all of one depth and data set."""
    table = pd.DataFrame(rows).sort_values(["experiment_id", "name"], ignore_index=True)
    judge = first.training.validate_on if table[first.training.validate_on].notna().any() else "train"  # where there are no others
    table.attrs |= {"title": family_of(first), "plain": f"plain VGG{first.dnn.depth}", "judge": feature_page.SETS[judge].lower()}
    return table


def plain_profile(experiment):
    """Features of the layers of the plain VGG of this depth and width factor, tuple of int."""
    dnn = experiment.dnn
    return widened(plain_features(dnn.depth, experiment.hyper.image_size), dnn.neuron_multiplier)


def layer_names(features):
    """1, 2, ..., fc1, fc2: convolutions by their number, then the hidden dense layers; a name for each layer that has these features."""
    return [str(layer) for layer in range(1, len(features) - 1)] + ["fc1", "fc2"]


def figure(table, plain):
    """Test accuracy, and its gap to training accuracy, against the features' centre of mass; the best and the worst net's features."""
    drawn, (accuracy, gap, profiles) = panels(3, table.attrs["title"])
    for axes, column, title, unit in ((accuracy, "test", "Test accuracy", "accuracy [%]"),
                                      (gap, "gap", "Training minus test accuracy", "gap [points]")):
        points = _against_centre(axes, table, column)
        axes.set(title=title, xlabel="centre of mass of the features [layers]", ylabel=unit)
    drawn.colorbar(points, ax=gap, label="scale of the distribution [layers]")
    _profiles(profiles, table, plain)
    return drawn


def summary(table):
    """The best, the worst and the plain net as text."""
    chosen = table.loc[[table.test.idxmax(), table.test.idxmin(), *table.index[table.kind == "plain"]]]
    chosen.insert(0, "net", ["best", "worst", *["plain"] * (len(chosen) - 2)])
    columns = ["net", "experiment_id", "location", "scale", "shape", "centre", "trainable", "macs", "train", "val", "test", "best_epoch"]
    heading = f"{table.attrs['title']}, {len(table)} {'nets' if len(table) > 1 else 'net'}\n"
    return heading + chosen[columns].to_string(index=False, float_format="{:.4g}".format)


def family_of(experiment):
    return f"VGG{experiment.dnn.depth} on {experiment.dataset.name}"


def of_run(run):
    """The row of a run, as of `tidy`; UserError where it is not trained, or its done marker is damaged."""
    marker = run.require("train", "the report")
    try:
        return _row(run, marker["result"])
    except files.DAMAGE as problem:
        if isinstance(problem, UserError):
            raise
        raise UserError(f"{run.marker('train')}: damaged, or another version's; train the net again with --overwrite") from None


def _row(run, result):
    experiment, counted = run.experiment, result.get("summary")
    if counted is None:
        raise UserError(f"{experiment.flag}: its training counted no features of {experiment.dnn.name}; the report is of VGGs")
    features = tuple(counted["features"])
    if not 0 < len(features) <= MOST_LAYERS or None in map(whole, features):
        raise ValueError("no features of layers")
    accuracies = {name: _number(result[name], "accuracy") if result.get(name) else np.nan for name in ("train", "val", "test")}
    return {"experiment_id": experiment.id, "name": experiment.name, "seed": experiment.seed,
            "kind": "listed" if experiment.dnn.features else "family" if experiment.dnn.scale else "plain",
            **{name: _number(counted, name) for name in ("location", "scale", "shape")}, "features": features,
            "centre": np.average(np.arange(1, len(features) + 1), weights=features), "parameters": _number(counted, "parameters"),
            "trainable": _number(counted, "trainable"), "macs": _number(counted, "multiply_adds"), **accuracies,
            "gap": accuracies["train"] - accuracies["test"], "best_epoch": _number(result, "best_epoch"), "stopped": str(result["stopped"])}


def _number(values, name):
    """A number of a done marker; ValueError where there is none."""
    value = number(values, name)
    if value is None:
        raise ValueError(name)
    return value


def _against_centre(axes, table, column):
    """Points of a column, in percent, coloured by scale; a cross for the plain VGG, and a line at its height."""
    spread, plain = table[table.kind != "plain"], table[table.kind == "plain"]
    points = axes.scatter(spread.centre, 100 * spread[column], c=spread.scale, vmin=0, vmax=table.scale.max() or 1, cmap="viridis",
                          edgecolors="grey", linewidths=0.5)
    for row in plain.itertuples():
        height = 100 * getattr(row, column)
        axes.axhline(height, linestyle="--", color="grey", linewidth=1)
        axes.plot(row.centre, height, "X", color=PLAIN, markersize=9, label=f"{table.attrs['plain']} (ID{row.experiment_id})")
    axes.set_xlim(1, len(table.features[0]))
    axes.grid(alpha=0.3)
    if len(plain):
        legend_below(axes)
    return points


def _profiles(axes, table, plain):
    """The features of the best and of the worst net, as bars side by side, and the plain VGG's as an outline."""
    places = np.arange(1, len(plain) + 1)
    for shift, words, index, colour in ((-.2, "best", table.test.idxmax(), BEST), (.2, "worst", table.test.idxmin(), WORST)):
        row = table.loc[index]
        axes.bar(places + shift, row.features, .4, color=colour, label=f"{words}: ID{row.experiment_id}, test {100 * row.test:.1f} %")
    axes.stairs(plain, np.arange(len(plain) + 1) + .5, color=PLAIN, label=table.attrs["plain"])
    axes.set(title="Features of every layer", xlabel="layer", ylabel="features")
    axes.set_xticks(places, layer_names(plain), fontsize="small")
    axes.grid(alpha=0.3, axis="y")
    legend_below(axes)
