"""The nets by name. A new net is one file with a builder and one line in MODELS.

A builder takes `(experiment, input_shape, outputs)` and returns a Functional model from prepared images to logits (or one regression
output). Its unit layers are the layers whose output is a unit's activity; `tfprune.unit_layers` finds them.
"""
from tfprune.experiment import UserError
from tfprune.keras import keras
from tfprune.models import alexnet, mlp

MODELS = {
    "Alexnet": alexnet.cifar,
    "Alexnet_digits": alexnet.digits,
    "MLP1": mlp.one_hidden,
    "MLP1_linear": mlp.one_hidden_linear,
    "MLP1_regression": mlp.one_hidden,
    "MLP1_linear_regression": mlp.one_hidden_linear,
    "MLP3": mlp.three_hidden,
}
CLASSES = {"cifar10": 10, "digits": 10, "linear": 2, "imagenet": 1001}
CHANNELS = {"cifar10": 3, "digits": 1, "imagenet": 3}


def check_buildable(experiment):
    """UserError, in one line, where the experiment's net or its combination with the data cannot be built."""
    dnn, name = experiment.dnn, f"--experiment_id={experiment.id}"
    if not dnn.name:
        raise UserError(f"{name}: {experiment.name} only prepares data; it has no net")
    if dnn.name not in MODELS:
        raise UserError(f"{name}: the net {dnn.name} is not available yet; there are {', '.join(MODELS)}")
    regression = (experiment.hyper.mse, experiment.dataset.regression)
    if len({*regression, dnn.name.startswith("MLP") and dnn.name.endswith("regression")}) > 1:
        raise UserError(f"{name}: hyper.mse, dataset.regression and a net MLP1_..regression go together: --set hyper.mse=true "
                        "--set dataset.regression=true --set dnn.name=MLP1_regression")
    if (experiment.dataset.name == "linear") != dnn.name.startswith("MLP"):
        raise UserError(f"{name}: the net {dnn.name} does not fit the data set {experiment.dataset.name}; "
                        "MLPs go with linear, others with images")


def input_shape(experiment):
    """Shape of one prepared example: (dimension,) or (height, width, channels)."""
    if experiment.dataset.name == "linear":
        return (experiment.dataset.dimension,)
    side = experiment.hyper.image_size
    return (side, side, CHANNELS[experiment.dataset.name])


def build_model(experiment):
    """The experiment's net as a `tf_keras` model, initialised from the experiment's seed.

    Raises:
      UserError: the net is unknown, not there yet, or does not fit the data.
    """
    check_buildable(experiment)
    outputs = 1 if experiment.hyper.mse else CLASSES[experiment.dataset.name]
    model = MODELS[experiment.dnn.name](experiment, input_shape(experiment), outputs)
    assert isinstance(model, keras.Model)
    return model
