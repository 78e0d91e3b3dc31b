"""Class heads whose logits each see filters of their own, after akshaybadola/decomposing-the-deep (A. Badola and colleagues, 2023).

logit[c] = sum over j of kernel[c, j] * features[indices[c, j]] + bias[c]. Two forms of the same function: `DecomposedHead` gathers the
filters of each class, of which every class has as many; `MaskedHead` has a dense kernel under a mask of zeros and ones, so that classes
may have any number of filters. The indices and the mask are variables, saved with the weights.
"""
import numpy as np

from tfprune.keras import keras, tf


@keras.utils.register_keras_serializable("tfprune")
class DecomposedHead(keras.layers.Layer):
    """The form that gathers.

    Args:
      units: number of classes.
      top: filters of each class; until they are set (`set_dense`) the first ones.
      activation: of the logits; None for none.
      use_bias: whether each logit has a bias.
    """

    def __init__(self, units, top, activation=None, use_bias=True, **options):
        super().__init__(**options)
        self.units, self.top, self.activation, self.use_bias = units, top, keras.activations.get(activation), use_bias
        self.input_spec = keras.layers.InputSpec(ndim=2)

    def build(self, input_shape):
        self.features = int(input_shape[-1])
        self.kernel = self.add_weight("kernel", [self.units, self.top], initializer="glorot_uniform")
        self.bias = self.add_weight("bias", [self.units], initializer="zeros") if self.use_bias else None
        first = np.tile(np.arange(self.top), (self.units, 1))
        # int64, since a GPU holds no int32 variables
        self.indices = self.add_weight("indices", [self.units, self.top], dtype=tf.int64, trainable=False,
                                       initializer=lambda shape, dtype=None, **_: tf.constant(first, dtype))
        super().build(input_shape)

    def call(self, inputs):
        # Gathered from [features, batch], whole rows at a time: of 2048 features ten times as fast as single numbers
        own = tf.gather(tf.transpose(inputs), self.indices)
        logits = tf.transpose(tf.reduce_sum(own * self.kernel[:, :, None], axis=1))
        return self.activation(logits + self.bias if self.use_bias else logits)

    def compute_output_shape(self, input_shape):
        return tf.TensorShape([input_shape[0], self.units])

    def set_dense(self, kernel, bias, filters):
        """Takes the weights of a dense head at each class's filters.

        Args:
          kernel: [features, classes] array. bias: [classes], or None where there is none.
          filters: for each class the positions of its filters among the features, `top` ints.
        """
        indices = np.asarray(filters, np.int64)
        self.indices.assign(indices)
        self.kernel.assign(np.take_along_axis(np.asarray(kernel).T, indices, axis=1))
        if self.use_bias:
            self.bias.assign(bias)

    def dense_kernel(self):
        """The kernel [features, classes] of the dense head that gives the same logits; float32 array."""
        dense = np.zeros([self.units, self.features], np.float32)
        np.put_along_axis(dense, self.indices.numpy(), self.kernel.numpy(), axis=1)
        return dense.T

    def class_filters(self):
        """For each class the positions of its filters among the features: a list of lists of ints."""
        return self.indices.numpy().tolist()

    def get_config(self):
        return super().get_config() | {"units": self.units, "top": self.top, "use_bias": self.use_bias,
                                       "activation": keras.activations.serialize(self.activation)}


@keras.utils.register_keras_serializable("tfprune")
class MaskedHead(keras.layers.Dense):
    """The form with a mask; arguments as of `keras.layers.Dense`. Until filters are set (`set_dense`) every class sees all of them."""

    def build(self, input_shape):
        super().build(input_shape)
        self.mask = self.add_weight("mask", self.kernel.shape, initializer="ones", trainable=False)

    def call(self, inputs):
        logits = tf.matmul(inputs, self.kernel * self.mask)
        return self.activation(logits + self.bias if self.use_bias else logits)

    def set_dense(self, kernel, bias, filters):
        """As `DecomposedHead.set_dense`, but for the number of filters, which may differ from class to class."""
        mask = np.zeros(self.kernel.shape, np.float32)
        for number, own in enumerate(filters):
            mask[list(own), number] = 1
        self.mask.assign(mask)
        self.kernel.assign(kernel)
        if self.use_bias:
            self.bias.assign(bias)

    def dense_kernel(self):
        """As `DecomposedHead.dense_kernel`."""
        return (self.kernel * self.mask).numpy()

    def class_filters(self):
        """As `DecomposedHead.class_filters`, ascending."""
        return [np.flatnonzero(own).tolist() for own in self.mask.numpy().T]
