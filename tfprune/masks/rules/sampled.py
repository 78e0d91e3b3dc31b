"""Sampled supermasks (Zhou et al. 2019; SampleSubnetConv of allenai/hidden-networks): each weight is kept with probability sigmoid(s)."""
from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.masks.rules.base import Rule


class Sampled(Rule):
    """kernel * b with b ~ Bernoulli(sigmoid(s)), drawn anew at every call; the share kept follows from the scores, not from `keep`.

    The gradient goes straight through the draw, and truly through the sigmoid: dL/ds = w * dL/dw_eff * p * (1 - p).
    evaluation="threshold" keeps what is likelier kept than not when the layer is used, "sample" draws then too, as the original.
    """

    has_order = False
    OPTIONS = {"evaluation": "threshold"}

    def __init__(self, seed=0, **options):
        super().__init__(seed, **options)
        if self.evaluation not in ("threshold", "sample"):
            raise UserError(f"evaluation={self.evaluation}: rule sampled accepts threshold, sample")
        self.drawn_in_use = self.evaluation == "sample"
        self.generator = tf.random.Generator.from_seed(seed, alg="philox")  # a variable: checkpoints resume it

    def effective(self, kernel, scores, count, training):
        if not tf.is_tensor(training):
            return self._masked(kernel, scores, training or self.drawn_in_use)
        return tf.cond(tf.cast(training, tf.bool), lambda: self._masked(kernel, scores, True),
                       lambda: self._masked(kernel, scores, self.drawn_in_use))

    def mask(self, kernel, scores, count):
        return self._draw(tf.sigmoid(scores), self.drawn_in_use)

    def _masked(self, kernel, scores, drawn):
        @tf.custom_gradient
        def masked(kernel, scores):
            likely = tf.sigmoid(scores)
            mask = self._draw(likely, drawn)
            return kernel * mask, lambda upstream: (upstream * mask, upstream * kernel * likely * (1 - likely))

        return masked(kernel, scores)

    def _draw(self, likely, drawn):
        below = self.generator.uniform(tf.shape(likely), dtype=likely.dtype) if drawn else 0.5
        # a score that is no number must reach the loss: a comparison alone would hide it
        return tf.where(tf.math.is_nan(likely), likely, tf.cast(below < likely, likely.dtype))
