"""Draws the README's picture from what `make demo` has left in the results folder.

    python docs/pictures/demo.py --results_dir=results --out=docs/pictures/demo.png

A panel for each study, on a light ground, small enough for a column of text. Nothing is measured here.
"""
import io
import pathlib
import sys

from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # the checkout

from experiments import REGISTRY, RESULTS_DIR  # noqa: E402
from tfprune import files, flags  # noqa: E402
from tfprune.overrides import override  # noqa: E402
from tfprune.report import decomposing, feature_amounts, filter_results, pruning, shrunk, supermasks, tables, width_study  # noqa: E402
from tfprune.report.axes import COLOURS, MARKERS, growth_axis, width_axis  # noqa: E402
from tfprune.run import Run  # noqa: E402

SIZE, DPI, COLOURS_OF_FILE = (12, 5.8), 100, 128  # inches; a small file
LOW = 30  # percent: a bar that has no room for its label
GREY = {"color": "grey", "linewidth": 1, "linestyle": "--"}


def line(axes, x, y, number, **options):
    """A curve in the colour and with the marker of its number."""
    axes.plot(x, y, color=COLOURS[number], marker=MARKERS[number], markersize=4, **options)


def width(axes, runs):
    """Prunable and redundant units against the width."""
    table = width_study.tidy(runs)
    inside = []
    for number, (quantity, word) in enumerate({"redundancy": "redundant", "prunability": "prunable"}.items()):
        widths, means, _ = next(iter(tables.curves(table, quantity, "test", "corrected").values()))
        line(axes, widths, 100 * means, number, label=word)
        inside += [*(100 * means)]
    every = sorted(table.width.unique())
    axes.plot(every, [100 * value / tables.WIDEST for value in every], label="all units", **GREY)
    width_axis(axes, every)
    growth_axis(axes, min(inside), 100)
    axes.set(title="Width: wider nets do not need what they gain", ylabel="units [% of the widest net's]")


def masks(axes, runs):
    """Test accuracy against the share of random weights that a mask keeps."""
    table = supermasks.tidy(runs)
    line(axes, 100 * table.keep, 100 * table.test, 0, label="trained mask,\nrandom weights")
    axes.axhline(100 * table.chance.iloc[0], label="guessing", **GREY)
    axes.set(title="Supermasks: only the mask is trained", xlabel="weights kept [%]", ylabel="test accuracy [%]", ylim=(0, 103))


def features(axes, runs):
    """Features of each layer of the best, the worst and the plain VGG."""
    table = feature_amounts.tidy(runs)
    best, worst = table.loc[table.test.idxmax()], table.loc[table.test.idxmin()]
    for number, (word, row) in enumerate({"best": best, "worst": worst}.items()):
        line(axes, range(1, len(row.features) + 1), row.features, number, label=f"{word}: {100 * row.test:.0f} %")
    plain = feature_amounts.plain_profile(runs[0].experiment)
    axes.plot(range(1, len(plain) + 1), plain, label="plain VGG", **GREY)
    axes.set(title="Feature amounts: it matters where", xlabel="layer", ylabel="features")


def filters(axes, run):
    """Test accuracy with noise in place of a class's own filters, or of all others, beside random sets of as many."""
    table = decomposing.essentiality(filter_results.of_runs([run]))
    table = table[table["class"] == "all"].set_index(["filters", "where"])["mean"]
    words = {"ours": "its own", "random": "random"}
    for number, kind in enumerate(words):
        for place, where in enumerate(("own", "others")):
            height, middle = 100 * table[kind, where], place + 0.44 * number - 0.22
            axes.bar(middle, height, 0.42, color=COLOURS[number])
            inside = {"color": "white", "va": "top"} if height > LOW else {"color": COLOURS[number], "va": "bottom"}
            axes.text(middle, height - 2 if height > LOW else height, f"{words[kind]}\n{height:.0f}", ha="center", fontsize=9.5, **inside)
    base = 100 * table["ours", "none"]
    axes.axhline(base, **GREY)
    axes.text(0.5, base + 1, f"without noise: {base:.0f}", ha="center", va="bottom", color="dimgrey", fontsize=9.5)
    axes.set_xticks(range(2), ["noise in a class's\nfive filters", "noise in all\nbut these five"])
    axes.set(title="Decomposing: five filters serve a class", ylabel="test accuracy [%]", ylim=(0, 114), yticks=range(0, 101, 20))


def pruned(axes, runs):
    """Test accuracy against the share pruned: weights and units, with and without a penalty."""
    table = pruning.tidy(runs)
    words = {"weight": "weights", "unit": "units"}
    for number, ((curve, by), rows) in enumerate(table.groupby(["curve", "by"], sort=False)):
        penalty = " (L1 penalty)" if "l1" in curve else ""
        line(axes, 100 * rows.sparsity, 100 * rows.accuracy, number, label=words[by] + penalty)
    axes.set(title="Network pruning: how much can go", xlabel="set to 0 [%]", ylabel="test accuracy [%]", ylim=(0, 103))


def taken_out(axes, run):
    """What is left of a net of which a quarter of the units is taken out, as shares of what it was."""
    table = shrunk.tidy([run], [run.experiment.label]).set_index("net")
    left = {"multiply-adds": "multiply_adds", "parameters": "parameters", "file size": "bytes", "test accuracy": "accuracy"}
    bars = axes.barh(list(left), [100 * table[name]["cut"] / table[name]["trained"] for name in left.values()], 0.6, color=COLOURS[0])
    axes.bar_label(bars, fmt="{:.0f} %", padding=3)
    axes.set(title="... and what it saves", xlabel="left without a quarter of the units [%]", xlim=(0, 119), xticks=range(0, 101, 20))


def main(results_dir, out):
    """Draws all panels."""
    def runs(*ids, settings=()):
        return [Run(override(REGISTRY[number], list(settings)), results_dir) for number in ids]

    style = {"font.size": 10.5, "axes.titlesize": 11.5, "legend.fontsize": 9.5, "axes.spines.top": False, "axes.spines.right": False}
    with rc_context(style):
        figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained", facecolor="white")
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1, wspace=0.03)
        every = list(figure.subplots(2, 3).flat)
        width(every[0], runs(*range(9002, 9007)))
        masks(every[1], runs(*range(9010, 9020)))
        features(every[2], runs(9250, 9270, 9290, 9291))
        filters(every[3], *runs(9032))
        pruned(every[4], runs(9040, 9041))
        taken_out(every[5], *runs(9040, settings=["measure.cut=0.25"]))
        for axes in every:
            axes.grid(alpha=0.25)
            axes.set_axisbelow(True)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(frameon=False)
        with files.atomic(pathlib.Path(out)) as temporary:
            drawn = io.BytesIO()
            figure.savefig(drawn, format="png")
            Image.open(drawn).convert("RGB").quantize(COLOURS_OF_FILE).save(temporary, "png", optimize=True)
    print(f"wrote {out}")


if __name__ == "__main__":
    parser = flags.Parser(__doc__)
    parser.add_argument("--results_dir", default=RESULTS_DIR, help="default: %(default)s")
    parser.add_argument("--out", required=True, help="the picture, a PNG file")
    with flags.in_one_line():
        main(**vars(parser.parse_args()))
