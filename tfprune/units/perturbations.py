"""What is done to a net to see whether it minds: five kinds of perturbation, an entry each.

A new kind is one line in PERTURBATIONS, and its name at the end of `tfprune.settings.KINDS` (whose order is that of the results in
stored pickles): an order in which whole units are ablated, or a disturbance of each activity or of each kernel. All randomness is a
function of (seed, kind, cross, place in the net, example), never of the batch size, of the order of work or of what else is measured; and
it is drawn once for all amounts, so that a larger amount disturbs the same places more.
"""
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfprune.keras import tf
from tfprune.units.orders import random_order, targeted_order


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


def ablates_units(kind):
    """Whether a kind of perturbation ablates whole units; else it disturbs every element."""
    return isinstance(PERTURBATIONS[kind], Units)


def amount_grid(amounts):
    """The amounts from 0 to 1, evenly spaced."""
    return np.linspace(0, 1, amounts)


def ablated_count(amount, units):
    """How many of `units` units an amount ablates: rounded down, in floating point (59 of 72 at 5/6), as the original does."""
    return int(amount * units)
