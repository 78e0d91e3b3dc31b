"""The supermasks' figures of what single layers keep: densities, and scores before and after training, from the tables of the page."""
import numpy as np

from tfprune.report.axes import legend_below, panels, shades

WHEN = {"before": {"linestyle": ":"}, "after": {}}


def densities(table):
    """Bars of the share of each layer's weights that masks keep (`supermasks.of_layers`), a colour a net."""
    figure, (axes,) = panels(1, table.attrs.get("title", ""))
    layers = list(dict.fromkeys(table.layer))
    nets = named(table)
    for number, (words, rows, colour) in enumerate(nets):
        places = [layers.index(layer) + .8 * ((number + .5) / len(nets) - .5) for layer in rows.layer]
        axes.bar(places, 100 * rows.density, .8 / len(nets), color=colour, label=words)
    axes.set(title="Weights kept by each layer", xlabel="layer", ylabel="weights kept [%]", ylim=(0, 103))
    axes.set_xticks(range(len(layers)), layers, rotation=0 if len(layers) < 7 else 90)
    axes.grid(alpha=.3, axis="y")
    legend_below(axes, columns=4)
    return figure


def scores(table):
    """Histograms of magnitudes (`scores.tidy`): dotted before training, solid after it, with a marker at the threshold."""
    figure, (axes,) = panels(1, table.attrs.get("title", ""))
    for words, rows, colour in named(table):
        for when, style in WHEN.items():
            share = rows[(rows.when == when) & (rows.quantity == "share") & (rows.value > 0)]
            axes.plot(share.amount, 100 * share.value, color=colour, label=words if when == "after" else None, **style)
        limit = rows[rows.quantity == "threshold"]
        axes.plot(limit.amount, 100 * limit.value.where(limit.value > 0, np.nan), "o", color=colour, markeredgecolor="black")
    axes.set(title=f"Largest masked layer ({', '.join(dict.fromkeys(table.layer))})", xlabel="magnitude of what the mask ranks",
             ylabel="share in a bin [%]", yscale="log")
    axes.grid(alpha=.3)
    legend_below(axes, ["dotted: before training; marker: threshold"], columns=4)
    return figure


def named(table):
    """[(what tells a net apart from the others of a table, its rows, a colour)], by keep."""
    nets = list(table.sort_values(["keep", "curve", "seed"], kind="stable").groupby(["keep", "curve", "seed", "experiment_id"], sort=False))
    return [(_words(table, *key[:3]), rows, colour) for (key, rows), colour in zip(nets, shades(len(nets)), strict=True)]


def _words(table, keep, label, seed):
    parts = [label] * (table.curve.nunique() > 1) + [f"keep {100 * keep:g} %"] + [f"seed {seed}"] * (table.seed.nunique() > 1)
    return ", ".join(parts)
