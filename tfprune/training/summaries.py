"""The tables that studies keep of their finished trainings: what a done marker holds for them, and how they are written.

A study's module has `summary(experiment, lines of metrics.jsonl, result)`, JSON-ready or None, and `rebuild(results_dir, experiment)`.
"""
from tfprune.training import family_csv, results_csv

TABLES = {"hidden_networks": results_csv, "feature_amounts": family_csv}


def summary(experiment, lines, result):
    """{"summary": what the study's table needs of a training}, or {} where it has none."""
    table = TABLES.get(experiment.study)
    found = table.summary(experiment, lines, result) if table else None
    return {} if found is None else {"summary": found}


def rebuild(run):
    """Writes the table that a finished run has a row in, where it has one."""
    if run.experiment.study in TABLES:
        TABLES[run.experiment.study].rebuild(run.results_dir, run.experiment)
