"""The files beside the images of ILSVRC 2012: labels of flat validation images, the words for each class, boxes around objects."""
import csv
import pathlib

from tfprune.experiment import UserError

VAL_LABELS = "imagenet_2012_validation_synset_labels.txt"
VAL_SOLUTION = "LOC_val_solution.csv"
METADATA = "imagenet_metadata.txt"
BOXES = "imagenet_2012_bounding_boxes.csv"


def find(root, top):
    """{name: path} of those that exist: in `root`'s val, beside it, or above it up to `top`; the nearest to the images wins."""
    places = [root / "val", root, *(parent for parent in root.parents if parent == top or top in parent.parents)]
    paths = (place / name for place in reversed(places) for name in (VAL_LABELS, VAL_SOLUTION, METADATA, BOXES))
    return {path.name: path for path in paths if path.is_file()}


def validation_labels(folder, names, extras):
    """Class names of flat validation images, and the file that says so.

    Args:
      folder: of the images.
      names: of the images, in order.
      extras: what `find` found.

    Raises:
      UserError: there is no such file, or it is not of these images.
    """
    if VAL_LABELS in extras:
        path = extras[VAL_LABELS]
        labels = path.read_text(errors="replace").split()
        if len(labels) != len(names):
            raise UserError(f"{path}: {len(labels)} labels for {len(names)} images in {folder}; expected one a line, in the order of names")
        return labels, path
    if VAL_SOLUTION in extras:
        path = extras[VAL_SOLUTION]
        with open(path, newline="", errors="replace") as handle:
            label = {row[0]: row[1].split()[0] for row in csv.reader(handle) if len(row) > 1 and row[1].strip()}
        missing = [name for name in names if pathlib.Path(name).stem not in label]
        if missing:
            raise UserError(f"{path}: no line for {missing[0]} ({len(missing)} of {len(names)} images in {folder})")
        return [label[pathlib.Path(name).stem] for name in names], path
    raise UserError(f"{folder}: flat validation images without labels; put {VAL_LABELS} or {VAL_SOLUTION} into {folder.parent}, or the "
                    f"images into {folder}/<wnid>/")


def words(path):
    """{wnid: words} of a file whose lines are a wnid, a tab, and words; {} without a file."""
    if path is None:
        return {}
    pairs = [line.rstrip("\n").partition("\t") for line in _lines(path)]
    return {wnid: text for wnid, _, text in pairs}


def boxes(path):
    """{file name: ((xmin, ymin, xmax, ymax), ...)} of a file whose lines are a name and four shares of the sides; {} without a file.

    Raises:
      UserError: a line is something else.
    """
    found = {}
    for number, line in enumerate(_lines(path) if path is not None else (), start=1):
        name, *values = line.split(",")
        try:
            left, top, right, bottom = map(float, values)
        except ValueError:
            raise UserError(f"{path}: line {number} is not a name and four numbers (xmin, ymin, xmax, ymax)") from None
        found.setdefault(name, []).append((left, top, right, bottom))
    return found


def _lines(path):
    with open(path, encoding="utf-8", errors="replace") as handle:
        yield from (line for line in handle if line.strip())
