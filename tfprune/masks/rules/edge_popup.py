"""Edge-popup (Ramanujan et al. 2020, allenai/hidden-networks): a frozen random kernel under the mask of its largest |scores|."""
from tfprune.keras import tf
from tfprune.masks.rules.base import Rule
from tfprune.masks.selection import select


class EdgePopup(Rule):
    """kernel * mask; the gradient goes straight through the mask, with the sign(s) of |s|: dL/ds = sign(s) * w * dL/dw_eff."""

    def effective(self, kernel, scores, count, training):
        @tf.custom_gradient
        def masked(kernel, scores):
            mask = select(tf.abs(scores), count)
            return kernel * mask, lambda upstream: (upstream * mask, tf.sign(scores) * kernel * upstream)

        return masked(kernel, scores)
