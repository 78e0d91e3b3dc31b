"""The page's charts of pruned and of smaller nets: curves against sparsity, and bars before and after units were taken out."""
import math

from tfprune.report.chart import Chart
from tfprune.report.pruning_curves import TITLES, placed, ticks_of
from tfprune.report.sections.parts import runs_axis
from tfprune.report.shrunk import AFTER, BEFORE, SHOWN, change

MOST_LINES, MOST_NAMED = 40, 14  # of more runs all of a net are one trace; of more traces none is named
FAR = 100  # times the least loss: then its axis is logarithmic
DASHES, SYMBOLS = ("solid", "dash", "dot"), ("circle", "square", "diamond", "triangle-up", "cross", "star", "x")
WHAT = {"accuracy": "Test accuracy", "loss": "Test loss"}
RANKED = {"weight": "the weights of each layer with the smallest magnitude first",
          "unit": "the units of each layer with the smallest L2 norm of incoming weights first"}
MEASURED = {  # (column, whether it is of a regression): title of the axis, what it is
    ("accuracy", False): ("test accuracy [%]", "Share of the test images that a net gets right; dashed: that of guessing."),
    ("accuracy", True): ("explained variance [%]", "Share of the variance of the test set's targets that a net explains."),
    ("loss", False): ("cross-entropy [nats]", "Mean cross-entropy on the test set, penalty left out; dashed: ln of the number of classes."),
    ("loss", True): ("squared error", "Mean squared error on the test set, penalty left out.")}


def against_sparsity(table, by, column, name):
    """A quantity against sparsity, a line a run.

    Args:
      table: rows of `pruning.tidy` with `curve`, a label a run, and `net`, what it is; of weights or of units.
      by: "weight" or "unit". column: "accuracy" or "loss".
    """
    table, nothing = placed(table.sort_values("sparsity", kind="stable").sort_values("curve", kind="stable").reset_index(drop=True))
    groups = list(table.groupby("curve" if table.curve.nunique() <= MOST_LINES else "net", sort=False))
    traces = [_lines(rows, label, column, number) for number, (label, rows) in enumerate(groups)] + _guessing(table, column)
    ticks = [tick for tick in ticks_of(table.place, nothing) if f"{tick:g}".strip("0.") != "2"]  # which would not fit a narrow page
    xaxis = {"type": "log", "range": [math.log10(115), math.log10(table.place.min() / 1.15)], "title": {"text": f"{by}s pruned [%]"},
             "tickvals": ticks + [nothing] * bool(nothing), "ticktext": [f"{100 - tick:g}" for tick in ticks] + ["100"] * bool(nothing)}
    words, note = MEASURED[column, bool(table.chance.isna().all())]
    named = len(traces) <= MOST_NAMED
    layout = {"xaxis": xaxis, "yaxis": {"title": {"text": words}} | _range(table, column), "showlegend": named,
              "height": 380 + (18 * len(traces) if named else 0)}
    nets = "" if len(groups) == table.curve.nunique() else " There are many: runs of a net and a data set have one colour."
    return Chart(name, f"{WHAT[column]}: {TITLES[by][0].lower()} pruned",
                 f"{note} A line a run. Every point is pruned from the trained weights, with nothing trained after it: {RANKED[by]}, "
                 f"where its name says nothing else. The axis is logarithmic in what is left, for the last percent decides.{nets}",
                 traces, layout, table.drop(columns=["place", "net"]))


def _lines(rows, label, column, number):
    """The lines of some runs as a trace, with a gap between them."""
    scale = 100 if column == "accuracy" else 1
    x, y, text = [], [], []
    for place, (curve, own) in enumerate(rows.groupby("curve", sort=False)):
        gap = [None] if place else []
        x += gap + own.place.tolist()
        y += gap + (scale * own[column]).tolist()
        text += gap + [f"{curve}: {100 * sparsity:.6g} % pruned" for sparsity in own.sparsity]
    return {"type": "scatter", "mode": "lines+markers", "name": label, "x": x, "y": y, "text": text,
            "line": {"color": f"${number % 7}", "dash": DASHES[number // 7 % len(DASHES)], "width": 1.5},
            "marker": {"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 6},
            "hovertemplate": "%{text}<br>%{y:.4~g}" + (" %" if scale > 1 else "") + "<extra></extra>"}


def _guessing(table, column):
    """Lines of what guessing gives, for each number of classes."""
    ends = [115, float(table.place.min() / 1.15)]
    words = "guessing ({:.3g} %)" if column == "accuracy" else "guessing (ln {:.0f})"
    found = sorted({chance for chance in table.chance if not math.isnan(chance)}, reverse=True)
    return [{"type": "scatter", "mode": "lines", "name": words.format(100 * chance if column == "accuracy" else 1 / chance), "x": ends,
             "y": [100 * chance if column == "accuracy" else -math.log(chance)] * 2, "hoverinfo": "skip",
             "line": {"color": "$faint", "dash": "longdash", "width": 1}} for chance in found[:3]]


def _range(table, column):
    if column == "loss":
        return {"type": "log"} if table.loss.max() > FAR * table.loss[table.loss > 0].min() else {"rangemode": "tozero"}
    return {"range": [0, 103]} if not (table.accuracy < 0).any() else {}


def before_and_after(table, column, name):
    """Bars of a quantity of nets before and after their units were taken out.

    Args:
      table: rows of `shrunk.tidy`. column: one of `shrunk.SHOWN`.
    """
    title, unit, scale = SHOWN[column]
    table = table[table.net.isin((BEFORE, AFTER))].reset_index(drop=True)
    before, after = ((scale * table[column][table.net == net]).tolist() for net in (BEFORE, AFTER))
    labels = table.curve[table.net == BEFORE].tolist()
    changes = [change(*pair, column) for pair in zip(before, after, strict=True)]
    traces = [{"type": "bar", "orientation": "h", "name": words, "x": values, "y": list(range(len(labels))), "customdata": labels,
               "text": texts, "textposition": "auto", "cliponaxis": False, "marker": {"color": colour},
               "hovertemplate": f"%{{customdata}}, {words}: %{{x:.5~g}}<extra></extra>"}
              for words, values, texts, colour in (("before", before, [""] * len(before), "$0"), ("after", after, changes, "$1"))]
    layout = {"xaxis": {"title": {"text": unit if column == "accuracy" else f"{title.partition(' of')[0].lower()} [{unit}]"},
                        "rangemode": "tozero"},
              "yaxis": runs_axis(labels), "barmode": "group", "height": 150 + 60 * len(labels)}
    notes = {"accuracy": "On the test set.", "parameters": "All weights of the net.",
             "multiply_adds": "Of convolutions and dense layers, counted."}
    number = "the change in points" if column == "accuracy" else "the smaller net's share of the trained one's"
    return Chart(name, f"{title} before and after units are taken out",
                 f"{notes.get(column, 'Measured where shrink.py ran, the median of repeated runs.')} Before: the trained net; after: "
                 f"without the share of its units that shrink.py took out, really smaller. The number at the lower bar is {number}.",
                 traces, layout, table[["experiment_id", "name", "curve", "seed", "share", "net", column]])
