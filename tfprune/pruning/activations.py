"""What activation functions do, found by trying them: whether they look at one element at a time, and what they make of zero."""
import numpy as np

from tfprune.keras import keras, tf


def mixes(function, rank):
    """Whether an activation function looks at more than one element at a time, tried on a tensor of so many axes."""
    if function in (None, keras.activations.linear, keras.activations.relu):
        return False
    before = np.linspace(-1, 1, 8 * 2 ** (rank - 2), dtype="float32").reshape([1, *[2] * (rank - 2), 8])
    after = before.copy()
    after.flat[0] += 1
    try:
        return not np.array_equal(np.ravel(function(tf.constant(before)))[1:], np.ravel(function(tf.constant(after)))[1:])
    except (TypeError, ValueError, tf.errors.OpError):
        return True


def leaves_zero(layer):
    """Whether zero stays zero in an elementwise layer, or in a kernel layer's own activation function."""
    function = layer.activation if hasattr(layer, "activation") else layer
    return function in (None, keras.activations.linear, keras.activations.relu) or not np.any(function(tf.zeros([1, 1])))
