"""Figures of the width studies: one quantity against the width factor, a curve for each kind of net, error bars over repeats."""
import os

os.environ.setdefault("MPLBACKEND", "Agg")  # figures go to files; no screen is needed

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, NullFormatter

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito: colour-blind safe
MARKERS = "osD^vP*"


def width_label(width):
    """1/4x, 1/2x, 1x, 2x: how the study writes width factors."""
    return f"{width:g}x" if width >= 1 else f"1/{1 / width:g}x"


def against_width(curves, title, ylabel, path, log=False, reference=None, note=None):
    """Draws curves of shares, as %, over width factors into a PNG file.

    Args:
      curves: {label: (widths, means, standard deviations)}, arrays of equal length; NaN leaves a gap.
      title, ylabel: texts.
      path: the file.
      log: y axis to base 2, for quantities whose growth matters; otherwise from 0 to 100 %.
      reference: (label, function of the width): a dashed line to compare with.
      note: text in the corner, such as growth factors.
    """
    figure, axes = plt.subplots(figsize=(5.2, 3.9), layout="constrained")
    widths = sorted({width for curve in curves.values() for width in curve[0]})
    if reference:
        label, function = reference
        axes.plot(widths, [100 * function(width) for width in widths], "--", color="grey", label=label)
    for number, (label, (at, means, deviations)) in enumerate(curves.items()):
        axes.errorbar(at, np.multiply(means, 100), np.multiply(deviations, 100), label=label, capsize=3, markersize=5,
                      color=COLOURS[number % len(COLOURS)], marker=MARKERS[number % len(MARKERS)])
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [width_label(width) for width in widths])
    axes.xaxis.set_minor_formatter(NullFormatter())
    if log:
        axes.set_yscale("log", base=2)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.set_ylim(0, 103)
    axes.set(title=title, xlabel="width factor", ylabel=ylabel)
    axes.grid(alpha=0.3)
    if note:
        axes.text(0.03, 0.97, note, transform=axes.transAxes, va="top", fontsize="small")
    if len(curves) > 1 or reference:
        axes.legend(fontsize="small", loc="best")
    figure.savefig(path, format="png", dpi=150)
    plt.close(figure)
