"""Sets of filters, one a class, as they are found, read and checked."""
import operator

from tfprune.experiment import UserError


class ClassFilters(dict):
    """{class: [filter, ..]}, most frequent filter first.

    Attributes:
      layer: name of the layer whose output the filters are, or None where that is not known. units: how many filters it has.
      top: what was asked for: filters a class, or a share; None where that is not known.
      counts: [classes, units] ints: in how many of a class's images each filter was among the largest; None for indices read from a file.
      images: [classes] ints: images of each class; None likewise.
    """

    def __init__(self, sets, units, layer=None, top=None, counts=None, images=None):
        super().__init__(sets)
        self.units, self.layer, self.top, self.counts, self.images = units, layer, top, counts, images


def checked(sets, classes, units, title="index"):
    """{class: [filter, ..]} with a set for each class in order, whatever the order and type (int or digits) of the keys that came.

    Args:
      sets: a dict of lists of filters, or a list of such lists.
      classes, units: how many classes and filters there are.
      title: what errors call the sets: a flag and its file.

    Raises:
      UserError: a class is missing or too many, or a set holds other things than different whole numbers from 0 to units - 1.
    """
    if not hasattr(sets, "items"):
        sets = dict(enumerate(_listed(sets, f"{title}: a list of filters for each class")))
    numbered = {}
    for key, own in sets.items():
        number = _class(key, title)
        if number in numbered:
            raise UserError(f"{title}: class {number} comes twice")
        numbered[number] = own
    if wrong := sorted(set(numbered) ^ set(range(classes))):
        raise UserError(f"{title}: has {len(numbered)} classes and {'not' if wrong[0] < classes else 'also'} {str(wrong[0])[:20]}; the "
                        f"model's {classes}, numbered from 0, are needed")
    return {number: _filters(numbered[number], units, f"{title}: class {number}") for number in range(classes)}


def _class(key, title):
    text = str(key)
    if len(text) > 9 or not (text.isascii() and text.isdecimal()) or (isinstance(key, str) and str(int(key)) != key):
        raise UserError(f"{title}: {text[:20]!r} is no class; the keys are the numbers of classes, from 0")
    return int(text)


def _filters(own, units, title):
    needed = f"{title}: different whole numbers from 0 to {units - 1} are needed"
    numbers = [_whole(filter_, needed) for filter_ in _listed(own, needed)]
    if beyond := [number for number in numbers if not 0 <= number < units]:
        raise UserError(f"{needed}, not {str(beyond[0])[:20]}")
    if len(set(numbers)) < len(numbers):
        twice = next(number for place, number in enumerate(numbers) if number in numbers[:place])
        raise UserError(f"{needed}; {twice} comes twice")
    return numbers


def _listed(values, needed):
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__") or hasattr(values, "items"):
        raise UserError(f"{needed}, not {str(values)[:20]!r}")
    return list(values)


def _whole(value, needed):
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # also of numpy's integers
    except TypeError:
        raise UserError(f"{needed}, not {str(value)[:20]}") from None
