"""Several runs of the study of pruning side by side: accuracy against what is left, as a figure and as text. All from one tidy table."""
import numpy as np
from matplotlib.ticker import FuncFormatter, NullLocator

from tfprune.report.axes import COLOURS, MARKERS, legend_below, panels

TITLES = {"weight": ("Single weights", "weights left [%]"), "unit": ("Units", "units left [%]")}
LINES = ("-", "--", ":")  # of the first curves, and of those whose colours come again
TICKS = (100, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


def accuracies(table):
    """Test accuracy against the share that is left, a panel for weights and for units: mean and standard deviation over seeds.

    The axis is logarithmic, for the last percent decides; at its end, where everything is pruned, stands 0.

    Args:
      table: of `tfprune.report.pruning.tidy`.
    """
    kinds = [by for by in TITLES if by in set(table.by)]
    table, least = placed(table)
    figure, every = panels(len(kinds), table.attrs.get("title", ""))
    curves = list(dict.fromkeys(table.curve))
    for axes, by in zip(every, kinds, strict=True):
        own = table[table.by == by]
        for number, curve in enumerate(curves):
            places = 100 * own[own.curve == curve].groupby("place").accuracy.agg(["mean", lambda values: values.std(ddof=0)])
            axes.errorbar(places.index, places.iloc[:, 0], places.iloc[:, 1], label=curve, capsize=3, markersize=5,
                          color=COLOURS[number % len(COLOURS)], marker=MARKERS[number % len(MARKERS)],
                          linestyle=LINES[number // len(COLOURS) % len(LINES)])
        if not np.isnan(chance := 100 * table.chance.iloc[0]):
            axes.axhline(chance, linestyle="--", color="grey", linewidth=1, label=f"guessing ({chance:.2g} %)")
        title, words = TITLES[by]
        axes.set(title=title, xlabel=words, ylabel="test accuracy [%]", ylim=(0, 103))
        _axis_of_shares(axes, table.place, least)
        legend_below(axes)
    return figure


def placed(table):
    """(the table with `place`, the share that is left in percent, for a logarithmic axis; the place of nothing left, None without any)."""
    left = (100 * (1 - table.sparsity)).round(9)
    least = left[left > 0].min() / 2 if (left > 0).any() else 1.0
    return table.assign(place=np.maximum(left, least)), least if (left <= 0).any() else None


def ticks_of(places, nothing):
    """The shares, in percent, that have a tick; without those that would touch the place of `nothing`."""
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
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: "0" if value == nothing else f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
