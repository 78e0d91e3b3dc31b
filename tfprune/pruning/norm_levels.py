"""In what order a net's batch normalisations can be found anew, and what has to be kept on the way."""
import collections

from tfprune.experiment import UserError
from tfprune.keras import keras


def passed_by(graph):
    """{tensor: the largest number of normalisations on a way to it from the images}."""
    passed = dict.fromkeys(graph.inputs, 0)
    for op in graph.operations:
        passed |= dict.fromkeys(op.outputs, max((passed[tensor] for tensor in op.inputs), default=0) + normalises(op))
    return passed


def levels_of(graph, passed):
    """The calls of normalisations, in lists: those of list n have n others before them."""
    levels = collections.defaultdict(list)
    for op in filter(normalises, graph.operations):
        levels[passed[op.inputs[0]]].append(op)
    in_order, first = [levels[level] for level in sorted(levels)], {}
    for place, op in ((place, op) for place, calls in enumerate(in_order) for op in calls):
        if first.setdefault(op.layer, place) != place:
            raise UserError(f"renormalise: {op.layer.name} is called again behind itself, so that its averages depend on themselves")
    return in_order


def frontiers_of(graph, passed):
    """Lists of tensors: list n holds those from which the inputs of level n follow once the levels before are done.

    The first one is the images; one more than there are levels, the last of them empty.
    """
    needed = set()  # operations that lead to a normalisation
    for op in reversed(graph.operations):
        following = [other for tensor in op.outputs for other in graph.consumers(tensor)]
        if any(normalises(other) or other.name in needed for other in following):
            needed.add(op.name)
    readers = {tensor: [passed[op.outputs[0]] for op in graph.consumers(tensor) if op.name in needed] for tensor in passed}
    levels = len({passed[op.inputs[0]] for op in graph.operations if normalises(op)})
    return [list(graph.inputs), *(
        [tensor for tensor in passed if passed[tensor] <= level and any(reader > level for reader in readers[tensor])]
        for level in range(levels))]


def normalises(op):
    """Whether an operation is a call of a batch normalisation."""
    return isinstance(op.layer, keras.layers.BatchNormalization)
