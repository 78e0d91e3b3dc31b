"""How a net's weights and units are distributed as it is pruned: a picture at each sparsity, and their animation.

After justincosentino/network-pruning, whose every picture scales its own axes, so that its animations jump. Here all sparsities share
them, and frequencies are logarithmic: of 784,000 weights and of 784 a shape remains.
"""
import dataclasses
import io
import math

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from PIL import Image

from tfprune.report.axes import COLOURS, panels, shades
from tfprune.report.pruning_figures import DPI, SIZE

FEW, MOST_LAYERS = 4, 9  # sparsities that are drawn on each other, and layers of such a figure
PANEL = (2.8, 1.7)  # inches, of a layer where there are many
SECOND = 1000  # milliseconds, of a frame
LEAST = 0.7  # frequency at the foot of the logarithmic axis: a bin with one weight shows
WORDS = {"weight": ("|w| of the weights that are not 0", "Weights at {} % sparsity"),
         "unit": ("L2 norm of a unit's weights", "Units at {} % sparsity")}


@dataclasses.dataclass
class Histograms:
    """How the norms of a net's weights or units are distributed at each sparsity.

    Attributes: by ("weight" or "unit"), sparsities [k], and for each layer, in order, edges [bins + 1] and counts [k, bins].
    """

    by: str
    sparsities: np.ndarray
    layers: dict

    def in_order(self):
        """[(sparsity, its row)]: each sparsity once, rising."""
        values, rows = np.unique(self.sparsities, return_index=True)
        return [(float(value), int(row)) for value, row in zip(values, rows, strict=True)]


def frames(histograms, title=""):
    """(sparsity, PIL image) of each sparsity, rising; a panel a layer. Axes are drawn once; only bars and heading are new in a frame."""
    names = list(histograms.layers)
    columns = min(len(names), max(3, math.ceil(math.sqrt(1.2 * len(names)))))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(max(SIZE[0], PANEL[0] * columns), max(SIZE[1], PANEL[1] * rows)), dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    words, heading = WORDS[histograms.by]
    figure.supxlabel(words, fontsize="medium")
    figure.supylabel("frequency", fontsize="medium")
    written = figure.suptitle(heading.format(0) + title, animated=True)
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    bars = [_panel(axes, name, *histograms.layers[name]) for axes, name in zip(every, names, strict=False)]
    for unused in every[len(names):]:
        unused.remove()
    canvas.draw()
    empty = canvas.copy_from_bbox(figure.bbox)
    for sparsity, row in histograms.in_order():
        canvas.restore_region(empty)
        for patch, name in zip(bars, names, strict=True):
            patch.set_data(np.maximum(histograms.layers[name][1][row], LEAST))
            patch.axes.draw_artist(patch)
        written.set_text(heading.format(f"{100 * sparsity:.10g}") + title)
        figure.draw_artist(written)
        yield sparsity, Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def overlaid(histograms, title=""):
    """The figure of a few sparsities on each other, the higher in front, a panel a layer; of many layers some."""
    names, chosen = evenly(histograms.layers, MOST_LAYERS), evenly(histograms.in_order(), FEW)
    words, heading = WORDS[histograms.by]
    some = f"{len(names)} of {len(histograms.layers)} layers" if len(names) < len(histograms.layers) else ""
    figure, every = panels(len(names), "\n".join(filter(None, (f"{heading.partition(' at')[0]} as they are pruned", title, some))))
    for axes, name in zip(every, names, strict=True):
        edges, counts = histograms.layers[name]
        _axes_of(axes, name, edges, counts)
        growing = counts[chosen[-1][1]] > counts[chosen[0][1]]  # the bin of pruned units: there the highest sparsity stands behind
        layers = list(zip(chosen, shades(len(chosen)), strict=True))
        for bins, order in ((~growing, layers), (growing, layers[::-1])):
            for (sparsity, row), colour in order:
                axes.stairs(np.where(bins, np.maximum(counts[row], LEAST), LEAST), edges, fill=True, baseline=LEAST, color=colour,
                            label=f"{100 * sparsity:.10g} % pruned" if order is layers else None)
        axes.set(xlabel=words, ylabel="frequency")
    figure.legend(*every[0].get_legend_handles_labels(), loc="outside lower center", ncols=FEW, frameon=False)
    return figure


def png(image):
    """A frame as the bytes of a PNG file."""
    handle = io.BytesIO()
    image.save(handle, "PNG", dpi=(DPI, DPI))
    return handle.getvalue()


def gif(images):
    """Frames as the bytes of a GIF file that shows each for a second, over and over."""
    handle = io.BytesIO()
    first, *others = [image.quantize(64, dither=Image.Dither.NONE) for image in images]
    first.save(handle, "GIF", save_all=True, append_images=others, duration=SECOND, loop=0)
    return handle.getvalue()


def evenly(values, most):
    """A list of all values; of more than `most` the first, the last, and some between."""
    values = list(values)
    return [values[place] for place in np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int)]


def _panel(axes, name, edges, counts):
    """The axes of a layer, the same at all sparsities; returns its bars."""
    _axes_of(axes, name, edges, counts)
    return axes.stairs(np.full(len(edges) - 1, LEAST), edges, fill=True, baseline=LEAST, color=COLOURS[0], animated=True)


def _axes_of(axes, name, edges, counts):
    whole = len(counts) > 1 and (counts == counts[0]).all()
    axes.set_title(f"{name} (left whole)" if whole else name, fontsize="medium")
    axes.set_yscale("log", nonpositive="clip")
    axes.set(xlim=(-edges[-1] / 100, edges[-1]) if edges[-1] > 0 else (0, 1), ylim=(LEAST, max(2 * counts.max(), 15)))
    axes.yaxis.set_major_locator(LogLocator(numticks=5))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(labelsize="small")
    axes.minorticks_off()
    axes.grid(alpha=0.3)
