"""One HTML file that needs nothing else: Plotly, the style, the data and the drawing are in it, so it opens from a disk, without a network.

The browser is told to load nothing and to send nothing (its Content-Security-Policy). What a page says is escaped here: names and paths
are text, whatever is in them. `page.css` and `page.js` are every page's; what a page draws is a script of its own beside them.
"""
import html
import json
import math
import pathlib

import pandas as pd

from tfprune.experiment import UserError

HERE = pathlib.Path(__file__).parent
POLICY = ("default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
          "form-action 'none'")


def plotly():
    """The source of Plotly's JavaScript library.

    Raises:
      UserError: the package is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UserError("the interactive page needs plotly; run: pip install plotly") from None
    return get_plotlyjs()


def page(title, body, data, script):
    """The page as text.

    Args:
      title: plain text, the window's title and the heading.
      body: HTML, as the functions below make it.
      data: JSON-ready; the scripts find it as `page.data`. NaN becomes null.
      script: name of a file beside this one, which draws the charts.
    """
    scripts = "\n".join(f"<script>{text}</script>" for text in (plotly(), _file("page.js"), _file(script)))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{html.escape(title)}</title>
<style>
{_file("page.css")}</style>
</head>
<body>
<main>
<h1>{html.escape(title)}</h1>
{body}
</main>
<script type="application/json" id="data">{_json(data)}</script>
{scripts}
</body>
</html>
"""


def paragraph(text):
    """A paragraph of plain text."""
    return f"<p>{html.escape(text)}</p>"


def section(heading, *parts):
    """HTML parts under a heading of plain text."""
    return "\n".join(["<section>", f"<h2>{html.escape(heading)}</h2>", *parts, "</section>"])


def side_by_side(*parts):
    """HTML parts beside each other, below each other where the window is narrow."""
    return "\n".join(['<div class="beside">', *parts, "</div>"])


def chart(name, note, heading=False, wide=False):
    """The place of a chart, which a script fills (`page.chart(name, ...)`), over a note in plain text that says what it shows.

    Args:
      heading: whether the script gives it one, the text of the element `<name>-heading`.
      wide: whether it gets more room than what is beside it.
    """
    above = f'<h3 id="{name}-heading"></h3>' if heading else ""
    return f'<div class="{"wide panel" if wide else "panel"}">{above}<div class="chart" id="{name}"></div>{paragraph(note)}</div>'


def switch(name, label, choices):
    """Radio buttons, the first of them chosen: {value: label}; a script listens to the form `name`."""
    buttons = "".join(f'<label><input type="radio" name="{name}" value="{html.escape(value)}"{"" if number else " checked"}> '
                      f"{html.escape(text)}</label>" for number, (value, text) in enumerate(choices.items()))
    return f'<form id="{name}"><fieldset><legend>{html.escape(label)}</legend>{buttons}</fieldset></form>'


def table(frame, formats):
    """A table whose rows can be sorted by a click on a column's heading.

    Args:
      frame: DataFrame; its columns' names are the headings.
      formats: {column: format of its numbers, such as "{:.2f}"}; others are shown as they are. NaN is a dash.
    """
    head = "".join(f'<th scope="col"{_aligned(frame[column])}><button type="button">{html.escape(column)}</button></th>'
                   for column in frame)
    cells = [[_cell(value, formats.get(column, "{}")) for value in frame[column]] for column in frame]
    rows = "\n".join(f"<tr>{''.join(row)}</tr>" for row in zip(*cells, strict=True))
    return f'<div class="scrolled" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'


def _aligned(values):
    return ' class="number"' if pd.api.types.is_numeric_dtype(values) else ""


def _cell(value, pattern):
    if isinstance(value, str):
        return f"<td>{html.escape(value)}</td>"
    if pd.isna(value):
        return '<td class="number">–</td>'
    return f'<td class="number" data-key="{html.escape(str(value))}">{html.escape(pattern.format(value))}</td>'


def _file(name):
    return (HERE / name).read_text(encoding="utf-8")


def _json(value):
    """JSON that ends no <script>."""
    return json.dumps(_plain(value), allow_nan=False).replace("<", "\\u003c")


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if hasattr(value, "item"):  # NumPy's numbers
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
