"""Which channels of a net are one unit, and which layers share their units: channels that are summed live or die together."""
from dataclasses import dataclass

import numpy as np

from tfprune.experiment import UserError
from tfprune.pruning.passing import Passage, owner, paths_of
from tfprune.pruning.passing_rules import rule_of
from tfprune.units.graph import activity_of


@dataclass(frozen=True)
class Group:
    """Kernel layers that make the same units.

    Attributes:
      name: the path (`models.rebuild.walk`) of the first of them. layers: the paths of all, a tuple.
      units: the numbers of their units, ascending, int array. fixed: why they cannot be taken out, naming the layer; "" where they can.
    """

    name: str
    layers: tuple
    units: np.ndarray
    fixed: str


@dataclass(frozen=True)
class Groups:
    """The units of a net, numbered from 0.

    Attributes:
      groups: a `Group` for each set of kernel layers that share units, in the order of the net.
      produced: {path: int array}, the unit of each output channel of layers with weights for each channel: convolutions and dense layers,
        depthwise ones (channels x multiplier), batch normalisation, PReLU.
      read: {path: int array}, the unit of each input channel of a kernel, in the order of its rows: after Flatten positions x channels.
      activity: {path: name of the operation whose output are the units' activities}, after normalisation, sum and activation function.
      count: how many units there are, those of the net's input included.
      reasons: tuple, why each unit cannot be taken out, or "".
    """

    groups: tuple
    produced: dict
    read: dict
    activity: dict
    count: int
    reasons: tuple

    def prunable(self, excluded=()):
        """The groups that can be pruned and have none of the `excluded` layers (paths).

        Raises:
          UserError: no layer of that path has units.
        """
        for path in excluded:
            if path not in self.produced:
                raise UserError(f"excluded: no layer {path} has units; there are {', '.join(self.produced)}")
        left_whole = np.zeros(self.count, bool)
        for path in excluded:
            left_whole[self.produced[path]] = True
        return tuple(group for group in self.groups if not group.fixed and not left_whole[group.units].any())


def unit_groups(model):
    """The `Groups` of a Functional or Sequential model, nested ones too.

    Units are fixed where they are an input or output of the net, or enter a layer that mixes its channels or of which it is not known.

    Raises:
      UserError: the model has no graph of layers.
    """
    return groups_of(model, passage_of(model))


def passage_of(model):
    """How units pass through a model, as a `Passage`."""
    return Passage(model, rule_of)


def groups_of(model, passage):
    """The same of a model whose `Passage` is known."""
    paths = {}
    for path, layer in paths_of(model):
        paths.setdefault(id(owner(layer)), []).append(path)
    produced = {path: numbers for key, numbers in passage.produced.items() for path in paths[key]}
    read = {path: numbers for key, numbers in passage.read.items() for path in paths[key]}
    first_calls = {}
    for op in passage.graph.operations:
        first_calls.setdefault(id(owner(op.layer)), op)
    activity = {path: activity_of(passage.graph, first_calls[key]).name for key in passage.produced for path in paths[key]}
    members = [(paths[key][0], passage.produced[key]) for key in passage.made]
    reasons = tuple(passage.reasons)
    return Groups(tuple(_groups(members, reasons)), produced, read, activity, len(reasons), reasons)


def _groups(members, reasons):
    """A `Group` for each set of layers [(path, units)] that are linked by shared units."""
    group_of = {}  # unit -> list of layers, shared by all of its group
    for path, units in members:
        linked = {id(group_of[unit]): group_of[unit] for unit in units.tolist() if unit in group_of}
        together = {"paths": [p for g in linked.values() for p in g["paths"]] + [path],
                    "units": set(units.tolist()).union(*(g["units"] for g in linked.values()))}
        group_of.update(dict.fromkeys(together["units"], together))
    place = {path: number for number, (path, _) in enumerate(members)}
    for together in sorted({id(g): g for g in group_of.values()}.values(), key=lambda g: min(place[p] for p in g["paths"])):
        layers, units = sorted(together["paths"], key=place.get), sorted(together["units"])
        yield Group(layers[0], tuple(layers), np.array(units), next((reasons[unit] for unit in units if reasons[unit]), ""))
