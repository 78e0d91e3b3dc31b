"""The page's histograms of a net's weights and units as it is pruned, with a slider over the sparsities in place of an animation.

They show what pruning_frames.py draws, with fewer bins: the frames of all sparsities are in the page, each bar from the first bin with
anything in it to the last.
"""
import math

import numpy as np
import pandas as pd

from tfprune.report.chart import Chart
from tfprune.report.pruning_frames import LEAST, MOST_LAYERS, WORDS, evenly

MOST_FRAMES = 40  # sparsities that are shown, spread evenly over more, as layers are
FEW_LAYERS, MOST_BINS = 4, (60, 30)  # bins where there are few layers, and where there are more
ROW, FOOT, GAP_X, GAP_Y = 180, 90, 0.18, 72  # pixels of a row of panels and below them; between panels: share of the width, pixels
AXES = {"weight": ("|w|", "weights"), "unit": ("L2 norm of<br>incoming weights", "units")}
SIZES = {"weight": "|w| of those that are not 0", "unit": "the L2 norm of a unit's incoming weights, 0 of one that is pruned"}
START = .5  # the sparsity, or the nearest to it, at which the slider is first: something is pruned, and something left


def table_of(histograms):
    """A row a layer, sparsity and bin that is not empty: layer, sparsity, from, to (edges of the bin), count.

    Args:
      histograms: `pruning_frames.Histograms`.
    """
    rows = []
    for name in evenly(histograms.layers, MOST_LAYERS):
        edges, counts = _merged(histograms, name)
        for sparsity, row in evenly(histograms.in_order(), MOST_FRAMES):
            bins = np.flatnonzero(counts[row])
            rows.append(pd.DataFrame({"layer": name, "sparsity": sparsity, "from": edges[bins], "to": edges[bins + 1],
                                      "count": counts[row][bins]}))
    return pd.concat(rows, ignore_index=True)


def slider(histograms, label, name):
    """The chart of one run's `Histograms`."""
    table, layers = table_of(histograms), evenly(histograms.layers, MOST_LAYERS)
    width = {layer: _merged(histograms, layer)[0][1] for layer in layers}
    sparsities = [sparsity for sparsity, _ in evenly(histograms.in_order(), MOST_FRAMES)]
    by_place = dict(list(table.groupby(["sparsity", "layer"])))
    frames = tuple({"name": _percent(sparsity), "traces": list(range(len(layers))),
                    "data": [_bars(by_place.get((sparsity, layer)), width[layer]) for layer in layers]} for sparsity in sparsities)
    start = int(np.abs(np.array(sparsities) - START).argmin())
    traces = [{"type": "bar", **bars, "dx": width[layer], "width": width[layer], "marker": {"color": "$0", "line": {"width": 0}},
               "showlegend": False, "xaxis": f"x{_nth(number)}", "yaxis": f"y{_nth(number)}",
               "hovertemplate": f"{_text(layer)}: %{{y:,}} near %{{x:.3~g}}<extra></extra>"}
              for number, (layer, bars) in enumerate(zip(layers, frames[start]["data"], strict=True))]
    heading = WORDS[histograms.by][1]
    some = "" if len(layers) == len(histograms.layers) else f" {len(layers)} of {len(histograms.layers)} layers are shown."
    some += "" if len(sparsities) == len(histograms.in_order()) else f" {len(sparsities)} of all sparsities are."
    return Chart(name, f"{heading.partition(' at')[0]} as they are pruned: {label}",
                 f"How many {AXES[histograms.by][1]} of each size a layer has at the sparsity that the slider says. The size is "
                 f"{SIZES[histograms.by]}. The axes are the same at all sparsities; the vertical ones are logarithmic.{some}", traces,
                 _layout(histograms, layers, table, _steps(sparsities, start)), table, frames)


def _bars(table, width):
    """The bars of a layer at a sparsity, from the first that is not empty to the last."""
    if table is None:
        return {"x0": 0, "y": []}
    places = (table["from"] / width).round().astype(int).to_numpy()
    heights = np.zeros(places[-1] - places[0] + 1, int)
    heights[places - places[0]] = table["count"]
    return {"x0": (places[0] + .5) * width, "y": heights.tolist()}


def _layout(histograms, layers, table, steps):
    columns = min(2, len(layers))
    rows = -(-len(layers) // columns)
    inner = ROW * rows
    layout = {"height": inner + FOOT + 30, "margin": {"t": 30, "b": FOOT, "l": 56, "r": 12}, "bargap": 0, "annotations": [],
              "sliders": [steps]}
    for number, layer in enumerate(layers):
        row, column, nth = number // columns, number % columns, _nth(number)
        top, left = 1 - row * ROW / inner, column * (1 + GAP_X) / columns
        highest = table["count"][table.layer == layer].max() if (table.layer == layer).any() else 1
        edges = histograms.layers[layer][0]
        alone = columns == 1 or number == len(layers) - 1 and not column  # in its row
        right = left + (1 if alone else (1 - GAP_X) / 2)
        layout[f"xaxis{nth}"] = {"title": _title(AXES[histograms.by][0]), "domain": [left, right], "anchor": f"y{nth}", "nticks": 4,
                                 "range": [-edges[-1] / 100, edges[-1]], "automargin": False}
        layout[f"yaxis{nth}"] = {"title": _title(AXES[histograms.by][1]), "domain": [max(0, top - (ROW - GAP_Y) / inner), top],
                                 "anchor": f"x{nth}", "type": "log", "range": [math.log10(LEAST), math.log10(max(2 * highest, 15))],
                                 "tickformat": "~s", "dtick": 1 if highest < 3_000 else 2, "automargin": False}
        counts = histograms.layers[layer][1]
        whole = " (left whole)" if len(counts) > 1 and (counts == counts[0]).all() else ""
        layout["annotations"].append({"text": layer + whole, "xref": f"x{nth} domain", "yref": f"y{nth} domain", "x": .5, "y": 1,
                                      "yanchor": "bottom", "showarrow": False, "font": {"size": 12}})
    return layout


def _steps(sparsities, start):
    """A slider with a step a frame, first at one of them."""
    still = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    steps = [{"label": _percent(sparsity), "method": "animate", "args": [[_percent(sparsity)], still]} for sparsity in sparsities]
    return {"active": start, "steps": steps, "currentvalue": {"prefix": "pruned: ", "suffix": " %"}, "pad": {"t": 10, "b": 0}, "x": 0,
            "len": 1}


def _merged(histograms, layer):
    """Edges and counts of a layer, with as many bins as there is room for, each of several of the old."""
    edges, counts = histograms.layers[layer]
    step = -(-counts.shape[1] // MOST_BINS[len(histograms.layers) > FEW_LAYERS])
    missing = -counts.shape[1] % step
    counts = np.pad(counts, ((0, 0), (0, missing))).reshape(len(counts), -1, step).sum(axis=2)
    return edges[1] * step * np.arange(counts.shape[1] + 1), counts


def _title(words):
    return {"text": words, "standoff": 2, "font": {"size": 11}}


def _percent(sparsity):
    return f"{100 * sparsity:.6g}"


def _nth(number):
    """What an axis' name ends in."""
    return number + 1 if number else ""


def _text(name):
    """A name of the user's, in which Plotly finds no markup; for templates, in which it would."""
    return name.replace("<", "&lt;")
