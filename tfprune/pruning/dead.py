"""Units that have no part in what a net computes: they always give 0, or nobody reads them. Found in the weights, without any images.

A unit can go where every kernel that reads it finds 0 (`constants`), or has only zeros for it in the columns of units that stay. What goes
lets others go, until nothing changes.
"""
import numpy as np

from tfprune.layers.lrn import LocalResponseNormalization
from tfprune.pruning.constants import constants, matrix
from tfprune.pruning.passing import owner, tensors_of


def dead_units(passage):
    """Bool array over the units of a `Passage`, True for those that can be taken out without changing the net's outputs."""
    matrices = {id(owner(op.layer)): owner(op.layer) for op in passage.graph.operations}
    matrices = {key: matrix(layer) for key, layer in matrices.items() if key in passage.read and key in passage.produced}
    free = np.array([not reason for reason in passage.reasons], bool)
    dead = np.zeros(len(free), bool)
    while True:
        found = free & ~_needed(passage, constants(passage, dead, matrices), dead, matrices)
        if np.array_equal(found, dead):
            return dead
        dead = found


def _needed(passage, values, dead, matrices):
    """Bool array: the units of which some layer reads what is not known to be 0."""
    needed = np.zeros(len(dead), bool)
    for op in passage.graph.operations:
        layer = owner(op.layer)
        if op.name in passage.opaque:
            continue  # what it reads stays anyway
        for tensor in tensors_of(op):
            units = passage.tensors[tensor]
            if id(layer) in matrices:
                read = matrices[id(layer)][:, ~dead[passage.produced[id(layer)]]].any(1)
            elif isinstance(layer, LocalResponseNormalization):
                read = np.ones(len(units), bool)  # its neighbours depend on it
            else:
                continue
            needed[units[read & (values[tensor] != 0)]] = True
    return needed
