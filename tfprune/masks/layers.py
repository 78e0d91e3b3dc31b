"""Masked layers, usable in any Keras model: SubnetDense, SubnetConv1D, SubnetConv2D, SubnetDepthwiseConv1D, SubnetDepthwiseConv2D."""
from tfprune.keras import keras, tf
from tfprune.layers.replaced import replaced
from tfprune.masks.rules import RULES
from tfprune.masks.selection import kept_count


class Masked:
    """What the masked layers share. `keep` may be changed at any time."""

    KERNEL = "kernel"

    def __init__(self, *args, keep=0.5, rule="edge_popup", freeze=True, seed=0, scores_initializer="glorot_uniform", use_bias=False,
                 kernel_initializer="he_normal", options=None, **kwargs):
        super().__init__(*args, use_bias=use_bias, **{f"{self.KERNEL}_initializer": kernel_initializer}, **kwargs)
        self.rule_name, self._keep, self.freeze = rule, keep, freeze
        self.rule = RULES[rule](seed=seed, **(options or {}))
        self.scores_initializer = keras.initializers.get(scores_initializer)

    def add_weight(self, name=None, trainable=True, **kwargs):
        frozen = self.freeze and not self.rule.trains_kernel
        return super().add_weight(name=name, trainable=trainable and not (frozen and name in (self.KERNEL, "bias")), **kwargs)

    def build(self, input_shape):
        super().build(input_shape)
        kernel = getattr(self, self.KERNEL)
        self.scores = super().add_weight(name="scores", shape=kernel.shape, initializer=self.scores_initializer,
                                         trainable=self.rule.trains_scores)
        self.kept = super().add_weight(name="kept", shape=(), dtype=tf.int32, trainable=False, initializer="zeros")
        self.keep = self._keep

    @property
    def keep(self):
        """The share of weights that is kept, from 0 to 1."""
        return self._keep

    @keep.setter
    def keep(self, share):
        self._keep = share
        if self.built or hasattr(self, "kept"):
            self.kept.assign(kept_count(self.scores.shape.num_elements(), share))

    def effective_kernel(self, training=False):
        """The kernel under its mask, float32."""
        return self.rule.effective(tf.convert_to_tensor(getattr(self, self.KERNEL)), tf.convert_to_tensor(self.scores), self.kept, training)

    def call(self, inputs, training=False):
        kernel = tf.cast(self.effective_kernel(training), self.compute_dtype)
        with replaced(self, **{self.KERNEL: kernel}):
            return super().call(inputs)


class SubnetDense(Masked, keras.layers.Dense):
    """`keras.layers.Dense` under a mask."""


class SubnetConv2D(Masked, keras.layers.Conv2D):
    """`keras.layers.Conv2D` under a mask."""
