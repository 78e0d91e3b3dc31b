"""Where several tensors meet: which units become the same. Rules as in `passing_rules`."""
import numpy as np

from tfprune.pruning.passing import Opaque


def merge(passage, op, layer, *numbers):
    """All are the same units."""
    for entering in numbers:
        if len(entering) != len(numbers[0]):
            raise Opaque("adds one channel to many")
        passage.units.unite(numbers[0], entering)
    return numbers[0]


def multiply(passage, op, layer, *numbers):
    """The same; but one channel may multiply many, and stays."""
    widest = max(map(len, numbers))
    for entering in numbers:
        if len(entering) < widest:
            passage.units.fix(entering, f"{op.name} ({type(layer).__name__}) multiplies many channels by one")
    return merge(passage, op, layer, *(entering for entering in numbers if len(entering) == widest))


def joined(passage, op, axis, numbers):
    """What lies side by side on the last axis keeps its numbers; what lies side by side on another has the same channels."""
    if axis in (-1, passage.graph.specs[op.outputs[0]].shape.rank - 1):
        return np.concatenate(numbers)
    for entering in numbers[1:]:
        passage.units.unite(numbers[0], entering)
    return numbers[0]
