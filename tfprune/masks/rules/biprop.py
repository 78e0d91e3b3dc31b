"""Multi-prize tickets (Diffenderfer and Kailkhura 2021, biprop): the kept weights are binary, with one magnitude a layer."""
from tfprune.keras import tf
from tfprune.masks.rules.base import Rule
from tfprune.masks.selection import select


class Biprop(Rule):
    """alpha * sign(kernel) * mask of the largest |scores|, alpha = sum(|kernel| * mask) / count.

    The gradient leaves alpha out, and is that of edge-popup: dL/ds = sign(s) * w * dL/dw_eff (|w| times the gradient of sign(w) * mask:
    without the weight's sign half of the scores would move the wrong way). Its weights are frozen; where they are not, they get the
    mask's share.
    """

    def effective(self, kernel, scores, count, training):
        @tf.custom_gradient
        def masked(kernel, scores):
            mask = select(scores, count, "magnitude")
            size = tf.abs(kernel)
            alpha = tf.math.divide_no_nan(tf.reduce_sum(size * mask), tf.cast(count, kernel.dtype))
            return alpha * tf.sign(kernel) * mask, lambda upstream: (upstream * mask, tf.sign(scores) * kernel * upstream)

        return masked(kernel, scores)
