"""What the Inception builder of ImageNet puts beside an image: the words for its class, and the boxes around objects."""
from tfprune.experiment import UserError


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
