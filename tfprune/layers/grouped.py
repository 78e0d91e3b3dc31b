"""A grouped convolution that works, and trains in reasonable time, on every CPU."""
import functools

from tfprune.keras import keras, tf


@keras.utils.register_keras_serializable("tfprune")
class GroupedConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with `groups`, channels last.

    Keras compiles that by XLA, whose gradients take two hundred times as long on a CPU. TensorFlow's own operation is taken here; and
    where that is without gradients, because a CPU is too old for oneDNN or that is off, a convolution for every group.
    """

    def _jit_compiled_convolution_op(self, inputs, kernel):
        if has_gradients():
            return self.convolution_op(inputs, kernel)
        parts = zip(tf.split(inputs, self.groups, -1), tf.split(kernel, self.groups, -1), strict=True)
        return tf.concat([self.convolution_op(*part) for part in parts], -1)


@functools.cache
def has_gradients():
    """Whether TensorFlow's grouped convolution has gradients on this machine."""
    with tf.init_scope():  # at once, also while a graph is traced
        images = tf.ones([1, 3, 3, 4])
        try:
            tf.raw_ops.Conv2DBackpropFilter(input=images, filter_sizes=[3, 3, 2, 4], out_backprop=images, strides=[1] * 4, padding="SAME")
        except tf.errors.OpError:
            return False
    return True
