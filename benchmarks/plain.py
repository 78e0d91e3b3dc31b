"""The plain way to measure robustness, to compare with: the whole net again for every condition, on the same masks and noise."""
import numpy as np

from tfprune.experiment import derive_seed
from tfprune.keras import tf
from tfprune.units.graph import single_path, unit_layers, unit_tensors
from tfprune.units.perturbations import ablated_count, amount_grid, draw, normal_stream


def run_whole(graph, images, units, target, change):
    """The net's output with the activities of the unit layers in `target` changed where they arise.

    Args:
      graph: a `Graph`.
      images: a batch.
      units: tensors of the unit layers.
      target: which of them are perturbed.
      change: (unit layer, activity) -> activity.
    """
    places = {units[k]: k for k in target}
    values = {graph.inputs[0]: images}
    for op in graph.operations:
        for tensor, value in zip(op.outputs, op(*(values[i] for i in op.inputs)), strict=True):
            values[tensor] = change(places[tensor], value) if tensor in places else value
    return values[graph.outputs[0]]


def with_masks(masks, _=None):
    """A `change` that multiplies the units of each unit layer by its mask."""
    return lambda k, activity: activity * masks[k]


def with_noise(numbers, amount):
    """A `change` that adds these normal numbers times `amount` standard deviations of each example."""
    def change(k, activity):
        return activity + amount * tf.math.reduce_std(activity, list(range(1, activity.shape.rank)), keepdims=True) * numbers[k]

    return change


def masks_of(order, amount):
    """float32 masks of the unit layers, 0 for the first int(amount * n) units of each order."""
    masks = [np.ones(len(layer), "float32") for layer in order]
    for mask, layer in zip(masks, order, strict=True):
        mask[layer[:ablated_count(amount, len(layer))]] = 0
    return masks


def noise_numbers(graph, units, seed, cross, examples, first):
    """The normal numbers of each unit layer for a batch whose first example is the `first`-th."""
    return [draw(normal_stream, derive_seed(seed, "noise", cross, k), tuple(graph.specs[tensor].shape[1:]), examples, first)
            for k, tensor in enumerate(units)]


class PlainLoop:
    """Runs the whole net for each kind, cross, layer (and all) and amount: 36 passes for each kind and cross of an Alexnet.

    Compiled, a function for each target and family; masks and noise are inputs.

    Args:
      model: a classifier.
      kinds: of knockout, noise, targeted.
      orders: {kind: [cross][unit layer] array}.
      crosses: how many.
      amounts: how many.
      seed: of the noise.
    """

    def __init__(self, model, kinds, orders, crosses, amounts, seed=0):
        self.graph = single_path(model)
        self.units = list(unit_tensors(self.graph, unit_layers(model)).values())
        self.kinds, self.orders, self.crosses, self.amounts, self.seed = kinds, orders, crosses, amount_grid(amounts), seed
        specs = [self.graph.specs[tensor] for tensor in self.units]
        targets = [(k,) for k in range(len(specs))] + [tuple(range(len(specs)))]
        masks = [tf.TensorSpec(spec.shape[-1:]) for spec in specs]
        self.passes = {with_masks: [self._compiled(target, with_masks, masks) for target in targets],
                       with_noise: [self._compiled(target, with_noise, specs) for target in targets]}
        self.intact = self._compiled((), with_masks, [])
        self.sums = {kind: np.zeros((crosses, len(targets), amounts, 2)) for kind in kinds}
        self.examples = 0

    def _compiled(self, target, change, values):
        def predictions(images, values, amount):
            return tf.argmax(run_whole(self.graph, images, self.units, target, change(values, amount)), -1)

        signature = [self.graph.specs[self.graph.inputs[0]], values, tf.TensorSpec([])]
        return tf.function(predictions, input_signature=signature).get_concrete_function()

    def add(self, images, labels):
        """Measure one more batch."""
        images = tf.constant(images)
        for kind in self.kinds:
            for cross in range(self.crosses):
                self._add(kind, cross, images, np.asarray(labels))
        self.examples += len(images)

    def _add(self, kind, cross, images, labels):
        intact = self.intact(images, [], 0.0).numpy()
        numbers = noise_numbers(self.graph, self.units, self.seed, cross, len(images), self.examples) if kind == "noise" else None
        for place, amount in enumerate(self.amounts):
            values = numbers or [tf.constant(mask) for mask in masks_of(self.orders[kind][cross], amount)]
            for target, run in enumerate(self.passes[with_noise if kind == "noise" else with_masks]):
                predicted = run(images, values, tf.constant(amount, tf.float32)).numpy()
                self.sums[kind][cross, target, place] += np.sum(predicted == intact), np.sum(predicted == labels)
