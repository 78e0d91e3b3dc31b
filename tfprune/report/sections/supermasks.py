"""Supermasks: accuracy against the share of weights that is kept, what each layer keeps, and the scores before and after training."""
import pandas as pd

from tfprune.report import exports, scores, supermasks
from tfprune.report.chart import Chart, Section
from tfprune.report.histogram_slider import evenly
from tfprune.report.mask_figures import named
from tfprune.report.sections.parts import REDUNDANT, Damaged, curve, grouped, level, log_axis, percent_axis, tall
from tfprune.report.together import curve_labels

INTRO = ("Subnets of nets whose weights stay as they were drawn: training only finds which of them to keep. How good is a net of random "
         "weights, and what share of them does it need?")
NOTES = (("redundancy", "Redundant", f"{REDUNDANT} The mean over layers."),
         ("prunability", "Prunable", "Units that can be silenced, drawn at random in all layers at once, with 80 % of the net's answers on "
          "test images left unchanged."))
MEANS = " Means over seeds, with the standard deviation where there are several."
TICKS = (.1, .2, .5, 1, 2, 5, 10, 20, 50, 100)  # % kept
MANY = 8  # layers: more need the page's width
SHOWN = 4  # nets whose histograms are drawn; others wait in the legend


def section(runs):
    """The section of all trained runs with masks, and of the nets without masks of the supermasks' study; by net and data set."""
    runs, refused = exports.as_registered(supermasks.concerned(runs))
    damaged, parts = Damaged(refused), []
    for number, ((net, data), group) in enumerate(grouped(runs, lambda each: (each.dnn.name, each.dataset.name)).items(), 1):
        parts += _charts(f"supermasks-{number}", f"{net} on {data}", group, damaged)
    return Section("supermasks", "Supermasks", damaged.after(INTRO), parts) if parts or damaged else None


def _charts(name, title, runs, damaged):
    labels = dict(zip(runs, curve_labels([run.experiment for run in runs], "hyper.keep"), strict=True))
    layers = {run: damaged.read(run, supermasks.layers_of) for run in runs}
    rows = {run: damaged.read(run, supermasks.of_run, labels[run], found) for run, found in layers.items() if found is not None}
    rows = {run: row.assign(masked=supermasks.is_masked(run)) for run, row in rows.items() if row is not None}
    if not rows:
        return []
    table = supermasks.ordered(pd.concat(rows.values(), ignore_index=True))
    charts = [_against_keep(name, title, table, chosen, f"{words} accuracy", "accuracy", f"Share of the {words.lower()} images that nets "
                            "get right after their best epoch, against the share of weights that their masks keep.")
              for chosen, words in supermasks.SETS.items()]
    charts += [_against_keep(name, title, table, quantity, f"{words} units", f"{words.lower()} units", note, "% of the net's units")
               for quantity, words, note in NOTES]
    masked = [run for run in rows if supermasks.is_masked(run)]
    if masked:
        charts.append(_densities(name, title, pd.concat([supermasks.of_layers(run, labels[run], layers[run]) for run in masked],
                                                        ignore_index=True)))
    charts.append(_scores(name, title, [run for run in masked if scores.has_scores(run.experiment)], labels, damaged))
    return [chart for chart in charts if chart]


def _against_keep(name, title, table, column, words, quantity, note, unit="%"):
    """Means over seeds against keep; nets without masks are lines."""
    found = table[table[column].notna()]
    if not len(found):
        return None
    traces, (low, high) = [], (100 * min(found["at"][found["at"] > 0], default=.01), 100)
    for number, (label, rows) in enumerate(found[found.masked].groupby("curve", sort=False)):
        groups = rows.groupby("keep")
        asked = "" if (rows["at"] == rows.density).all() else "asked to keep %{x:g} %, "
        traces.append(curve(label, 100 * groups["at"].mean(), 100 * groups[column].mean(), 100 * groups[column].std(ddof=0), number,
                            customdata=list(100 * groups.density.mean()),
                            hovertemplate=f"%{{y:.2f}} %, {asked}keeps %{{customdata:.3g}} %"))
    for label, rows in found[~found.masked].groupby("curve", sort=False):
        traces.append(level(f"{label}, no mask", (low, high), 100 * rows[column].mean()))
    if column in supermasks.SETS:
        chance = 100 * found.chance.mean()
        traces.append(level(f"guessing ({chance:.2g} %)", (low, high), chance, "dot"))
    return Chart(f"{name}-{column}", f"{words}: {title}", note + MEANS, traces,
                 {"xaxis": log_axis("weights kept [%]", TICKS, [f"{tick:g}" for tick in TICKS], (low, high)),
                  "yaxis": percent_axis(quantity, unit)},
                 found[["experiment_id", "curve", "seed", "keep", "weights", "kept", "density", column]])


