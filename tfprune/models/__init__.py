"""The nets by name. A new net is one file with a builder and one line in MODELS.

A builder takes `(experiment, input_shape, outputs)` and returns a Functional model from prepared examples to logits (or one regression
output), followed by the logits of auxiliary classifiers where training has such. Its unit layers are the layers whose output is a unit's
activity: those that the builder notes (`notes.note_unit_layers`), or those that `tfprune.unit_layers` finds.
"""
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from tfprune.experiment import DATASETS, UserError
from tfprune.keras import keras, tf
from tfprune.models import alexnet, inception, mlp, resnet
from tfprune.models.checks import check_together
from tfprune.models.notes import copy_notes


@dataclass(frozen=True)
class Net:
    """A builder, what it takes, and how small it may get."""

    build: Callable
    takes: str  # "images" or "vectors"
    narrowest: int  # units of the narrowest layer at width factor 1
    regression: bool = False
    narrowest_end: int | None = None  # the same within what `dnn.factor_end` widens, where the net has such
    smallest_side: int = 1  # pixels of the smallest image from which something is left for the last layer


MODELS = {
    "Alexnet": Net(alexnet.cifar, "images", 96),
    "Alexnet_digits": Net(alexnet.digits, "images", 32),
    "MLP1": Net(mlp.one_hidden, "vectors", 32),
    "MLP1_linear": Net(mlp.one_hidden_linear, "vectors", 32),
    "MLP1_regression": Net(mlp.one_hidden, "vectors", 32, regression=True),
    "MLP1_linear_regression": Net(mlp.one_hidden_linear, "vectors", 32, regression=True),
    "MLP3": Net(mlp.three_hidden, "vectors", 32),
    "ResNet_cifar": Net(resnet.resnet56, "images", 16),
    "ResNet18": Net(resnet.resnet18, "images", 64),
    "Inception_v3": Net(inception.inception_v3, "images", 32, narrowest_end=48, smallest_side=107),
}


def check_buildable(experiment):
    """UserError, in one line, where the experiment's net or its combination with the data cannot be built."""
    title, name = f"--experiment_id={experiment.id}", experiment.dnn.name
    if not name:
        raise UserError(f"{title}: {experiment.name} only prepares data; it has no net")
    if name not in MODELS:
        raise UserError(f"{title}: the net {name} is not available; there are {', '.join(MODELS)}")
    check_together(experiment, MODELS[name])


def input_shape(experiment):
    """Shape of one prepared example: (dimension,) or (height, width, channels)."""
    channels = DATASETS[experiment.dataset.name].channels
    if channels is None:
        return (experiment.dataset.dimension,)
    side = experiment.hyper.image_size
    return (side, side, channels)


def build_model(experiment):
    """The experiment's net as a `tf_keras` model, initialised from the experiment's seed.

    Raises:
      UserError: the net is unknown or does not fit the data or the settings.
    """
    return without_auxiliary(build_training_model(experiment))


def build_training_model(experiment):
    """The same with all of its outputs: [logits, logits of the auxiliary classifiers] where it has such, else the net itself."""
    check_buildable(experiment)
    outputs = 1 if experiment.hyper.mse else DATASETS[experiment.dataset.name].classes
    return MODELS[experiment.dnn.name].build(experiment, input_shape(experiment), outputs)


def parameter_count(experiment):
    """Trainable weights of the experiment's net, auxiliary classifiers included; none is allocated, so that any width takes seconds.

    Raises:
      UserError: as `build_model`.
    """
    with tf.Graph().as_default(), warnings.catch_warnings():  # where variables have shapes but, for want of a session, no values
        warnings.simplefilter("ignore")  # the scope is old, and halves the time: batch normalisation need not hold both of its phases
        with keras.backend.learning_phase_scope(0):
            return sum(weight.shape.num_elements() for weight in build_training_model(experiment).trainable_weights)


def without_auxiliary(model):
    """The net from examples to logits inside a training model; they share their layers."""
    if len(model.outputs) == 1:
        return model
    return copy_notes(model, keras.Model(model.inputs, model.outputs[0], name=model.name))
