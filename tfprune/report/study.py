"""A folder of results, seen through the registry: tidy tables for the comparisons of the study. The notebooks start here."""
import functools
import pathlib

import numpy as np
import pandas as pd

from tfprune import pickles
from tfprune.experiment import UserError
from tfprune.overrides import override
from tfprune.report import comparisons, csvs, selection, tables
from tfprune.run import Run
from tfprune.units.fidelity import is_original

BINS = 50  # of |r|


class Study:
    """The results in a folder.

    Args:
      registry: a `Registry`.
      results_dir: the folder.
      seeds: seeds of training; those that a run was not repeated with are left out without a word.
      fidelity: of the runs, as in --fidelity.

    Every table is tidy (tfprune/report/tables.py), with the value NaN for runs of which there is nothing. Tables take a comparison:
    its name in COMPARISONS, or {label: Curve}.
    """

    def __init__(self, registry, results_dir, seeds=(0, 1, 2), fidelity="corrected"):
        self.registry, self.results_dir, self.seeds, self.fidelity = registry, pathlib.Path(results_dir), seeds, fidelity

    def by_width(self, comparison):
        """Accuracy, prunability, redundancy and their complements of every run of a comparison."""
        return self._table(comparison, lambda run, label, curve, counts: tables.of_run(run, label, curve, "gap", counts))

    def perturbation_curves(self, comparison, kind="knockout"):
        """Quantity "agreement" with the intact net (share of equal answers) at each `amount`, on the test set.

        `kind` is one of KINDS (tfprune/settings.py). With the study's fidelity "original", the maximum over crosses.
        """
        return self._table(comparison, functools.partial(self._agreements, kind))

    def parameters(self, comparison):
        """Quantity "parameters": how many trainable ones each net has. Needs no results; loads TensorFlow."""
        from tfprune.models import parameter_count

        count = functools.cache(parameter_count)  # a net may be on two curves
        first = Study(self.registry, self.results_dir, self.seeds[:1], self.fidelity)
        return first._table(comparison, lambda run, label, curve, counts: tables.with_run(
            run, label, curve, [("parameters", None, None, None, count(run.experiment))]))

    def correlations(self, comparison, cross=0):
        """How |r| between a layer's units is distributed on the test set.

        Quantity "density": of |r| in each of 50 bins, `amount` being the middle of the bin; quantity "mean": of |r|. Pairs of different
        units, each once; pairs with a constant unit, whose correlation is not defined, are left out.
        """
        return self._table(comparison, functools.partial(self._correlations, cross))

    @functools.cached_property
    def selection(self):
        """The runs of the MLP study that were chosen (tfprune/report/selection.py), seed by seed; settles it where no file says so."""
        found = [seed for seed in self.seeds if seed == self.seeds[0] or any(self.results_dir.glob(f"rand*/*MLP*_seed={seed}*"))]
        return selection.choose(self.registry, self.results_dir, found, self.fidelity)[0]

    def mlps(self, dimension):
        """The comparisons of the MLPs with 10 or 10,000 inputs."""
        return comparisons.mlps(self.selection, dimension)

    def mlp_summary(self):
        """The comparison of the MLPs with 10 and with 10,000 inputs."""
        return comparisons.mlp_summary(self.selection)

    def _table(self, comparison, table_of):
        """The tables of all runs of a comparison, one below the other; `table_of` takes (run, label, curve, whether its results count)."""
        named = comparisons.COMPARISONS[comparison] if isinstance(comparison, str) else comparison
        table = pd.concat([table_of(run, label, curve, counts) for label, curve in named.items() for run, counts in self._runs(curve)],
                          ignore_index=True)
        table.attrs["fidelity"] = self.fidelity
        return table

    def _runs(self, curve):
        """Yields (run, whether its results count): the runs of the first seed, and those of the others that are there."""
        for number, seed in enumerate(self.seeds):
            for experiment_id in curve.of_seed(seed):
                run = Run(override(self.registry[experiment_id], seed=seed, fidelity=self.fidelity), self.results_dir)
                if number == 0 or any(run.exported(kind) for kind in ("redundancy", "robustness")):
                    yield run, (seed, experiment_id) not in curve.not_selected

    def _agreements(self, kind, run, label, curve, counts):
        columns = ("quantity", "set", "layer", "cross", "amount", "value")
        if not counts or not run.exported("robustness"):
            return tables.with_run(run, label, curve, [("agreement", "test", str(curve.layer), None, np.nan, np.nan)], columns)
        found = csvs.robustness(run)
        found = found[(found["set"] == "test") & (found.layer == str(curve.layer)) & (found.kind == kind)]
        if is_original(self.fidelity):
            found = found.groupby("amount", as_index=False).agreement.max().assign(cross="max")
        rows = [("agreement", "test", str(curve.layer), row.cross, row.amount, row.agreement) for row in found.itertuples()]
        return tables.with_run(run, label, curve, rows, columns)

    def _correlations(self, cross, run, label, curve, counts):
        path, rows = run.file("get_redundancy", f"corr_test{cross}.pkl"), [("mean", np.nan, np.nan)]
        if counts and path.exists():
            matrix = _layer(pickles.load(path), curve.layer, path)
            values = matrix[np.triu_indices_from(matrix, 1)]
            values = values[np.isfinite(values)]
            density, edges = np.histogram(values, BINS, (0, 1), density=True)
            rows = [("mean", np.nan, values.mean()), *(("density", (low + high) / 2, value)
                                                       for low, high, value in zip(edges[:-1], edges[1:], density, strict=True))]
        rows = [(quantity, "test", str(curve.layer), cross, amount, value) for quantity, amount, value in rows]
        return tables.with_run(run, label, curve, rows, ("quantity", "set", "layer", "cross", "amount", "value"))


def _layer(matrices, layer, path):
    """The absolute correlations of one layer; UserError where the pickle has no such matrix."""
    try:
        matrix = np.abs(np.asarray(matrices[layer], float))
        return matrix.reshape(len(matrix), len(matrix))
    except (TypeError, ValueError, IndexError, KeyError):
        raise UserError(f"{path}: has no correlations of layer {layer}; run get_redundancy.py --overwrite") from None
