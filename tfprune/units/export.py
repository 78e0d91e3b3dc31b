"""The original study's CSV files of a run on a training and a test set: its pickles in, rows out (of a single set: `export_single`).

The columns, their order and their text are those of pkl2csv_redundancy.py and pkl2csv_robustness.py of xboix/frivolous_dnns, so that its
notebooks read our files. How many crosses, layers and amounts there are is seen in the data.
"""
import csv
import io

import numpy as np

from tfprune.settings import KINDS
from tfprune.units.fidelity import is_original
from tfprune.units.nesting import SETS
from tfprune.units.redundancy import ENERGIES

PICKLES = {"redundancy": ("redundancy", "selectivity", "similarity"), "robustness": ("robustness",)}
REDUNDANCY_COLUMNS = (
    "model_name", "evaluation_set", "cross_validation", "layer", "preserved_energy", "training_dropout", "training_weight_decay",
    "training_data_augmentation", "training_amount_data", "random_labels", "scramble_image", "init_type", "init_factor", "random_seed",
    "multiplier_layer", "num_neurons_layer0", "num_neurons_layerall", "num_components", "compressability_95", "selectivity_mean",
    "selectivity_std", "selectivity_gen_mean", "selectivity_gen_std", "not_selective", "similarity_ave", "similarity_std", "performance")
ROBUSTNESS_COLUMNS = (
    "model_name", "cross_validation", "evaluation_set", "perturbation_layer", "perturbation_name", "perturbation_amount",
    "training_dropout", "training_weight_decay", "training_data_augmentation", "init_type", "training_amount_data", "random_labels",
    "scramble_image", "multiplier_layer", "performance")
PERTURBATION_NAMES = {  # the original's; a kind that it did not have goes by its own
    "weight_noise": "Synaptic Noise", "weight_knockout": "Synaptic Knockout", "knockout": "Activation Knockout",
    "noise": "Activation Noise", "targeted": "Activation Knockout Selected"}
NOT_SELECTIVE = 0.05  # a unit with less selectivity than this is not selective


def csv_text(columns, rows):
    """The text of a CSV file, as the original's writer formats it."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=",", quotechar="|", quoting=csv.QUOTE_MINIMAL)
    writer.writerow(columns)
    writer.writerows(rows)
    return file.getvalue()


def redundancy_rows(experiment, crosses):
    """Yields the rows of a redundancy CSV: crosses x sets x energies x (unit layers, "all").

    Args:
      experiment: the `Experiment` that was run.
      crosses: for each cross {"redundancy", "selectivity", "similarity": content of that pickle}.
    """
    for cross, files in enumerate(crosses):
        for index, name in enumerate(SETS):
            for energy_index, energy in enumerate(ENERGIES):
                for layer, values in _layers(files, index, energy_index):
                    yield [experiment.dnn.name, name, cross, layer, energy, *_training(experiment), experiment.dnn.init_type,
                           experiment.hyper.init_factor, experiment.seed, experiment.dnn.neuron_multiplier, *values]


def _layers(files, index, energy_index):
    """Yields (layer, the columns from num_neurons_layer0 on) for each unit layer, and at last for "all"."""
    components, _, _, scores, units, compressabilities = (part[index] for part in files["redundancy"])
    hidden = len(files["similarity"][index][0]) - 1  # of what was measured the outputs come last
    counts = [components[layer][energy_index] for layer in range(len(components))]
    columns = [compressabilities, *_selectivity(files["selectivity"], index), *files["similarity"][index]]
    neurons = [units[0], sum(units)]
    for layer in range(hidden):
        yield layer, [*neurons, counts[layer], *(column[layer] for column in columns), scores[0]]
    # num_components adds up the outputs' too; what is averaged leaves them out.
    yield "all", [*neurons, sum(counts), *(sum(column[:hidden]) / hidden for column in columns), scores[0]]


def _selectivity(selectivities, index):
    """Lists by layer: the mean and the standard deviation over units, both again for generalisation, and the share not selective."""
    on_set, generalisation = ([np.where(np.isnan(layer), 0, layer) for layer in selectivities[kind]] for kind in (index, 2))
    return [[reduce(layer) for layer in layers] for layers, reduce in (
        (on_set, np.mean), (on_set, np.std), (generalisation, np.mean), (generalisation, np.std),
        (on_set, lambda layer: np.mean(layer < NOT_SELECTIVE)))]


def robustness_rows(experiment, crosses):
    """Yields the rows of a robustness CSV: crosses x kinds measured x sets x (unit layers, outputs, "all") x amounts.

    The outputs are never perturbed; their rows are 0, as in the original. With `measure.fidelity` "original" only knockout is exported.

    Args:
      experiment: the `Experiment` that was run.
      crosses: for each cross the content of its robustness pickle.
    """
    for cross, results in enumerate(crosses):
        for kind, sets in zip(KINDS[:len(results)], results, strict=True):  # KINDS only grows: older pickles have fewer
            if len(sets[0]) == 1 or is_original(experiment.measure.fidelity) and kind != "knockout":
                continue  # not measured, or never exported
            for name, curves in zip(SETS, sets, strict=True):
                for layer, curve in enumerate(curves):
                    for amount, score in zip(np.linspace(0, 1, len(curve)), np.asarray(curve)[:, 0], strict=True):
                        yield [experiment.dnn.name, cross, name, "all" if layer == len(curves) - 1 else layer,
                               PERTURBATION_NAMES.get(kind, kind), amount, *_training(experiment)[:3], experiment.dnn.init_type,
                               *_training(experiment)[3:], experiment.dnn.neuron_multiplier, score]


def _training(experiment):
    """Dropout (the share kept), weight decay, augmentation, share of data for training, random labels, scrambled images."""
    hyper, dataset = experiment.hyper, experiment.dataset
    return [_number(hyper.drop_train), _number(hyper.weight_decay), hyper.augmentation, dataset.proportion_training_set,
            dataset.random_labels, False]


def _number(value):
    """The original has whole numbers here where it can."""
    return int(value) if value == int(value) else value
