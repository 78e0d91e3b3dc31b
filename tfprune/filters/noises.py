"""What may take the place of filters whose part in a decision is asked for, a function each.

What is drawn for an example is a function of the key and of the example's place in the set: never of the batch size or of the machine.
"""
from dataclasses import dataclass

from tfprune.keras import tf
from tfprune.units.perturbations import draw, normal_stream


@dataclass(frozen=True)
class Population:
    """The features of a whole set, float32 [examples, filters], and over all its examples, of any class, each filter's mean and population
    standard deviation [filters].
    """

    features: tf.Tensor
    mean: tf.Tensor
    deviation: tf.Tensor

    @classmethod
    def of(cls, features):
        features = tf.constant(features, tf.float32)
        return cls(features, tf.reduce_mean(features, axis=0), tf.math.reduce_std(features, axis=0))


def replace(population, block, first, key):
    """Normal numbers of mean 0 and deviation 1, whatever the filter: the original's, which are weaker than most responses."""
    return draw(normal_stream, key, (block.shape[1],), tf.shape(block)[0], first)


def matched(population, block, first, key):
    """Normal numbers with each filter's own mean and deviation."""
    return population.mean + population.deviation * replace(population, block, first, key)


def zero(population, block, first, key):
    """Nothing."""
    return tf.zeros_like(block)


def add(population, block, first, key):
    """The response, and a normal number of each filter's own deviation added to it."""
    return block + population.deviation * replace(population, block, first, key)


def shuffle(population, block, first, key):
    """The filter's response to another image: the images in one random order, from which each filter starts at a place of its own."""
    images, filters = population.features.shape
    order = tf.argsort(tf.random.stateless_uniform([images], [key, 0], None, None, tf.int32))
    start = tf.random.stateless_uniform([filters], [key, 1], 0, images, tf.int32)
    places = (tf.range(tf.shape(block)[0])[:, None] + tf.cast(first, tf.int32) + start) % images
    others = tf.gather(order, places)
    return tf.gather_nd(population.features, tf.stack([others, tf.broadcast_to(tf.range(filters), tf.shape(others))], axis=2))


# function(population, block [examples, filters] of its features, place of the block's first example, key) -> [examples, filters]
NOISES = {"replace": replace, "matched": matched, "zero": zero, "add": add, "shuffle": shuffle}
