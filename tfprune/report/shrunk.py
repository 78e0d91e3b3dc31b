"""What shrink.py has made of runs, side by side: what nets are worth and what they cost before and after their units were taken out."""
import textwrap

import numpy as np
import pandas as pd

from tfprune.experiment import UserError
from tfprune.report.axes import COLOURS, panels
from tfprune.report.together import first_curves

BEFORE, AFTER = "trained", "cut"  # rows of a run's table
SHOWN = {"accuracy": ("Test accuracy", "accuracy [%]", 100), "parameters": ("Parameters", "thousands", 1e-3),
         "multiply_adds": ("Multiply-adds of an image", "millions", 1e-6), "seconds_1": ("Time of one image", "milliseconds", 1e3),
         "seconds_64": ("Time of 64 images", "milliseconds", 1e3)}
BEYOND = 2 ** 53  # no size or time of a net gets here
MOST, LINE = 30, 26  # nets in a figure, and characters of a line of a label


def tidy(runs, labels):
    """A row a run and a net: experiment_id, name, curve (its label), seed, share (of the units that was taken out), and the columns of the
    run's shrink.csv (tfprune/pruning/shrink_stage.py).

    Raises:
      UserError: a file is damaged.
    """
    every = []
    for run, label in zip(runs, labels, strict=True):
        experiment, path = run.experiment, run.file("shrink", "shrink.csv")
        try:
            table = pd.read_csv(path)
            both = table[table["net"].isin((BEFORE, AFTER))].set_index("net")[list(SHOWN)].astype(float)
            if not {BEFORE, AFTER} <= set(both.index) or not ((both > 0) & (both < BEYOND)).drop(columns="accuracy").all(axis=None):
                raise ValueError(path)
            if not both.accuracy.dropna().between(0, 1).all():  # a regression has none
                raise ValueError(path)
        except (ValueError, KeyError, TypeError, OSError):  # pandas' parser errors are ValueErrors
            raise UserError(f"{path}: damaged (not what shrink.py writes); remove it and run shrink.py again") from None
        about = {"experiment_id": experiment.id, "name": experiment.name, "curve": label, "seed": experiment.seed,
                 "share": experiment.measure.cut}
        every.append(pd.concat([pd.DataFrame(about, table.index), table], axis=1))
    return pd.concat(every, ignore_index=True)


def before_and_after(table):
    """Bars of accuracy, sizes and times before and after, means over seeds; and what is left in percent. Of many curves the first.

    Args:
      table: of `tidy`.
    """
    table, some = first_curves(table, MOST)
    figure, every = panels(len(SHOWN), f"Before and after units are taken out{some}")
    curves = list(dict.fromkeys(table.curve))
    places = np.arange(len(curves))
    for axes, (column, (title, words, scale)) in zip(every, SHOWN.items(), strict=True):
        values = scale * table.pivot_table(index="curve", columns="net", values=column, aggfunc="mean").loc[curves, [BEFORE, AFTER]]
        axes.barh(places - 0.2, values[BEFORE], 0.36, color=COLOURS[0], label="before")
        bars = axes.barh(places + 0.2, values[AFTER], 0.36, color=COLOURS[1], label="after")
        axes.bar_label(bars, [change(*pair, column) for pair in values.to_numpy()], padding=3, fontsize="small")
        axes.set_yticks(places, [textwrap.fill(curve, LINE) for curve in curves], fontsize="small")
        axes.set(title=title, ylim=(len(curves) - 0.4, -0.6))
        axes.set_xlabel(words if column == "accuracy" else f"{title.partition(' of')[0].lower()} [{words}]")
        axes.margins(x=0.25)
        axes.grid(alpha=0.3, axis="x")
    handles, names = every[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
    return figure


def change(before, after, column):
    """How a quantity changed, in words: what is left of it in percent; of an accuracy from 0 to 1 the points it gained or lost."""
    return f"{after - before:+.2f} points" if column == "accuracy" else f"{100 * after / before:.0f} %"
