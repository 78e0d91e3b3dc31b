"""Measures a net under many perturbations, batch by batch.

For a batch the intact net runs once; then each (kind, cross, amount) is one compiled pass over what it changes, for every unit layer
and for all of them at once (`Sweep`). Amount 0 is the intact net; total ablation is the same for all orders, crosses and, unless a
skip passes the ablated layer by, images.
"""
from dataclasses import dataclass

import numpy as np

from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.models.notes import masked_originally
from tfprune.units.ablation import Ablation, TotalAblation
from tfprune.units.disturbances import DisturbedActivities, DisturbedKernels
from tfprune.units.fidelity import is_original
from tfprune.units.graph import chosen_layers, single_path, unit_tensors
from tfprune.units.passes import IntactPass, Pass, TotalPass
from tfprune.units.perturbations import PERTURBATIONS, ablates_units, amount_grid
from tfprune.units.scores import score_for


@dataclass(frozen=True)
class Scores:
    """Robustness of a net on one set: by kind, arrays [cross, layer, amount]; the last layer is "all" (of them at once)."""

    layers: tuple
    amounts: np.ndarray
    crosses: tuple
    agreement: dict
    accuracy: dict  # NaN where there were no labels


class Meter:
    """Robustness of one net, on the batches that it is given.

    Args:
      model: a Functional or Sequential model with one input and one output: a number a class, or one number (regression).
      kinds: names in `PERTURBATIONS`.
      orders: {kind: [cross][unit layer] array}: the order of ablation, for the kinds that ablate units.
      crosses: the crosses to measure, by number.
      amounts: number of amounts, from 0 to 1.
      seed: of the random numbers of the other kinds.
      fidelity: "original" scores regressions as the original does, and perturbs the layers that `masked_originally` names.
      batch_size: the largest batch to come.
      layers: names of the layers to perturb; by default the unit layers.

    Raises:
      UserError: the model is not such a one, or has no unit layers.
    """

    def __init__(self, model, kinds, orders, crosses, amounts, seed, fidelity="corrected", batch_size=128, layers=None):
        self.graph = graph = single_path(model)
        if len(outputs := graph.specs[graph.outputs[0]].shape) != 2:
            raise UserError(f"the model '{model.name}' gives an output of {len(outputs)} axes; [examples, classes] is needed")
        self.layers = (*chosen_layers(model, layers), "all")
        if len(self.layers) == 1:
            raise UserError(f"the model '{model.name}' has no unit layers: no convolution or dense layer before its last")
        self.kinds, self.crosses, self.amounts = tuple(kinds), tuple(crosses), amount_grid(amounts)
        self.output = graph.outputs[0]
        self.score = score_for(graph.specs[self.output].shape[-1], fidelity)
        instead = masked_originally(model) if is_original(fidelity) else {}
        units = list(unit_tensors(graph, [instead.get(name, name) for name in self.layers[:-1]]).values())
        singles = [frozenset([k]) for k in range(len(units))]
        self.targets = [frozenset().union(*singles), *singles]  # "all" shares most with the first layer
        families = _families(self.kinds, graph, units, orders, seed)
        passes = {family: Pass(graph, family, self.targets, self.score, batch_size) for family in families.values()}
        self.passes = {kind: passes[family] for kind, family in families.items()}
        self._total = TotalPass(graph, TotalAblation(graph, units), self.targets, self.score, batch_size)
        self.intact = IntactPass(graph, self._needed())
        self.sums = {kind: np.zeros((len(self.crosses), len(self.targets), amounts, 2)) for kind in self.kinds}
        self._totals, self._examples, self._labelled = 0.0, 0, True

    def add(self, images, labels=None):
        """Measure one more batch: images [batch, ...] as the net takes them, labels [batch] or None.

        Raises:
          UserError: there is not one label for each image.
        """
        intact = self.intact(images)
        self._labelled &= labels is not None
        labels = tf.zeros(len(images)) if labels is None else tf.cast(tf.reshape(labels, [-1]), tf.float32)
        if len(labels) != len(images):
            raise UserError(f"labels: {len(labels)} numbers for {len(images)} images; each has one (a class's number, not one-hot)")
        own = self.score.sums(intact[self.output][None], intact[self.output], labels).numpy()
        self._totals = self._totals + self.score.totals(intact[self.output], labels).numpy()
        for kind in self.kinds:
            self.sums[kind][:, :, 0] += own
            self._add_kind(kind, intact, labels)
        if ablating := [kind for kind in self.kinds if ablates_units(kind)]:
            total = self._total.sums(intact, labels)
            for kind in ablating:
                self.sums[kind][:, :, -1] += total
        self._examples += len(images)

    def _add_kind(self, kind, intact, labels):
        work, last = self.passes[kind], len(self.amounts) - ablates_units(kind)
        for position, cross in enumerate(self.crosses):
            drawn = work.family.drawn(kind, cross, intact, self._examples)
            for place in range(1, last):
                condition = work.family.condition(drawn, self.amounts[place])
                self.sums[kind][position, :, place] += work.sums(intact, labels, condition)

    def scores(self):
        """The `Scores` of all batches so far."""
        shares = {kind: np.roll(self.score.shares(sums, self._totals), -1, axis=1) for kind, sums in self.sums.items()}
        accuracy = {kind: share[..., 1] if self._labelled else np.full(share.shape[:-1], np.nan) for kind, share in shares.items()}
        return Scores(self.layers, self.amounts, self.crosses, {kind: share[..., 0] for kind, share in shares.items()}, accuracy)

    def _needed(self):
        return {tensor for work in [*self.passes.values(), self._total] for tensor in work.tensors}


def _families(kinds, graph, units, orders, seed):
    """{kind: family}; all kinds that ablate units have the same one, which differ in the orders only."""
    ablation, disturbed = Ablation(graph, units, orders), {"activities": DisturbedActivities, "kernels": DisturbedKernels}
    return {kind: ablation if ablates_units(kind) else disturbed[PERTURBATIONS[kind].of](graph, units, kind, seed) for kind in kinds}
