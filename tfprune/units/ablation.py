"""Ablating units in a `Sweep`: the first units of an order, or all of them.

A family of perturbations, here and in `disturbances`, has a `sweep`; `drawn(kind, cross, intact, first)`, what a cross needs for a batch
whose first example is the `first`-th of all, the same for all amounts; `condition(drawn, amount)`, the tensors that go into the
compiled pass, of the given `signature()`; and `perturbation(condition)`, the hooks of `Sweep.run`.
"""
from dataclasses import dataclass

import numpy as np

from tfprune.keras import tf
from tfprune.units.channels import Kept, site_of_mask, stays_compact
from tfprune.units.perturbations import ablated_count
from tfprune.units.sweep import Stack, Sweep


class Ablation:
    """Units set to 0 in given orders: {kind: [cross][unit layer] array of indices}."""

    def __init__(self, graph, units, orders):
        self.sweep, self.orders = Sweep(graph, sites_of_masks(graph, units)), orders
        self.channels = [graph.specs[tensor].shape[-1] for tensor in units]
        sites = self.sweep.sites
        self.compact = {k for site, k in sites.items() if stays_compact(graph, site, sites)}

    def drawn(self, kind, cross, intact, first):
        return self.orders[kind][cross][:len(self.channels)]  # the original's go on with the logits

    def condition(self, drawn, amount):
        """The indices of the units that are left, of each unit layer."""
        return [tf.constant(np.sort(order[ablated_count(amount, len(order)):]), tf.int32) for order in drawn]

    def signature(self):
        return [tf.TensorSpec([None], tf.int32)] * len(self.channels)

    def perturbation(self, condition):
        return _Masks([Kept(index, channels) for index, channels in zip(condition, self.channels, strict=True)], self.compact)


@dataclass(frozen=True)
class _Masks:
    kept: list
    compact: set

    def activity(self, k, key, row):
        kept = self.kept[k]
        if k in self.compact:
            return Stack((key,), kept.select(row), kept, compact=True)
        return Stack((key,), row * kept.mask(row.dtype), kept)


class TotalAblation:
    """All units set to 0: the same for every order, and mostly for every image."""

    def __init__(self, graph, units):
        self.sweep = Sweep(graph, sites_of_masks(graph, units))

    def drawn(self, kind, cross, intact, first):
        return []

    def condition(self, drawn, amount):
        return []

    def signature(self):
        return []

    def perturbation(self, condition):
        return self

    def activity(self, k, key, row):
        return Stack((key,), tf.zeros_like(row))

    def depends_on_images(self, target):
        """Whether images reach the output although these unit layers give nothing, by a skip that passes them by."""
        live = set(self.sweep.graph.inputs)
        for op in self.sweep.graph.operations:
            if live.intersection(op.inputs):
                live |= {tensor for tensor in op.outputs if self.sweep.sites.get(tensor) not in target}
        return self.sweep.graph.outputs[0] in live


def sites_of_masks(graph, units):
    """{tensor: unit layer}: where the units of each unit layer's tensor are set to 0."""
    return {site_of_mask(graph, tensor, set(units)): k for k, tensor in enumerate(units)}
