"""The nested lists of the original study's pickles, of a training and a test set (of a single one: `nesting_single`).

Everything is listed by layer: the unit layers, and at last the outputs (logits). With `mse` (a single output number, no classes) the
outputs are left out of the principal components and selectivity is -1, as in get_redundancy.py of xboix/frivolous_dnns.
"""
import numpy as np

from tfprune.settings import KINDS
from tfprune.units.redundancy import from_moments, redundancy
from tfprune.units.selectivity import class_means, from_means, selectivity

SETS = ("train", "test")


def redundancy_files(train, test, mse=False, fidelity="corrected"):
    """What one cross's pickles of get_redundancy hold.

    Args:
      train, test: an `activations.Sample` each.
      mse: whether the net has a single output number and no classes.
      fidelity: see `redundancy` and `selectivity`.

    Returns:
      {stem of the file's name: content}: see `nested`.
    """
    measured = [[redundancy(rows, fidelity=fidelity) for rows in sample.rows] for sample in (train, test)]
    selectivities = None if mse else [
        selectivity(*layer, fidelity) for layer in zip(train.rows, train.labels, test.rows, test.labels, strict=True)]
    return nested(*measured, (train.score, test.score), selectivities)


def streamed_redundancy_files(train, test, mse=False, fidelity="corrected"):
    """The same from `streaming.Streamed` statistics (with class sums, unless `mse`); all crosses then are alike."""
    measured = [[from_moments(moments, fidelity) for moments in statistics.moments] for statistics in (train, test)]
    selectivities = None if mse else [
        from_means(*(class_means(*sums) for sums in pair)) for pair in zip(train.class_sums, test.class_sums, strict=True)]
    return nested(*measured, (train.score, test.score), selectivities)


def nested(train, test, scores, selectivities):
    """The content of the pickles corr, corr_test, similarity, redundancy and selectivity.

    Args:
      train, test: a list of `Redundancy` each, one a layer.
      scores: accuracy (or squared error) on the two sets.
      selectivities: for each layer what `selectivity` returns; None in mse mode.

    Returns:
      {"corr": [layer], "corr_test": [layer], "similarity": [set][mean, std][layer],
      "redundancy": [num_components, eigenvalues, eigenvectors, score, units, compressability][set][layer],
      "selectivity": [train, test, generalisation][layer]}.
    """
    components = len(train) - (selectivities is None)  # of a single number there are none
    if selectivities is None:
        selectivities = [(-1, -1, -1)] * components
    sets = tuple(zip((train, test), scores, strict=True))
    return {
        "corr": [_correlation(layer) for layer in train],
        "corr_test": [_correlation(layer) for layer in test],
        "similarity": [[[np.float64(getattr(layer, name)) for layer in layers] for name in ("similarity_mean", "similarity_std")]
                       for layers in (train, test)],
        "redundancy": [list(part) for part in zip(*(_components(layers[:components], score) for layers, score in sets), strict=True)],
        "selectivity": [list(kind) for kind in zip(*selectivities, strict=True)],
    }


def _correlation(layer):
    return layer.correlation if len(layer.correlation) > 1 else np.float64(layer.correlation[0, 0])  # np.corrcoef's for one unit


def _components(layers, score):
    """[num_components, eigenvalues, eigenvectors, score, units, compressability], each a list by layer."""
    return [
        [np.array(layer.num_components, np.float64) for layer in layers],
        [layer.eigenvalues for layer in layers],
        [layer.eigenvectors for layer in layers],
        [np.float64(score) for _ in layers],
        [len(layer.eigenvalues) for layer in layers],
        [layer.compressability for layer in layers],
    ]


def robustness_file(train, test, layers, cross, column="agreement"):
    """What one cross's robustness pickle holds: [kind][set][layer][amount][max, mean, min], the last three alike.

    Args:
      train, test: the DataFrame that `robustness` returns, of each set.
      layers: names of the unit layers, in order.
      cross: the cross to take from the tables.
      column: "agreement", or "accuracy" for robustness_accuracy.

    Returns:
      For each kind and set a list of (amounts, 3) arrays: the unit layers, the outputs (never perturbed: zeros), and all layers at once.
      Kinds that were not measured have a list of one array (layers + 2, amounts, 3) of zeros.
    """
    return [[_of_kind(table, kind, cross, layers, column) for table in (train, test)] for kind in KINDS]


def _of_kind(table, kind, cross, layers, column):
    curves, amounts = curves_of(table, kind, cross, column), table["amount"].nunique()
    if not curves:
        return [np.zeros((len(layers) + 2, amounts, 3))]
    return [np.repeat(curve[:, None], 3, axis=1) for curve in (*(curves[layer] for layer in layers), np.zeros(amounts), curves["all"])]


def curves_of(table, kind, cross, column):
    """{layer, or "all": (amounts,) float64} of one kind and cross of `robustness`'s DataFrame; empty where it was not measured."""
    table = table[(table["kind"] == kind) & (table["cross"] == cross)]
    return {layer: rows.sort_values("amount")[column].to_numpy(np.float64) for layer, rows in table.groupby("layer")}


def summary(contents):
    """What the done marker of get_redundancy tells at a glance: {set: {"compressability_95": by layer}}."""
    return {name: {"compressability_95": [float(value) for value in contents["redundancy"][5][index]]} for index, name in enumerate(SETS)}
