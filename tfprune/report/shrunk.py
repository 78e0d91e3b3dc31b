"""What shrink.py has made of runs, side by side: what nets are worth and what they cost before and after their units were taken out."""
import numpy as np
import pandas as pd

from tfprune.experiment import UserError
from tfprune.report.axes import COLOURS, panels

BEFORE, AFTER = "trained", "cut"  # rows of a run's table
SHOWN = {"accuracy": ("Test accuracy", "accuracy [%]", 100), "parameters": ("Parameters", "thousands", 1e-3),
         "multiply_adds": ("Multiply-adds of an image", "millions", 1e-6), "seconds_1": ("Time of one image", "milliseconds", 1e3),
         "seconds_64": ("Time of 64 images", "milliseconds", 1e3)}


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
            if not {BEFORE, AFTER} <= set(table["net"]) or not all(pd.api.types.is_numeric_dtype(table[name]) for name in SHOWN):
                raise ValueError(path)
        except (ValueError, KeyError, TypeError, OSError):  # pandas' parser errors are ValueErrors
            raise UserError(f"{path}: damaged (not what shrink.py writes); remove it and run shrink.py again") from None
        about = {"experiment_id": experiment.id, "name": experiment.name, "curve": label, "seed": experiment.seed,
                 "share": experiment.measure.cut}
        every.append(pd.concat([pd.DataFrame(about, table.index), table], axis=1))
    return pd.concat(every, ignore_index=True)


def before_and_after(table):
    """Bars of accuracy, sizes and times before and after, means over seeds; and what is left in percent.

    Args:
      table: of `tidy`.
    """
    shares = ", ".join(f"{100 * share:g} %" if share else "the silent ones" for share in sorted(set(table.share)))
    figure, every = panels(len(SHOWN), f"Before and after units are taken out ({shares})")
    curves = list(dict.fromkeys(table.curve))
    places = np.arange(len(curves))
    for axes, (column, (title, words, scale)) in zip(every, SHOWN.items(), strict=True):
        values = scale * table.pivot_table(index="curve", columns="net", values=column, aggfunc="mean").loc[curves, [BEFORE, AFTER]]
        axes.barh(places - 0.2, values[BEFORE], 0.36, color=COLOURS[0], label="before")
        bars = axes.barh(places + 0.2, values[AFTER], 0.36, color=COLOURS[1], label="after")
        axes.bar_label(bars, [change(*pair, column) for pair in values.to_numpy()], padding=3, fontsize="small")
        axes.set_yticks(places, curves, fontsize="small")
        axes.set(title=title, xlabel=words, ylim=(len(curves) - 0.4, -0.6))
        axes.margins(x=0.2)
        axes.grid(alpha=0.3, axis="x")
    handles, names = every[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
    return figure


def change(before, after, column):
    """How a quantity changed, in words: what is left of it in percent; of an accuracy from 0 to 1 the points it gained or lost."""
    return f"{after - before:+.2f} points" if column == "accuracy" else f"{100 * after / before:.0f} %"
