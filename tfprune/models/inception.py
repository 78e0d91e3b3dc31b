"""Inception-v3 (Szegedy et al. 2015) as TensorFlow's first slim release has it, width factor on every hidden layer.

Every convolution is followed by batch normalisation without scale and ReLU; an auxiliary classifier, the second output, sits on the
last 17x17 block. Unit layers: conv0 to conv4 and the eleven blocks' concatenations. `dnn.factor_end` widens block 288b alone, and the
pooling branch of block 768d keeps its width at every factor, both as in xboix/frivolous_dnns.
"""
from tfprune.keras import keras
from tfprune.layers.dropout import Dropout
from tfprune.models.notes import note_unit_layers

STEM = (("conv0", 32, 3, 2, "valid"), ("conv1", 32, 3, 1, "valid"), ("conv2", 64, 3, 1, "same"), "pool1",
        ("conv3", 80, 1, 1, "valid"), ("conv4", 192, 3, 1, "valid"), "pool2")  # name, base units, kernel, stride, padding
AVERAGE, MAX = "average", "max"  # pooling 3x3: stride 1, padded; stride 2
ROW, COLUMN, SHORT_ROW, SHORT_COLUMN = (1, 7), (7, 1), (1, 3), (3, 1)
HALVE = 2  # the stride of a convolution that ends a grid; without padding


def grid35(pool):
    """Branches of a 35x35 block, step by step: (base units, kernel[, stride]), a pooling, or a list of steps side by side."""
    return {"branch1x1": [(64, 1)], "branch5x5": [(48, 1), (64, 5)], "branch3x3dbl": [(64, 1), (96, 3), (96, 3)],
            "branch_pool": [AVERAGE, (pool, 1)]}


def grid17(inner):
    """Branches of a 17x17 block."""
    return {"branch1x1": [(192, 1)], "branch7x7": [(inner, 1), (inner, ROW), (192, COLUMN)],
            "branch7x7dbl": [(inner, 1), (inner, COLUMN), (inner, ROW), (inner, COLUMN), (192, ROW)], "branch_pool": [AVERAGE, (192, 1)]}


def grid8():
    """Branches of an 8x8 block."""
    fork = [(384, SHORT_ROW), (384, SHORT_COLUMN)]
    return {"branch1x1": [(320, 1)], "branch3x3": [(384, 1), fork], "branch3x3dbl": [(448, 1), (384, 3), fork],
            "branch_pool": [AVERAGE, (192, 1)]}


BLOCKS = {
    "mixed_35x35x256a": grid35(32), "mixed_35x35x288a": grid35(64), "mixed_35x35x288b": grid35(64),
    "mixed_17x17x768a": {"branch3x3": [(384, 3, HALVE)], "branch3x3dbl": [(64, 1), (96, 3), (96, 3, HALVE)], "branch_pool": [MAX]},
    "mixed_17x17x768b": grid17(128), "mixed_17x17x768c": grid17(160), "mixed_17x17x768d": grid17(160), "mixed_17x17x768e": grid17(192),
    "mixed_17x17x1280a": {"branch3x3": [(192, 1), (320, 3, HALVE)],
                          "branch7x7x3": [(192, 1), (192, ROW), (192, COLUMN), (192, 3, HALVE)], "branch_pool": [MAX]},
    "mixed_8x8x2048a": grid8(), "mixed_8x8x2048b": grid8(),
}
AUXILIARY, END = "mixed_17x17x768e", "mixed_35x35x288b"  # what carries the auxiliary classifier; what dnn.factor_end widens
UNSCALED = "mixed_17x17x768d_branch_pool"


