"""What prune.py has left in a run, as a table and as arrays."""
import numpy as np

from tfprune.experiment import UserError
from tfprune.masks.npz import DAMAGED
from tfprune.pruning.table import damaged, read_table
from tfprune.report.pruning_frames import Histograms

MOST = 2**30  # bytes that the histograms of a net may unpack to; those of 300 layers at 100 sparsities are a tenth of it


def read_histograms(run, by):
    """The `Histograms` that a run's stage "prune" has left, by "weight" or "unit"; UserError where they are damaged."""
    path = run.file("prune", "histograms.npz")
    try:
        with np.load(path, allow_pickle=False) as stored:
            if sum(entry.file_size for entry in stored.zip.infolist()) > MOST:
                raise damaged(path)
            layers = {str(name): (stored[f"{by}|{name}|edges"], stored[f"{by}|{name}|counts"]) for name in stored["layers"]}
            sparsities = stored["sparsities"]
        arrays = [sparsities, *(array for pair in layers.values() for array in pair)]
        if not layers or not all(np.isfinite(array).all() for array in arrays) or sparsities.ndim != 1 or not all(
                edges.ndim == 1 and (np.diff(edges) > 0).all() and counts.shape == (len(sparsities), len(edges) - 1)
                for edges, counts in layers.values()):
            raise damaged(path)
        return Histograms(by, sparsities, layers)
    except (UserError, OSError, *DAMAGED):
        raise damaged(path) from None


__all__ = ["read_histograms", "read_table"]
