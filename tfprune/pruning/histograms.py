"""Histograms of a model's weights and of its units' norms, layer by layer, as it is pruned further and further."""
import numpy as np

BINS = {"weight": 300, "unit": 100}  # the original study's


class Histograms:
    """How many weights, or units, of each size every layer has at each sparsity; the last layer too, which is never pruned.

    Of weights |w|, zeros left out; of units the L2 norm of the weights that lead into each, zeros included. The edges go from 0 to the
    dense model's largest, the same for all sparsities. So the bin of each weight is found once, and what is left is counted by these.

    Args:
      pruner: a `Pruner`.
      by: some of `PRUNED`.
    """

    def __init__(self, pruner, by):
        self.layers, self.produced = pruner.layers, pruner.groups.produced
        self.edges, self.bins = {}, {}
        for each in by:
            for path, names in self.layers.items():
                sizes = {name: abs(pruner.dense[name]) for name in names} if each == "weight" else {path: pruner.norms[path]}
                edges = np.linspace(0, max(map(np.max, sizes.values())) or 1, BINS[each] + 1)
                self.edges[each, path] = edges
                self.bins |= {(each, name): _bins(values, edges, each == "weight") for name, values in sizes.items()}
        self.counts = {key: [] for key in self.edges}

    def add(self, by, cut):
        """Counts what is left; `cut` is what `Pruner.prune` returned."""
        for path, names in self.layers.items():
            if by == "weight":
                left = [self._left(name, cut.get(name)) for name in names]
            else:
                units = self.produced.get(path)
                left = [self.bins[by, path] if units is None else np.where(cut[units], 0, self.bins[by, path])]
            counts = sum(np.bincount(bins, minlength=BINS[by] + 1) for bins in left)
            self.counts[by, path].append(counts[:BINS[by]])

    def _left(self, name, gone):
        bins = self.bins["weight", name]
        return bins.ravel() if gone is None else bins[~gone]

    def arrays(self, sparsities):
        """{name: array} for an .npz: `sparsities`, `layers` (paths in order) and, for each of `by` and each layer, `{by}|{path}|edges`
        [bins + 1] and `{by}|{path}|counts` [sparsities, bins], the rows in the order in which they were added.
        """
        found = {"sparsities": np.array(sparsities, np.float64), "layers": np.array(list(self.layers))}
        for (by, path), rows in self.counts.items():
            found |= {f"{by}|{path}|edges": self.edges[by, path], f"{by}|{path}|counts": np.array(rows)}
        return found


def _bins(values, edges, without_zeros):
    """The bin of each value, as `numpy.histogram` has them; behind the last one those of zeros that are left out."""
    last = len(edges) - 2
    bins = np.clip(np.searchsorted(edges, values, "right") - 1, 0, last).astype(np.uint16)
    return np.where(values == 0, np.uint16(last + 1), bins) if without_zeros else bins
