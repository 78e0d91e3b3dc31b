"""What there is in a results folder: its runs and the state of each, and what is no result of ours, with why."""
import os
import pathlib
from typing import NamedTuple

from tfprune.experiment import UserError
from tfprune.report import run_state
from tfprune.report.unbelieved import outside
from tfprune.unpickler import printable

OUTSIDE = "a link to what is outside the results folder"
OURS = ("csv", "report", "report.html", "sweep")  # in a results folder, and no runs


class Found(NamedTuple):
    """The runs' `run_state.Entry`s, in the order of their paths; {path below the results folder: why it is left out}."""

    entries: list
    strangers: dict


def found(results_dir, registry):
    """Looks through `<results_dir>/<family>/<run>/`; each file that matters is read once, and nothing is written.

    Args:
      results_dir: folder of the results.
      registry: a `Registry`.

    Raises:
      UserError: there is no such folder.
    """
    root = pathlib.Path(results_dir)
    if not root.is_dir():
        raise UserError(f"--results_dir={results_dir}: no such folder; train.py makes it")
    strangers, known, folders = {}, {}, []
    for path in (path for path in _inside(root, root, strangers) if path.name not in OURS):
        if path.is_dir() and (path / "config.json").exists():  # of a family without a name
            folders.append(path)
        elif path.is_dir():
            folders += _family(path, root, strangers)
        else:
            strangers[_below(path, root)] = "no file of tfprune's"
    logs = _logs(root, strangers)
    entries = [run_state.entry(folder, root, registry, known, strangers, logs.pop(_below(folder, root), None)) for folder in folders]
    return Found(entries + run_state.never_begun(logs, root, registry), strangers)


def _family(folder, root, strangers):
    """The folders of runs in one of a family; a folder without any is named as a whole."""
    strange = {}
    paths = _inside(folder, root, strange)
    runs = [path for path in paths if path.is_dir() and (path / "config.json").exists()]
    if runs:
        strange |= {_below(path, root): "no folder of a run: it has no config.json" for path in paths if path not in set(runs)}
    else:
        strange = strange or {_below(folder, root): "no run is in it"}
    strangers.update(strange)
    return runs


def _inside(folder, root, strangers):
    """Paths in a folder, in order; without hidden ones, and without links to what is outside the results folder."""
    try:
        with os.scandir(folder) as scanned:
            entries = sorted((entry for entry in scanned if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        strangers[_below(folder, root)] = error.strerror
        return []
    paths = []
    for entry in entries:
        path = folder / entry.name
        if entry.is_symlink() and outside(path, root):
            strangers[_below(path, root)] = OUTSIDE
        else:
            paths.append(path)
    return paths


def _logs(root, strangers):
    """{path of a run below the results folder: that of the log of its sweep}; without links to what is outside."""
    folder = root / "sweep"
    paths = [path for path in sorted(folder.glob("**/*.log")) if path.is_file()]
    elsewhere = [path for path in paths if outside(path, root)]
    strangers.update({_below(path, root): OUTSIDE for path in elsewhere})
    return {_below(path, folder).removesuffix(".log"): path for path in paths if path not in elsewhere}


def _below(path, root):
    """A path in words, whatever is in its name; UTF-8 that is none is marked."""
    return os.fsencode(path.relative_to(root)).decode(errors="replace") if path != root else printable(path)
