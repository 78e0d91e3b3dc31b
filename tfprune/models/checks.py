"""Whether a net, the data and the settings of an experiment go together, and what to say where they do not."""
from tfprune.datasets import DATASETS
from tfprune.experiment import UserError
from tfprune.input.checks import check_dataset
from tfprune.models.maskable import scaling_share
from tfprune.models.vgg import check_settings, vgg


def check_together(experiment, net):
    """UserError, in one line, where the experiment's net (a `Net`) cannot be built for its data."""
    for check in (_regression, _examples, _preprocessing, _widths, _size, _masks, _features):
        check(experiment, net)


def _regression(experiment, net):
    if len({experiment.hyper.mse, experiment.dataset.regression, net.regression}) > 1:
        raise UserError(f"{experiment.flag}: hyper.mse, dataset.regression and a net MLP1_..regression go together: "
                        "--set hyper.mse=true --set dataset.regression=true --set dnn.name=MLP1_regression")


def _examples(experiment, net):
    if (net.takes == "images") != (DATASETS[experiment.dataset.name].side is not None):
        raise UserError(f"{experiment.flag}: the net {experiment.dnn.name} does not fit the data set "
                        f"{experiment.dataset.name}; it takes {net.takes}")


def _preprocessing(experiment, net):
    check_dataset(experiment.dataset)
    name, side = experiment.dataset.name, DATASETS[experiment.dataset.name].side
    if experiment.dataset.preprocessing == "none" and side not in (None, experiment.hyper.image_size):
        raise UserError(f"--set dataset.preprocessing=none: leaves {name}'s images as they are, with hyper.image_size={side}")


def _widths(experiment, net):
    dnn = experiment.dnn
    if net.narrowest and int(net.narrowest * dnn.neuron_multiplier) < 1:
        raise UserError(f"--set dnn.neuron_multiplier={dnn.neuron_multiplier}: leaves a layer of {dnn.name} without units; "
                        f"the least is {1 / net.narrowest:g}")
    if net.narrowest_end is None and dnn.factor_end != 1:
        raise UserError(f"--set dnn.factor_end={dnn.factor_end}: {dnn.name} has no block with a width of its own; it takes 1")
    if net.narrowest_end and int(net.narrowest_end * dnn.neuron_multiplier * dnn.factor_end) < 1:
        raise UserError(f"--set dnn.factor_end={dnn.factor_end}: leaves a layer of {dnn.name} without units; "
                        f"the least is {1 / (net.narrowest_end * dnn.neuron_multiplier):g}")


def _size(experiment, net):
    if net.takes == "images" and experiment.hyper.image_size < net.smallest_side:
        raise UserError(f"--set hyper.image_size={experiment.hyper.image_size}: too small for {experiment.dnn.name}; "
                        f"the least is {net.smallest_side}")


def _masks(experiment, net):
    if net.maskable:
        scaling_share(experiment)
    for field, unmasked in (("mask", "none"), ("init", "numbered")):
        value = getattr(experiment.dnn, field)
        if not net.maskable and value != unmasked:
            raise UserError(f"--set dnn.{field}={value}: the layers of {experiment.dnn.name} cannot be masked or started so; "
                            f"it takes {unmasked}")


def _features(experiment, net):
    check_settings(experiment, is_vgg=net.build is vgg)
