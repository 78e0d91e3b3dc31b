"""A fixed mask under which the weights are trained (FixedSubnetConv of allenai/hidden-networks): fine-tuning of a found subnet."""
from tfprune.keras import tf
from tfprune.masks.rules.base import Rule


class Fixed(Rule):
    """kernel * scores, where the scores are the 0/1 mask, which is not trained. Weights that are masked out get no gradient.

    A new layer's mask is that of its initial scores: the share `keep` with the largest magnitude. `set_mask` gives another one; a
    layer whose `keep` is set keeps the mask that it has. (The original multiplies by raw scores until its mask is set.)
    """

    trains_scores = False
    trains_kernel = True
    has_order = False

    def start(self, layer):
        layer.scores.assign(super().mask(layer.kernel_variable(), layer.scores, layer.kept))

    def effective(self, kernel, scores, count, training):
        return kernel * scores

    def mask(self, kernel, scores, count):
        return tf.identity(scores)
