"""How the three families of perturbations (whole units, activities, kernels) enter a `Sweep`, and what each needs at run time.

A family has a `sweep`; `drawn(cross, intact, first)`, the tensors that a cross needs for a batch, the same for all amounts;
`condition(drawn, amount)`, the tensors that go into the compiled pass; and `perturbation(condition)`, the hooks of `Sweep.run`.
"""
import contextlib
from dataclasses import dataclass

import numpy as np

from tfprune.experiment import derive_seed
from tfprune.keras import tf
from tfprune.units.channels import Kept, site_of_mask, stays_compact
from tfprune.units.graph import kernels
from tfprune.units.operations import replaced
from tfprune.units.perturbations import ablated_count, draw
from tfprune.units.sweep import Stack, Sweep


class Ablation:
    """Whole units set to 0, in given orders ([cross][unit layer] indices)."""

    def __init__(self, graph, units, orders):
        sites = {site_of_mask(graph, tensor, set(units)): k for k, tensor in enumerate(units)}
        self.sweep, self.orders = Sweep(graph, sites), orders
        self.channels = [graph.shapes[tensor][-1] for tensor in units]
        self.compact = {k for site, k in sites.items() if stays_compact(graph, site, sites)}

    def drawn(self, cross, intact, first):
        return self.orders[cross]

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

    def activity(self, k, keys, rows):
        kept = self.kept[k]
        if k in self.compact:
            return Stack(keys, tf.concat([kept.select(row) for row in rows], 0), kept, compact=True)
        return Stack(keys, tf.concat(rows, 0) * kept.mask(rows[0].dtype), kept)


class TotalAblation:
    """All units of the targets' unit layers set to 0."""

    def __init__(self, ablation):
        self.sweep = ablation.sweep

    def activity(self, k, keys, rows):
        return Stack(keys, tf.concat([tf.zeros_like(row) for row in rows], 0))
