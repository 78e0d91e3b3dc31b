"""The figures of a whole results folder for print: which runs each study's report is of, whatever their own study, and where it goes.

A report's module has `measured(runs)`, ([(run, what was measured of it)], a line for each damaged run), and `written` or `report`, which
draws these. The page's sections pick the same runs.
"""
import sys

from tfprune.experiment import UserError
from tfprune.files import DAMAGE
from tfprune.progress import say
from tfprune.report import decomposing, feature_amounts, pruning, supermasks, width_study
from tfprune.report.measured import MOST_NAMED, label, named
from tfprune.report.overall import filtered, trained

DRAW = {"frivolous_units": (width_study.measured, lambda runs, *where: width_study.report(runs, *where, missing="gap")),
        "hidden_networks": (supermasks.measured, supermasks.report),
        "feature_amounts": (feature_amounts.measured, feature_amounts.report),
        "decomposing": (decomposing.measured, decomposing.written),
        "network_pruning": (pruning.measured, pruning.written)}


def write(entries, out, form, dry_run=False):
    """Writes what there is of runs into `<out>/<study>/<net>_<data>/`; prints it, and names what is left out.

    Args:
      entries: of `found.found`. out: a path. form: "png" or "pdf".

    Returns:
      The exit status: 1 where anything is left out.
    """
    lines, shown, runs = [], set(), [entry.run for entry in trained(entries)]
    for study, (measured, draw) in DRAW.items():
        found, refused = measured([entry.run for entry in filtered(entries)] if study == decomposing.STUDY else runs)
        lines += refused
        shown |= {run.path for run, _ in found}
        for name, members in _apart(study, found).items():
            if dry_run:
                print(f"would write the figures of {len(members)} results into {out / study / name}")
                continue
            try:
                print("\n".join(["wrote", *(f"  {path}" for path in draw(members, out / study / name, form))]))
            except (UserError, OSError, *DAMAGE) as problem:
                lines.append(f"{study}, {name}: {problem}")
    lines = list(dict.fromkeys(lines))
    for line in lines[:MOST_NAMED]:
        say(f"left out: {line}", sys.stderr)
    if len(lines) > MOST_NAMED:
        say(f"left out: {len(lines) - MOST_NAMED} more", sys.stderr)
    unseen = [run for run in runs if run.path not in shown and not any(line.startswith(f"{run.experiment.name}: ") for line in lines)]
    if unseen:
        say(f"left out: trained, and nothing measured of them has a figure: {named([label(run) for run in unseen])}", sys.stderr)
    return int(bool(lines or unseen))


def _apart(study, found):
    """{folder: what was measured}: of a net and data set together, but for what cannot share an axis."""
    groups = {}
    for run, member in found:
        groups.setdefault((_net_and_data(run.experiment), _details(study, run.experiment)), []).append(member)
    nets = [net for net, _ in groups]
    return {net if nets.count(net) == 1 else f"{net}_{details}": members for (net, details), members in groups.items()}


def _net_and_data(experiment):
    dnn, dataset = experiment.dnn, experiment.dataset.name
    name = f"{dnn.name}{dnn.depth if dnn.name == 'VGG' else ''}"
    return name if name.endswith(f"_{dataset}") else f"{name}_{dataset}"


def _details(study, experiment):
    """Words for the settings that split the runs of a net and data set, as on the page."""
    if study == "frivolous_units":
        return f"{experiment.measure.fidelity}{'_regression' if experiment.hyper.mse else ''}"
    if study == "feature_amounts":
        return f"{experiment.dnn.neuron_multiplier:g}x_{experiment.hyper.image_size}px"
    return ""
