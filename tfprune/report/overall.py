"""The page of a whole results folder: which runs there are and how they stand, what they have found, and where each comes from."""
import importlib
import pathlib
import re
from collections import Counter

import pandas as pd

from tfprune import explain, files
from tfprune.experiment import UserError
from tfprune.report import page
from tfprune.report.chart import Section
from tfprune.report.found import found
from tfprune.report.run_state import STATES
from tfprune.report.sections import SECTIONS
from tfprune.run import OF_FILTERS

NAMED = 500  # so many files that are left out are named; of more, how many
FORMATS = {**dict.fromkeys(("Test [%]", "Validation [%]"), "{:.2f}"), **dict.fromkeys(("ID", "Seed", "Epoch", "of epochs"), "{:.0f}")}
BY_PLACE = ("code", "versions", "machine")  # what many stages have in common


def write(results_dir, registry, out):
    """Writes the page of what is in a results folder, whatever state it is in; returns its path.

    Args:
      results_dir: folder of the results.
      registry: a `Registry`.
      out: path of the page; what is there is replaced.

    Raises:
      UserError: as `runs_in`; or the page cannot be written; or plotly is not installed.
    """
    out, (entries, strangers) = pathlib.Path(out), runs_in(results_dir, registry)
    strangers.pop(str(out.name) if out.parent.resolve() == pathlib.Path(results_dir).resolve() else "", None)
    results = _results(entries, strangers)
    shown = [_overview(entries), *results, *_left_out(entries, strangers), _provenance(entries)]
    files.writable_folder(out.parent, "--out")
    files.write(out, page.of_sections(f"Results: {pathlib.Path(results_dir).resolve().name}", shown))
    return out


def runs_in(results_dir, registry):
    """What is `found` in a results folder; UserError where there is no such folder, or no run in it."""
    there = found(results_dir, registry)
    if not there.entries:
        raise UserError(f"--results_dir={results_dir}: no runs in it; train.py makes some, as <family>/<name>/")
    return there


def _results(entries, strangers):
    """The sections that have something to show; one that the runs' files are too damaged for is among `strangers`."""
    sections = []
    for name in SECTIONS:
        module = importlib.import_module(f"tfprune.report.sections.{name}")
        try:
            sections.append(module.section([entry.run for entry in (filtered(entries) if name == "filters" else trained(entries))]))
        except (UserError, OSError, *files.DAMAGE) as problem:
            strangers[f"section {name}"] = str(problem) or type(problem).__name__
    return [section for section in sections if section]


def trained(entries):
    """Those with a trained net and results of it."""
    return [entry for entry in entries if entry.trained]


def filtered(entries):
    """Those whose class filters may have been found; of nets that others have trained too. What was found with given files, in a folder
    of its own, `<run>+<hash8>`, comes with its run.
    """
    named = {entry.name: entry for entry in entries if entry.trained or _stages(entry) & OF_FILTERS.keys()}
    return [entry for name, entry in named.items()
            if entry.trained or not _comes_with(named.get(re.sub(r"\+[0-9a-f]{8}$", "", name)), entry)]


def _comes_with(run, entry):
    """Is an entry of what a run was given? One of other settings, such as of filters a class, has another hash."""
    return run not in (None, entry) and run.run.experiment.trained_hash() == entry.run.experiment.trained_hash()


def _stages(entry):
    return {stage.partition("+")[0] for stage in entry.stages} if entry.run else set()


def _overview(entries):
    table = pd.DataFrame([_row(entry) for entry in entries])
    counts = Counter(zip(table.Study, table.State, strict=True))
    studies = sorted(set(table.Study))
    summary = pd.DataFrame({"Study": studies, **{state.capitalize(): [counts[study, state] for study in studies] for state in STATES}})
    intro = (f"{_count(len(entries), 'run')}. A run is one training of one net with one seed, and what was measured of it afterwards. Its "
             "state is that of training; a failed one says why. Accuracies are shares of images that the net of the best epoch gets right, "
             "in percent; the epoch is the best one, and of half-finished runs the last so far. A click on a heading sorts.")
    return Section("overview", "Overview", intro, [
        page.table(summary, {}), page.filters("runs", table, ["Study", "State"], ["Test [%]"]), page.table(table, FORMATS, "runs")])


def _row(entry):
    experiment = entry.run.experiment if entry.run else None
    numbers = (experiment.id if experiment.id >= 0 else None, experiment.seed) if experiment else (None, None)
    return {"ID": _float(numbers[0]), "State": entry.state, "Test [%]": _percent(entry.test), "Validation [%]": _percent(entry.val),
            "Remark": entry.reason or "–", "Run": entry.name.rpartition("/")[2], "Study": experiment.study if experiment else "unknown",
            "Seed": _float(numbers[1]), "Epoch": _float(entry.epochs), "of epochs": _float(entry.of),
            "Stages done": ", ".join(entry.stages) or "none", "Trained at": _minute(entry.finished) or "–"}


def _minute(time):
    """A time of ISO 8601, as `provenance.now` writes it, without its seconds."""
    return re.sub(r"^([\d-]{10})T([\d:]{5}):[\d.:]+\+00:00$", r"\1 \2 UTC", time)


def _percent(value):
    return float("nan") if value is None else 100.0 * value


def _float(value):
    return float("nan") if value is None else float(value)


def _left_out(entries, strangers):
    """The section of what is no result; none where all is."""
    damaged = {entry.name: entry.reason for entry in entries if entry.state == "damaged"}
    rows = list((damaged | strangers).items())
    if not rows:
        return []
    more = f" The first {NAMED} of {len(rows)} are named." if len(rows) > NAMED else ""
    intro = ("What is in the results folder and not in this page: damaged runs, files that no finished stage has written, and pickles that "
             f"ask for more than numbers, which are never loaded.{more}")
    return [Section("left-out", "What was left out", intro, [page.table(pd.DataFrame(rows[:NAMED], columns=["What", "Why"]), {})])]


def _provenance(entries):
    """A row for each stage of each run; code, versions and machine have a table of their own, for they are the same for many."""
    places, rows = {}, []
    for entry in entries:
        origins = {stage: explain.origin(told) for stage, told in (entry.provenance or {}).items()}
        for stage, origin in sorted(origins.items(), key=lambda pair: pair[1].get("when", "")):
            place = tuple(origin.get(name, "unknown") for name in BY_PLACE)
            rows.append({"Run": entry.name.rpartition("/")[2], "Stage": stage, "Environment": places.setdefault(place, len(places) + 1),
                         **{name.capitalize(): origin.get(name, "–") for name in ("when", "seed", "data", "command")}})
    intro = ("Each stage of a run (training, and what was measured afterwards) as it was recorded when it ended. An environment is the "
             "code with its commit, the versions of what it uses, and the machine. Whether files are still as their stage wrote them says: "
             "python -m tfprune.provenance --verify results/laptop/*, or another folder of runs.")
    if not rows:
        return Section("provenance", "Provenance", "No stage of these runs has been recorded.", [])
    environments = pd.DataFrame([{"Environment": number, **{name.capitalize(): text for name, text in zip(BY_PLACE, place, strict=True)}}
                                 for place, number in places.items()])
    return Section("provenance", "Provenance", intro, [
        page.details(_count(len(environments), "environment"), page.table(environments, {})),
        page.details(_count(len(rows), "stage"), page.table(pd.DataFrame(rows), {}))])


def _count(number, word):
    return f"{number:,} {word}{'' if number == 1 else 's'}"
