"""The CIFAR ResNets of akamaster/pytorch_resnet_cifar10 (He et al. 2016): shortcuts without weights, padding as PyTorch has it.

Where a stage halves the image and doubles the units, the shortcut drops every other row and column and pads the channels with zeros
(option A). Width factor on every layer: any whole width of the first stage will do, of an odd one the odd channel of zeros comes last.
Images of any size. Unit layers: `stem` and the last ReLU of every stage, as of our other residual nets.
"""
from dataclasses import dataclass
from functools import partial

from tfprune.keras import keras
from tfprune.layers.option_a import PaddedShortcut
from tfprune.models.maskable import MaskableParts
from tfprune.models.notes import note_unit_layers

STAGES = ("stage1", "stage2", "stage3")


@dataclass(frozen=True)
class OptionA(MaskableParts):
    """The parts of these nets; the last layer starts as `dnn.init` says too, with a bias as PyTorch draws it."""

    last_bias: str = "drawn"

    def block(self, x, units, stride, first, name, output):
        """A basic block; its shortcut is the identity but where a stage begins with other units."""
        return self.basic_block(x, units, stride, x.shape[-1] != units, name, output)

    def shortcut(self, x, units, stride, name):
        """The shortcut without weights."""
        return PaddedShortcut(units, stride, name=f"{name}_shortcut")(x)


def _resnet(experiment, input_shape, outputs, depth):
    """Three stages of (depth - 2) / 6 basic blocks, base widths 16, 32, 64."""
    parts, units = OptionA(experiment), int(16 * experiment.dnn.neuron_multiplier)
    images = keras.Input(input_shape, name="images")
    x = parts.stem(images, units, size=3, stride=1)
    for number, name in enumerate(STAGES):
        x = parts.stage(x, units * 2**number, (depth - 2) // 6, stride=2 if number else 1, name=name)
    model = keras.Model(images, parts.classifier(x, outputs), name=experiment.dnn.name)
    return note_unit_layers(model, ["stem", *STAGES])


resnet20, resnet32, resnet44, resnet56, resnet110 = (partial(_resnet, depth=depth) for depth in (20, 32, 44, 56, 110))
