"""How much a net minds perturbations of its units: agreement with itself, and accuracy, as more and more is disturbed.

Measures what the width study does (xboix/frivolous_dnns; its kinds, amounts, crosses and layers), several times faster than running
the whole net for each: see `meter`, `sweep` and `channels`.
"""
import numpy as np
import pandas as pd

from tfprune.experiment import UserError
from tfprune.units.batches import batches
from tfprune.units.fidelity import is_original
from tfprune.units.graph import chosen_layers, single_path, unit_tensors
from tfprune.units.meter import Meter
from tfprune.units.orders import original_orders, unit_orders
from tfprune.units.perturbations import PERTURBATIONS, ablates_units
from tfprune.units.redundancy import correlation_of
from tfprune.units.streaming import stream


def robustness(model, images, labels=None, kinds=("knockout", "noise", "targeted"), amounts=7, crosses=3, seed=0, fidelity="corrected",
               batch_size=128, correlations=None, layers=None):
    """Agreement and accuracy of a perturbed net, for each unit layer and for all at once.

    Args:
      model: a Functional or Sequential Keras model with one input and one output: a number a class, or a single number (regression).
      images: array [examples, ...] prepared for the net, or a `tf.data.Dataset` of such images or of (image, label), batched or not.
      labels: [examples] class numbers or target values; without them accuracy is NaN.
      kinds: names in `tfprune.units.perturbations.PERTURBATIONS`.
      amounts: how many amounts from 0 to 1: shares of units ablated or of kernel entries deleted, or standard deviations of noise.
      crosses: repeats, each with its own random numbers.
      seed: of all randomness. The results do not depend on `batch_size` or on what else is measured.
      fidelity: "original" ablates in the original study's orders (its training set's) and counts equal outputs for regressions.
      correlations: [cross][unit layer] matrices for "targeted"; default: those of the images' activities.
      layers: names of the layers whose units are perturbed; by default the model's unit layers.

    Returns:
      A DataFrame with a row for each kind, cross, layer ("all" is the last) and amount, and the columns layer, kind, amount, cross,
      agreement, accuracy: shares of the images whose prediction is the intact net's, and the label. For a regression: the shares of
      the variance of the intact outputs, and of the labels, that the perturbed net reproduces.

    Raises:
      UserError: an argument is not one of those accepted, the net has no unit layers, or there are no images.
    """
    _check(kinds, amounts, crosses, fidelity, batch_size)
    graph = single_path(model)
    if correlations is None and _need_correlations(kinds, fidelity):
        correlations = _correlations(model, images, layers, crosses, batch_size, fidelity)
    orders = orders_for(model, kinds, crosses, seed, correlations, fidelity, layers=layers)
    meter = Meter(model, kinds, orders, range(crosses), amounts, seed, fidelity, batch_size, layers)
    for batch_images, batch_labels in batches(images, labels, batch_size, graph.specs[graph.inputs[0]]):
        meter.add(batch_images, batch_labels)
    return as_table(meter.scores())


def orders_for(model, kinds, crosses, seed, correlations=None, fidelity="corrected", of_set=0, sets=2, layers=None):
    """The orders of ablation for a `Meter`: {kind: [cross][unit layer] array}, for those of the kinds that ablate units.

    Args:
      model: the net.
      kinds: names in PERTURBATIONS.
      crosses: how many.
      seed: the experiment's.
      correlations: [cross][layer] matrices of the unit layers, the logits' after them or not; needed for "targeted", and for all under
        fidelity "original".
      fidelity: "original": those of `original_orders`; else, and for kinds that the original did not have, of `unit_orders`, which are
        the same for all sets.
      of_set: under "original", 0 for the training set's and 1 for the test set's.
      sets: how many sets the study measures; with a single one the original draws otherwise.
      layers: names of the layers to perturb; by default the unit layers.
    """
    graph = single_path(model)
    units = [graph.specs[tensor].shape[-1] for tensor in unit_tensors(graph, chosen_layers(model, layers)).values()]
    ablating = {kind: PERTURBATIONS[kind].order for kind in kinds if ablates_units(kind)}
    orders = {}
    if is_original(fidelity) and ablating:
        outputs = graph.specs[graph.outputs[0]].shape[-1]
        with_logits = [[*matrices[:len(units)], np.zeros([outputs, outputs])] for matrices in correlations[:crosses]]
        found = original_orders(with_logits, seed, sets)
        orders = {kind: [sets[of_set] for sets in found[kind]] for kind in found if kind in ablating}
    others = {kind: order for kind, order in ablating.items() if kind not in orders}
    return orders | unit_orders(others, units, range(crosses), seed, correlations)


def as_table(scores):
    """The tidy DataFrame of `robustness` from a `Meter`'s scores."""
    tables = []
    for kind, agreement in scores.agreement.items():
        cross, layer, amount = (axis.ravel() for axis in np.indices(agreement.shape))
        tables.append(pd.DataFrame({
            "layer": np.array(scores.layers)[layer], "kind": kind, "amount": scores.amounts[amount],
            "cross": np.array(scores.crosses)[cross], "agreement": agreement.ravel(), "accuracy": scores.accuracy[kind].ravel()}))
    return pd.concat(tables, ignore_index=True)


def _check(kinds, amounts, crosses, fidelity, batch_size):
    if not kinds or isinstance(kinds, str) or not set(kinds) <= set(PERTURBATIONS):
        raise UserError(f"kinds: {kinds!r} is not a list of one or more of {', '.join(PERTURBATIONS)}")
    for name, value, low in (("amounts", amounts, 2), ("crosses", crosses, 1), ("batch_size", batch_size, 1)):
        if not isinstance(value, (int, np.integer)) or value < low:
            raise UserError(f"{name}: {value!r} is not a whole number >= {low}")
    is_original(fidelity)  # refuses what is neither


def _need_correlations(kinds, fidelity):
    return any(PERTURBATIONS[kind].needs_correlations or is_original(fidelity) for kind in kinds if ablates_units(kind))


def _correlations(model, images, layers, crosses, batch_size, fidelity):
    """[cross][unit layer]: correlations over all positions of all images, the same for all crosses."""
    moments = stream(model, images, layers, batch_size).values()
    return [[correlation_of(layer, fidelity) for layer in moments]] * crosses
