"""The figures of class filters. Each takes `Results` of runs (filter_results.py), or a table, and returns a matplotlib Figure."""
import textwrap

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfprune.report.axes import COLOURS, MARKERS, legend_below, means, panels

FEW_CLASSES, FEW_FILTERS = 20, 80  # of which each is named
MOST_MARKS = 40_000  # places of a matrix in which a choice is marked
TITLE = 44  # characters that fit above a panel
CURVES = {"own": "most frequent of the class", "weights": "largest weights of the class", "random": "random: mean and sd"}
PLACES = {"own": "noise at the class's own filters: mean and sd", "others": "noise at all other filters: mean and sd"}
NOISES = {"replace": "N(0, 1) in their place", "matched": "N with their mean and sd in their place", "zero": "0 in their place",
          "add": "N added", "shuffle": "other images' in their place"}
COMPARED = {"at_own": "Noise at the class's own filters", "at_others": "Noise at all other filters",
            "decomposed": "Heads of a class's own filters, not trained on", "off_diagonal": "What the sets of two classes share"}
PAIRS = {"shared": ("Filters that two classes share", "shared filters", "how many it has", ".0f"),
         "mutual_information": ("Mutual information of two classes' filters", "mutual information [nats]", "its entropy", ".3f")}
SETS = {"ours": "class filters", "csg": "largest gates (CSG)", "random": "random filters"}


def matrices(found):
    """Which filters serve which class: how often a filter is among the largest of a class's images, and which are chosen.

    Filters stand in the order of the class that they serve most, so that each class's own make a block. Of filters from a file only the
    choice is known.
    """
    heights = [1.4 + min(0.2 * len(results.filters()), 6.0) for results in found]
    figure = Figure(figsize=(13, sum(heights)), layout="constrained")
    every = figure.subplots(len(found), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, results in zip(every, found, strict=True):
        shares, members = results.counts(), results.members()
        order = in_blocks(members.astype(float) if shares is None else shares)
        if shares is None:
            axes.imshow(members[:, order], aspect="auto", cmap="Greys", vmin=0, vmax=2, interpolation="nearest")
        else:
            image = axes.imshow(100 * shares[:, order], aspect="auto", cmap="viridis", vmin=0, vmax=100, interpolation="nearest")
            figure.colorbar(image, ax=axes, label="among the largest\n[% of the class's images]", pad=0.01)
        if members.size <= MOST_MARKS:
            axes.plot(*np.nonzero(members[:, order])[::-1], "o", markersize=4, color=COLOURS[1], markeredgecolor="white",
                      markeredgewidth=0.6, label="chosen for the class")
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), frameon=False, fontsize="small", borderpad=0.1)
        axes.set(xlabel="filter, by the class that it serves most", ylabel="class")
        axes.set_title(results.label, loc="left")
        _named(axes.set_xticks, order, FEW_FILTERS, rotation=90, fontsize=6)
        _named(axes.set_yticks, range(len(members)), FEW_CLASSES)
    return figure


def in_blocks(values):
    """The order of filters, columns of `values` [classes, filters], by the class that each serves most, and how much; useless ones last."""
    best = np.where(values.any(axis=0), values.argmax(axis=0), len(values))
    return np.lexsort((-values.max(axis=0), best))


def curves(table):
    """Accuracy against the number of filters that a class's logit sees, a panel a run, without training on."""
    figure, every = panels(table.run.nunique(), "Class heads of a few filters, not trained on")
    for axes, (label, rows) in zip(every, table.groupby("run", sort=False), strict=True):
        for number, (name, title) in enumerate(CURVES.items()):
            by_top = 100 * rows[rows.filters == name].groupby("top").accuracy.agg(["mean", "std"])
            means(axes, by_top.index, by_top["mean"], by_top["std"], label=title, markersize=5, color=COLOURS[number],
                  marker=MARKERS[number])
        dense = rows[rows.filters == "dense"]
        axes.axhline(100 * dense.accuracy.iloc[0], linestyle="--", color="grey", linewidth=1,
                     label=f"all {dense.top.iloc[0]} filters ({100 * dense.accuracy.iloc[0]:.2f} %)")
        axes.set_xscale("log")
        tops = sorted(rows.top.unique())
        axes.set_xticks(tops, tops, fontsize="small")
        axes.minorticks_off()
        axes.set(title=_wrapped(label), xlabel="filters a class", ylabel="test accuracy [%]", ylim=(0, 103))
        axes.grid(alpha=0.3)
        legend_below(axes)
    return figure


