"""The shortcut without weights of residual nets for small images (He et al. 2016, option A)."""
from tfprune.keras import keras, tf


@keras.utils.register_keras_serializable("tfprune")
class PaddedShortcut(keras.layers.Layer):
    """Every `stride`-th row and column from the first, amid channels of zeros: half of the new channels before the old, half after them.

    Args:
      units: channels of the output, no fewer than of the input; of an odd number of new ones the odd one comes last.
      stride: of the rows and columns.
      before: how many of the new channels come before the old, where it is not half of them (a pruned net).
    """

    def __init__(self, units, stride=2, before=None, **options):
        super().__init__(**options)
        self.units, self.stride, self.before = units, stride, before

    def call(self, inputs):
        return tf.pad(inputs[:, ::self.stride, ::self.stride], [(0, 0), (0, 0), (0, 0), self.added(inputs.shape[-1])])

    def added(self, channels):
        """How many channels come before and after so many old ones."""
        new = self.units - channels
        before = new // 2 if self.before is None else self.before
        return before, new - before

    def get_config(self):
        return super().get_config() | {"units": self.units, "stride": self.stride, "before": self.before}
