"""What prune.py has left in a run, as a table and as arrays."""
import zipfile

import numpy as np
import pandas as pd

from tfprune.experiment import UserError
from tfprune.report.pruning_frames import Histograms

COLUMNS = ("by", "sparsity", "loss", "loss_with_penalty", "accuracy")  # without which the table of a run is none


def read_table(run):
    """The table of a run's stage "prune": a row for each of `by` and `sparsity`."""
    path = run.file("prune", "pruning.csv")
    try:
        table = pd.read_csv(path)
    except (ValueError, UnicodeDecodeError):  # pandas' parser errors are ValueErrors
        table = pd.DataFrame()
    if not set(COLUMNS) <= set(table.columns):
        raise _damaged(path)
    return table


def read_histograms(run, by):
    """The `Histograms` that a run's stage "prune" has left, by "weight" or "unit"."""
    path = run.file("prune", "histograms.npz")
    try:
        with np.load(path, allow_pickle=False) as stored:
            layers = {str(name): (stored[f"{by}|{name}|edges"], stored[f"{by}|{name}|counts"]) for name in stored["layers"]}
            return Histograms(by, stored["sparsities"], layers)
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
        raise _damaged(path) from None


def _damaged(path):
    return UserError(f"{path}: damaged (not what prune.py writes); remove it and run prune.py again")
