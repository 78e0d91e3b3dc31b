"""Batch normalisation as PyTorch has it: the running variance is the unbiased one of each batch."""
from tfprune.keras import keras, tf


@keras.utils.register_keras_serializable("tfprune")
class TorchBatchNormalization(keras.layers.BatchNormalization):
    """`torch.nn.BatchNorm`: a batch is normalised by its biased variance; n / (n - 1) times that enters the running average.

    Keras does so only in its fused kernel, for four axes; here inputs (..., channels) of any number of axes go through that.

    Args:
      affine: with scale and offset for each channel.
      frozen: which stay as they are, while the running averages still follow the batches (a layer that is not `trainable` would not
        normalise by the batch at all).
      momentum: of the running averages: 1 - PyTorch's.
    """

    def __init__(self, affine=True, frozen=False, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, center=affine, scale=affine, fused=True, **kwargs)
        self.affine, self.frozen = affine, frozen

    def add_weight(self, name=None, trainable=True, **kwargs):
        return super().add_weight(name=name, trainable=trainable and not self.frozen, **kwargs)

    def build(self, input_shape):
        super().build([None, 1, 1, input_shape[-1]])
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

    def call(self, inputs, training=None):
        if inputs.shape.rank == 4:
            return super().call(inputs, training=training)
        rows = tf.reshape(inputs, [-1, 1, 1, inputs.shape[-1]])
        return tf.reshape(super().call(rows, training=training), tf.shape(inputs))

    def get_config(self):
        config = super().get_config()
        return {key: value for key, value in config.items() if key not in ("center", "scale")} | {
            "affine": self.affine, "frozen": self.frozen}
