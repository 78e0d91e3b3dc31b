"""The residual nets of the width study: ResNet-56 for small images and ResNet-18 for ImageNet, width factor on every layer.

Both project the shortcut in the first block of every stage, the first stage's too, and take neither `dnn.init_type` nor
`dnn.act_function` nor dropout. Unit layers: `stem` and the last ReLU of every stage.
"""
from tfprune.keras import keras
from tfprune.models.notes import note_unit_layers
from tfprune.models.residual import Parts


def resnet56(experiment, input_shape, outputs):
    """Three stages of nine basic blocks, base widths 16, 32, 64, for images of any size (xboix/frivolous_dnns)."""
    units, parts = int(16 * experiment.dnn.neuron_multiplier), Parts(experiment)
    images = keras.Input(input_shape, name="images")
    x = parts.stem(images, units, size=3, stride=1)
    return _stages(parts, images, x, units, blocks=(9, 9, 9), outputs=outputs)


def resnet18(experiment, input_shape, outputs):
    """Four stages of two basic blocks, base widths 64, 128, 256, 512, after a strided 7x7 convolution and pooling."""
    units, parts = int(64 * experiment.dnn.neuron_multiplier), Parts(experiment)
    images = keras.Input(input_shape, name="images")
    x = parts.stem(images, units, size=7, stride=2)
    x = keras.layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    return _stages(parts, images, x, units, blocks=(2, 2, 2, 2), outputs=outputs, masked_originally={"stem": "stem_conv"})


def _stages(parts, images, x, units, blocks, outputs, masked_originally=None):
    """The net from the stem on: each stage has twice the units of the one before and, but for the first, half its height and width."""
    stages = [f"stage{number}" for number in range(1, len(blocks) + 1)]
    for number, (name, count) in enumerate(zip(stages, blocks, strict=True)):
        x = parts.stage(x, units * 2**number, count, stride=2 if number else 1, name=name)
    model = keras.Model(images, parts.classifier(x, outputs), name=parts.experiment.dnn.name)
    return note_unit_layers(model, ["stem", *stages], masked_originally)
