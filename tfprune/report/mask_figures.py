"""The supermasks' figures of what single layers keep: densities, and scores before and after training, from the tables of the page."""
from tfprune.report.axes import legend_below, panels, shades
from tfprune.report.pruning_frames import evenly

SHARES = 4  # nets whose scores are drawn: histograms of more lie on each other


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
    """Histograms of magnitudes (`scores.tidy`): dotted before training, the mean over the nets, and in colours after it, of up to SHARES
    nets, with a marker at the threshold.
    """
    figure, (axes,) = panels(1, table.attrs.get("title", ""))
    nets = named(table)
    shown = evenly(nets, SHARES)
    for words, rows, colour in shown:
        share, limit = _histogram(rows, "after"), rows[(rows.quantity == "threshold") & (rows.value > 0)]
        axes.plot(share.index, share, color=colour, label=words)
        axes.plot(limit.amount, 100 * limit.value, "o", color=colour, markeredgecolor="black", zorder=4)
    share = _histogram(table, "before")
    axes.plot(share.index, share, color="black", linestyle=":", linewidth=2.5, zorder=3, label="before training")
    axes.plot([], [], "o", color="white", markeredgecolor="black", label="threshold")
    axes.set(title=f"Before and after training, largest masked layer\n({', '.join(dict.fromkeys(table.layer))})",
             xlabel="magnitude of what the mask ranks", ylabel="share in a bin [%]", yscale="log")
    axes.grid(alpha=.3)
    some = f"{len(shown)} of {len(nets)} nets; " if len(shown) < len(nets) else ""
    legend_below(axes, [f"{some}what is right of its threshold is kept"], columns=3)
    return figure


def _histogram(rows, when):
    """The share of each bin that has any, in percent, the mean over nets."""
    share = rows[(rows.when == when) & (rows.quantity == "share")].groupby("amount").value.mean()
    return 100 * share[share > 0]


def named(table):
    """[(what tells a net apart from the others of a table, its rows, a colour)], by keep."""
    nets = list(table.sort_values(["keep", "curve", "seed"], kind="stable").groupby(["keep", "curve", "seed", "experiment_id"], sort=False))
    return [(_words(table, *key[:3]), rows, colour) for (key, rows), colour in zip(nets, shades(len(nets)), strict=True)]


def _words(table, keep, label, seed):
    parts = [label] * (table.curve.nunique() > 1) + [f"keep {100 * keep:g} %"] + [f"seed {seed}"] * (table.seed.nunique() > 1)
    return ", ".join(parts)
