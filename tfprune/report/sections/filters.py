"""The page's section of class filters: what decompose.py has measured of nets, whatever their study."""
import pandas as pd

from tfprune.report import filter_charts, filter_set_charts, page
from tfprune.report.chart import Section
from tfprune.report.filter_results import every
from tfprune.report.filter_tables import of_results
from tfprune.report.measured import left_out, named, readable

MOST = 6  # runs with charts of their own, and of which gates are compared
EACH = {"matrix": filter_charts.matrix, "accuracy": filter_charts.accuracy, "essentiality": filter_charts.essentiality,
        "curve": filter_charts.curve, "pairs": filter_set_charts.pairs}  # a chart or more a run
TOGETHER = {"information": (filter_set_charts.information, 40), "gates": (filter_set_charts.gates, MOST)}  # of all runs, up to so many
INTRO = ("Which filters of a net's last block serve which class, and is a class head of a few filters enough? A class's own filters are "
         "those that are most often among the largest of its images.")


def section(runs):
    """The `Section`; None where decompose.py has measured none of the runs.

    Args:
      runs: list of `Run`.
    """
    known = {}
    tables, refused = readable(runs, lambda run: [of_results(results) for results in every(run, known)])
    if not tables and not refused:
        return None
    parts = [part for kind in EACH for part in _of_each(kind, tables)]
    parts += [part for kind in TOGETHER for part in _of_all(kind, tables)]
    return Section("filters", "Class filters", " ".join(filter(None, (INTRO, left_out(refused)))), parts)


def _of_each(kind, tables):
    """The charts of a kind of the first runs that have it; the others are named."""
    having, parts = [own[kind] for own in tables if kind in own], []
    for number, table in enumerate(having[:MOST], 1):
        charts = EACH[kind](table, f"filters-{kind}-{number}")
        parts += charts if isinstance(charts, list) else [charts]
    return parts + _not_shown(having[MOST:])


def _of_all(kind, tables):
    having = [own[kind] for own in tables if kind in own]
    if not having:
        return []
    draw, most = TOGETHER[kind]
    charts = draw(pd.concat(having[:most], ignore_index=True), f"filters-{kind}")
    return (charts if isinstance(charts, list) else [charts]) + _not_shown(having[most:])


def _not_shown(tables):
    labels = [table.run.iloc[0] for table in tables]
    return [page.paragraph(f"Measured too, and not shown here: {named(labels)}.")] if labels else []
