"""A folder of results, seen through the registry: tidy tables for the comparisons of the study. The notebooks start here."""
import functools
import pathlib

import pandas as pd

from tfprune.overrides import override
from tfprune.report import comparisons, selection, tables, unit_tables
from tfprune.run import Run


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
        return self._table(comparison, lambda run, label, curve, counts: unit_tables.agreements(run, label, curve, [kind], counts))

    def parameters(self, comparison):
        """Quantity "parameters": how many trainable ones each net has. Needs no results; loads TensorFlow."""
        from tfprune.models import parameter_count

        count = functools.cache(parameter_count)  # a net may be on two curves
        first = Study(self.registry, self.results_dir, self.seeds[:1], self.fidelity)
        return first._table(comparison, lambda run, label, curve, counts: tables.with_run(
            run, label, curve, [("parameters", None, None, None, count(run.experiment))]))

    def correlations(self, comparison, cross=0):
        """How |r| between a layer's units is distributed on the test set (`unit_tables.correlations`)."""
        return self._table(comparison, lambda run, label, curve, counts: unit_tables.correlations(run, label, curve, cross, counts))

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
