"""The nets by name. A new net is one file with a builder and one line in MODELS.

A builder takes `(experiment, input_shape, outputs)` and returns a Functional model from prepared examples to logits (or one regression
output), followed by the logits of auxiliary classifiers where training has such. Its unit layers are the layers whose output is a unit's
activity: those that the builder notes (`notes.note_unit_layers`), or those that `tfprune.unit_layers` finds.
"""
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

from tfprune.datasets import channels, classes
from tfprune.experiment import UserError
from tfprune.families import SMALLEST_PATCH
from tfprune.keras import keras, tf
from tfprune.models import alexnet, convnets, inception, mlp, multiply_adds, resnet, resnet_option_a, resnet_v15, vgg
from tfprune.models.checks import check_together
from tfprune.models.heads import with_settings
from tfprune.models.notes import copy_notes


@dataclass(frozen=True)
class Net:
    """A builder, what it takes, and how small it may get."""

    build: Callable
    takes: str  # "images" or "vectors"
    narrowest: int | None  # units of the narrowest layer at width factor 1; None: widths are rounded up, so that every layer has some
    regression: bool = False
    narrowest_end: int | None = None  # the same within what `dnn.factor_end` widens, where the net has such
    smallest_side: int = 1  # pixels of the smallest image from which something is left for the last layer
    maskable: bool = False  # its builder reads what `dnn.` says of masks, initial weights and normalisation


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
    "FC": Net(convnets.fully_connected, "images", 100, maskable=True),
    "FC4": Net(convnets.four_hidden, "images", 200, maskable=True),
    "Conv2": Net(convnets.conv2, "images", 64, smallest_side=2, maskable=True),
    "Conv4": Net(convnets.conv4, "images", 64, smallest_side=4, maskable=True),
    "Conv6": Net(convnets.conv6, "images", 64, smallest_side=8, maskable=True),
    "Conv8": Net(convnets.conv8, "images", 64, smallest_side=16, maskable=True),
    "Conv4Wide": Net(convnets.conv4, "images", 64, smallest_side=4, maskable=True),
    "Conv6Wide": Net(convnets.conv6, "images", 64, smallest_side=8, maskable=True),
    "cResNet18": Net(resnet_v15.cresnet18, "images", 64, maskable=True),
    "cResNet50": Net(resnet_v15.cresnet50, "images", 64, maskable=True),
    "cResNet101": Net(resnet_v15.cresnet101, "images", 64, maskable=True),
    "ResNet18_v15": Net(resnet_v15.resnet18, "images", 64, maskable=True),
    "ResNet34_v15": Net(resnet_v15.resnet34, "images", 64, maskable=True),
    "ResNet50_v15": Net(resnet_v15.resnet50, "images", 64, maskable=True),
    "ResNet101_v15": Net(resnet_v15.resnet101, "images", 64, maskable=True),
    "ResNet152_v15": Net(resnet_v15.resnet152, "images", 64, maskable=True),
    "WideResNet50_2": Net(resnet_v15.wide_resnet50, "images", 64, maskable=True),
    "WideResNet101_2": Net(resnet_v15.wide_resnet101, "images", 64, maskable=True),
    "ResNeXt50_32x4d": Net(resnet_v15.resnext50, "images", 4, maskable=True),  # a group's units
    "ResNeXt101_32x8d": Net(resnet_v15.resnext101, "images", 8, maskable=True),
    "ResNet20": Net(resnet_option_a.resnet20, "images", 16, maskable=True),
    "ResNet32": Net(resnet_option_a.resnet32, "images", 16, maskable=True),
    "ResNet44": Net(resnet_option_a.resnet44, "images", 16, maskable=True),
    "ResNet56": Net(resnet_option_a.resnet56, "images", 16, maskable=True),
    "ResNet110": Net(resnet_option_a.resnet110, "images", 16, maskable=True),
    "VGG": Net(vgg.vgg, "images", None, smallest_side=SMALLEST_PATCH, maskable=True),
}


@dataclass(frozen=True)
class Costs:
    """What a net costs: the elements of each trainable variable (tuple), and the multiply-adds of one example."""

    trainable_sizes: tuple
    multiply_adds: int


def check_buildable(experiment):
    """UserError, in one line, where the experiment's net or its combination with the data cannot be built."""
    title, name = experiment.flag, experiment.dnn.name
    if not name:
        raise UserError(f"{title}: {experiment.name} only prepares data; it has no net")
    if name not in MODELS:
        raise UserError(f"{title}: the net {name} is not available; there are {', '.join(MODELS)}")
    check_together(experiment, MODELS[name])


def input_shape(experiment):
    """Shape of one prepared example: (dimension,) or (height, width, channels)."""
    depth = channels(experiment.dataset)
    if depth is None:
        return (experiment.dataset.dimension,)
    side = experiment.hyper.image_size
    return (side, side, depth)


def build_model(experiment):
    """The experiment's net as a `tf_keras` model, initialised from the experiment's seed.

    Raises:
      UserError: the net is unknown or does not fit the data or the settings.
    """
    return without_auxiliary(build_training_model(experiment))


def build_training_model(experiment):
    """The same with all of its outputs: [logits, logits of the auxiliary classifiers] where it has such, else the net itself."""
    check_buildable(experiment)
    outputs = 1 if experiment.hyper.mse else classes(experiment.dataset)
    return with_settings(experiment, MODELS[experiment.dnn.name].build(experiment, input_shape(experiment), outputs))


def parameter_count(experiment):
    """Trainable weights of the experiment's net, auxiliary classifiers included; none is allocated, so that any width takes seconds.

    Of a masked net whose weights are frozen these are the scores, as many as weights.

    Raises:
      UserError: as `build_model`.
    """
    return sum(trainable_sizes(experiment))


def trainable_sizes(experiment):
    """The number of elements of each trainable variable of the experiment's net, in order. As `parameter_count`."""
    return costs(experiment).trainable_sizes


def multiply_adds_of(experiment):
    """Multiply-adds of one example through the experiment's net (`tfprune.models.multiply_adds`). As `parameter_count`."""
    return costs(experiment).multiply_adds


@lru_cache(1024)
def costs(experiment):
    """How large the experiment's net is, as `Costs`. As `parameter_count`."""
    graph = tf.Graph()  # where variables have shapes but, for want of a session, no values
    graph.name = "count_scratch_graph"  # as Keras calls those in which it asks layers for shapes alone
    with graph.as_default(), tf.variable_creator_scope(_undrawn), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the scope is old, and halves the time: batch normalisation need not hold both of its phases
        with keras.backend.learning_phase_scope(0):
            model = build_training_model(experiment)
            sizes = tuple(weight.shape.num_elements() for weight in model.trainable_weights)
            return Costs(sizes, multiply_adds.multiply_adds(without_auxiliary(model)))


def _undrawn(create, **options):
    """A variable without the operations that would draw its values, which take half of the time to make."""
    if callable(options["initial_value"]):
        options["initial_value"] = partial(tf.zeros, options["shape"], options["dtype"])
    return create(**options)


def without_auxiliary(model):
    """The net from examples to logits inside a training model; they share their layers."""
    if len(model.outputs) == 1:
        return model
    return copy_notes(model, keras.Model(model.inputs, model.outputs[0], name=model.name))
