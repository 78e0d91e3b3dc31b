"""The shortcut without weights of residual nets for small images (He et al. 2016, option A)."""
from tfprune.keras import keras, tf


@keras.utils.register_keras_serializable("tfprune")
class PaddedShortcut(keras.layers.Layer):
    """Every `stride`-th row and column from the first, amid channels of zeros: half of the new channels before the old, half after them.

    Args:
      units: channels of the output, no fewer than of the input; of an odd number of new ones the odd one comes last.
      stride: of the rows and columns.
    """

    def __init__(self, units, stride=2, **options):
        super().__init__(**options)
        self.units, self.stride = units, stride

    def call(self, inputs):
        new = self.units - inputs.shape[-1]
        return tf.pad(inputs[:, ::self.stride, ::self.stride], [(0, 0), (0, 0), (0, 0), (new // 2, new - new // 2)])

    def get_config(self):
        return super().get_config() | {"units": self.units, "stride": self.stride}
