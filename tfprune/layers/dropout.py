"""Dropout that a checkpoint can resume: Keras's own keeps its random state where no checkpoint sees it."""
from tfprune.keras import keras, tf


@keras.utils.register_keras_serializable("tfprune")
class Dropout(keras.layers.Layer):
    """Zeroes each input with probability `rate` in training and scales the rest by 1 / (1 - rate); identity otherwise.

    The masks follow from `seed` and the number of calls so far, which is saved with the model's checkpoints.
    """

    def __init__(self, rate, seed, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.seed = rate, seed
        self.generator = tf.random.Generator.from_seed(seed, alg="philox")

    def call(self, inputs, training=False):
        if not training:
            return inputs
        kept = self.generator.uniform(tf.shape(inputs), dtype=inputs.dtype) >= self.rate
        return tf.where(kept, inputs / (1 - self.rate), tf.zeros_like(inputs))

    def get_config(self):
        return super().get_config() | {"rate": self.rate, "seed": self.seed}
