"""How units pass through a net: which unit each channel of each tensor belongs to, layer by layer.

Every kernel layer gives its outputs numbers of their own; a layer that treats each channel alone keeps them; sums and products make those
that meet the same unit; Flatten repeats them for every position. A layer of which nobody knows what it does with channels fixes the units
that enter it. What each layer type does is in `passing_rules`.
"""
import numpy as np

from tfprune.keras import keras, tf
from tfprune.layers.unit_mask import UnitMask
from tfprune.models.rebuild import is_graph
from tfprune.pruning.union import Units
from tfprune.units.operations import Ref, trace

UNKNOWN = "mixes or makes channels in a way that is not known"


class Opaque(Exception):
    """Nothing is known about the channels of what a layer makes, or they cannot be taken apart; says why."""


class Passage:
    """The numbers of the units in every tensor and layer of a model; `tfprune.pruning.groups` sums them up.

    Attributes:
      graph: its `Graph`. tensors: {tensor number: int array, the unit of each channel, or None where there are no channels to speak of}.
      produced: {id of a layer: the unit of each of its outputs}, of layers with weights for each channel. read: {id of a kernel layer: the
        unit of each input channel}. ends: {id of a layer: (units of what enters, of what leaves)}, of layers whose settings
        speak of channels. made: ids of kernel layers, in order.
      inputs: {id of a nested model: the units of each of its inputs}.
      opaque: {operation of which nothing is known: why}. reasons: list, for each unit why it has to stay, or "".
    """

    def __init__(self, model, rules):
        self.graph, self.units = trace(model), Units()
        self.tensors, self.produced, self.read, self.ends, self.made, self.inputs = {}, {}, {}, {}, [], {}
        self.opaque = {}
        for tensor, symbol in zip(self.graph.inputs, model.inputs, strict=True):
            self.tensors[tensor] = self.fresh(tensor, f"{symbol._keras_history.layer.name} is an input of the net")
        for op in self.graph.operations:
            self._pass(op, rules)
        for op in self.graph.operations:
            for tensor in set(op.outputs).intersection(self.graph.outputs):
                self._fix([tensor], f"{op.name} is an output of the net")
        for nested, tensors in self.graph.nested:
            self._agree(self.inputs, id(nested), tuple(self.tensors[tensor] for tensor in tensors))
        self._settle()

    def fresh(self, tensor, reason=""):
        """New numbers for the channels of a tensor, or None where it has no channel axis or one of unknown size."""
        shape = self.graph.specs[tensor].shape
        return self.units.fresh(shape[-1], reason) if shape.rank > 1 and shape[-1] is not None else None

    def makes(self, layer, count):
        """The numbers of a kernel layer's outputs: new ones at its first call."""
        if id(layer) not in self.produced:
            self.produced[id(layer)] = self.units.fresh(count)
            self.made.append(id(layer))
        return self.produced[id(layer)]

    def holds(self, layer, numbers):
        """A layer has weights for each of these channels; the same ones at each of its calls."""
        self._agree(self.produced, id(layer), numbers)

    def reads(self, layer, numbers):
        """A layer's kernel reads these channels; the same ones at each of its calls."""
        self._agree(self.read, id(layer), numbers)

    def binds(self, layer, entering, leaving):
        """A layer's settings speak of what enters and leaves it: the same units at each of its calls; returns what leaves."""
        self._agree(self.ends, id(layer), (entering, leaving))
        return leaving

    def _pass(self, op, rules):
        layer, numbers = owner(op.layer), [self.tensors[tensor] for tensor in tensors_of(op)]
        try:
            if any(entering is None for entering in numbers) or len(op.outputs) != 1 or not numbers:
                raise Opaque(UNKNOWN)
            leaving = rules(op, layer)(self, op, layer, *numbers)
            if len(leaving) != self.graph.specs[op.outputs[0]].shape[-1]:
                raise Opaque("changes its channels in a way that is not known")
        except Opaque as why:
            reason = f"{op.name} ({type(layer).__name__}) {why}"
            self.opaque[op.name] = reason
            self._fix(op.inputs, reason)
            self.tensors |= {tensor: self.fresh(tensor, reason) for tensor in op.outputs}
            return
        self.tensors[op.outputs[0]] = leaving

    def _fix(self, tensors, reason):
        for tensor in tensors:
            if self.tensors[tensor] is not None:
                self.units.fix(self.tensors[tensor], reason)

    def _agree(self, known, key, numbers):
        """Puts numbers, or a tuple of them, into a dictionary; what is there already becomes the same units."""
        for first, second in zip(*map(_each, (known.setdefault(key, numbers), numbers)), strict=True):
            if first is not None and second is not None:
                if len(first) != len(second):
                    raise Opaque("is called on different numbers of channels")
                self.units.unite(first, second)

    def _settle(self):
        unit_of, self.reasons = self.units.settled()

        def settled(numbers):
            if isinstance(numbers, tuple):
                return tuple(map(settled, numbers))
            return None if numbers is None else unit_of[numbers]

        for known in (self.tensors, self.produced, self.read, self.ends, self.inputs):
            known.update((key, settled(numbers)) for key, numbers in known.items())


def owner(layer):
    """The layer itself, without `UnitMask` and TimeDistributed around it."""
    while isinstance(layer, (UnitMask, keras.layers.TimeDistributed)):
        layer = layer.layer
    return layer


def tensors_of(op):
    """The tensors that an operation takes, in the order of its arguments; one that it takes twice comes twice."""
    return [argument.tensor for argument in tf.nest.flatten(op.arguments) if isinstance(argument, Ref)]


def paths_of(model, prefix=""):
    """(path, layer) of all layers and nested models: where a layer has several places, each."""
    for layer in model.layers:
        yield prefix + layer.name, layer
        if is_graph(layer):
            yield from paths_of(layer, f"{prefix}{layer.name}/")


def _each(numbers):
    return numbers if isinstance(numbers, tuple) else (numbers,)


def same_everywhere(numbers, count):
    """Numbers [channels] as those of [positions x channels], `count` of them, row by row; None where they do not fit."""
    return None if count % len(numbers) else np.tile(numbers, count // len(numbers))
