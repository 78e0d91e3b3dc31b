"""torchvision's residual nets, version 1.5: bottlenecks stride in their 3x3 convolution; and allenai/hidden-networks' for small images.

Shortcuts project only where shape or width changes. Width factor on every layer. Unit layers: `stem` and the last ReLU of every stage,
as of our other residual nets.
"""
from dataclasses import dataclass
from functools import partial

from tfprune.keras import keras
from tfprune.models.maskable import MaskableParts
from tfprune.models.notes import note_unit_layers

# of the stages, by the net's depth
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
SHALLOW = 34  # the deepest net of basic blocks
EXPANSION = 4  # of a bottleneck's width at its end
BASE = 64  # units of the first stage


@dataclass(frozen=True)
class Blocks(MaskableParts):
    """The blocks of one net: basic ones, or bottlenecks whose 3x3 convolution has `groups`, in stage 1 of `group_width` units each."""

    bottleneck: bool = False
    groups: int = 1
    group_width: int = BASE

    def block(self, x, units, stride, first, name, output):
        """A block that projects only where it must."""
        project = stride != 1 or x.shape[-1] != units * (EXPANSION if self.bottleneck else 1)
        if self.bottleneck:
            return self.bottleneck_block(x, units, stride, project, name, output)
        return self.basic_block(x, units, stride, project, name, output)

    def bottleneck_block(self, x, units, stride, project, name, output):
        """Convolutions 1x1, 3x3 and 1x1 to four times `units`, beside a shortcut; ReLU after their sum."""
        shortcut, inner = x, units * self.group_width // BASE * self.groups
        if project:
            shortcut = self.shortcut(x, EXPANSION * units, stride, name)
        for number, size, strides, groups in ((1, 1, 1, 1), (2, 3, stride, self.groups)):
            x = self.convolution(x, inner, size, strides, f"{name}_conv{number}", groups=groups)
            x = self.normalisation(x, f"{name}_bn{number}")
            x = keras.layers.ReLU(name=f"{name}_relu{number}")(x)
        x = self.normalisation(self.convolution(x, EXPANSION * units, 1, 1, f"{name}_conv3"), f"{name}_bn3")
        return keras.layers.ReLU(name=output)(keras.layers.Add(name=f"{name}_add")([x, shortcut]))


def _resnet(experiment, input_shape, outputs, depth, small=False, **inside):
    """Four stages of 64, 128, 256 and 512 units (x 4 with bottlenecks) after a stem, strided and pooled but for `small` images.

    `inside`: `groups` and `group_width` of the bottlenecks; where the width factor leaves a group no units, the net cannot be built.
    """
    parts = Blocks(experiment, torch_stem=not small, bottleneck=depth > SHALLOW, **inside)
    units = int(BASE * experiment.dnn.neuron_multiplier)
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


# cResNets are for small images, the others for ImageNet; `wide` ones have twice the width inside their bottlenecks, ResNeXts 32 groups.
cresnet18, cresnet50, cresnet101 = (partial(_resnet, depth=depth, small=True) for depth in (18, 50, 101))
resnet18, resnet34, resnet50, resnet101, resnet152 = (partial(_resnet, depth=depth) for depth in BLOCKS)
wide_resnet50, wide_resnet101 = (partial(_resnet, depth=depth, group_width=2 * BASE) for depth in (50, 101))
resnext50, resnext101 = (partial(_resnet, depth=depth, groups=32, group_width=width) for depth, width in ((50, 4), (101, 8)))