def _densities(name, title, table):
    """Bars of what each layer keeps, a colour a run."""
    traces = [{"type": "bar", "name": words, "x": list(rows.layer), "y": list(100 * rows.density), "marker": {"color": colour},
               "customdata": list(zip(rows.kept, rows.weights, strict=True)),
               "hovertemplate": "%{y:.3g} %: %{customdata[0]:,} of %{customdata[1]:,} weights"} for words, rows, colour in named(table)]
    return Chart(f"{name}-density", f"Weights kept by each layer: {title}",
                 "Share of each masked layer's weights that its mask keeps after the best epoch, counted in the mask; a colour a net.",
                 traces, {"xaxis": {"title": {"text": "layer"}, "type": "category"}, "yaxis": percent_axis("weights kept"),
                          "barmode": "group", **tall(len(traces))}, table, wide=table.layer.nunique() > MANY)


def _scores(name, title, runs, labels, damaged):
    """Histograms as lines: a dotted one of all nets before training, and one of each after it, with a marker at its threshold."""
    tops = [top for top in (damaged.read(run, scores.top) for run in runs) if top]
    table = damaged.table(runs, [labels[run] for run in runs], scores.of_run, top=max(tops)) if tops else None
    if table is None:
        return None
    nets, traces = named(table), []
    shown = evenly(range(len(nets)), SHOWN)
    for number, (words, rows, colour) in enumerate(nets):
        more = {"type": "scatter", "name": words, "legendgroup": words, "visible": True if number in shown else "legendonly"}
        limit = rows[(rows.quantity == "threshold") & (rows.value > 0)]
        traces += [_histogram(rows, "after", {"color": colour}) | more,
                   {"mode": "markers", "x": list(limit.amount), "y": list(100 * limit.value), "showlegend": False,
                    "marker": _threshold(colour), "hovertemplate": "threshold %{x:.3g}"} | more]
    traces += [_histogram(table, "before", {"color": "$ink", "dash": "dot", "width": 3}) | {"type": "scatter", "name": "before training"},
               {"type": "scatter", "mode": "markers", "name": "threshold", "x": [None], "y": [None], "marker": _threshold("$paper")}]
    what = "weights" if all(run.experiment.dnn.mask == "dnw" for run in runs) else "scores"
    waiting = f" Of {len(nets)} nets {len(shown)} are shown; a click on a name in the legend shows another." if len(nets) > SHOWN else ""
    note = (f"How the magnitudes of the {what} that masks are chosen by are spread in each net's largest masked layer ({_shapes(table)}), "
            f"in {scores.BINS} bins: before training (dotted, the mean over the nets), and after the best epoch. The marker on a line is "
            f"its net's threshold: what is right of it is kept. The largest thousandth is not shown.{waiting}")
    layout = {"xaxis": {"title": {"text": f"magnitude of a {what[:-1]}"}, "rangemode": "tozero"}, "hovermode": "closest",
              "yaxis": {"title": {"text": f"{what} in a bin [%]"}, "type": "log"}, **tall(len(nets) + 2)}
    return Chart(f"{name}-scores", f"{what.capitalize()} before and after training: {title}", note,
                 [trace for trace in traces if trace["x"]], layout, table)


def _histogram(rows, when, line):
    """The share of each bin that has any, the mean over nets."""
    share = rows[(rows.when == when) & (rows.quantity == "share")].groupby("amount").value.mean()
    share = 100 * share[share > 0]
    return {"mode": "lines", "x": list(share.index), "y": list(share), "line": line, "hovertemplate": f"{when} training: %{{y:.3g}} %"}


def _threshold(colour):
    return {"color": colour, "size": 10, "line": {"color": "$ink", "width": 1}}


def _shapes(table):
    found = list(dict.fromkeys(table.layer))
    return ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
