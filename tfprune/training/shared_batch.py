"""A net that sees its part of a batch as it would see the whole: what depends on other examples asks the other processes."""
from tfprune.keras import keras, tf
from tfprune.layers.dropout import Dropout


def shared(model, replicas):
    """A model with the same layers and variables; batch normalisation and dropout are as of the whole batch.

    Args:
      model: a net of the registry, all of whose layers may be called again.
      replicas: a `Replicas`; its `place` is read when the net is called in training.
    """
    kinds = ((keras.layers.BatchNormalization, SharedNormalisation), (Dropout, SharedDropout))

    def instead(layer):
        return next((new(layer, replicas) for kind, new in kinds if isinstance(layer, kind)), layer)

    return keras.models.clone_model(model, clone_function=instead)


class _Shared(keras.layers.Layer):
    """Does in training what a layer does with a whole batch, with the layer's variables; otherwise it is that layer."""

    def __init__(self, layer, replicas):
        super().__init__(name=layer.name, dtype=layer.dtype)
        self.layer, self._replicas = layer, replicas

    def call(self, inputs, training=None):
        if not training or not self.learns():
            return self.layer(inputs, training=training)
        return self.whole(inputs)


class SharedNormalisation(_Shared):
    """Batch normalisation by the mean and the variance of all processes' examples, over all axes but the last."""

    def learns(self):
        return self.layer.trainable  # at rest it normalises by its averages

    def whole(self, inputs):
        layer, axes = self.layer, list(range(inputs.shape.rank - 1))
        # Each process's own mean and squares around it, side by side: sums of squares alone would lose digits.
        mean = tf.reduce_mean(inputs, axes)
        rows = tf.fill([1], tf.cast(tf.size(inputs) / inputs.shape[-1], inputs.dtype))
        own = tf.concat([rows, mean, tf.reduce_sum(tf.square(inputs - mean), axes)], 0)
        every, = self._replicas.total([tf.one_hot(self._replicas.index, self._replicas.count, dtype=own.dtype)[:, None] * own])
        counts, means, squares = tf.split(every, [1, inputs.shape[-1], inputs.shape[-1]], 1)
        rows = tf.reduce_sum(counts)
        mean = tf.reduce_sum(counts * means, 0) / rows
        variance = tf.reduce_sum(squares + counts * tf.square(means - mean), 0) / rows
        # Keras' fused kernel lets the unbiased variance into the running one, its other implementation the biased.
        self._follow(layer.moving_mean, mean)
        self._follow(layer.moving_variance, variance * (rows / (rows - 1) if layer.fused else 1.0))
        scale = tf.math.rsqrt(variance + layer.epsilon) * (1.0 if layer.gamma is None else layer.gamma)
        return (inputs - mean) * scale + (0.0 if layer.beta is None else layer.beta)

    def _follow(self, average, value):
        average.assign_sub((average - tf.stop_gradient(value)) * (1 - self.layer.momentum))


class SharedDropout(_Shared):
    """Dropout by this process's part of what is drawn for the whole batch."""

    def learns(self):
        return True

    def whole(self, inputs):
        layer, (first, number) = self.layer, self._replicas.place
        drawn = layer.generator.uniform(tf.concat([[number], tf.shape(inputs)[1:]], 0), dtype=inputs.dtype)
        kept = drawn[first:first + tf.shape(inputs)[0]] >= layer.rate
        return tf.where(kept, inputs / (1 - layer.rate), tf.zeros_like(inputs))
