"""The residual nets of allenai/hidden-networks, version 1.5: bottlenecks stride in their 3x3 convolution, as torchvision's do.

Shortcuts project only where shape or width changes. Width factor on every layer. Unit layers: `stem` and the last ReLU of every stage,
as of our other residual nets.
"""
from dataclasses import dataclass
from functools import partial

from tfprune.keras import keras
from tfprune.models.maskable import MaskableParts
from tfprune.models.notes import note_unit_layers

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}  # of the stages, by the net's depth
EXPANSION = 4  # of a bottleneck's width at its end


@dataclass(frozen=True)
class Blocks(MaskableParts):
    """The blocks of one net: basic ones, or bottlenecks that are `widening` times as wide inside."""

    bottleneck: bool = False
    widening: int = 1

    def block(self, x, units, stride, first, name, output):
        """A block that projects only where it must."""
        project = stride != 1 or x.shape[-1] != units * (EXPANSION if self.bottleneck else 1)
        if self.bottleneck:
            return self.bottleneck_block(x, units, stride, project, name, output)
        return self.basic_block(x, units, stride, project, name, output)

    def bottleneck_block(self, x, units, stride, project, name, output):
        """Convolutions 1x1, 3x3 and 1x1 to four times `units`, beside a shortcut; ReLU after their sum."""
        shortcut, inner = x, units * self.widening
        if project:
            shortcut = self.normalisation(self.convolution(x, EXPANSION * units, 1, stride, f"{name}_shortcut"), f"{name}_shortcut_bn")
        for number, size, strides in ((1, 1, 1), (2, 3, stride)):
            x = self.normalisation(self.convolution(x, inner, size, strides, f"{name}_conv{number}"), f"{name}_bn{number}")
            x = keras.layers.ReLU(name=f"{name}_relu{number}")(x)
        x = self.normalisation(self.convolution(x, EXPANSION * units, 1, 1, f"{name}_conv3"), f"{name}_bn3")
        return keras.layers.ReLU(name=output)(keras.layers.Add(name=f"{name}_add")([x, shortcut]))


def _resnet(experiment, input_shape, outputs, depth, small=False, widening=1):
    """Four stages of 64, 128, 256 and 512 units (x 4 with bottlenecks) after a stem, strided and pooled but for `small` images."""
    parts = Blocks(experiment, torch_stem=not small, bottleneck=depth > 18, widening=widening)
    units = int(64 * experiment.dnn.neuron_multiplier)
    images = keras.Input(input_shape, name="images")
    x = parts.stem(images, units, size=3 if small else 7, stride=1 if small else 2)
    if not small:  # zeros around it are as good as PyTorch's -inf: nothing is below zero after the ReLU
        x = keras.layers.MaxPooling2D(3, 2, name="stem_pool")(parts.padded(x, 3, "stem_pool"))
    stages = [f"stage{number}" for number in range(1, 5)]
    for number, (name, count) in enumerate(zip(stages, BLOCKS[depth], strict=True)):
        x = parts.stage(x, units * 2**number, count, stride=2 if number else 1, name=name)
    # the mean over all positions: the original's 4x4 pooling of small images, which needs them to be 32x32
    model = keras.Model(images, parts.classifier(x, outputs), name=experiment.dnn.name)
    return note_unit_layers(model, ["stem", *stages])


# cResNets are for small images, the others for ImageNet; `wide` ones have twice the width inside their bottlenecks.
cresnet18, cresnet50, cresnet101 = (partial(_resnet, depth=depth, small=True) for depth in BLOCKS)
resnet18, resnet50, resnet101 = (partial(_resnet, depth=depth) for depth in BLOCKS)
wide_resnet50, wide_resnet101 = (partial(_resnet, depth=depth, widening=2) for depth in (50, 101))
