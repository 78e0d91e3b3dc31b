"""Tables made of finished trainings: a row each, from what its done marker says.

A table is made anew every time, under a lock: a process that dies loses no row, and a training done again doubles none.
"""
import fcntl
import pathlib

from tfprune import files
from tfprune.experiment import UserError
from tfprune.progress import say
from tfprune.run import standing

DAMAGE = (AttributeError, ArithmeticError, LookupError, TypeError, ValueError)  # what JSON of another shape leads to


def rebuild(results_dir, name, row, text):
    """Writes `<results_dir>/csv/<name>` where it does not say the same already; returns its path.

    Args:
      results_dir: where the runs are.
      name: of the table, with its folder.
      row: function (path of a done marker, summary in it) of every finished training below `results_dir`; gives (what its place in the
        table follows from, its fields), or None where it is not of the table. A marker that it cannot read is named, and left out.
      text: function of all rows' fields, in order; gives the table.
    """
    path = pathlib.Path(results_dir) / "csv" / name
    folder = files.writable_folder(path.parent, "--results_dir")
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # markers are read under it, so that the last to write has read them all
        found = [_row(marker, row, path.name) for marker in sorted(pathlib.Path(results_dir).glob("*/*/train.done.json"))]
        rows = sorted((each for each in found if each is not None), key=lambda each: each[0])
        content = text([fields for _, fields in rows])
        if not path.exists() or path.read_text() != content:
            files.write(path, content)
    return path


def _row(path, row, table):
    """What `row` gives for a done marker; None too where the training is of no study with a table, or not complete."""
    try:
        marker = standing(path)
        summary = marker["result"].get("summary") if marker and isinstance(marker["result"], dict) else None
        return row(path, summary) if isinstance(summary, dict) else None
    except UserError as problem:
        say(f"{problem} (it has no row in {table})")
    except DAMAGE:
        say(f"{path}: damaged, or another version's; train the net again with --overwrite (it has no row in {table})")
    return None
