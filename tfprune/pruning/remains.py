"""What is left of a pruned net: how many weights, how many units, and how many parameters once the rest is taken out."""
import numpy as np

from tfprune.layers.decomposed_head import DecomposedHead
from tfprune.models.hidden_layers import hidden_layers
from tfprune.models.rebuild import walk
from tfprune.pruning.channel_axes import taken
from tfprune.pruning.dead import dead_units
from tfprune.pruning.groups import passage_of
from tfprune.pruning.passing import owner


class Remains:
    """Counts in a pruned copy of a model, as often as it is asked.

    Args:
      pruner: a `Pruner`.
    """

    def __init__(self, pruner):
        self.pruner, self.passage = pruner, passage_of(pruner.model)
        self.hidden = np.zeros(len(self.passage.reasons), bool)
        for layer in hidden_layers(pruner.model):
            self.hidden[self.passage.produced.get(id(owner(layer)), [])] = True
        self.ranked = np.zeros(pruner.groups.count, bool)
        for group in pruner.ranked["unit"]:
            self.ranked[group.units] = True

    def after(self, by, cut):
        """{"removed", "parameters", "units", "parameters_cut"} as `pruning_sweep` has them; `cut` is what `Pruner.prune` returned."""
        dead = dead_units(self.passage)
        left = {variable.ref(): int(np.count_nonzero(variable)) for variable in self.pruner.model.variables if variable.trainable}
        kernels = [self.pruner.kernel(name).ref() for name in self.pruner.ranked["weight"]]
        size = sum(kernel.deref().shape.num_elements() for kernel in kernels)
        removed = cut[self.ranked].mean() if by == "unit" else 1 - sum(left[kernel] for kernel in kernels) / size
        return {"removed": float(removed), "parameters": sum(left.values()), "units": int(np.count_nonzero(self.hidden & ~dead)),
                "parameters_cut": self._without(dead)}

    def _without(self, dead):
        """Trained numbers of the net without the dead units."""
        return sum(self._left(owner(layer), dead) for _, layer in walk(self.pruner.model))

    def _left(self, layer, dead):
        units, read = self.passage.produced.get(id(layer)), self.passage.read.get(id(layer))
        if units is None or not layer.weights:
            return sum(variable.shape.num_elements() for variable in layer.variables if variable.trainable)
        if isinstance(layer, DecomposedHead):  # a weight for each of a class's filters
            return int(np.count_nonzero(~dead[read][layer.indices])) + (layer.units if layer.use_bias else 0)
        left = taken(layer, None if read is None else ~dead[read], ~dead[units])
        return sum(array.size for name, array in left.items() if getattr(layer, name).trainable)
