"""What is read in a run's folder without being believed: which files there are, JSON, numbers, the end of a log."""
import json
import os
import pathlib
from datetime import UTC, datetime

from tfprune.experiment import UserError
from tfprune.files import parsed_json

LARGEST = 2 ** 26  # bytes of a file of JSON that is read
EXACT = 2 ** 53  # numbers stay below: all integers up to here are floats too
TAIL = 4000  # bytes of a log


def outside(path, root):
    """Does a path lead out of the results folder `root`, by links?"""
    return not pathlib.Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def names_in(folder, root):
    """{name: os.DirEntry} of what is in the folder; UserError where something is no file or folder, or elsewhere, or far too large."""
    with os.scandir(folder) as scanned:
        names = {entry.name: entry for entry in scanned}
    for name, found in names.items():
        if found.is_symlink() and outside(found.path, root):
            raise UserError(f"{name} is a link to what is outside the results folder")
        if not found.is_file() and (name.endswith((".json", ".jsonl", ".pkl")) or not found.is_dir()):
            raise UserError(f"{name} is no file")
        if name.endswith((".json", ".jsonl")) and found.stat().st_size > LARGEST:
            raise UserError(f"{name} is too large to be ours")
    return names


def last_epoch(metrics):
    """The last epoch in a metrics.jsonl, an os.DirEntry, without torn lines; 0 where there is none."""
    for line in reversed(pathlib.Path(metrics.path).read_text(errors="replace").splitlines()):
        try:
            epoch = whole(json.loads(line)["epoch"])
        except (ValueError, TypeError, LookupError, RecursionError):
            continue
        if epoch is not None:
            return epoch
    return 0


def json_object(path):
    """The JSON object in a file; UserError where it holds something else."""
    value = parsed_json(path.read_bytes(), path)
    if not isinstance(value, dict):
        raise UserError(f"{path.name}: damaged (a JSON object is expected)")
    return value


def last_error(log):
    """The last line of a sweep's log where it is an error's; "" otherwise."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            lines = file.read().decode(errors="replace").split("\n")
    except (OSError, TypeError):  # the last of None
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return last.removeprefix("error:").strip()[:300] if last.startswith("error:") else ""


def number(values, name):
    """A number of a JSON object; None where there is none, or one that is not finite, or too large to be ours."""
    value = values.get(name) if isinstance(values, dict) else None
    return value if type(value) in (int, float) and abs(value) < EXACT else None


def whole(value):
    """The value where it is an integer of ours; None otherwise."""
    return value if type(value) is int and abs(value) < EXACT else None


def written_at(found):
    """When a file was written, ISO 8601; `found` is its os.DirEntry."""
    return datetime.fromtimestamp(found.stat().st_mtime, UTC).isoformat(timespec="seconds")
