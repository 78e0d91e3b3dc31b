"""tfprune: which parts of a neural network does it really need?

The names below are the library's face. Each is imported from its module when first used, so that `import tfprune` costs nothing and
`--help` answers before TensorFlow would have loaded.
"""
import importlib

_FACE = {
    "build_model": "tfprune.models",
    "trained_model": "tfprune.training.checkpoints",
    "unit_layers": "tfprune.units.graph",
    "declare_unit_layers": "tfprune.units.graph",
    "activations": "tfprune.units.activations",
    "redundancy": "tfprune.units.redundancy",
    "robustness": "tfprune.units.robustness",
    "top_k_mask": "tfprune.masks.selection",
    "SubnetDense": "tfprune.masks.layers",
    "SubnetConv2D": "tfprune.masks.layers",
    "masked_copy": "tfprune.masks.convert",
    "to_dense": "tfprune.masks.dense_twin",
    "density_report": "tfprune.masks.density",
    "save_supermask": "tfprune.masks.supermask",
    "load_supermask": "tfprune.masks.supermask",
    "feature_families": "tfprune.families",
    "class_filters": "tfprune.filters.indices",
    "decompose_head": "tfprune.filters.decomposition",
    "remove_class": "tfprune.filters.removal",
    "magnitude_prune": "tfprune.pruning.magnitude",
    "pruning_sweep": "tfprune.pruning.sweep",
    "shrink": "tfprune.pruning.shrinking",
    "UserError": "tfprune.experiment",
    "override": "tfprune.overrides",
}
__all__ = sorted(_FACE)


def __getattr__(name):
    if name not in _FACE:
        raise AttributeError(f"module 'tfprune' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_FACE[name]), name)


def __dir__():
    return __all__
