"""What stages of a run have left, whatever they measured it with; and which runs cannot be read."""
import dataclasses
import re
import textwrap

from tfprune.experiment import UserError, non_defaults
from tfprune.run import STAGES, Run, standing

MOST_NAMED = 12  # so many runs are named; of more, how many
LINE = 14  # characters


def variants(run, stage):
    """The run as it stands for each time that a stage is done in it: with the registered settings, then with other `measure.` ones.

    Raises:
      UserError: a done marker is damaged.
    """
    found = []
    for path in sorted(run.path.glob(f"{stage}*.done.json")):
        if re.fullmatch(r"(\+[0-9a-f]{8})?", path.name.removeprefix(stage).removesuffix(".done.json")) and (marker := standing(path)):
            member = _as_measured(run, stage, path, marker["settings"])
            if member.marker(stage) == path and member.done(stage):
                found.append(member)
    return found


def label(run, stage=None):
    """A run's name in a legend, and how its `stage` was measured where that is not the default."""
    name = run.experiment.name.replace("_seed=0", "").replace("_", " ").replace("+", " +")
    return name + (measured_with(run.experiment.measure, STAGES[stage]) if stage else "")


def measured_with(measure, fields):
    """`, noise=matched`: those of these settings that are not as they are by default."""
    changed = {name: value for name, value in non_defaults(measure).items() if name in fields}
    words = {name: ",".join(map(str, value)) if isinstance(value, (tuple, list)) else value for name, value in changed.items()}
    return "".join(f", {name}={value}" for name, value in words.items())


def in_lines(name):
    """A label in short lines, for beside an axis."""
    return "<br>".join(textwrap.wrap(name.replace("<", "&lt;"), LINE))


def readable(runs, read):
    """(what `read(run)` lists of all runs, one after the other; a line for each run whose files it refuses)."""
    found, refused = [], []
    for run in runs:
        try:
            found += read(run)
        except UserError as problem:
            refused.append(f"{run.experiment.name}: {problem}")
        except OSError as problem:
            refused.append(f"{run.experiment.name}: {problem.filename or run.path}: {problem.strerror or problem}")
    return found, refused


def left_out(refused):
    """Sentences that name what `readable` could not read, the first of many; nothing where there is nothing."""
    more = f" And {len(refused) - MOST_NAMED} more." if len(refused) > MOST_NAMED else ""
    return " ".join(f"Left out: {line}." for line in refused[:MOST_NAMED]) + more


def named(labels):
    """Labels as a list in words, the first of many."""
    more = f" and {len(labels) - MOST_NAMED} more" if len(labels) > MOST_NAMED else ""
    return "; ".join(labels[:MOST_NAMED]) + more


def _as_measured(run, stage, path, settings):
    """The run with the settings of a stage's done marker, whose files have its tag or, as the registered ones, none."""
    try:
        chosen = {name: tuple(value) if isinstance(value, list) else value for name, value in settings["measure"].items()}
        if set(chosen) != set(STAGES[stage]):
            raise ValueError(chosen)
        measure = dataclasses.replace(run.experiment.measure, **chosen)
        other = None if path.name == f"{stage}.done.json" else dataclasses.replace(measure, **dict.fromkeys(chosen))
        member = Run(dataclasses.replace(run.experiment, measure=measure, registered_measure=other), run.results_dir)
        member.marker(stage)  # settings that JSON does not have
        return member
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(f"{path}: damaged, or another version's; run the stage again") from None