def essentialities(table):
    """Accuracy with noise at a class's filters and at all others, by class and together: mean and standard deviation of the draws.

    Args:
      table: of `filter_tables.essentiality`, of one noise.
    """
    groups = [((run, filters), rows) for (run, filters), rows in table.groupby(["run", "filters"], sort=False)]
    noise = table.noise[table.noise != "none"].iloc[0]
    figure, every = panels(len(groups), f"Noise at filters ({NOISES.get(noise, noise)})", columns=2)
    for axes, ((run, filters), rows) in zip(every, groups, strict=True):
        names = list(dict.fromkeys(rows["class"]))
        names = names if len(names) <= FEW_CLASSES + 1 else ["all"]
        places = np.arange(len(names))
        for number, (where, title) in enumerate(PLACES.items()):
            own = rows[rows["where"] == where].set_index("class").loc[names]
            axes.bar(places + 0.4 * number - 0.2, 100 * own["mean"], 0.38, yerr=100 * own.sd.fillna(0), capsize=2, color=COLOURS[number],
                     label=title, error_kw={"linewidth": 1})
        base = rows[rows["where"] == "none"].set_index("class").loc[names]
        axes.hlines(100 * base["mean"], places - 0.42, places + 0.42, color="black", linewidth=1.5, label="no noise")
        axes.set_xticks(places, names)
        axes.set(title=f"{_wrapped(run)}\n{SETS.get(filters, filters)}", xlabel="class", ylabel="accuracy on the class [%]", ylim=(0, 103))
        axes.grid(alpha=0.3, axis="y")
        legend_below(axes)
    return figure


def accuracies(table):
    """Accuracy of each class with all filters, with its own, and after training on, a panel a run.

    Args:
      table: the rows of `validate`: run, net, class, accuracy.
    """
    figure, every = panels(table.run.nunique(), "Accuracy of each class", columns=2)
    for axes, (label, rows) in zip(every, table.groupby("run", sort=False), strict=True):
        names, nets = list(dict.fromkeys(rows["class"])), list(rows.groupby("net", sort=False))
        names = names if len(names) <= FEW_CLASSES + 1 else ["all"]
        for number, (net, own) in enumerate(nets):
            places = np.arange(len(names)) + 0.8 * ((number + 0.5) / len(nets) - 0.5)
            axes.bar(places, 100 * own.set_index("class").accuracy.reindex(names), 0.76 / len(nets), label=net,
                     color=COLOURS[number % len(COLOURS)])
        axes.set_xticks(range(len(names)), names)
        axes.set(title=_wrapped(label), xlabel="class", ylabel="test accuracy on the class [%]", ylim=(0, 103))
        axes.grid(alpha=0.3, axis="y")
        legend_below(axes, columns=3)
    return figure


