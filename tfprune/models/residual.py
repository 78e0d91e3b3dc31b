"""The parts of residual nets (He et al. 2016): convolutions, normalisations and basic blocks, named by stage and block.

As TensorFlow's official ResNets have them, version 1: strided convolutions pad by their kernel alone, no convolution has a bias, and
kernels start LeCun normal, the classifier Glorot uniform. `tfprune.models.maskable` has those whose kernels may be masked.
"""
from dataclasses import dataclass

from tfprune.experiment import Experiment
from tfprune.keras import keras
from tfprune.layers.grouped import GroupedConv2D
from tfprune.layers.initializers import kernel_initializer

GLOROT_UNIFORM, LECUN_NORMAL = 1, 4


@dataclass(frozen=True)
class Parts:
    """Adds named layers to a net; every method takes and returns a Keras tensor (batch, height, width, channels)."""

    experiment: Experiment
    momentum: float = 0.997  # of the moving averages of batch normalisation
    epsilon: float = 1e-5

    def convolution(self, x, units, size, stride, name, **options):
        """Without bias. Where it strides, (size - 1) // 2 rows and columns of zeros come before the image and the rest after it."""
        if stride > 1 and size > 1:
            x = self.padded(x, size, name)
        kind = GroupedConv2D if options.get("groups", 1) > 1 else keras.layers.Conv2D
        return self.kernel_layer(x, kind, name, filters=units, kernel_size=size, strides=stride,
                                 padding="same" if stride == 1 else "valid", **options)

    def padded(self, x, size, name):
        """Zeros around the image for a window of `size`: as many on both sides where that is odd."""
        before = (size - 1) // 2
        padding = (before, size - 1 - before)
        return keras.layers.ZeroPadding2D((padding, padding), name=f"{name}_pad")(x)

    def kernel_layer(self, x, kind, name, **options):
        """What a layer of the class `kind`, Conv2D, GroupedConv2D or Dense, makes of `x`: the place where its kernel's start is decided."""
        dense = kind is keras.layers.Dense
        initializer = kernel_initializer(GLOROT_UNIFORM if dense else LECUN_NORMAL, self.experiment.seed_for(f"init/{name}"))
        return kind(name=name, use_bias=dense, kernel_initializer=initializer, **options)(x)

    def normalisation(self, x, name):
        """Batch normalisation with scale and offset."""
        return keras.layers.BatchNormalization(momentum=self.momentum, epsilon=self.epsilon, name=name)(x)

    def stem(self, x, units, size, stride):
        """Convolution `stem_conv`, normalisation, ReLU `stem`."""
        x = self.convolution(x, units, size, stride, "stem_conv")
        return keras.layers.ReLU(name="stem")(self.normalisation(x, "stem_bn"))

    def basic_block(self, x, units, stride, project, name, output):
        """Two 3x3 convolutions beside a shortcut, which is the identity but with `project`; ReLU after their sum."""
        shortcut = x
        if project:
            shortcut = self.shortcut(x, units, stride, name)
        x = self.normalisation(self.convolution(x, units, 3, stride, f"{name}_conv1"), f"{name}_bn1")
        x = keras.layers.ReLU(name=f"{name}_relu1")(x)
        x = self.normalisation(self.convolution(x, units, 3, 1, f"{name}_conv2"), f"{name}_bn2")
        return keras.layers.ReLU(name=output)(keras.layers.Add(name=f"{name}_add")([x, shortcut]))

    def shortcut(self, x, units, stride, name):
        """What a block adds where the identity would not fit: a 1x1 convolution, normalised."""
        return self.normalisation(self.convolution(x, units, 1, stride, f"{name}_shortcut"), f"{name}_shortcut_bn")

    def stage(self, x, units, blocks, stride, name):
        """Blocks of which the first strides; the last one's ReLU bears the stage's name."""
        for block in range(1, blocks + 1):
            prefix = f"{name}_block{block}"
            first, output = block == 1, name if block == blocks else prefix
            x = self.block(x, units, stride if first else 1, first, prefix, output)
        return x

    def block(self, x, units, stride, first, name, output):
        """A block of a stage; the `first` one of a stage projects."""
        return self.basic_block(x, units, stride, first, name, output)

    def classifier(self, x, outputs):
        """Mean over positions, then the dense layer `logits`; returns (batch, outputs)."""
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        return self.kernel_layer(x, keras.layers.Dense, "logits", units=outputs)
