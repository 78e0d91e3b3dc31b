"""What is left of a feature vector, where nothing reads the rest any more."""
from tfprune.keras import keras, tf


@keras.utils.register_keras_serializable("tfprune")
class KeptFeatures(keras.layers.Layer):
    """Takes some of the features [batch, features]; it has no weights.

    Args:
      positions: which, a list of ints.
    """

    def __init__(self, positions, **options):
        super().__init__(**options)
        self.positions = [int(position) for position in positions]

    def call(self, inputs):
        return tf.gather(inputs, self.positions, axis=-1)

    def compute_output_shape(self, input_shape):
        return tf.TensorShape([*input_shape[:-1], len(self.positions)])

    def get_config(self):
        return super().get_config() | {"positions": list(self.positions)}
