"""Local response normalisation over channels, as TF1's Alexnet for CIFAR has it."""
import numpy as np

from tfprune.keras import keras, tf


@keras.utils.register_keras_serializable("tfprune")
class LocalResponseNormalization(keras.layers.Layer):
    """y_i = x_i / (bias + alpha * sum of x_j^2 over |j - i| <= depth_radius) ** 0.75, channels last.

    Equals `tf.nn.lrn(x, depth_radius, bias, alpha, 0.75)`. The window sum is a product with a band matrix, whose gradient is
    cheaper on CPUs than that operation's own (Krizhevsky et al. 2012 for the formula).

    Args:
      positions: of a pruned net, where each channel was among all of them, ascending: those between two that were not neighbours before
        were zeros, and make none of them now. None: channels are counted from 0.
    """

    def __init__(self, depth_radius=2, bias=1.0, alpha=2e-5, positions=None, **kwargs):
        super().__init__(**kwargs)
        self.depth_radius, self.bias, self.alpha = depth_radius, bias, alpha
        self.positions = None if positions is None else [int(position) for position in positions]

    def build(self, input_shape):
        channel = np.arange(input_shape[-1]) if self.positions is None else np.array(self.positions)
        self.band = (abs(channel[:, None] - channel) <= self.depth_radius).astype("float32")
        super().build(input_shape)

    def call(self, inputs):
        return self.normalise(inputs, tf.constant(self.band, inputs.dtype))

    def normalise(self, inputs, band):
        """The formula for inputs (..., channels), given which channels are neighbours: a 0/1 matrix (channels, channels)."""
        inverse_root = tf.math.rsqrt(self.bias + self.alpha * tf.tensordot(tf.square(inputs), band, 1))
        return inputs * inverse_root * tf.sqrt(inverse_root)  # d ** -0.75 without a power

    def get_config(self):
        return super().get_config() | {"depth_radius": self.depth_radius, "bias": self.bias, "alpha": self.alpha,
                                       "positions": self.positions}
