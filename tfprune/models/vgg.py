"""VGGs with any features along their depth, after MrtnMndt/Rethinking_CNN_Layerwise_Feature_Amounts (M. Mundt and colleagues, 2018).

Five blocks of 3x3 convolutions, each block followed by 2x2 max pooling; two hidden dense layers, dropout, and the classes. Each layer but
the last: a kernel without bias, batch normalisation (`dnn.norm_epsilon`; 0: none), ReLU. The last has a bias, unless it is masked.
Unit layers: all hidden layers, after the ReLU. `dnn.residual` adds shortcuts past every two convolutions of a block, or past one where
one is left over, which join before the ReLU (He et al. 2016); where the width changes, by a 1x1 convolution and normalisation.
"""
import itertools
from dataclasses import dataclass

from tfprune.experiment import UserError, non_defaults
from tfprune.families import blocks, plain_features, spread, widened
from tfprune.keras import keras
from tfprune.layers.dropout import Dropout
from tfprune.models.maskable import LAST, MaskableParts
from tfprune.models.notes import note_unit_layers
from tfprune.settings import DNN

SETTINGS = ("depth", "location", "scale", "shape", "features", "residual", "norm_epsilon")  # of `dnn.`, which no other net has
LEAST_EPSILON = 1e-5  # TensorFlow takes this for any smaller one


def features_of(experiment):
    """Features of every layer but the last, a tuple of int: those that are listed, those of the distribution, or the plain VGG's; times
    the width factor, rounded up.

    Raises:
      UserError: there is no VGG of this depth, no such distribution of its features, or the list is not one of its layers.
    """
    dnn, side = experiment.dnn, experiment.hyper.image_size
    plain = plain_features(dnn.depth, side)
    if dnn.features:
        features = _listed(dnn, len(plain))
    elif dnn.scale:
        features = spread(dnn.depth, dnn.location, dnn.scale, dnn.shape, side)
    elif dnn.location or dnn.shape:
        raise UserError(f"--set dnn.scale=0: there is no distribution for dnn.location={dnn.location:g} and dnn.shape={dnn.shape:g}; "
                        "give a dnn.scale above 0, or 0 for all, which is the plain VGG")
    else:
        features = plain
    return widened(features, dnn.neuron_multiplier)


def check_settings(experiment, is_vgg):
    """UserError where the `dnn.` settings that only VGGs have describe none, or where another net is given one of them."""
    dnn = experiment.dnn
    if is_vgg:
        features_of(experiment)
        if 0 < dnn.norm_epsilon < LEAST_EPSILON:
            raise UserError(f"--set dnn.norm_epsilon={dnn.norm_epsilon:g}: batch normalisation takes {LEAST_EPSILON:g} or more; 0: none")
        return
    if given := [field for field in non_defaults(dnn) if field in SETTINGS]:
        value, default = (_text(getattr(settings, given[0])) for settings in (dnn, DNN))
        raise UserError(f"--set dnn.{given[0]}={value}: only VGG has that; {dnn.name} takes {default}")


def vgg(experiment, input_shape, outputs):
    """The net; `features_of` says how wide its layers are."""
    dnn, hyper = experiment.dnn, experiment.hyper
    parts = Units(experiment, first="conv1_kernel", last_bias="zeros", epsilon=dnn.norm_epsilon)
    *convolved, first, second = features_of(experiment)
    convolutions = iter([(f"conv{number}", width) for number, width in enumerate(convolved, 1)])
    images = x = keras.Input(input_shape, name="images")
    for number, count in enumerate(blocks(dnn.depth), 1):
        x = parts.convolutions(x, list(itertools.islice(convolutions, count)))
        x = keras.layers.MaxPooling2D(2, 2, name=f"pool{number}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = parts.unit_layer(x, "fc1", keras.layers.Dense, units=first)
    x = parts.unit_layer(x, "fc2", keras.layers.Dense, units=second)
    if hyper.drop_train < 1:
        x = Dropout(1 - hyper.drop_train, seed=experiment.seed_for("dropout"), name="dropout")(x)
    model = keras.Model(images, parts.kernel_layer(x, keras.layers.Dense, LAST, units=outputs), name=dnn.name)
    return note_unit_layers(model, [f"conv{number}" for number in range(1, len(convolved) + 1)] + ["fc1", "fc2"])


@dataclass(frozen=True)
class Units(MaskableParts):
    """Adds layers of units to a net."""

    def unit_layer(self, x, name, kind, shortcut=None, **options):
        """What a layer of the Keras class `kind`, Conv2D or Dense, makes of `x`: normalised, plus the shortcut if there is one, ReLU."""
        x = self.normalisation(self.kernel_layer(x, kind, f"{name}_kernel", **options), f"{name}_bn")
        if shortcut is not None:
            x = keras.layers.Add(name=f"{name}_add")([x, self._as_wide(shortcut, x.shape[-1], f"{name}_shortcut")])
        return keras.layers.ReLU(name=name)(x)

    def convolutions(self, x, layers):
        """A block of convolutions, [(name, features)], with the shortcuts past them if the net has such."""
        for first in range(0, len(layers), 2):
            before, pair = x, layers[first:first + 2]
            for name, features in pair:
                ends = self.experiment.dnn.residual and name == pair[-1][0]
                x = self.unit_layer(x, name, keras.layers.Conv2D, shortcut=before if ends else None,
                                    filters=features, kernel_size=3, padding="same")
        return x

    def normalisation(self, x, name):
        """Batch normalisation, or `x` itself in a net without."""
        return super().normalisation(x, name) if self.epsilon else x

    def _as_wide(self, x, features, name):
        if x.shape[-1] == features:
            return x
        return self.normalisation(self.convolution(x, features, 1, 1, name), f"{name}_bn")


def _listed(dnn, layers):
    """The features that are listed; UserError where these are not as many, or one is below 1."""
    asked = f"--set dnn.features={_text(dnn.features)}"
    if len(dnn.features) != layers:
        raise UserError(f"{asked}: {len(dnn.features)} layers; VGG{dnn.depth} has {layers} besides the last, which tells classes")
    if min(dnn.features) < 1:
        raise UserError(f"{asked}: layer {dnn.features.index(min(dnn.features)) + 1} would have no features; each needs 1 or more")
    return dnn.features


def _text(value):
    """A setting's value as `--set` takes it."""
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"