def inception_v3(experiment, input_shape, outputs):
    """The net with outputs [logits, logits of the auxiliary classifier], for images of 107 pixels a side or more (299 in the study)."""
    net, dnn, keep = _Net(experiment), experiment.dnn, experiment.hyper.drop_train
    images = x = keras.Input(input_shape, name="images")
    for step in STEM:
        x = net.stem_convolution(x, *step) if isinstance(step, tuple) else keras.layers.MaxPooling2D(3, 2, name=step)(x)
    auxiliary = None
    for name, branches in BLOCKS.items():
        x = net.block(x, name, branches, dnn.neuron_multiplier * (dnn.factor_end if name == END else 1))
        if name == AUXILIARY:
            auxiliary = net.auxiliary(x, outputs)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    if keep < 1:
        x = Dropout(1 - keep, seed=experiment.seed_for("dropout/logits"), name="dropout")(x)
    model = keras.Model(images, [net.dense(x, outputs, "logits", 0.01), auxiliary], name=dnn.name)
    return note_unit_layers(model, [*(step[0] for step in STEM if isinstance(step, tuple)), *BLOCKS])


class _Net:
    """Adds named layers to an experiment's net; kernels start truncated normal."""

    def __init__(self, experiment):
        self._experiment, self._factor = experiment, experiment.dnn.neuron_multiplier

    def convolution(self, x, units, size, stride, padding, names, stddev=0.1):
        """Convolution, batch normalisation, ReLU, under these three names."""
        convolution, normalisation, activity = names
        x = keras.layers.Conv2D(units, size, stride, padding, use_bias=False, name=convolution,
                                kernel_initializer=self._initializer(convolution, stddev))(x)
        x = keras.layers.BatchNormalization(momentum=0.9997, epsilon=1e-3, scale=False, name=normalisation)(x)
        return keras.layers.ReLU(name=activity)(x)

    def stem_convolution(self, x, name, units, size, stride, padding):
        return self.convolution(x, int(units * self._factor), size, stride, padding, (f"{name}_conv", f"{name}_bn", name))

    def block(self, x, name, branches, factor):
        """The concatenation, called `name`, of branches whose base units are multiplied by `factor`."""
        ends = []
        for branch, steps in branches.items():
            ends += self._branch([x], f"{name}_{branch}", steps, factor)
        return keras.layers.Concatenate(name=name)(ends)

    def auxiliary(self, x, outputs):
        """Pooling, two convolutions of which the second sees the whole grid, dense layer."""
        x = keras.layers.AveragePooling2D(5, 3, name="auxiliary_pool")(x)
        for number, (units, size, stddev) in enumerate(((128, (1, 1), 0.1), (768, tuple(x.shape[1:3]), 0.01)), 1):
            x = self.convolution(x, int(units * self._factor), size, 1, "valid", _numbered("auxiliary", number), stddev)
        return self.dense(keras.layers.Flatten(name="auxiliary_flatten")(x), outputs, "auxiliary_logits", 0.001)

    def dense(self, x, outputs, name, stddev):
        return keras.layers.Dense(outputs, kernel_initializer=self._initializer(name, stddev), name=name)(x)

    def _branch(self, ends, name, steps, factor):
        """The tensors at a branch's end: one, or those of the fork in its last step."""
        number = 0
        for step in steps:
            (x,), ends = ends, []
            if step == AVERAGE:
                ends = [keras.layers.AveragePooling2D(3, 1, "same", name=name)(x)]
            elif step == MAX:
                ends = [keras.layers.MaxPooling2D(3, 2, name=name)(x)]
            else:
                for units, size, *stride in step if isinstance(step, list) else [step]:
                    number += 1
                    units = units if name == UNSCALED else int(units * factor)
                    ends.append(self.convolution(x, units, size, *(stride or [1]), "valid" if stride else "same", _numbered(name, number)))
        return ends

    def _initializer(self, name, stddev):
        return keras.initializers.TruncatedNormal(stddev=stddev, seed=self._experiment.seed_for(f"init/{name}"))


def _numbered(name, number):
    return tuple(f"{name}_{part}{number}" for part in ("conv", "bn", "relu"))
