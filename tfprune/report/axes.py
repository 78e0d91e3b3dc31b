"""What the figures have in common: colours and markers, the axis of widths, legends below the axes that name what is missing."""
import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from matplotlib.transforms import ScaledTranslation

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito: colour-blind safe
MARKERS = "osD^vP*"
PANEL, LINE = (5.4, 4.2), 0.18  # inches: axes with their labels, a line of a legend
LONG = 31  # characters of a label of which two do not fit side by side below a panel
NAMED = 6  # so many missing experiments are named; of more, how many


def panels(count, title, columns=3):
    """A figure with `count` axes in rows of up to `columns`; returns (figure, [axes])."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows), layout="constrained")
    every = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in every[count:]:
        unused.remove()
    figure.suptitle(title)
    return figure, every[:count]


def shades(count):
    """So many colours from dark to light, for what has an order; they show on white and on black."""
    return [to_hex(colour) for colour in matplotlib.colormaps["viridis"](np.linspace(.25, .88, count) if count > 1 else [.5])]


def width_label(width):
    """1/4x, 1/2x, 1x, 2x: how the study writes width factors."""
    return f"{width:g}x" if width >= 1 else f"1/{1 / width:g}x"


def width_axis(axes, widths):
    """A width axis to base 2 with a tick at every width."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [width_label(width) for width in widths])
    axes.xaxis.set_minor_locator(NullLocator())
    if len(widths):
        axes.set_xlim(min(widths) / 1.2, max(widths) * 1.2)
    axes.set_xlabel("width factor")
    axes.grid(alpha=0.3)


def growth_axis(axes, lowest, highest):
    """A vertical axis to base 2 that holds these values, with plain numbers at its ticks."""
    axes.set_yscale("log", base=2, nonpositive="clip")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}" if value < 100 else f"{value:.0f}"))
    axes.yaxis.set_minor_locator(NullLocator())
    if np.isfinite(lowest):
        axes.set_ylim(lowest / 1.25, highest * 1.25)
    else:
        axes.set_ylim(1, 100)


def means(axes, places, values, deviations, **style):
    """A curve of means with the standard deviations as error bars; without any deviation there are none in the legend either."""
    some = np.nansum(np.asarray(deviations, float)) > 0
    axes.errorbar(places, values, deviations if some else None, capsize=3, **style)


def gap_note(missing):
    """`no results: ID 64, 70 (+3)`, or nothing where nothing is missing."""
    named = ", ".join(map(str, missing[:NAMED]))
    more = f" (+{len(missing) - NAMED})" if len(missing) > NAMED else ""
    return f"no results: ID {named}{more}" if missing else ""


def legend_below(axes, notes=(), columns=2):
    """The legend under the axes, where it hides no curve, with notes at its head; the figure grows to hold it."""
    handles, labels = axes.get_legend_handles_labels()
    columns = 1 if columns > 1 and max(map(len, labels), default=0) > LONG else min(columns, max(1, len(labels)))
    notes = [note for note in notes if note]
    below_labels = axes.transAxes + ScaledTranslation(0, -0.48, axes.figure.dpi_scale_trans)
    axes.legend(handles, labels, title="\n".join(notes) or None, loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below_labels,
                ncols=columns, frameon=False, fontsize="small", title_fontsize="small")
    lines = len(notes) + -(-len(labels) // columns)
    rows = axes.get_subplotspec().get_gridspec().nrows
    axes.figure.set_figheight(max(axes.figure.get_figheight(), rows * (PANEL[1] + LINE * lines)))


def say_empty(axes):
    """Writes into axes that there is nothing to show."""
    axes.text(0.5, 0.5, "no results yet", transform=axes.transAxes, ha="center", va="center", color="grey",
              bbox={"color": "white"})
