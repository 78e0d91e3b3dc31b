"""Small Keras nets of every shape that the unit measures must take, with random weights, for `tfprune.units` tests."""
import numpy as np

from tfprune.keras import keras, tf
from tfprune.layers.dropout import Dropout
from tfprune.layers.lrn import LocalResponseNormalization
from tfprune.units.graph import declare_unit_layers

layers = keras.layers


def chain():
    """Convolutions with pooling, normalisation over channels, dropout: the Alexnet pattern."""
    images = keras.Input((9, 9, 2))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv1")(images)
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    x = LocalResponseNormalization(alpha=0.1)(x)
    x = layers.Conv2D(5, 3, padding="valid", activation="elu", name="conv2")(x)
    x = layers.AveragePooling2D(2, 1)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(7, activation="relu", name="fc3")(x)
    x = Dropout(0.5, seed=1)(x)
    return keras.Model(images, layers.Dense(4)(x))


def normalised():
    """Batch normalisation and sigmoids after the units, which make something of zeros."""
    images = keras.Input((8, 8, 2))
    x = layers.Conv2D(6, 3, name="conv1")(images)
    x = layers.MaxPooling2D()(x)
    x = layers.BatchNormalization(name="shifts")(x)
    x = layers.Conv2D(4, 2, name="conv2")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("sigmoid", name="act2")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(3)(x))


def residual():
    """Skips past unit layers: identity, projection, and one written as a sum of tensors."""
    images = keras.Input((8, 8, 2))
    x = layers.ReLU(name="relu0")(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(images)))
    y = layers.ReLU(name="relu1")(layers.Conv2D(4, 3, padding="same")(x))
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(y))
    x = layers.Activation("relu", name="relu2")(layers.Add()([x, y]))
    y = layers.Conv2D(6, 3, strides=2)(layers.ZeroPadding2D()(x))
    x = tf.nn.relu(y + layers.Conv2D(6, 1, strides=2)(x))
    x = layers.GlobalMaxPooling2D()(x)
    return keras.Model(images, layers.Dense(3)(x))


def branches():
    """Two branches of different depth, joined by concatenation."""
    images = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(images)
    a = layers.Conv2D(3, 1, activation="relu", name="left")(x)
    b = layers.Conv2D(5, 3, padding="same", activation="relu", name="right1")(x)
    b = layers.Conv2D(3, 3, padding="same", activation="relu", name="right2")(b)
    x = layers.Flatten()(layers.Concatenate()([a, b]))
    return keras.Model(images, layers.Dense(3)(x))


def nested():
    """A model within a model, called twice; a layer that is called twice."""
    inner = keras.Sequential([layers.Dense(5, activation="relu", name="a"), layers.Dense(6, name="b")], name="inner")
    examples = keras.Input((6,))
    shared = layers.Dense(6, activation="tanh", name="shared")
    x = shared(inner(shared(inner(examples))))
    return keras.Model(examples, layers.Dense(3)(x))


def sequential():
    """A Sequential that was not made from an Input."""
    model = keras.Sequential([
        layers.Conv2D(5, 3, activation="relu", name="conv"), layers.Flatten(), layers.Dense(6, name="hidden"),
        layers.LeakyReLU(name="leaky"), layers.Dropout(0.5), layers.Dense(4)])
    model.build((None, 5, 5, 3))
    return model


def depthwise():
    """Kernel layers that have no short cut of their own."""
    images = keras.Input((7, 7, 2))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(images)
    x = layers.ReLU(6.0, name="depth_relu")(layers.DepthwiseConv2D(3, name="depth")(x))
    x = layers.Reshape((9, 4))(x)
    x = layers.Conv1D(3, 2, activation="relu", name="conv1d")(x)
    return keras.Model(images, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def regression():
    """One output number."""
    examples = keras.Input((4,))
    x = layers.Dense(8, activation="relu", name="hidden1")(examples)
    x = layers.Dense(6, activation="relu", name="hidden2")(x)
    return keras.Model(examples, layers.Dense(1)(x))


def declared():
    """Unit layers with nothing but pooling between them, and one before its activation function, as its builder wants them."""
    images = keras.Input((9, 9, 2))
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(images)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Dense(5, name="linear")(layers.Flatten()(x))
    model = keras.Model(images, layers.Dense(3)(layers.LeakyReLU()(x)))
    return declare_unit_layers(model, ["conv", "pool", "linear"])


def half_precision():
    """Activities in bfloat16, weights and output in float32."""
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        examples = keras.Input((4,))
        x = layers.Dense(8, activation="relu", name="hidden1")(examples)
        x = layers.Dense(6, activation="relu", name="hidden2")(x)
        return keras.Model(examples, layers.Dense(3, dtype="float32")(x))
    finally:
        keras.mixed_precision.set_global_policy("float32")


NETS = {net.__name__: net for net in (chain, normalised, residual, branches, nested, sequential, depthwise, regression, declared)}


def build(net, seed=0):
    """A net, or that of this name, with all weights random, normalisations' and biases' too."""
    keras.backend.clear_session()
    model = NETS[net]() if isinstance(net, str) else net()
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.dtype.is_floating:
            values = generator.normal(size=weight.shape, scale=0.5)
            weight.assign(np.abs(values) + 0.2 if "variance" in weight.name else values)
    return model


def examples(model, count, seed=1):
    """Random inputs for a model."""
    return np.random.default_rng(seed).normal(size=(count, *model.input_shape[1:])).astype("float32")
