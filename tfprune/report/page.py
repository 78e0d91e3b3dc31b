"""One HTML file that needs nothing else: Plotly, the style, the data and the drawing are in it, so it opens from a disk, without a network.

The browser is told to load nothing and to send nothing (its Content-Security-Policy). What a page says is escaped here: names and paths
are text, whatever is in them. `page.css` and `page.js` are every page's; what a page draws is a script of its own beside them.
"""
import html
import itertools
import json
import pathlib

import pandas as pd

from tfprune.experiment import UserError
from tfprune.report.chart import Chart, embedded, plain

LONG = 60  # characters of a cell in one line
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


def page(title, body, data, *scripts):
    """A page as text.

    Args:
      title: plain text, the window's title and the heading.
      body: HTML, as the functions below make it.
      data: JSON-ready; the scripts find it as `page.data`. NaN becomes null.
      scripts: names of files beside this one, which draw charts of their own; page.js draws those in `data["charts"]`.
    """
    scripts = "\n".join(f"<script>{text}</script>" for text in map(_file, ("page.js", *scripts)))
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
<script type="text/plain" id="plotly">{plotly()}</script>
{scripts}
</body>
</html>
"""


def of_sections(title, sections):
    """A page of `chart.Section`s as text: a table of contents, then each with its charts and tables."""
    contents = "".join(f'<li><a href="#{part.name}">{html.escape(part.title)}</a></li>' for part in sections)
    body = [f'<nav aria-label="Contents"><ol>{contents}</ol></nav>',
            *(section(part.title, paragraph(part.intro), *_laid_out(part.parts), name=part.name) for part in sections)]
    data = {"charts": charts_of(sections)}
    for part in sections:
        data |= part.data | {"charts": data["charts"] | part.data.get("charts", {})}
    return page(title, "\n".join(body), data, *filter(None, (part.script for part in sections)))


def charts_of(sections):
    """{name: what page.js draws it from} of all charts in sections."""
    charts = [chart for part in sections for chart in part.charts]
    if len({chart.name for chart in charts}) < len(charts):
        raise ValueError("charts of one name: " + ", ".join(sorted(chart.name for chart in charts)))
    return {chart.name: embedded(chart) for chart in charts}


def _laid_out(parts):
    """The HTML of parts; charts that follow each other are beside each other."""
    for is_chart, group in itertools.groupby(parts, lambda part: isinstance(part, Chart)):
        group = list(group)
        yield from ['<div class="charts">', *map(_figure, group), "</div>"] if is_chart else group


def _figure(chart):
    height = f' style="height:{int(chart.layout["height"])}px"' if "height" in chart.layout else ""
    kind = ' class="full"' if chart.wide else ""
    return (f'<figure{kind}><h3>{html.escape(chart.title)}</h3>'
            f'<div class="chart" id="{chart.name}"{height} role="figure" aria-label="{html.escape(chart.title)}"></div>'
            f"{_downloads(chart.name, chart.title)}<figcaption>{html.escape(chart.note)}</figcaption></figure>")


def _downloads(name, title):
    buttons = "".join(f'<button type="button" data-chart="{name}" data-format="{kind}">{kind.upper()}</button>'
                      for kind in ("png", "svg", "csv"))
    return f'<div class="downloads" role="group" aria-label="Download: {html.escape(title)}">{buttons}</div>'


def heading(text):
    """A heading of plain text, below that of a section."""
    return f"<h3>{html.escape(text)}</h3>"


def paragraph(text):
    """A paragraph of plain text."""
    return f"<p>{html.escape(text)}</p>"


def section(heading, *parts, name=None):
    """HTML parts under a heading of plain text; `name` is what links lead to."""
    return "\n".join([f'<section id="{name}">' if name else "<section>", f"<h2>{html.escape(heading)}</h2>", *parts, "</section>"])


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
    return (f'<div class="{"wide panel" if wide else "panel"}">{above}<div class="chart" id="{name}"></div>'
            f"{_downloads(name, name)}{paragraph(note)}</div>")


def switch(name, label, choices):
    """Radio buttons, the first of them chosen: {value: label}; a script listens to the form `name`."""
    buttons = "".join(f'<label><input type="radio" name="{name}" value="{html.escape(value)}"{"" if number else " checked"}> '
                      f"{html.escape(text)}</label>" for number, (value, text) in enumerate(choices.items()))
    return f'<form id="{name}"><fieldset><legend>{html.escape(label)}</legend>{buttons}</fieldset></form>'


def filters(name, frame, columns, least=()):
    """A form that shows only some rows of the table `name`: those with a chosen value in columns, numbers from one on, and a text.

    Args:
      frame: of the table.
      columns: names of those that a value is chosen in; least: of those with a lowest number.
    """
    def options(column):
        return "".join(f"<option>{html.escape(str(value))}</option>" for value in sorted(set(frame[column])))

    places = {column: number for number, column in enumerate(frame)}
    choices = [f'<label>{html.escape(column)} <select data-column="{places[column]}"><option value="">all</option>{options(column)}'
               "</select></label>" for column in columns]
    bounds = [f'<label>{html.escape(column)} from <input type="number" step="any" data-column="{places[column]}"></label>'
              for column in least]
    return (f'<form class="filter" data-table="{name}" role="search">{"".join(choices + bounds)}<label>Text <input type="search"></label>'
            '<output aria-live="polite"></output></form>')


def details(summary, *parts):
    """HTML parts that are shown, and only then laid out, when the summary, plain text, is chosen."""
    return "\n".join([f"<details><summary>{html.escape(summary)}</summary><template>", *parts, "</template></details>"])


def table(frame, formats, name=""):
    """A table whose rows can be sorted by a click on a column's heading.

    Args:
      frame: DataFrame; its columns' names are the headings.
      formats: {column: format of its numbers, such as "{:.2f}"}; others are shown as they are. NaN is a dash.
      name: of its element, where `filters` are for it.
    """
    head = "".join(f'<th scope="col"{_aligned(frame[column])}><button type="button">{html.escape(column)}</button></th>'
                   for column in frame)
    cells = [[_cell(value, formats.get(column, "{}")) for value in frame[column]] for column in frame]
    named = f' id="{name}"' if name else ""
    rows = "\n".join(f"<tr>{''.join(row)}</tr>" for row in zip(*cells, strict=True))
    return f'<div class="scrolled" tabindex="0"><table{named}><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'


def _aligned(values):
    return ' class="number"' if pd.api.types.is_numeric_dtype(values) else ""


def _cell(value, pattern):
    if isinstance(value, str):
        return f"<td{' class=long' if len(value) > LONG else ''}>{html.escape(value)}</td>"
    if pd.isna(value):
        return '<td class="number">–</td>'
    return f'<td class="number" data-key="{html.escape(str(value))}">{html.escape(pattern.format(value))}</td>'


def _file(name):
    return (HERE / name).read_text(encoding="utf-8")


def _json(value):
    """JSON that ends no <script>."""
    return json.dumps(plain(value), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
