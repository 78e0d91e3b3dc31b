"""Which tables of redundancy and robustness runs have exported: those of how their units were measured, whatever was done to them later.

A run's own `measure.` is that of whichever stage was done last. Its tables were made with the registered settings, or with others, and
then have a tag. In all answers, a line names each run whose done markers are damaged, or those whose tables are missing or out of date.
"""
import dataclasses

from tfprune.report.measured import named, readable, variants
from tfprune.run import Run

KINDS = ("robustness", "redundancy")


def of_units(runs):
    """(the runs as their units were measured, once for each set of `measure.` settings of which there is an exported table; lines).

    With each setting of robustness comes the redundancy that was measured like it.
    """
    missing, known = {kind: [] for kind in KINDS}, {}

    def read(run):
        measured = {kind: variants(run, f"get_{kind}", known) for kind in KINDS}
        for kind, members in measured.items():
            missing[kind] += [run.experiment.name] * any(not member.exported(kind) for member in members)
        return _exported([*sum(measured.values(), []), registered(run)])

    found, refused = readable(runs, read)
    return found, refused + [f"{kind} of {named(names)}: measured, and no up-to-date table of it in csv/; run: python pkl2csv_{kind}.py "
                             "(with this --results_dir)" for kind, names in missing.items() if names]


def as_registered(runs):
    """(the runs with their registered settings, whether or not there are tables; lines, one of which names runs with other tables)."""
    found, lines = of_units(runs)
    plain = {run.path: registered(run) for run in runs}
    others = [member.experiment.name for member in found if not set(_tables(member)) <= set(_tables(plain[member.path]))]
    more = [f"units of {named(list(dict.fromkeys(others)))} as measured with other settings than the registered ones"] if others else []
    return list(plain.values()), lines + more


def registered(run):
    """The run with the settings whose files have no tag; also where a table came from elsewhere, and has no done marker."""
    experiment = run.experiment
    return Run(dataclasses.replace(experiment, measure=experiment.registered_measure or experiment.measure), run.results_dir)


def _exported(members):
    """Those of a run's members of which there is a table that the ones before have not."""
    found, seen = [], set()
    for member in members:
        own = set(_tables(member))
        if own - seen:
            found.append(member)
            seen |= own
    return found


def _tables(run):
    return [run.csv(kind) for kind in KINDS if run.exported(kind)]
