"""What stages of a run have left, whatever they measured it with; and which runs cannot be read."""
import dataclasses
import re
import textwrap

from tfprune.experiment import UserError, non_defaults
from tfprune.files import DAMAGE
from tfprune.run import STAGES, Run, standing

MOST_NAMED = 12  # so many runs are named; of more, how many
LINE = 14  # characters
PENALTIES = re.compile(r" l1=([^\s,]+) l2=([^\s,]+)")  # of a run's name in the study of pruning


def variants(run, stage, known=None):
    """The run as it stands for each time that a stage is done in it: with the registered settings, then with other `measure.` ones.

    `known` is as of `run.standing`.

    Raises:
      UserError: a done marker is damaged.
    """
    found = []
    for path in sorted(run.path.glob(f"{stage}*.done.json"), key=lambda path: ("+" in path.name, path.name)):
        tag = path.name.removeprefix(stage).removesuffix(".done.json")
        if re.fullmatch(r"(\+[0-9a-f]{8})?", tag) and (marker := standing(path, known)):
            member = _as_measured(run, stage, path, marker["settings"])
            if member.marker(stage) == path and member.done(stage, known):
                found.append(member)
    return found


def label(run, stage=None):
    """A run's name in a legend, and how its `stage` was measured where that is not the default; of shrink.py, what it took out."""
    return _named(run, lambda seed: f", seed={seed}" if int(seed) else "") + _how(run, stage)


def curve_label(run, stage=None):
    """The `label` of a curve that is the mean over seeds: without them."""
    return _named(run, lambda seed: "") + _how(run, stage)


def measured_with(measure, fields):
    """`, noise=matched`: those of these settings that are not as they are by default; what is cut off is always said."""
    changed = {name: value for name, value in non_defaults(measure).items() if name in fields and name != "cut"}
    words = {name: ",".join(map(str, value)) if isinstance(value, (tuple, list)) else value for name, value in changed.items()}
    cut = [f", {100 * measure.cut:g} % of units out" if measure.cut else ", silent units out"] if "cut" in fields else []
    return "".join([*cut, *(f", {name}={value}" for name, value in words.items())])


def in_lines(name):
    """A label in short lines, for beside an axis."""
    return "<br>".join(textwrap.wrap(name.replace(" %", "\u00a0%"), LINE))


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
        except DAMAGE:
            refused.append(f"{run.experiment.name}: {run.path}: damaged, or another version's results")
    return found, refused


def left_out(refused):
    """Sentences that name what `readable` could not read, the first of many; nothing where there is nothing."""
    more = f" And {len(refused) - MOST_NAMED} more." if len(refused) > MOST_NAMED else ""
    return " ".join(f"Left out: {line}." for line in refused[:MOST_NAMED]) + more


def named(labels):
    """Labels as a list in words, the first of many."""
    more = f" and {len(labels) - MOST_NAMED} more" if len(labels) > MOST_NAMED else ""
    return "; ".join(labels[:MOST_NAMED]) + more


def _named(run, seed):
    """The name of a run in words; `seed(text)` are those of its seed."""
    name = re.sub(r"_seed=(\d+)", lambda found: seed(found[1]), run.experiment.name)
    return PENALTIES.sub(_penalties, name.replace("_", " ").replace("+", " +"))


def _penalties(found):
    """`, l1=0.001` where a penalty is not 0."""
    there = [f", {name}={value}" for name, value in zip(("l1", "l2"), found.groups(), strict=True) if value.strip("0.")]
    return "".join(there) or ", no penalty"


def _how(run, stage):
    return measured_with(run.experiment.measure, STAGES[stage]) if stage else ""


def _as_measured(run, stage, path, settings):
    """The run with the settings of a stage's done marker, whose files have its tag or, as the registered ones, none."""
    try:
        chosen = {name: tuple(value) if isinstance(value, list) else value for name, value in settings["measure"].items()}
        if set(chosen) != set(STAGES[stage]):
            raise ValueError(chosen)
        registered = run.experiment.registered_measure
        measure = dataclasses.replace(registered or run.experiment.measure, **chosen)
        other = None if path.name == f"{stage}.done.json" else dataclasses.replace(measure, **dict.fromkeys(chosen))
        members = [Run(dataclasses.replace(run.experiment, measure=measure, registered_measure=each), run.results_dir)
                   for each in (registered, other)]
        return next((member for member in members if member.marker(stage) == path), members[1])  # TypeError of what JSON does not have
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(f"{path}: damaged, or another version's; run the stage again") from None
