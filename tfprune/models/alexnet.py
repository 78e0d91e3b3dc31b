"""The small Alexnet of the width study (after TensorFlow's CIFAR-10 tutorial net), width factor on every hidden layer.

Two convolutions, each followed by overlapping max pooling and local response normalisation, and two hidden dense layers. Unit
layers: conv1, conv2 (after the activation, before pooling), fc3, fc4.
"""
from tfprune.keras import keras
from tfprune.layers.dropout import Dropout
from tfprune.layers.initializers import activation, kernel_initializer
from tfprune.layers.lrn import LocalResponseNormalization


def cifar(experiment, input_shape, outputs):
    """The original net: base widths 96, 256, 384, 192 (xboix/frivolous_dnns)."""
    return _alexnet(experiment, input_shape, outputs, widths=(96, 256, 384, 192))


def digits(experiment, input_shape, outputs):
    """The same net for 8x8 digits: a third and a quarter of the conv widths, a quarter of the dense ones."""
    return _alexnet(experiment, input_shape, outputs, widths=(32, 64, 96, 48))


def _alexnet(experiment, input_shape, outputs, widths):
    hyper, dnn = experiment.hyper, experiment.dnn
    conv1, conv2, fc3, fc4 = (int(width * dnn.neuron_multiplier) for width in widths)

    def options(name, bias):
        return {"name": name, "bias_initializer": keras.initializers.Constant(bias),
                "kernel_initializer": kernel_initializer(dnn.init_type, experiment.seed_for(f"init/{name}"))}

    def conv_block(x, number, units, bias):
        x = keras.layers.Conv2D(units, 5, padding="same", activation=activation(dnn.act_function), **options(f"conv{number}", bias))(x)
        x = keras.layers.MaxPooling2D(3, 2, padding="same", name=f"pool{number}")(x)
        return LocalResponseNormalization(name=f"lrn{number}")(x)

    def dense_block(x, number, units):
        x = keras.layers.Dense(units, activation=activation(dnn.act_function), **options(f"fc{number}", 0.1))(x)
        if hyper.drop_train == 1:
            return x
        return Dropout(1 - hyper.drop_train, seed=experiment.seed_for(f"dropout/{number}"), name=f"dropout{number}")(x)

    images = keras.Input(input_shape, name="images")
    x = conv_block(images, 1, conv1, bias=0.0)
    x = conv_block(x, 2, conv2, bias=0.1)
    x = keras.layers.Flatten(name="flatten")(x)
    x = dense_block(x, 3, fc3)
    x = dense_block(x, 4, fc4)
    logits = keras.layers.Dense(outputs, **options("softmax_linear", 0.0))(x)
    return keras.Model(images, logits, name=dnn.name)
