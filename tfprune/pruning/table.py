"""The table that the stage "prune" writes, read again; its file may be cut, or of somebody else's making."""
import pandas as pd

from tfprune.experiment import UserError
from tfprune.settings import PRUNED

NUMBERS = ("sparsity", "loss", "loss_with_penalty", "accuracy")  # columns without which the table of a run is none


def read_table(run, numbers=NUMBERS):
    """The table of a run's stage "prune": a row for each of `by` and `sparsity`; UserError where it is damaged, or lacks `numbers`."""
    path = run.file("prune", "pruning.csv")
    try:
        table = pd.read_csv(path, float_precision="round_trip")
        if len(table) and set(table["by"]) <= set(PRUNED) and table["sparsity"].between(0, 1).all() \
                and all(pd.api.types.is_numeric_dtype(table[name]) for name in numbers):
            return table
    except (ValueError, KeyError, TypeError, OSError):  # pandas' parser errors are ValueErrors
        pass
    raise damaged(path)


def damaged(path):
    """The error for a file of a run that is not what the stage writes."""
    return UserError(f"{path}: damaged (not what prune.py writes); remove it and run prune.py again")
