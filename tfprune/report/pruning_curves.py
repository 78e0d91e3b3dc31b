"""Several pruned nets side by side: accuracy and loss against what is pruned, as figures and as text. All from one tidy table."""
import math

import numpy as np
from matplotlib.ticker import FuncFormatter, NullLocator

from tfprune.report.axes import COLOURS, MARKERS, legend_below, means, panels
from tfprune.report.together import first_curves

TITLES = {"weight": ("Single weights", "weights pruned [%]"), "unit": ("Units", "units pruned [%]")}
LOSS = {False: "test cross-entropy, without penalties [nats]", True: "test squared error, without penalties"}  # the latter of a regression
LINES = ("-", "--", ":")  # of the first curves, and of those whose colours come again
TICKS = (100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)  # % left
FAR = 100  # times the least loss: then its axis is logarithmic


def against_sparsity(table, column="accuracy"):
    """Test accuracy or loss against the share that is pruned, a panel for weights and for units: mean and deviation over seeds.

    The axis is logarithmic in what is left, for the last percent decides; at its end everything is pruned. Of many curves the first.

    Args:
      table: of `tfprune.report.pruning.tidy`. column: "accuracy" or "loss".
    """
    kinds = [by for by in TITLES if by in set(table.by)]
    table, some = first_curves(table)
    title = table.attrs.get("title", "") + some
    table, nothing = placed(table)
    figure, every = panels(len(kinds), title)
    scale, curves = 100 if column == "accuracy" else 1, list(dict.fromkeys(table.curve))
    for axes, by in zip(every, kinds, strict=True):
        own = table[table.by == by]
        for number, curve in ((number, curve) for number, curve in enumerate(curves) if curve in set(own.curve)):
            places = scale * own[own.curve == curve].groupby("place")[column].agg(["mean", lambda values: values.std(ddof=0)])
            means(axes, places.index, places.iloc[:, 0], places.iloc[:, 1], label=curve, markersize=5, color=COLOURS[number % len(COLOURS)],
                  marker=MARKERS[number % len(MARKERS)], linestyle=LINES[number // len(COLOURS) % len(LINES)])
        axes.set(title=TITLES[by][0], xlabel=TITLES[by][1], ylabel=_words(own, column))
        _guessing(axes, table, column)
        _axis_of_shares(axes, table.place, nothing)
        if column == "loss" and own.loss.max() > FAR * own.loss[own.loss > 0].min():
            axes.set_yscale("log")
        elif column == "loss":
            axes.set_ylim(0)
        elif not (own.accuracy < 0).any():  # as of a regression
            axes.set_ylim(0, 103)
        legend_below(axes)
    return figure


def _words(table, column):
    return "test accuracy [%]" if column == "accuracy" else LOSS[bool(table.chance.isna().all())]


def _guessing(axes, table, column):
    """The line of what guessing gives; none in a regression."""
    chance = table.chance.iloc[0]
    if not np.isnan(chance):
        value, words = (100 * chance, f"{100 * chance:.3g} %") if column == "accuracy" else (-math.log(chance), f"ln {1 / chance:.0f}")
        axes.axhline(value, linestyle="--", color="grey", linewidth=1, label=f"guessing ({words})")


def placed(table):
    """(the table with `place`, the share that is left in percent, for a logarithmic axis; the place of nothing left, None without any)."""
    left = (100 * (1 - table.sparsity)).round(9)
    least = left[left > 0].min() / 2 if (left > 0).any() else 1.0
    return table.assign(place=np.maximum(left, least)), least if (left <= 0).any() else None


def ticks_of(places, nothing):
    """The shares left, in percent, that have a tick; without those that would touch the place of `nothing`."""
    return [tick for tick in TICKS if tick > 1.2 * (nothing or 0) and tick >= places.min()]


def as_text(table):
    """Test accuracies in percent, means over seeds: a row a curve and what is pruned, a column a sparsity."""
    return _by_sparsity(table).to_string(na_rep="", float_format="{:.2f}".format)


def as_markdown(table):
    """The same as a table in Markdown."""
    wide = _by_sparsity(table)
    rows = [["run", "pruned", *wide.columns], ["---"] * (2 + len(wide.columns))]
    rows += [[*index, *("" if np.isnan(value) else f"{value:.2f}" for value in values)]
             for index, values in zip(wide.index, wide.to_numpy(), strict=True)]
    return "Test accuracy [%] by sparsity\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _by_sparsity(table):
    wide = 100 * table.pivot_table(index=["curve", "by"], columns="sparsity", values="accuracy", aggfunc="mean", sort=False)
    wide = wide.sort_index(axis=1).rename(columns=lambda sparsity: f"{100 * sparsity:.10g} %")
    return wide.rename_axis(index=["run", "pruned"], columns=None)


def _axis_of_shares(axes, places, nothing):
    """A logarithmic axis from all to little; `nothing` is the place of 0, where it is on it."""
    axes.set_xscale("log")
    axes.set_xlim(115, places.min() / 1.15)
    ticks = ticks_of(places, nothing)
    axes.set_xticks([*ticks, nothing] if nothing else ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda left, _: "100" if left == nothing else f"{100 - left:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
