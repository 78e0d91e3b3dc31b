"""The figures of the width study. Each takes a tidy table (tfprune/report/tables.py) and returns a matplotlib Figure; `save` is separate.

Curves are means over seeds and crosses with the standard deviation as error bars. What has no results is a gap, and the figure names it.
`fidelity` is that of g and of the error bars (tfprune/units/growth.py, tables.curves); by default the study's that made the table.
"""
import matplotlib
import numpy as np

from tfprune import files
from tfprune.report import tables
from tfprune.report.axes import COLOURS, MARKERS, gap_note, growth_axis, legend_below, means, panels, say_empty, width_axis, width_label

TITLES = {"prunability": "Prunable: 80 % of answers stay without them", "non_prunability": "Not prunable",
          "redundancy": "Redundant: 95 % of the variance is in the others", "non_redundancy": "Not redundant"}
SETS = {"train": "Training", "test": "Test"}
KEPT = 80  # % of answers with which a net counts as working (tfprune/units/growth.py)


def save(figure, path, dpi=150):
    """Writes a figure as a PNG or PDF file, as its path ends, atomically; the same figure is the same bytes."""
    form = str(path).rpartition(".")[2]
    with files.atomic(path) as temporary:
        figure.savefig(temporary, format=form, dpi=dpi, metadata={"CreationDate": None} if form == "pdf" else None)


def accuracy(table, title=""):
    """Accuracy against width, a panel for each of train and test that there is, with the accuracy of guessing as a dashed line."""
    sets = [name for name in SETS if name in set(table[table.quantity == "accuracy"]["set"])] or ["test"]
    return _side_by_side(table, [("accuracy", name) for name in sets], title)


def prunability(table, title="", fidelity=None):
    """Prunability and non-prunability on the test set against width, both to base 2, with each curve's growth factor g."""
    return _side_by_side(table, [("prunability", "test"), ("non_prunability", "test")], title, fidelity)


def redundancy(table, title="", fidelity=None):
    """Redundancy and non-redundancy on the test set against width, both to base 2, with each curve's growth factor g."""
    return _side_by_side(table, [("redundancy", "test"), ("non_redundancy", "test")], title, fidelity)


def against_width(table, quantity, evaluation_set="test", title="", fidelity=None):
    """One quantity on one set against width: accuracy, squared_error, prunability, redundancy or a complement of these two."""
    return _side_by_side(table, [(quantity, evaluation_set)], title, fidelity)


def perturbation_curves(table, title="", words="ablated units of each layer [%]", factor=100):
    """Unchanged answers against how much is disturbed, a panel for each kind of net, a line for each width.

    Args:
      table: of quantity "agreement", of one kind of perturbation.
      words, factor: what an amount is, and the factor to its unit; by default of ablated units.
    """
    labels, widths = list(dict.fromkeys(table.curve)), sorted(table.width.unique())
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(widths)))
    figure, every = panels(len(labels), title)
    for axes, label in zip(every, labels, strict=True):
        chosen = table[table.curve == label]
        for number, width in enumerate(widths):
            if width not in set(chosen.width):
                continue
            by_amount = chosen[(chosen.width == width) & chosen.value.notna()].groupby("amount").value
            amounts, values, deviations = (column.to_numpy(float) for column in (
                by_amount.mean().index, by_amount.mean(), by_amount.std(ddof=0)))
            means(axes, factor * amounts, 100 * values, 100 * deviations, label=width_label(width), markersize=4,
                  color=colours[number], marker=MARKERS[number % len(MARKERS)])
        axes.axhline(KEPT, linestyle="--", color="grey", linewidth=1, label=f"{KEPT} %")
        axes.set(title=label, xlabel=words, ylabel="unchanged answers [%]", ylim=(0, 103))
        if factor == 100:
            axes.set_xlim(-3, 103)
        axes.grid(alpha=0.3)
        if chosen.value.notna().sum() == 0:
            say_empty(axes)
        legend_below(axes, [gap_note(tables.missing_ids(chosen, ["agreement"]))], columns=6)
    return figure


def parameters(table, title=""):
    """The number of trainable parameters against width, both axes logarithmic."""
    figure, (axes,) = panels(1, title)
    for number, (label, (widths, counts, _)) in enumerate(tables.curves(table.assign(set="test"), "parameters").items()):
        axes.plot(widths, counts, label=label, **_style(number))
    width_axis(axes, sorted(table.width.unique()))
    axes.set_yscale("log", base=10)
    axes.set_ylabel("trainable parameters")
    legend_below(axes)
    return figure


