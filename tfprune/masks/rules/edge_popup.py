"""Edge-popup (Ramanujan et al. 2020, allenai/hidden-networks): a frozen random kernel under the mask of its largest |scores|."""
from tfprune.keras import tf
from tfprune.masks.rules.base import Rule
from tfprune.masks.selection import select


class EdgePopup(Rule):
    """kernel * mask; the gradient goes straight through the mask, with the sign(s) of |s|: dL/ds = sign(s) * w * dL/dw_eff.

    Masked-out weights thus keep a gradient for their scores, and can come back; a kernel that is trained gets the mask's share.
    """

    def effective(self, kernel, scores, count, training):
        @tf.custom_gradient
        def masked(kernel, scores):
            mask = select(scores, count, "magnitude")

            def gradients(upstream):  # a compiled step computes only the one that is asked for
                return upstream * mask, tf.sign(scores) * kernel * upstream

            return kernel * mask, gradients

        return masked(kernel, scores)
