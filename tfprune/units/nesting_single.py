"""The nested lists of the original study's pickles of a single set, on which its ImageNet nets are measured (of two: `nesting`).

Everything is listed by layer: the unit layers, and at last the outputs (logits). The nets tell classes; there are no regressions.
"""
import numpy as np

from tfprune.settings import KINDS
from tfprune.units.nesting import curves_of
from tfprune.units.redundancy import from_moments, redundancy
from tfprune.units.selectivity import class_means, from_means, selectivity_of_one


def redundancy_files(sample, mse=False, fidelity="corrected"):
    """What one cross's pickles of get_redundancy hold.

    Args:
      sample: an `activations.Sample`, with classes for labels.
      mse: as in `nesting`; there is no such net.
      fidelity: see `redundancy` and `selectivity`.

    Returns:
      {stem of the file's name: content}: see `nested`.
    """
    measured = [redundancy(rows, fidelity=fidelity) for rows in sample.rows]
    selectivities = [selectivity_of_one(rows, labels, fidelity) for rows, labels in zip(sample.rows, sample.labels, strict=True)]
    return nested(measured, sample.score, selectivities)


def streamed_redundancy_files(statistics, mse=False, fidelity="corrected"):
    """The same from `streaming.Streamed` statistics with class sums; all crosses then are alike."""
    measured = [from_moments(moments, fidelity) for moments in statistics.moments]
    means = [class_means(*sums) for sums in statistics.class_sums]
    return nested(measured, statistics.score, [from_means(layer, layer)[0] for layer in means])


def nested(measured, accuracy, selectivities):
    """The content of the pickles corr, similarity, compressability, selectivity and accuracy.

    Args:
      measured: a list of `Redundancy`, one a layer.
      accuracy: [top 1, top 5]. It is get_activations' too; here the files of a streamed run have it, and the export finds all together.
      selectivities: (units,) of each layer.

    Returns:
      {"corr": [layer], "similarity": [layer][mean, std], "compressability": [layer], "selectivity": [layer],
      "accuracy": [top 1, top 5]}.
    """
    return {
        "corr": [layer.correlation for layer in measured],
        "similarity": [[np.float64(layer.similarity_mean), np.float64(layer.similarity_std)] for layer in measured],
        "compressability": [layer.compressability for layer in measured],
        "selectivity": selectivities,
        "accuracy": accuracy,
    }


def robustness_file(table, layers, cross, column="agreement"):
    """What one cross's robustness pickle holds: an array (kinds, layers + 1, amounts), the last of the layers being all at once.

    Args:
      table: the DataFrame that `robustness` returns.
      layers: names of the unit layers, in order.
      cross: the cross to take from the table.
      column: "agreement", or "accuracy" for robustness_accuracy.

    Kinds that were not measured are zeros.
    """
    results = np.zeros((len(KINDS), len(layers) + 1, table["amount"].nunique()))
    for place, kind in enumerate(KINDS):
        if curves := curves_of(table, kind, cross, column):
            results[place] = [curves[layer] for layer in (*layers, "all")]
    return results


def summary(contents):
    """What the done marker of get_redundancy tells at a glance."""
    return {"test": {"compressability_95": [float(value) for value in contents["compressability"]]}}
