"""A random subnet (what the RGConv recipes of allenai/hidden-networks ask for): a mask drawn once, under which the weights are trained."""
from tfprune.experiment import derive_seed
from tfprune.keras import tf
from tfprune.masks.rules.base import Rule
from tfprune.masks.selection import select


class Random(Rule):
    """kernel * mask, where exactly the share `keep` is kept: the largest of numbers that are drawn from the seed and never trained.

    Of two shares the smaller one's mask lies within the larger one's.
    """

    trains_scores = False
    trains_kernel = True

    def start(self, layer):
        seed = [derive_seed(self.seed, "mask"), 0]
        layer.scores.assign(tf.random.stateless_uniform(layer.scores.shape, seed, dtype=tf.float32, alg="philox"))

    def effective(self, kernel, scores, count, training):
        return kernel * select(tf.stop_gradient(scores), count, "magnitude")
