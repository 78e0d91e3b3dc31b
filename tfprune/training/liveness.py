"""Which tensors of a training step are in memory at once: followed on the step's graph, of which nothing is run or allocated.

The operations are taken in the order in which they were traced. A tensor lives from the operation that makes it to the last one that reads
it; some operations hand on what they were given, or write into it. The size of a tensor is so many bytes, or so many for each example.
"""
import warnings
from dataclasses import dataclass

import numpy as np

from tfprune.keras import keras, tf
from tfprune.models import build_training_model, input_shape
from tfprune.training.deferred import deferred_layers, elements_kept
from tfprune.training.losses import build_loss
from tfprune.training.optimizers import build_optimizer, create_slots

TRACED = 1009  # examples in the traced batch: a prime, so that a dimension that it divides is, or holds, the batch's
PARAMETERS = ("VarHandleOp", "ReadVariableOp", "Const")  # what they give is counted elsewhere, or small
SAME = ("Identity", "Reshape", "StopGradient", "Squeeze", "ExpandDims")  # ... is their input's own memory
IN_PLACE = ("Relu", "ReluGrad", "AddV2", "AddN", "Mul", "RealDiv", "Sub", "Neg", "SelectV2", "BiasAdd")  # ... is, if nobody else reads that
NORMALISED, SAVED = "FusedBatchNormV3", 5  # its output that the gradient reads and that belongs to the kernel: see `_kept_for_gradient`
VECTOR = 16  # channels that a kernel treats at once


@dataclass(frozen=True)
class Step:
    """A traced step, and what of its memory no batch changes, in bytes.

    Attributes:
      constant, per_example: float64 [operations]: what is alive while each operation runs is constant + per_example * batch.
      kernel: float64 [operations]: the kernel of an operation that is a convolution or a gradient of one, else 0.
      weights: of the net, all of them; trained: those that are trained. slots: what the optimiser keeps of each weight.
      deferred: of those that are trained, kernels whose gradient waits for a batch's last piece; kept: for them, of each example.
      example: one example as it enters the net.
    """

    constant: np.ndarray
    per_example: np.ndarray
    kernel: np.ndarray
    weights: int
    trained: int
    deferred: int
    kept: int
    slots: int
    example: int

    def peak(self, batch, copies=0):
        """Bytes of the step's tensors, weights and slots left out, when they are most; with so many copies of the kernel in use."""
        return float(np.max(self.constant + self.per_example * batch + copies * self.kernel))


def trace(experiment):
    """The `Step` of an experiment's net: forward and backward pass, in a graph of its own.

    Raises:
      UserError: as `build_model`.
    """
    graph = tf.Graph()  # where variables have shapes but, for want of a session, no values
    graph.name = "count_scratch_graph"  # as Keras calls those in which it asks layers for shapes alone
    with graph.as_default(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with keras.backend.learning_phase_scope(0):  # halves the time: it is called in training below
            model = build_training_model(experiment)
        examples = tf.compat.v1.placeholder(tf.float32, (TRACED, *input_shape(experiment)))
        labels = tf.compat.v1.placeholder(tf.float32 if experiment.hyper.mse else tf.int64, (TRACED,))
        weights = list(model.trainable_weights)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            loss = build_loss(experiment, model).data(model(examples, training=True), labels)
        gradients = [gradient for gradient in tape.gradient(loss, weights) if gradient is not None]
        optimizer = build_optimizer(experiment, tf.Variable(0.0, trainable=False))
        create_slots(optimizer, weights)
        slots = _bytes(optimizer.variables())
        late = deferred_layers(model, weights, experiment.hyper.batch_size)
    operations = _needed(graph, [loss, *gradients])
    return Step(*_alive(operations), np.array([_kernel(op) for op in operations]), weights=_bytes(model.weights), trained=_bytes(weights),
                deferred=_bytes([layer.kernel for layer in late]), kept=sum(map(elements_kept, late)) * tf.float32.size, slots=slots,
                example=int(_size(examples)[1]))


def _bytes(weights):
    return sum(weight.shape.num_elements() * weight.dtype.size for weight in weights)


def _kernel(op):
    """Bytes of the kernel, or of its gradient, that a convolution works with; 0 for other operations."""
    sizes = [_size(tensor)[0] for tensor in [*op.inputs, *op.outputs] if tensor.shape.rank == 4] if op.type.startswith("Conv2D") else []
    return max(sizes, default=0.0)


def _needed(graph, wanted):
    """The operations that tensors follow from, in the order in which they were traced."""
    needed, waiting = set(), [tensor.op for tensor in wanted]
    while waiting:
        op = waiting.pop()
        if op not in needed:
            needed.add(op)
            waiting += [tensor.op for tensor in op.inputs]
    return [op for op in graph.get_operations() if op in needed]


def _size(tensor):
    """(bytes, bytes for each example) of a tensor; nothing for one of unknown shape, which only small ones have."""
    count = tensor.shape.num_elements() if tensor.shape.rank is not None and tensor.dtype != tf.resource else 0
    size = np.array([0.0, (count or 0) * tensor.dtype.size / TRACED])
    return size if tensor.shape.rank and any(side and side % TRACED == 0 for side in tensor.shape) else size[::-1] * TRACED


def _alive(operations):
    """float64 [operations] twice: the bytes, and those for each example, that are alive while each operation runs."""
    last, readers = {}, {}
    for number, op in enumerate(operations):
        for tensor in op.inputs:
            last[tensor.ref()] = number
            readers.setdefault(tensor.ref(), []).append(op)
    place, size, tenants, ends = {}, [], [], {}  # tensor -> its memory; of each piece of memory: bytes, tensors in it; number -> tensors
    now, alive = np.zeros(2), []
    for number, op in enumerate(operations):
        for position, tensor in enumerate(op.outputs):
            if op.type in PARAMETERS:
                continue
            mine = _kept_for_gradient(op, readers) if (op.type, position) == (NORMALISED, SAVED) else _size(tensor)
            where = _given(op, mine, place, size, tenants, lambda ref, number=number: last[ref] == number)
            if where is None:
                where = len(size)
                size.append(mine)
                tenants.append(0)
                now = now + mine
            place[tensor.ref()] = where
            tenants[where] += 1
            ends.setdefault(last.get(tensor.ref(), number), []).append(where)
        alive.append(now)
        for where in ends.get(number, ()):
            tenants[where] -= 1
            if not tenants[where]:
                now = now - size[where]
    return np.transpose(alive)


def _given(op, mine, place, size, tenants, is_last):
    """The memory of one of an operation's inputs that its output, of the size `mine`, takes; None where it takes memory of its own."""
    inputs = [tensor.ref() for tensor in op.inputs if tensor.ref() in place]
    if op.type in SAME:
        return place[inputs[0]] if inputs else None
    if op.type in IN_PLACE:
        for ref in inputs:
            if np.array_equal(size[place[ref]], mine) and tenants[place[ref]] == 1 and is_last(ref):
                return place[ref]
    return None


def _kept_for_gradient(op, readers):
    """Size of what a batch normalisation that is fused with the ReLU after it keeps: which units it let through.

    A bit for each, in whose place stands a float for every eight; or a float for each, where the channels do not fill a kernel's vectors.
    """
    normalised = op.outputs[0]
    after = readers.get(normalised.ref(), [])
    if [reader.type for reader in after] != ["Relu"]:
        return np.zeros(2)
    return _size(normalised) / (8 if normalised.shape[-1] % VECTOR == 0 else 1)
