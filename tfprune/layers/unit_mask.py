"""Units that are silenced where nothing in their weights can: after an activation function that makes something of zero."""
from tfprune.keras import keras, tf


@keras.utils.register_keras_serializable("tfprune")
class UnitMask(keras.layers.Wrapper):
    """A layer whose outputs (.., channels) are multiplied by `mask` [channels], zeros and ones: a variable that is saved and not trained.

    Args:
      layer: the layer, whose name the wrapper takes by default.
    """

    def __init__(self, layer, **options):
        super().__init__(layer, **{"name": layer.name, "dtype": layer.dtype_policy} | options)

    def build(self, input_shape=None):
        super().build(input_shape)
        channels = self.layer.compute_output_shape(input_shape)[-1]
        self.mask = self.add_weight("mask", [channels], dtype=tf.float32, initializer="ones", trainable=False, experimental_autocast=False)

    def call(self, inputs, **options):
        outputs = self.layer(inputs, **options)
        return tf.where(self.mask > 0, outputs, tf.zeros_like(outputs))

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)
