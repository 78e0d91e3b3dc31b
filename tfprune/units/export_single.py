"""The original study's CSV files of a run on a single set, its ImageNet nets': pickles in, rows out.

The columns, their order and their text are those of ImageNet/pkl2csv_*.py of xboix/frivolous_dnns. The set, ILSVRC's validation images,
is "validation". How many crosses, layers and amounts there are is seen in the data.
"""
import numpy as np

from tfprune.units.export import NOT_SELECTIVE
from tfprune.units.fidelity import is_original

PICKLES = {"redundancy": ("compressability", "similarity", "selectivity", "accuracy"), "robustness": ("robustness",)}
REDUNDANCY_COLUMNS = (
    "model_name", "evaluation_set", "cross", "layer", "size_factor", "batch_size", "similarity_mean", "similarity_std",
    "compressability_95", "selectivity_mean", "selectivity_std", "nonselective", "top_1_acc", "top_5_acc")
ROBUSTNESS_COLUMNS = (
    "model_name", "evaluation_set", "cross", "perturbation_layer", "size_factor", "batch_size", "perturbation_type",
    "perturbation_amount", "unchanged labels")
SET = "validation"
ORIGINAL_TYPES = (2, 3, 4)  # that the original exports, by their place in KINDS
ORIGINALLY_MEASURED = {"Inception_v3": (7, 13, 15)}  # the layers of this net whose robustness it measured


def redundancy_rows(experiment, crosses):
    """Yields the rows of a redundancy CSV: crosses x (unit layers, "all" = their mean).

    Args:
      experiment: the `Experiment` that was run.
      crosses: for each cross {"compressability", "similarity", "selectivity", "accuracy": content of that pickle}.
    """
    for cross, files in enumerate(crosses):
        hidden = len(files["compressability"]) - 1  # of what was measured the outputs come last
        layers = [_layer(files, layer) for layer in range(hidden)]
        means = [sum(column) / hidden for column in zip(*layers, strict=True)]
        for layer, values in (*enumerate(layers), ("all", means)):
            yield [experiment.name, SET, cross, layer, *_net(experiment), *values, *files["accuracy"]]


def _layer(files, layer):
    """The columns from similarity_mean to nonselective."""
    selectivity = np.nan_to_num(files["selectivity"][layer], nan=0, posinf=np.inf, neginf=-np.inf)
    return [*files["similarity"][layer], files["compressability"][layer],
            np.mean(selectivity), np.std(selectivity), np.mean(selectivity < NOT_SELECTIVE)]


def robustness_rows(experiment, crosses):
    """Yields the rows of a robustness CSV: crosses x kinds measured x amounts x (unit layers, "all").

    "all" is what was measured with all layers perturbed at once. With `measure.fidelity` "original" it is the mean of the layers' figures,
    and of Inception-v3 the layers that the original did not measure are -1, in that mean too.

    Args:
      experiment: the `Experiment` that was run.
      crosses: for each cross the content of its robustness pickle, (kinds, unit layers + 1, amounts).
    """
    original = is_original(experiment.measure.fidelity)
    for cross, results in enumerate(crosses):
        for kind, curves in enumerate(results):
            if not np.any(curves[-1] > 0) or original and kind not in ORIGINAL_TYPES:
                continue  # not measured, or never exported
            curves = _as_the_original(curves, experiment.dnn.name) if original else curves
            for amount, scores in zip(np.linspace(0, 1, curves.shape[1]), curves.T, strict=True):
                for layer, score in enumerate(scores):
                    name = "all" if layer == len(scores) - 1 else layer
                    yield [experiment.name, SET, cross, name, *_net(experiment), kind, amount, score]


def _as_the_original(curves, net):
    layers = curves[:-1].copy()
    measured = ORIGINALLY_MEASURED.get(net, range(len(layers)))
    layers[[layer for layer in range(len(layers)) if layer not in measured]] = -1
    return np.array([*layers, sum(layers) / len(layers)])


def _net(experiment):
    return [experiment.dnn.neuron_multiplier, experiment.hyper.batch_size]
