"""Tables made of finished trainings: a row each, from what its done marker says.

A table is made anew every time, under a lock: a process that dies loses no row, and a training done again doubles none. The time of its
file is when the markers were read, so that a marker that is older is known to be in it.
"""
import fcntl
import os
import pathlib

from tfprune import files
from tfprune.experiment import UserError
from tfprune.progress import say
from tfprune.run import standing


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
        os.utime(lock.fileno())
        now = os.stat(lock.fileno()).st_mtime_ns  # by the clock of whatever keeps the files
        found = [_row(marker, row, path.name) for marker in sorted(pathlib.Path(results_dir).glob("*/*/train.done.json"))]
        rows = sorted((each for each in found if each is not None), key=lambda each: each[0])
        content = text([fields for _, fields in rows])
        if path.exists() and path.read_text() == content:
            os.utime(path, ns=(now, now))
        else:
            with files.atomic(path) as temporary:
                pathlib.Path(temporary).write_text(content)
                os.utime(temporary, ns=(now, now))
    return path


def has_seen(results_dir, name, marker):
    """Has the table been made since this done marker was written?"""
    try:
        return marker.stat().st_mtime_ns < (pathlib.Path(results_dir) / "csv" / name).stat().st_mtime_ns
    except FileNotFoundError:
        return False


def _row(path, row, table):
    """What `row` gives for a done marker; None too where the training is of no study with a table, or not complete."""
    try:
        marker = standing(path)
        summary = marker["result"].get("summary") if marker and isinstance(marker["result"], dict) else None
        return row(path, summary) if isinstance(summary, dict) else None
    except UserError as problem:
        say(f"{problem} (it has no row in {table})")
    except files.DAMAGE:
        say(f"{path}: damaged, or another version's; train the net again with --overwrite (it has no row in {table})")
    return None
