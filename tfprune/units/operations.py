"""A tf_keras model as a plain ordered list of operations, so that parts of it can be evaluated on their own.

Nested models are taken apart (their operations are named `outer/inner`), and a layer that is called more than once gives one operation
a call (`name`, `name#2`, ..): an operation has one place in the net and one activity. Tensors are numbered, images first.
"""
import collections
import functools
from dataclasses import dataclass, replace

from tfprune.keras import keras, tf
from tfprune.masks.dense_twin import dense_twin
from tfprune.models.rebuild import check_graph, graph_nodes, is_graph


@dataclass(frozen=True)
class Ref:
    """Where an operation's arguments hold the tensor with this number."""

    tensor: int


@dataclass(frozen=True)
class Operation:
    """One call of one layer: which tensors go in, which come out."""

    name: str
    layer: keras.layers.Layer
    arguments: tuple  # (args, kwargs) with a Ref in place of every tensor
    inputs: tuple  # tensor numbers, in the order of the arguments
    outputs: tuple

    def __call__(self, *values):
        """The layer's outputs (a tuple) for these input tensors, in inference mode."""
        given = dict(zip(self.inputs, values, strict=True))
        args, kwargs = tf.nest.map_structure(lambda a: given[a.tensor] if isinstance(a, Ref) else a, self.arguments)
        if self.layer._expects_training_arg:  # even where the model says True: measuring must not move the averages of normalisations
            kwargs = kwargs | {"training": False}
        return tuple(tf.nest.flatten(self.layer(*args, **kwargs)))


@dataclass(frozen=True)
class Graph:
    """A model's operations in an order in which they can be run; `specs` are the tensors' shapes and types, batch axis first."""

    operations: tuple
    inputs: tuple
    outputs: tuple
    specs: dict  # {tensor: tf.TensorSpec}
    nested: tuple = ()  # a (model, tensors that go in) for each call of a nested model

    def consumers(self, tensor):
        """The operations that take this tensor, in order."""
        return [op for op in self.operations if tensor in op.inputs]

    def without_masks(self):
        """The same with plain layers in the place of masked ones, which have the weights that the masks leave now (`dense_twin`)."""
        twin = functools.cache(dense_twin)  # a shared layer has one
        return replace(self, operations=tuple(replace(op, layer=twin(op.layer)) for op in self.operations))

    def run(self, known, wanted):
        """The `wanted` tensors from the `known` ones ({number: value}); only the operations in between are run."""
        needed, plan = set(wanted) - set(known), []
        for op in reversed(self.operations):
            if needed.intersection(op.outputs):
                needed = (needed | set(op.inputs)) - set(op.outputs) - set(known)
                plan.append(op)
        if needed:
            raise ValueError(f"tensors {sorted(needed)} do not follow from {sorted(known)}")
        values = dict(known)
        for op in reversed(plan):
            values |= {t: v for t, v in zip(op.outputs, op(*(values[i] for i in op.inputs)), strict=True) if t not in known}
        return [values[t] for t in wanted]


def trace(model):
    """The `Graph` of a Functional or Sequential model.

    Raises:
      UserError: it is no tf_keras model, or is subclassed, or a Sequential that was never built, and so has no graph to read.
    """
    check_graph(model)
    operations, specs, nested = [], {number: _spec(t) for number, t in enumerate(model.inputs)}, []
    inputs = tuple(specs)
    outputs = _append(model, inputs, "", operations, specs, nested)
    return Graph(tuple(operations), inputs, outputs, specs, tuple(nested))


def _append(model, inputs, prefix, operations, specs, nested):
    """Append the operations of `model`, called on the tensors `inputs`; returns the numbers of its outputs."""
    number = {id(t): i for t, i in zip(model.inputs, inputs, strict=True)}
    calls = collections.Counter()
    for node in graph_nodes(model):
        layer = node.layer
        calls[layer.name] += 1
        name = f"{prefix}{layer.name}" + (f"#{calls[layer.name]}" if calls[layer.name] > 1 else "")
        arguments = _with_refs((node.call_args, node.call_kwargs), number)
        results = tf.nest.flatten(node.outputs)
        if is_graph(layer):
            nested.append((layer, tuple(_tensors(arguments[0]))))
            made = _append(layer, _tensors(arguments[0]), f"{name}/", operations, specs, nested)
        else:
            made = tuple(range(len(specs), len(specs) + len(results)))
            specs.update((i, _spec(t)) for i, t in zip(made, results, strict=True))
            operations.append(Operation(name, layer, arguments, tuple(dict.fromkeys(_tensors(arguments))), made))
        number.update((id(t), i) for t, i in zip(results, made, strict=True))
    return tuple(number[id(t)] for t in model.outputs)


def _spec(tensor):
    return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)


def _with_refs(arguments, number):
    return tf.nest.map_structure(lambda a: Ref(number[id(a)]) if id(a) in number else a, arguments)


def _tensors(arguments):
    return [a.tensor for a in tf.nest.flatten(arguments) if isinstance(a, Ref)]
