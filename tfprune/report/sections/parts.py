"""What sections share: runs that can share an axis, tables of runs of which some are damaged, and the traces of curves."""
import numpy as np
import pandas as pd

from tfprune.report.axes import width_label
from tfprune.report.measured import in_lines, left_out, readable

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "cross")
REDUNDANT = ("A layer has as many principal components as units. Redundant are the smallest ones: as many as it takes to hold more than "
             "5 % of the variance of the layer's activity on test images.")


class Damaged(list):
    """A line for each run with a file that cannot be read, in the order in which they were found."""

    def read(self, run, function, *arguments, **options):
        """What `function(run, ...)` gives; None where the run's files are damaged, which is noted."""
        found, refused = readable([run], lambda run: [function(run, *arguments, **options)])
        self += [line for line in refused if line not in self]
        return found[0] if found else None

    def table(self, runs, labels, table_of, **options):
        """The tables that `table_of(run, label, ...)` gives of the runs that can be read, as one; None where there is nothing."""
        found = [self.read(run, table_of, label, **options) for run, label in zip(runs, labels, strict=True)]
        found = [table for table in found if table is not None and len(table)]
        return pd.concat(found, ignore_index=True) if found else None

    def after(self, intro):
        """An introduction, and what is left out."""
        return " ".join(filter(None, (intro, left_out(self))))


def grouped(runs, key):
    """{key(experiment): [run, ...]}, in the order of the runs."""
    groups = {}
    for run in runs:
        groups.setdefault(key(run.experiment), []).append(run)
    return groups


def style(number):
    """Colour and symbol of the curve with this number."""
    return {"color": f"${number % 7}"}, {"symbol": SYMBOLS[number % len(SYMBOLS)], "size": 8}


def curve(name, x, y, deviation, number=0, **more):
    """A line with markers, and error bars where there is a deviation."""
    line, marker = style(number)
    bars = {"error_y": {"type": "data", "array": list(deviation), "thickness": 1.2, "width": 4}} if np.nansum(deviation) else {}
    return {"type": "scatter", "mode": "lines+markers", "name": name, "x": list(x), "y": list(y), "line": line, "marker": line | marker,
            **bars, **more}


def level(name, x, y, dash="dash"):
    """A horizontal line between the ends of `x`, dashed or dotted."""
    return {"type": "scatter", "mode": "lines", "name": name, "x": [min(x), max(x)], "y": [y, y], "hoverinfo": "skip",
            "line": {"color": "$faint", "dash": dash, "width": 1.5}}


def log_axis(title, ticks, labels, inside=None):
    """A logarithmic axis with these ticks, that holds what is `inside`: (least, largest), by default the ticks."""
    low, high = np.log10(inside or (min(ticks), max(ticks)))
    room = .06 * (high - low) or .1
    return {"title": {"text": title}, "type": "log", "tickvals": list(ticks), "ticktext": list(labels), "range": [low - room, high + room]}


def width_axis(widths):
    """The axis of width factors, with a tick at every width."""
    return log_axis("width factor", widths, map(width_label, widths))


def percent_axis(title, unit="%"):
    """An axis from 0 to 100 %; `unit` may say of what."""
    return {"title": {"text": f"{title} [{unit}]"}, "range": [0, 103]}


def runs_axis(labels):
    """A vertical axis of runs at 0, 1, ..., the first on top, with their labels in short lines."""
    return {"tickvals": list(range(len(labels))), "ticktext": list(map(in_lines, labels)), "range": [len(labels) - .5, -.5],
            "title": {"text": "run", "standoff": 8}}


def tall(entries):
    """Of a layout: more height where the legend needs it."""
    return {"height": 400 + min(240, 12 * (entries - 8))} if entries > 8 else {}
