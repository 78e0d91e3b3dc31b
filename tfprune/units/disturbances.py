"""Random numbers added to, or deleting entries of, a unit layer's activities or kernels, in a `Sweep` (families: see `ablation`)."""
import contextlib
from dataclasses import dataclass

from tfprune.experiment import derive_seed
from tfprune.keras import tf
from tfprune.layers.replaced import replaced
from tfprune.units.graph import kernels
from tfprune.units.perturbations import PERTURBATIONS, draw
from tfprune.units.sweep import Stack, Sweep


class DisturbedActivities:
    """Every activity of a unit layer changed, with random numbers of its own."""

    def __init__(self, graph, units, kind, seed):
        self.sweep, self.seed = Sweep(graph, {tensor: k for k, tensor in enumerate(units)}), seed
        self.units, self.shapes = units, [graph.specs[tensor].shape for tensor in units]
        self.disturbance = PERTURBATIONS[kind]
        self._draw = tf.function(self._numbers_and_deviations, reduce_retracing=True)

    def drawn(self, kind, cross, intact, first):
        """Of each unit layer: the random numbers, and the standard deviations of the intact activities."""
        keys = tf.constant([derive_seed(self.seed, kind, cross, k) for k in range(len(self.units))], tf.int64)
        return self._draw(keys, [intact[tensor] for tensor in self.units], tf.constant(first, tf.int64))

    def _numbers_and_deviations(self, keys, activities, first):
        return [(draw(self.disturbance.draw, keys[k], tuple(activity.shape[1:]), tf.shape(activity)[0], first), deviations(activity))
                for k, activity in enumerate(activities)]

    def condition(self, drawn, amount):
        return drawn, tf.constant(amount, tf.float32)

    def signature(self):
        return [(tf.TensorSpec(shape), tf.TensorSpec([None] + [1] * (shape.rank - 1))) for shape in self.shapes], tf.TensorSpec([])

    def perturbation(self, condition):
        return _Disturbed(self.disturbance.apply, *condition)


@dataclass(frozen=True)
class _Disturbed:
    apply: object
    drawn: list
    amount: tf.Tensor

    def activity(self, k, key, row):
        numbers, of_intact = self.drawn[k]
        disturbed = self.apply(tf.cast(row, tf.float32), numbers, self.amount, of_intact if key == {k} else deviations(row))
        return Stack((key,), tf.cast(disturbed, row.dtype))


def deviations(activities):
    """The population standard deviation of each example, over all its units and positions; float32 [batch, 1, ..]."""
    activities = tf.cast(activities, tf.float32)
    axes = list(range(1, activities.shape.rank))
    centred = activities - tf.reduce_mean(activities, axes, keepdims=True)
    return tf.sqrt(tf.reduce_mean(tf.square(centred), axes, keepdims=True))  # half the time of tf.math.reduce_std


class DisturbedKernels:
    """Every entry of a unit layer's kernels changed; biases and normalisation stay as they are.

    A kernel belongs to the first unit layer that depends on it; those of the logits to none.
    """

    def __init__(self, graph, units, kind, seed):
        owners = kernel_owners(graph, units)
        self.sweep, self.seed = Sweep(graph, {}, owners), seed
        self.disturbance = PERTURBATIONS[kind]
        self.places = [(op, name) for op in graph.operations if op.name in owners for name in kernels(op)[1]]
        self._of_cross = {}

    def drawn(self, kind, cross, intact, first):
        """The random numbers of each kernel, the same for all batches."""
        if cross not in self._of_cross:
            self._of_cross[cross] = [
                draw(self.disturbance.draw, derive_seed(self.seed, kind, cross, place), tuple(kernel.shape))
                for place, kernel in enumerate(self._kernels())]
        return self._of_cross[cross]

    def _kernels(self):
        return [getattr(kernels(op)[0], name) for op, name in self.places]

    def condition(self, drawn, amount):
        return drawn, tf.constant(amount, tf.float32)

    def signature(self):
        return [tf.TensorSpec(kernel.shape) for kernel in self._kernels()], tf.TensorSpec([])

    def perturbation(self, condition):
        numbers, amount = condition
        changed = {}
        for (op, name), kernel, drawn in zip(self.places, self._kernels(), numbers, strict=True):
            kernel = tf.convert_to_tensor(kernel)
            changed.setdefault(op.name, {})[name] = self.disturbance.apply(kernel, drawn, amount, tf.math.reduce_std(kernel))
        return _ChangedKernels(changed)


@dataclass(frozen=True)
class _ChangedKernels:
    changed: dict  # {operation name: {attribute: kernel}}

    @contextlib.contextmanager
    def kernels(self, operation):
        layer = kernels(operation)[0]
        with replaced(layer, **{name: tf.cast(kernel, layer.compute_dtype) for name, kernel in self.changed[operation.name].items()}):
            yield


def kernel_owners(graph, units):
    """{operation name: unit layer} of the operations with kernels that a unit layer's tensor depends on, and none before it."""
    owners = {}
    for k, tensor in enumerate(units):
        needed = {tensor}
        for op in reversed(graph.operations):
            if needed.intersection(op.outputs):
                needed.update(op.inputs)
                if kernels(op)[1]:
                    owners.setdefault(op.name, k)
    return owners
