"""Signed supermasks (SignedMaskConv of an early allenai/hidden-networks): a mask of -1, 0 and 1."""
from tfprune.keras import tf
from tfprune.masks.rules.base import Rule
from tfprune.masks.selection import select


class Signed(Rule):
    """kernel * mask, where the weights with the largest |scores| are kept and turned by the sign of their scores.

    Straight through the whole mask, sign included: dL/ds = w * dL/dw_eff.
    """

    def effective(self, kernel, scores, count, training):
        @tf.custom_gradient
        def masked(kernel, scores):
            mask = self.mask(kernel, scores, count)
            return kernel * mask, lambda upstream: (upstream * mask, upstream * kernel)

        return masked(kernel, scores)

    def mask(self, kernel, scores, count):
        return select(scores, count, "magnitude") * tf.sign(scores)
