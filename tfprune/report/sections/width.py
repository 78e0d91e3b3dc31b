"""Nets of several widths: accuracy and what units are worth against width, perturbation curves, correlations. From tables.py's tables."""
import math

import numpy as np

from tfprune.report import exports, tables, unit_tables
from tfprune.report.axes import shades, width_label
from tfprune.report.chart import Chart, Section
from tfprune.report.comparisons import Curve
from tfprune.report.figures import KEPT, SETS
from tfprune.report.measured import named
from tfprune.report.sections import many
from tfprune.report.sections.parts import REDUNDANT, Damaged, curve, grouped, level, log_axis, percent_axis, tall, width_axis
from tfprune.report.together import curve_labels
from tfprune.settings import KINDS

INTRO = ("Nets of one kind at several widths, 1x being the usual one: do more units make a net better, or only more redundant? Points are "
         "means over seeds and crosses (repeats of a measurement with other units or images); error bars are standard deviations. g is by "
         "what factor a number of units grows when the width doubles: at 2, it grows as fast as the net.")
UNITS = {  # quantity: (title, note)
    "prunability": ("Prunable units", f"Units that can be silenced, drawn at random in all layers at once, with {KEPT} % of the net's "
                    "answers on test images left unchanged; as a share of the widest net's units."),
    "non_prunability": ("Units that are not prunable", f"The units that must be left for {KEPT} % of the net's answers on test images to "
                        "stay unchanged; as a share of the widest net's units."),
    "redundancy": ("Redundant units", f"{REDUNDANT} The mean over layers; as a share of the widest net's units."),
    "non_redundancy": ("Units that are not redundant", "A layer has as many principal components as units. Counted are those that are not "
                       "redundant: the largest ones, which together hold no more than 95 % of the variance of the layer's activity on test "
                       "images. The mean over layers; as a share of the widest net's units.")}
# kind: (title, what an amount is, the unit's factor, what is done)
DISTURBED = {
    "knockout": ("Units silenced at random", "silenced units of each layer [%]", 100,
                 "this share of each layer's units, drawn at random, is set to 0 (where 80 % stay, prunability is read)"),
    "targeted": ("Units silenced, most correlated first", "silenced units of each layer [%]", 100,
                 "this share of each layer's units is set to 0: one drawn at random, then the others by how strongly they are correlated "
                 "with it, the strongest first"),
    "noise": ("Noise on activations", "noise [standard deviations]", 1,
              "Gaussian noise, of so many standard deviations of the layer's activities for the image, is added to the activities"),
    "weight_noise": ("Noise on weights", "noise [standard deviations]", 1,
                     "Gaussian noise, of so many standard deviations of the layer's weights, is added to the weights"),
    "weight_knockout": ("Weights set to 0 at random", "weights of each layer that are 0 [%]", 100,
                        "each weight is set to 0 with this probability")}
SHOWN = {"perturbation": 3, "correlations": 4}  # of more curves, the others wait in the legend
COLUMNS = ["experiment_id", "curve", "width", "seed", "set", "layer", "cross", "value"]


def section(runs):
    """The section of all runs whose redundancy or robustness was exported, supermasks aside; those of one net and data set together."""
    measured, refused = exports.of_units([run for run in runs if run.experiment.dnn.mask == "none"])
    damaged, parts = Damaged(refused), []
    for number, ((net, data, fidelity, _), group) in enumerate(grouped(measured, _shared).items(), 1):
        title = f"{net} on {data}" + (f" ({fidelity} measures)" if fidelity != "corrected" else "")
        parts += _charts(f"width-{number}", title, group, damaged, fidelity)
    return Section("width", "Width", damaged.after(INTRO), parts) if parts or damaged else None


def _shared(experiment):
    return experiment.dnn.name, experiment.dataset.name, experiment.measure.fidelity, experiment.hyper.mse


