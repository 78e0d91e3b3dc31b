"""Tidy tables (tables.py) of what is measured of a run's units at every amount: perturbation curves, and how correlations are spread."""
import numpy as np

from tfprune import pickles
from tfprune.experiment import UserError
from tfprune.report import csvs, tables
from tfprune.units.fidelity import is_original

BINS = 50  # of |r|
COLUMNS = ("quantity", "set", "layer", "cross", "amount", "value")


def agreements(run, label, curve=tables.WHOLE_NET, kinds=None, counts=True):
    """Quantity "agreement" with the intact net (share of equal answers) at each `amount`, on the test set; `kind` is a column.

    Args:
      run, label, curve, counts: as of `tables.of_run`.
      kinds: of KINDS (tfprune/settings.py); None: all that were measured. Where there is nothing, each has a row with the value NaN.

    With the run's fidelity "original", the maximum over crosses.

    Raises:
      UserError: the run's CSV file is damaged.
    """
    columns, layer = (*COLUMNS, "kind"), str(curve.layer)
    if not counts or not run.exported("robustness"):
        rows = [("agreement", "test", layer, None, np.nan, np.nan, kind) for kind in kinds or ()]
        return tables.with_run(run, label, curve, rows, columns)
    found = csvs.robustness(run)
    found = found[(found["set"] == "test") & (found.layer == layer) & (found.kind.isin(kinds) if kinds else True)]
    if is_original(run.experiment.measure.fidelity):
        found = found.groupby(["kind", "amount"], sort=False, as_index=False).agreement.max().assign(cross="max")
    rows = [("agreement", "test", layer, row.cross, row.amount, row.agreement, row.kind) for row in found.itertuples()]
    return tables.with_run(run, label, curve, rows, columns)


def correlated_layer(table):
    """The layer whose correlations are shown of the nets in a table of `tables.of_run`: the second, as in the study's figures, but where
    a net has one alone.
    """
    return int("1" in set(table.layer))


def correlations(run, label, curve, cross=0, counts=True):
    """How |r| between a layer's units is distributed on the test set.

    Quantity "density": of |r| in each of 50 bins, `amount` being the middle of the bin; quantity "mean": of |r|. Pairs of different
    units, each once; pairs with a constant unit, whose correlation is not defined, are left out.

    Args: as of `agreements`; cross: which.

    Raises:
      UserError: the run's pickle is damaged, or has no such layer.
    """
    path, rows = run.file("get_redundancy", f"corr_test{cross}.pkl"), [("mean", np.nan, np.nan)]
    if counts and path.exists():
        matrix = _layer(pickles.load(path), curve.layer, path)
        values = matrix[np.triu_indices_from(matrix, 1)]
        values = values[np.isfinite(values)]
        density, edges = np.histogram(values, BINS, (0, 1), density=True)
        rows = [("mean", np.nan, values.mean()), *(("density", (low + high) / 2, value)
                                                   for low, high, value in zip(edges[:-1], edges[1:], density, strict=True))]
    rows = [(quantity, "test", str(curve.layer), cross, amount, value) for quantity, amount, value in rows]
    return tables.with_run(run, label, curve, rows, COLUMNS)


def _layer(matrices, layer, path):
    """The absolute correlations of one layer; UserError where the pickle has no such matrix."""
    try:
        matrix = np.abs(np.asarray(matrices[layer], float))
        return matrix.reshape(len(matrix), len(matrix))
    except (TypeError, ValueError, IndexError, KeyError):
        raise UserError(f"{path}: has no correlations of layer {layer}; run get_redundancy.py --overwrite") from None
