"""Discovering neural wirings (Wortsman et al. 2019; DNWConv recipes of allenai/hidden-networks): the large weights are kept."""
from tfprune.keras import tf
from tfprune.masks.rules.base import Rule
from tfprune.masks.selection import select


class DNW(Rule):
    """kernel * mask of the largest |weights|, which are trained; the gradient goes straight to all of them, masked out ones too."""

    trains_scores = False
    trains_kernel = True

    def effective(self, kernel, scores, count, training):
        @tf.custom_gradient
        def masked(kernel):
            return kernel * select(kernel, count, "magnitude"), lambda upstream: upstream

        return masked(kernel)

    def ranked(self, kernel, scores):
        return kernel
