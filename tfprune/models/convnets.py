"""The small nets of allenai/hidden-networks, after Frankle & Carbin 2019: FC and Conv2 to Conv8, width factor on every hidden layer.

No biases, no normalisation, ReLU after every hidden layer. Unit layers: all hidden layers. What the original calls Conv4Wide and
Conv6Wide are Conv4 and Conv6 with a width factor.
"""
from functools import partial

from tfprune.keras import keras
from tfprune.models.maskable import LAST, MaskableParts

WIDTHS = (64, 128, 256, 512)  # of pairs of convolutions, each followed by pooling
HEAD = 256


def fully_connected(experiment, input_shape, outputs):
    """LeNet-300-100 on the flattened image: 784-300-100-10 on MNIST."""
    return _net(experiment, input_shape, outputs, pairs=0, head=(300, 100))


def four_hidden(experiment, input_shape, outputs):
    """Hidden layers of 1000, 1000, 500 and 200 units on the flattened image (justincosentino/network-pruning)."""
    return _net(experiment, input_shape, outputs, pairs=0, head=(1000, 1000, 500, 200))


def _net(experiment, input_shape, outputs, pairs, head=(HEAD, HEAD)):
    factor, parts = experiment.dnn.neuron_multiplier, MaskableParts(experiment, first="conv1" if pairs else "fc1")
    images = x = keras.Input(input_shape, name="images")
    for number, width in enumerate(WIDTHS[:pairs], 1):
        for conv in (2 * number - 1, 2 * number):
            x = parts.convolution(x, int(width * factor), 3, 1, f"conv{conv}", activation="relu")
        x = keras.layers.MaxPooling2D(2, 2, name=f"pool{number}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    for number, width in enumerate(head, 1):
        x = parts.dense(x, int(width * factor), f"fc{number}")
    return keras.Model(images, parts.dense(x, outputs, LAST, activation=None), name=experiment.dnn.name)


# 3x3 convolutions in pairs, 2x2 max pooling after each pair, then dense layers of 256, 256 and `outputs`.
conv2, conv4, conv6, conv8 = (partial(_net, pairs=pairs) for pairs in (1, 2, 3, 4))
