"""Figures of the width studies: one quantity against the width factor, a curve for each kind of net, error bars over repeats."""
import os

os.environ.setdefault("MPLBACKEND", "Agg")  # figures go to files; no screen is needed

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullFormatter

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito: colour-blind safe
MARKERS = "osD^vP*"


def width_label(width):
    """1/4x, 1/2x, 1x, 2x: how the study writes width factors."""
    return f"{width:g}x" if width >= 1 else f"1/{1 / width:g}x"


def against_width(curves, title, ylabel, path, log=False, percent=False, note=None):
    """Draws curves over width factors into a PNG file.

    Args:
      curves: {label: (widths, means, standard deviations)}, arrays of equal length; NaN leaves a gap.
      title, ylabel: texts; units belong into `ylabel`.
      path: the file.
      log: y axis to base 2, for quantities whose growth matters. percent: shares are shown as %.
      note: text in the corner, such as growth factors.
    """
    figure, axes = plt.subplots(figsize=(5, 3.8), layout="constrained")
    scale = 100 if percent else 1
    for number, (label, (widths, means, deviations)) in enumerate(curves.items()):
        axes.errorbar(widths, np.multiply(means, scale), np.multiply(deviations, scale), label=label, capsize=3, markersize=5,
                      color=COLOURS[number % len(COLOURS)], marker=MARKERS[number % len(MARKERS)])
    widths = sorted({width for curve in curves.values() for width in curve[0]})
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [width_label(width) for width in widths])
    axes.xaxis.set_minor_formatter(NullFormatter())
    if log:
        axes.set_yscale("log", base=2)
    axes.set(title=title, xlabel="width factor", ylabel=ylabel)
    axes.grid(alpha=0.3)
    if note:
        axes.text(0.03, 0.97, note, transform=axes.transAxes, va="top")
    if len(curves) > 1:
        axes.legend(fontsize="small")
    figure.savefig(path, format="png", dpi=150)
    plt.close(figure)