def _charts(name, title, runs, damaged, fidelity):
    labels = curve_labels([run.experiment for run in runs], "dnn.neuron_multiplier")
    table = damaged.table(runs, labels, tables.of_run, missing="gap")
    if table is None:
        return []
    charts = [_performance(name, title, table, quantity, chosen, fidelity) for quantity in ("accuracy", "squared_error") for chosen in SETS]
    charts += [_units(name, title, table, quantity, fidelity) for quantity in UNITS]
    runs, labels, others = many.first(runs, labels)
    agreements = damaged.table(runs, labels, unit_tables.agreements)
    if agreements is not None:
        charts += [_perturbation(name, title, agreements, kind, others) for kind in KINDS]
    layer = unit_tables.correlated_layer(table)
    found = damaged.table(runs, labels, unit_tables.correlations, curve=Curve(layer=layer))
    return [chart for chart in (*charts, None if found is None else _correlations(name, title, found, layer, others)) if chart]


def _performance(name, title, table, quantity, chosen, fidelity):
    found = _of(table, quantity, chosen)
    if not len(found):
        return None
    widths, words, factor = sorted(found.width.unique()), quantity.replace("_", " "), 100 if quantity == "accuracy" else 1
    curves = tables.curves(found, quantity, chosen, fidelity)
    traces, bundles = many.bundled([
        curve(label, x, factor * means, factor * deviations, number, hovertemplate="%{x}x: %{y:.2f}")
        for number, (label, (x, means, deviations)) in enumerate(curves.items())], list(curves))
    note = f"{words.capitalize()} of the trained nets on the {SETS[chosen].lower()} images against their width.{bundles}"
    yaxis = {"title": {"text": words}}
    if quantity == "accuracy":
        chance = 100 * table[(table.quantity == "chance") & (table["set"] == chosen)].value.mean()
        traces.append(level(f"guessing ({chance:.2g} %)", widths, chance))
        yaxis = percent_axis(words)
    return Chart(f"{name}-{quantity}-{chosen}".replace("_", "-"), f"{SETS[chosen]} {words}: {title}", note, traces,
                 {"xaxis": width_axis(widths), "yaxis": yaxis}, found[COLUMNS])


def _units(name, title, table, quantity, fidelity):
    """Units as shares of the widest net's; both axes are logarithmic, so that g is a slope."""
    found = _of(table, quantity, "test")
    if not len(found):
        return None
    factors, widths = tables.growth_factors(found, quantity, fidelity), sorted(found.width.unique())
    curves, traces, inside, zeros = tables.curves(found, quantity, "test", fidelity), [], [], []
    for number, (label, (x, means, deviations)) in enumerate(curves.items()):
        known = f": g = {factors[label]:.2f}" if np.isfinite(factors[label]) else ""
        means, deviations = 100 * means, 100 * deviations
        traces.append(curve(label + known, x, means, deviations, number, hovertemplate="%{x}x: %{y:.3g} %"))
        inside += [value for value in (*means, *(means - deviations), *(means + deviations)) if value > .02]
        zeros += [f"{label} {width_label(width)}" for width in x[means == 0]]
    traces, bundles = many.bundled(traces, list(curves))
    if bundles:  # without error bars
        inside = [value for trace in traces for value in trace["y"] if value is not None and value > .02]
    if np.allclose(found.share, found.width / tables.WIDEST):
        every = [100 * width / tables.WIDEST for width in widths]
        traces.append(level("all units of the net: g = 2", widths, 0) | {"x": widths, "y": every})
        inside += every
    words, note = UNITS[quantity]
    yaxis = _doubling_axis(f"{quantity.replace('_', '-')} [% of the widest net's units]", inside)
    return Chart(f"{name}-{quantity}".replace("_", "-"), f"{words}: {title}",
                 note + bundles + (f" Zero, and so not on this axis: {named(zeros)}." if zeros else ""), traces,
                 {"xaxis": width_axis(widths), "yaxis": yaxis}, found[COLUMNS])


def _doubling_axis(title, inside):
    """A vertical axis with a tick at every doubling."""
    inside = inside or [1, 100]
    ticks = [2.0 ** exponent for exponent in range(math.floor(math.log2(min(inside))), math.ceil(math.log2(max(inside))) + 1)]
    return log_axis(title, ticks, [f"{tick:.3g}" for tick in ticks], (min(inside), max(inside)))


