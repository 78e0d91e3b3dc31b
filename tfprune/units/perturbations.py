"""What is done to a net to see whether it minds: five kinds of perturbation, an entry each.

A new kind is one line in PERTURBATIONS: an order in which whole units are ablated, or a disturbance of each activity or of each
kernel. All randomness is a function of (seed, kind, cross, place in the net, example), never of the batch size, of the order of work
or of what else is measured; and it is drawn once for all amounts, so that a larger amount disturbs the same places more.
"""
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfprune.experiment import KINDS, derive_seed
from tfprune.keras import tf


@dataclass(frozen=True)
class Units:
    """Ablates the first int(amount * n) units of an order; `order` takes (numpy Generator, correlations [n, n] or None, n)."""

    order: Callable
    needs_correlations: bool = False


@dataclass(frozen=True)
class Disturbance:
    """Changes every element: `apply(tensor, drawn, amount, deviation)`, where `draw` gives random numbers of the tensor's shape and
    `deviation` is the tensor's population standard deviation (an activity's: of each example, over all but the batch axis).
    """

    draw: Callable
    apply: Callable
    of: str  # "activities" or "kernels"


def random_order(generator, correlations, units):
    """All units, in a random order."""
    return generator.permutation(units)


def targeted_order(generator, correlations, units):
    """A random living unit, then the others by their |correlation| with it, largest first; dead units (r = 0 or NaN) last, by index."""
    strength = np.abs(np.nan_to_num(np.asarray(correlations, np.float64)))
    living = np.flatnonzero(np.diag(strength))
    chosen = generator.choice(living if len(living) else units)
    strength[chosen, chosen] = np.inf  # itself first, also where another unit's correlation rounds to 1
    return np.argsort(-strength[chosen], kind="stable")


def add_noise(tensor, normal, amount, deviation):
    """Gaussian noise of `amount` standard deviations of the tensor."""
    return tensor + (amount * deviation) * normal


def knock_out(tensor, uniform, amount, deviation):
    """Each entry is 0 with probability `amount`; the survivors are not rescaled."""
    return tf.where(uniform < amount, tf.zeros_like(tensor), tensor)


def normal_stream(key, start, size):
    """`size` standard normal numbers, from the `start`-th on (a multiple of 4), of the endless sequence that `key` stands for."""
    return _stream(tf.raw_ops.StatelessRandomNormalV2, key, start, size)


def uniform_stream(key, start, size):
    """The same, uniform on [0, 1)."""
    return _stream(tf.raw_ops.StatelessRandomUniformV2, key, start, size)


def _stream(operation, key, start, size):
    counter = tf.stack([tf.cast(start, tf.uint64) // 4, tf.constant(0, tf.uint64)])  # a tick of Philox makes four numbers
    return operation(shape=[size], key=[tf.cast(key, tf.uint64)], counter=counter, alg=1)


def draw(stream, key, shape, examples=None, first=0):
    """Random numbers of a shape or, with `examples`, [examples, *shape] of which each example has its own stretch of the sequence.

    Args:
      stream: `normal_stream` or `uniform_stream`.
      key: what the numbers are for, from `derive_seed`.
      shape: static shape without the batch axis.
      examples: number of examples (int or scalar tensor), of which `first` is the place of the first among all.
    """
    size = math.prod(shape)
    if examples is None:
        return tf.reshape(stream(key, 0, size), shape)
    stretch = -(-size // 4) * 4
    numbers = stream(key, tf.cast(first, tf.int64) * stretch, tf.cast(examples, tf.int64) * stretch)
    return tf.reshape(tf.reshape(numbers, [-1, stretch])[:, :size], [-1, *shape])


PERTURBATIONS = {
    "weight_noise": Disturbance(normal_stream, add_noise, of="kernels"),
    "weight_knockout": Disturbance(uniform_stream, knock_out, of="kernels"),
    "knockout": Units(random_order),
    "noise": Disturbance(normal_stream, add_noise, of="activities"),
    "targeted": Units(targeted_order, needs_correlations=True),
}


def amount_grid(amounts):
    """The amounts from 0 to 1, evenly spaced."""
    return np.linspace(0, 1, amounts)


def ablated_count(amount, units):
    """How many of `units` units an amount ablates: rounded down, in floating point (59 of 72 at 5/6), as the original does."""
    return int(amount * units)


def unit_order(kind, seed, cross, layer, units, correlations=None):
    """The order in which `kind` ablates the units of the unit layer with this index; int64 [units]."""
    generator = np.random.default_rng(derive_seed(seed, kind, cross, layer))
    return PERTURBATIONS[kind].order(generator, correlations, units)


def original_orders(correlations, seed):
    """The orders of the original study, from the one random stream that it draws them all from.

    For each cross, for the kinds knockout, noise (which draws but does not use them) and targeted, for the training and the test set:
    a random unit of every layer, then all units by |r| with it (NaN, that is dead units, first), then a shuffle of those.

    Args:
      correlations: [cross][layer] matrices, the logits' included (they take part in the drawing).
      seed: the experiment's.

    Returns:
      {kind: [cross][set][layer] order} for knockout and targeted; set 0 is training, 1 test.
    """
    generator = np.random.RandomState(seed)
    orders = {kind: [[None, None] for _ in correlations] for kind in KINDS[2:]}
    for cross, matrices in enumerate(correlations):
        for kind in KINDS[2:]:
            for of_set in range(2):
                chosen = [generator.randint(len(matrix)) for matrix in matrices]
                orders[kind][cross][of_set] = _original_layers(generator, matrices, chosen, shuffled=kind != "targeted")
    return {kind: orders[kind] for kind in ("knockout", "targeted")}


def _original_layers(generator, matrices, chosen, shuffled):
    by_strength = [original_targeted_order(matrix[unit]) for matrix, unit in zip(matrices, chosen, strict=True)]
    random = [order.copy() for order in by_strength]
    for order in random:
        generator.shuffle(order)
    return random if shuffled else by_strength


def original_targeted_order(correlations):
    """Units by |r|, largest first, NaN before all: the order of the original study."""
    return np.flip(np.argsort(np.abs(correlations)))
