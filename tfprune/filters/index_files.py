"""Files of class filters: JSON of ours, which says what the filters are of, and of akshaybadola/decomposing-the-deep.

Ours: {"format", "version", "layer", "units", "top", "experiment", "weights", "classes": {"0": [..], ..}}. The original's: {"0": [..], ..}.
"""
import json
import pathlib

from tfprune import files
from tfprune.experiment import UserError
from tfprune.filters.sets import ClassFilters, checked

FORMAT, VERSION = "tfprune class filters", 1
LARGEST = 2**26  # bytes; 1000 classes of 2048 filters take an eighth of that


def save_index(path, index, original=False, experiment=None, weights=None):
    """Writes class filters, a class a line, whole or not at all.

    Args:
      index: a `ClassFilters`.
      original: in the original's format, without anything but the filters.
      experiment: ID of the experiment whose net they are of; None: of no experiment.
      weights: SHA-256 of the file of weights; None: of a run.
    """
    classes = _object({str(number): [int(filter_) for filter_ in own] for number, own in index.items()})
    if original:
        files.write(path, classes + "\n")
        return
    top = index.top if index.top is None or index.top < 1 else int(index.top)
    about = {"format": FORMAT, "version": VERSION, "layer": index.layer, "units": int(index.units), "top": top, "experiment": experiment,
             "weights": weights}
    files.write(path, _object(about, f'"classes": {classes}') + "\n")


def load_index(path, classes, units, flag="-i"):
    """The class filters in a file of either format, as `ClassFilters`.

    Args:
      classes, units: how many classes and features the net has.
      flag: that gave the path, for errors.

    Raises:
      UserError: the file cannot be read, is neither format, or holds filters that the net does not have (see `sets.checked`).
    """
    title = f"{flag}={path}"
    value = _read(path, title)
    if "format" not in value:
        return ClassFilters(checked(value, classes, units, title), units)
    if value["format"] != FORMAT or value.get("version") != VERSION:
        raise UserError(f"{title}: its format is {str(value['format'])[:40]!r}, version {str(value.get('version'))[:20]}; "
                        f"{FORMAT!r}, version {VERSION}, is read")
    if value.get("units") != units:
        raise UserError(f"{title}: holds filters of {str(value.get('units'))[:20]} features; the net's head has {units}")
    if not isinstance(value.get("classes"), dict):
        raise UserError(f"{title}: has no \"classes\", {{\"0\": [filter, ..], ..}}")
    return ClassFilters(checked(value["classes"], classes, units, title), units, value.get("layer"), value.get("top"))


def filters_of_each_class(path, flag="-i"):
    """How many filters each class has in a file, as `dnn.top`; where they differ, a share. UserError where it cannot be read.

    Nothing else is checked: the net is not known here.
    """
    value = _read(path, f"{flag}={path}")
    sets = value.get("classes", value)
    sizes = {len(own) for own in sets.values() if isinstance(own, list)} if isinstance(sets, dict) else set()
    return 0.5 if len(sizes) > 1 else float(max(sizes, default=1) or 1)


def _object(entries, last=None):
    """A JSON object with an entry a line."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in entries.items()]
    return "{\n" + ",\n".join(lines + ([last] if last else [])) + "\n}"


def _read(path, title):
    """The object in a JSON file; it is small, is text, and has no key twice."""
    wanted = 'an index file is JSON: {"0": [filter, ..], "1": [..], ..}'
    try:
        path = pathlib.Path(path)
        if (size := path.stat().st_size) > LARGEST:
            raise UserError(f"{title}: {size} bytes are too many; {wanted}")
        value = json.loads(path.read_bytes(), object_pairs_hook=lambda pairs: _unique(pairs, title))
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{title}: {error.strerror}; {wanted}") from None
    except (ValueError, RecursionError):  # also of bytes that are no text, of pickles, of lists in lists in lists
        raise UserError(f"{title}: is not JSON; {wanted} (pickles are not read)") from None
    if not isinstance(value, dict):
        raise UserError(f"{title}: holds a {type(value).__name__}; {wanted}")
    return value


def _unique(pairs, title):
    value = dict(pairs)
    if len(value) < len(pairs):
        seen = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise UserError(f"{title}: {twice[:20]!r} comes twice")
    return value