def _perturbation(name, title, table, kind, others):
    """A line for each curve and width."""
    found = table[(table.kind == kind) & table.value.notna()]
    if not len(found):
        return None
    what, amount, factor, done = DISTURBED[kind]
    widths, labels, traces = sorted(found.width.unique()), list(dict.fromkeys(found.curve)), []
    colours = dict(zip(widths, shades(len(widths)), strict=True))
    nets = {net: rows.groupby("amount").value for net, rows in found.groupby(["curve", "width"])}
    for number, label, width in ((*each, width) for each in enumerate(labels) for width in widths if (each[1], width) in nets):
        words, by_amount = width_label(width) if len(labels) == 1 else f"{label}, {width_label(width)}", nets[label, width]
        means = by_amount.mean()
        traces.append(curve(words, factor * means.index, 100 * means, 100 * by_amount.std(ddof=0), number,
                            hovertemplate="%{y:.1f} %", **_waiting(number, "perturbation")))
        traces[-1]["line"], traces[-1]["marker"]["color"] = {"color": colours[width], "dash": _dash(number)}, colours[width]
    traces.append(level(f"{KEPT} %" + ": prunability" * (kind == "knockout"), (0, factor), KEPT))
    note = (f"Share of the net's answers on test images that stay as they were, whether right or wrong, when {done}; in all layers at "
            "once. A line a width." + _more(labels, "perturbation") + others)
    return Chart(f"{name}-{kind}".replace("_", "-"), f"{what}: {title}", note, traces,
                 {"xaxis": {"title": {"text": amount}}, "yaxis": percent_axis("unchanged answers"), **tall(len(traces))},
                 found[["experiment_id", "curve", "width", "seed", "layer", "cross", "kind", "amount", "value"]])


def _correlations(name, title, table, layer, others):
    """A violin a net, as wide as the density at each |r|, and a marker at the mean."""
    found = table[table.value.notna()]
    if not len(found):
        return None
    widths, labels, traces = sorted(found.width.unique()), list(dict.fromkeys(found.curve)), []
    room = .8 / min(len(labels), SHOWN["correlations"])  # of the distance between two widths
    for number, label in enumerate(labels):
        chosen = found[found.curve == label]
        places = {width: place - .4 + room * (number % SHOWN["correlations"] + .5) for place, width in enumerate(widths)}
        traces += [_violin(number, rows, .45 * room, places[width]) for width, rows in chosen.groupby("width")]
        means = chosen[chosen.quantity == "mean"].groupby("width").value.mean()
        traces.append(curve(label, [places[width] for width in means.index], means, 0 * means, number, mode="markers", legendgroup=label,
                            hovertemplate="mean %{y:.3f}", **_waiting(number, "correlations")))
    note = (f"How strongly the units of each net's unit layer {layer + 1} are correlated on test images: the wider a shape, the more pairs "
            "of units have that |r| (absolute Pearson correlation; each pair once, in 50 bins); the marker is the mean. Units that are "
            "constant have no correlation and are left out." + _more(labels, "correlations") + others)
    xaxis = {"title": {"text": "width factor"}, "tickvals": list(range(len(widths))), "ticktext": list(map(width_label, widths)),
             "range": [-.6, len(widths) - .4]}
    columns = ["experiment_id", "curve", "width", "seed", "layer", "cross", "quantity", "amount", "value"]
    return Chart(f"{name}-correlations", f"Correlations between units: {title}", note, traces,
                 {"xaxis": xaxis, "yaxis": {"title": {"text": "|r| between units"}, "range": [0, 1]}, "hovermode": "closest"},
                 found[columns])


def _violin(number, rows, half, place):
    density = rows[rows.quantity == "density"].groupby("amount").value.mean()
    halves = half * density / density.max()
    colour = f"${number % 7}"
    return {"type": "scatter", "mode": "lines", "fill": "toself", "fillcolor": f"{colour}/40", "line": {"color": colour, "width": 1},
            "x": [*(place - halves), *(place + halves)[::-1]], "y": [*density.index, *density.index[::-1]], "hoverinfo": "skip",
            "showlegend": False, "legendgroup": rows.curve.iloc[0], **_waiting(number, "correlations")}


def _of(table, quantity, chosen):
    return table[(table.quantity == quantity) & (table["set"] == chosen) & table.value.notna()]


def _waiting(number, chart):
    """Curves beyond the first few are drawn when their entry in the legend is chosen."""
    return {"visible": "legendonly"} if number >= SHOWN[chart] else {}


def _more(labels, chart):
    return " Of the other curves, a click on a name in the legend shows one." if len(labels) > SHOWN[chart] else ""


def _dash(number):
    return ("solid", "dash", "dot", "dashdot")[number % 4]
