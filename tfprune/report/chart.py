"""The parts of a page of results: charts, each with the numbers that it is drawn from, in sections."""
import math
import re
from dataclasses import dataclass, field

import pandas as pd

DRAWN, TABULATED = 5, 7  # significant digits of numbers in charts, and in the tables to download
SHOWN = ("x", "y", "name", "text", "customdata", "ticktext", "categoryarray")  # keys of texts that Plotly shows


@dataclass(frozen=True)
class Chart:
    """A chart that Plotly draws.

    Attributes:
      name: of its element, unique on the page: a-z, 0-9 and "-".
      title: what stands above it.
      note: what it shows and how that is computed, for below it.
      traces, layout: Plotly's, JSON-ready; colours are "$0" to "$6", "$ink", "$faint", "$line", "$fill" and "$paper", of the theme;
        "$0/20" is 20 % opaque. `layout["height"]`, in pixels, is the chart's. Fonts, backgrounds and grids are the page's.
      table: the numbers, for a download; tidy.
      frames: Plotly's, for a slider in the layout.
      wide: whether it has the page's width, not half of it.
    """

    name: str
    title: str
    note: str
    traces: list
    layout: dict
    table: pd.DataFrame
    frames: tuple = ()
    wide: bool = False

    def __post_init__(self):
        if not re.fullmatch("[a-z0-9-]+", self.name):
            raise ValueError(f"{self.name!r}: no name of a chart; it stands in the page as it is")


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading; `parts` are charts, and HTML of `page`'s functions; `intro` is plain text.

    Where the HTML has charts that a script of its own draws, `script` is the name of its file beside page.py, and `data` what it finds in
    `page.data`; under "charts" there, as of `embedded`, are the tables that can be downloaded.
    """

    name: str
    title: str
    intro: str
    parts: list
    data: dict = field(default_factory=dict)
    script: str | None = None

    @property
    def charts(self):
        return [part for part in self.parts if isinstance(part, Chart)]


def embedded(chart):
    """What page.js draws a chart from, JSON-ready."""
    drawn = {"traces": chart.traces, "layout": chart.layout, "frames": chart.frames}
    return {**{name: _without_markup(plain(value, DRAWN)) for name, value in drawn.items()},
            "table": {str(name): _column(chart.table[name]) for name in chart.table}}


def _without_markup(value, shown=False):
    """A figure's part, or a value in it, with texts in which Plotly finds no tags, such as links, but line breaks: they are of names in
    the results. Templates are ours, and stay.
    """
    if isinstance(value, dict):
        return {key: _without_markup(part, shown or key in SHOWN) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_markup(part, shown) for part in value]
    return re.sub("<(?!br>)", "&lt;", value) if shown and isinstance(value, str) else value


def _column(values):
    """The values of a column; where they repeat, {"names": the different ones, "codes": the place of each value among them}."""
    if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == object or pd.api.types.is_string_dtype(values):
        codes, names = pd.factorize(values.astype(object))
        if 2 * len(names) < len(values):
            return {"names": plain(names.tolist(), TABULATED), "codes": codes.tolist()}
    return plain(values.tolist(), TABULATED)


def plain(value, digits=None):
    """A value as JSON has it: NumPy's arrays and numbers are Python's, NaN and infinities are None.

    Args:
      digits: significant ones that floats keep; None: all.
    """
    if isinstance(value, dict):
        return {key: plain(part, digits) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part, digits) for part in value]
    if hasattr(value, "tolist"):  # NumPy's
        return plain(value.tolist(), digits)
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return float(f"{value:.{digits}g}") if digits else value
    return None if value is pd.NA or value is pd.NaT else value
