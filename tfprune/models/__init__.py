"""The nets by name. A new net is one file with a builder and one line in MODELS.

A builder takes `(experiment, input_shape, outputs)` and returns a Functional model from prepared examples to logits (or one regression
output), followed by the logits of auxiliary classifiers where training has such. Its unit layers are the layers whose output is a unit's
activity: those that the builder notes (`notes.note_unit_layers`), or those that `tfprune.unit_layers` finds.
"""
from collections.abc import Callable
from dataclasses import dataclass

from tfprune.experiment import DATASETS, UserError
from tfprune.keras import keras
from tfprune.models import alexnet, mlp
from tfprune.models.notes import copy_notes


@dataclass(frozen=True)
class Net:
    """A builder, what it takes ("images" or "vectors"), the units of its narrowest layer at width factor 1, and whether it regresses."""

    build: Callable
    takes: str
    narrowest: int
    regression: bool = False


MODELS = {
    "Alexnet": Net(alexnet.cifar, "images", 96),
    "Alexnet_digits": Net(alexnet.digits, "images", 32),
    "MLP1": Net(mlp.one_hidden, "vectors", 32),
    "MLP1_linear": Net(mlp.one_hidden_linear, "vectors", 32),
    "MLP1_regression": Net(mlp.one_hidden, "vectors", 32, regression=True),
    "MLP1_linear_regression": Net(mlp.one_hidden_linear, "vectors", 32, regression=True),
    "MLP3": Net(mlp.three_hidden, "vectors", 32),
}


def check_buildable(experiment):
    """UserError, in one line, where the experiment's net or its combination with the data cannot be built."""
    dnn, dataset, hyper = experiment.dnn, experiment.dataset, experiment.hyper
    title = f"--experiment_id={experiment.id}"
    if not dnn.name:
        raise UserError(f"{title}: {experiment.name} only prepares data; it has no net")
    if dnn.name not in MODELS:
        raise UserError(f"{title}: the net {dnn.name} is not available yet; there are {', '.join(MODELS)}")
    net, side = MODELS[dnn.name], DATASETS[dataset.name].side
    if len({hyper.mse, dataset.regression, net.regression}) > 1:
        raise UserError(f"{title}: hyper.mse, dataset.regression and a net MLP1_..regression go together: --set hyper.mse=true "
                        "--set dataset.regression=true --set dnn.name=MLP1_regression")
    if (net.takes == "images") != (side is not None):
        raise UserError(f"{title}: the net {dnn.name} does not fit the data set {dataset.name}; it takes {net.takes}")
    if int(net.narrowest * dnn.neuron_multiplier) < 1:
        raise UserError(f"--set dnn.neuron_multiplier={dnn.neuron_multiplier}: leaves a layer of {dnn.name} without units; "
                        f"the least is {1 / net.narrowest:g}")
    if (side is None) != (dataset.preprocessing == "none") and (side is None or hyper.image_size != side):
        raise UserError(f"--set dataset.preprocessing={dataset.preprocessing}: vectors take none; images crop, pad, "
                        f"or none with hyper.image_size={side}")


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
      UserError: the net is unknown, not there yet, or does not fit the data.
    """
    return without_auxiliary(build_training_model(experiment))


def build_training_model(experiment):
    """The same with all of its outputs: [logits, logits of the auxiliary classifiers] where it has such, else the net itself."""
    check_buildable(experiment)
    outputs = 1 if experiment.hyper.mse else DATASETS[experiment.dataset.name].classes
    return MODELS[experiment.dnn.name].build(experiment, input_shape(experiment), outputs)


def without_auxiliary(model):
    """The net from examples to logits inside a training model; they share their layers."""
    if len(model.outputs) == 1:
        return model
    return copy_notes(model, keras.Model(model.inputs, model.outputs[0], name=model.name))