def pairs(table, column):
    """What two classes' filters have in common, a panel a run; colours end at the largest value of two different classes.

    Args:
      table: of `decomposing.overlap`. column: one of PAIRS.
    """
    title, unit, diagonal, pattern = PAIRS[column]
    figure, every = panels(table.run.nunique(), title)
    for axes, (label, rows) in zip(every, table.groupby("run", sort=False), strict=True):
        values = rows[column].to_numpy(float).reshape(rows["class"].nunique(), -1)
        others = values[~np.eye(len(values), dtype=bool)]
        most = others.max(initial=0) or 1
        image = axes.imshow(values, cmap="viridis", vmin=0, vmax=most)
        if len(values) <= FEW_CLASSES:
            for (row, place), value in np.ndenumerate(values):
                axes.text(place, row, f"{value:{pattern}}".removeprefix("0" * (pattern != ".0f")), ha="center", va="center",
                          fontsize=min(7, 90 / len(values)), color="white" if value < 0.6 * most else "black")
        _named(axes.set_xticks, range(len(values)), FEW_CLASSES)
        _named(axes.set_yticks, range(len(values)), FEW_CLASSES)
        axes.set(title=_wrapped(label), xlabel=f"class (on the diagonal: {diagonal})", ylabel="class")
        figure.colorbar(image, ax=axes, label=unit, ticks=MaxNLocator(integer=True) if column == "shared" else None)
    return figure


def information(table):
    """Mean mutual information between the sets of different classes, against random sets of the same sizes, a mark a run."""
    figure, (axes,) = panels(1, "What the filters of one class say about another's")
    labels = list(dict.fromkeys(table.run))
    places = np.arange(len(labels))
    values = table.pivot(index="run", columns="sets", values="off_diagonal").loc[labels]
    axes.plot(values["own"], places - 0.08, linestyle="none", marker=MARKERS[0], color=COLOURS[0], label="class filters")
    axes.errorbar(values["random"], places + 0.08, xerr=values["random_sd"], linestyle="none", marker=MARKERS[1], color=COLOURS[1],
                  capsize=3, label="random sets of as many: mean and sd")
    axes.plot(values["random_expected"], places + 0.08, linestyle="none", marker="|", markersize=16, markeredgewidth=2, color="black",
              label="random sets, exact expectation")
    axes.set_yticks(places, [_wrapped(label, TITLE // 2) for label in labels], fontsize="small")
    axes.set(xlabel="mutual information of different classes' sets [nats]", ylim=(len(labels) - 0.4, -0.6))
    axes.set_xlim(0, 1.08 * (values["random"] + values["random_sd"].fillna(0)).combine(values["own"], max).max() or 1)
    axes.grid(alpha=0.3, axis="x")
    legend_below(axes, columns=1)
    return figure


def gates(table):
    """Class-specific gates against found and random filters, by how many of a class: noise (the first one of the table) at them and at all
    others, heads of them, and what two classes' sets share.
    """
    several = table.run.nunique() > 1
    noise = NOISES.get(table.noise.iloc[0], table.noise.iloc[0])
    title = f"{', '.join(dict.fromkeys(table.run))}\nnoise: {noise}; mean and sd of the draws"
    figure, every = panels(len(COMPARED), title, columns=2)
    curves_of = list(table.drop_duplicates(["run", "filters", "top"]).groupby(["run", "filters"], sort=False))
    tops = sorted(table.top.unique())
    for axes, (column, title) in zip(every, COMPARED.items(), strict=True):
        scale = 1 if column == "off_diagonal" else 100
        for number, ((run, name), rows) in enumerate(curves_of):
            means(axes, rows.top, scale * rows[column], scale * rows[f"{column}_sd"] if f"{column}_sd" in rows else 0,
                  label=SETS[name] + (f", {run}" if several else ""), markersize=5, color=COLOURS[number % len(COLOURS)],
                  marker=MARKERS[number % len(MARKERS)])
        axes.set_xticks(tops, tops)
        axes.set(title=title, xlabel="filters a class", ylabel="mutual information [nats]" if scale == 1 else "test accuracy [%]")
        axes.set_ylim(0, None if scale == 1 else 103)
        axes.grid(alpha=0.3)
        legend_below(axes)
    return figure


def _wrapped(label, width=TITLE):
    return textwrap.fill(label, width)


def _named(set_ticks, names, most, **options):
    """A tick with its name for each row or column, unless there are too many."""
    if len(names) <= most:
        set_ticks(range(len(names)), names, **options)