def violins(table, title="", layer="conv2"):
    """How |r| between a layer's units is distributed: a violin a net, as wide as the density; the dot is the mean."""
    labels, widths = list(dict.fromkeys(table.curve)), sorted(table.width.unique())
    figure, (axes,) = panels(1, title)
    room = 0.8 / len(labels)  # of the distance between two widths
    for number, label in enumerate(labels):
        colour, chosen = COLOURS[number % len(COLOURS)], table[table.curve == label]
        places = np.arange(len(widths)) - 0.4 + room * (number + 0.5)
        for place, width in zip(places, widths, strict=True):
            density = chosen[(chosen.width == width) & (chosen.quantity == "density")].groupby("amount").value.mean()
            if len(density):
                half = 0.45 * room * density.to_numpy() / density.max()
                axes.fill_betweenx(density.index.to_numpy(), place - half, place + half, color=colour, alpha=0.5, linewidth=0)
        average = chosen[chosen.quantity == "mean"].groupby("width").value.mean().reindex(widths)
        axes.plot(places, average, linestyle="none", color=colour, marker=MARKERS[number % len(MARKERS)], markeredgecolor="white",
                  markersize=8, label=label)
    axes.set_xticks(range(len(widths)), [width_label(width) for width in widths])
    axes.set(xlim=(-0.6, len(widths) - 0.4), ylim=(0, 1), xlabel="width factor", ylabel=f"|r| between the units of {layer}")
    axes.grid(alpha=0.3, axis="y")
    if table.value.notna().sum() == 0:
        say_empty(axes)
    legend_below(axes, [gap_note(tables.missing_ids(table, ["mean"]))])
    return figure


def _side_by_side(table, chosen, title, fidelity=None):
    fidelity = fidelity or table.attrs.get("fidelity", "corrected")
    figure, every = panels(len(chosen), title)
    for axes, (quantity, evaluation_set) in zip(every, chosen, strict=True):
        draw = _units if quantity in TITLES else _performance
        draw(axes, table, quantity, evaluation_set, fidelity)
        width_axis(axes, sorted(table.width.unique()))
        found = table[(table.quantity == quantity) & (table["set"] == evaluation_set)]
        if found.value.notna().sum() == 0:
            say_empty(axes)
    return figure


def _performance(axes, table, quantity, evaluation_set, fidelity):
    factor, words = (100, "accuracy [%]") if quantity == "accuracy" else (1, quantity.replace("_", " "))
    for number, (label, (widths, values, deviations)) in enumerate(tables.curves(table, quantity, evaluation_set, fidelity).items()):
        means(axes, widths, factor * values, factor * deviations, label=label, **_style(number))
    axes.set(title=f"{SETS[evaluation_set]} {quantity.replace('_', ' ')}", ylabel=words)
    if quantity == "accuracy":
        chance = 100 * table[(table.quantity == "chance") & (table["set"] == evaluation_set)].value.mean()
        axes.axhline(chance, linestyle="--", color="grey", linewidth=1, label=f"guessing ({chance:.2g} %)")
        axes.set_ylim(0, 103)
    found = table[table["set"] == evaluation_set]
    legend_below(axes, [gap_note(tables.missing_ids(found, [quantity]))])


def _units(axes, table, quantity, evaluation_set, fidelity):
    """Units as shares of the widest net's: their growth with width is what matters, so the axis is to base 2."""
    factors = tables.growth_factors(table, quantity, fidelity, evaluation_set)
    known = [g for g in factors.values() if np.isfinite(g)]
    inside, zeros = [], []
    if np.allclose(table.share, table.width / tables.WIDEST):  # where every net as a whole is as wide as the axis says
        widths = sorted(table.width.unique())
        every = [100 * width / tables.WIDEST for width in widths]
        axes.plot(widths, every, "--", color="grey", linewidth=1, label="all units of the net: g = 2.00")
        inside += every
    for number, (label, (widths, values, deviations)) in enumerate(tables.curves(table, quantity, evaluation_set, fidelity).items()):
        growing = f": g = {factors[label]:.2f}" if np.isfinite(factors[label]) else ""
        values, deviations = 100 * values, 100 * deviations
        means(axes, widths, values, deviations, label=label + growing, **_style(number))
        inside += [value for value in (*values, *(values - deviations), *(values + deviations)) if value > 0 and np.isfinite(value)]
        zeros += [f"{label} {width_label(width)}" for width in widths[values == 0]]
    positive = [value for value in inside if value > 0.02]  # an error bar may reach down to nothing
    growth_axis(axes, min(positive, default=np.nan), max(positive, default=np.nan))
    axes.set(title=TITLES[quantity], ylabel=f"{quantity.replace('_', '-')} [% of the widest net's units]")
    found = table[table["set"] == evaluation_set]
    notes = [f"growth g when the width doubles: max {max(known):.2f}, min {min(known):.2f}" if len(known) > 1 else "",
             f"zero, so not on this axis: {', '.join(zeros)}" if zeros else "", gap_note(tables.missing_ids(found, [quantity]))]
    legend_below(axes, notes)


def _style(number):
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)], "markersize": 5}
