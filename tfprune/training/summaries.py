"""The tables that studies keep of their finished trainings: what a done marker holds for them, and how they are written.

A study's module has `summary(experiment, lines of metrics.jsonl, result)`, JSON-ready or None, `rebuild(results_dir, experiment)`, and
`table(experiment)`, the table's path below `<results_dir>/csv`.
"""
from tfprune.training import family_csv, finished, results_csv

TABLES = {"hidden_networks": results_csv, "feature_amounts": family_csv}


def summary(experiment, lines, result):
    """{"summary": what the study's table needs of a training}, or {} where it has none."""
    table = TABLES.get(experiment.study)
    found = table.summary(experiment, lines, result) if table else None
    return {} if found is None else {"summary": found}


def listed(run):
    """Was the table that a finished run has a row in written since, where it has one? Its process may have died between the two."""
    table = TABLES.get(run.experiment.study)
    return table is None or finished.has_seen(run.results_dir, table.table(run.experiment), run.marker("train"))


def rebuild(run):
    """Writes the table that a finished run has a row in, where it has one."""
    if run.experiment.study in TABLES:
        TABLES[run.experiment.study].rebuild(run.results_dir, run.experiment)
