"""The scale of batch normalisation (Liu et al. 2017, Learning Efficient Convolutional Networks through Network Slimming)."""
import numpy as np

from tfprune.experiment import UserError
from tfprune.keras import keras
from tfprune.pruning.criteria.criterion import Criterion


class NormScale(Criterion):
    """units: |gamma| of the normalisation that follows; of a unit with several of them, the L2 norm of all."""

    name, ranks = "norm_scale", ("unit",)

    def of_units(self, net):
        layers = {id(layer): (path, layer) for path, layer in net.paths.items() if path in net.groups.produced}  # each once
        scales = {path: layer.gamma.numpy() for path, layer in layers.values()
                  if isinstance(layer, keras.layers.BatchNormalization) and layer.gamma is not None}
        counts = net.sum_by_unit({path: np.ones(len(gamma)) for path, gamma in scales.items()})
        for group in net.ranked:
            if not counts[group.units].all():
                raise UserError(f"criterion=norm_scale: no batch normalisation with a scale follows {group.name}; exclude it, or take "
                                "another criterion")
        return np.sqrt(net.sum_by_unit({path: gamma ** 2 for path, gamma in scales.items()}))
