"""What is measured of a run, and how it is kept: on a training and a test set, or, as the ImageNet nets, on one set.

A layout is a row here; the stages (tfprune/stages.py) and the export (tfprune/pkl2csv.py) know only this table.
"""
from dataclasses import dataclass
from types import ModuleType

from tfprune.datasets import DATASETS
from tfprune.units import export, export_single, nesting, nesting_single


@dataclass(frozen=True)
class Layout:
    """How the measures of a data set are taken and kept.

    Attributes:
      suffixes: {set: what the names of its activations' files end in}.
      metric: of classifications, a name in `activations.METRICS`.
      wraps: whether the original's batches go on with the first examples after the last (`batches.measured_batches`).
      nesting: makes the content of pickles: `redundancy_files` and `streamed_redundancy_files` from one sample or statistics a set,
        `robustness_file` from one table a set, `summary` of the first.
      export: makes CSVs of them: columns, rows, and the PICKLES that these need.
    """

    suffixes: dict
    metric: str
    wraps: bool
    nesting: ModuleType
    export: ModuleType


TWO_SETS = Layout({"train": "", "test": "_test"}, "accuracy", False, nesting, export)
ONE_SET = Layout({"test": ""}, "top_1_and_5", True, nesting_single, export_single)
_BY_SETS = {tuple(layout.suffixes): layout for layout in (TWO_SETS, ONE_SET)}


def layout_of(experiment):
    """The `Layout` of an experiment's measures, which its data set decides."""
    return _BY_SETS[DATASETS[experiment.dataset.name].measured]
