"""Pruned copies of a model: the weights or the units that count least are zero, everything else is as it was."""
import numpy as np

from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.masks.dense_twin import to_dense
from tfprune.models.hidden_layers import hidden_layers
from tfprune.models.multiply_adds import kernels
from tfprune.models.rebuild import check_graph, walk
from tfprune.pruning.counts import Ranking
from tfprune.pruning.criteria import Net, criterion_named
from tfprune.pruning.groups import unit_groups
from tfprune.pruning.silence import prepared, silence
from tfprune.settings import PRUNED


def magnitude_prune(model, sparsity, by="weight", criterion="magnitude", scope="layer", excluded=(), images=None, labels=None,
                    fidelity="corrected", seed=0):
    """A copy of a model in which the share `sparsity` of the weights, or of the units, is zero: those of the lowest scores.

    Weights are those of all kernels but the last layer's (layers that no other kernel follows); a unit's output becomes exactly 0. Units
    that a residual sum adds together are ranked and pruned together, and those that cannot be pruned alone stay (`pruning.groups`). Of a
    model with masked layers its plain twin (`to_dense`) is pruned, in which what the masks hide is zero and goes first.

    Args:
      model: a Functional or Sequential model, nested ones too; it is left as it is.
      sparsity: from 0 to 1.
      by: "weight" or "unit".
      criterion: by which they are ranked, a name in `pruning.criteria.CRITERIA`; "magnitude" is |w| of weights, and of units the L2 norm of
        the weights that lead into them (justincosentino/network-pruning).
      scope: "layer": the same share of each layer; "global": one ranking of all. There units' scores are divided by the L2 norm of their
        layer's scores, for layers differ in scale (Molchanov et al. 2017); weights are compared as they are.
      excluded: paths (`outer/inner` in nested models) of layers that are left whole, or one of them.
      images, labels: examples, for criteria that need them.
      fidelity, seed: see `counts.Ranking`; of the criterion "random".

    Raises:
      UserError: an argument is not one of those accepted, or there is nothing to prune.
    """
    if by not in PRUNED:
        raise UserError(f"by={by}: expected {' or '.join(PRUNED)}")
    pruner = Pruner(model, (by,), criterion, scope, excluded, images, labels, fidelity, seed)
    pruner.prune(by, sparsity)
    return pruner.model


class Pruner:
    """A copy of a model that can be pruned to any sparsity again and again, each time from the dense weights; nothing is rebuilt.

    Args: as of `magnitude_prune`; `by` are some of `PRUNED`.

    Attributes:
      model: the copy. groups: its units.
      layers: {path: names of its kernels} of all layers with kernels; a layer's only one has the name of its path.
      dense: {kernel: its dense weights}. norms: {path: L2 norms [units] of the weights that lead into its units}.
      ranked: {"weight": kernels, "unit": groups}: what is pruned.
    """

    def __init__(self, model, by=PRUNED, criterion="magnitude", scope="layer", excluded=(), images=None, labels=None,
                 fidelity="corrected", seed=0):
        check_graph(model)
        excluded = (excluded,) if isinstance(excluded, str) else tuple(excluded)
        check_excluded(model, excluded)
        plain = to_dense(model)
        self.groups, self.layers = unit_groups(plain), _layers(plain)
        with_units = [path for path in excluded if path in self.groups.produced]
        net, criterion = Net(plain, self.groups, images, labels, seed, with_units), criterion_named(criterion)
        self.ranked = {"weight": [name for path in _hidden(plain) if path not in excluded for name in self.layers[path]],
                       "unit": net.ranked}
        self.rankings = {each: Ranking(self._scores(each, net, criterion, scope), scope, fidelity) for each in by}
        self.dense, self.norms = net.kernels, {path: np.linalg.norm(net.columns(path), axis=0) for path in self.layers}
        self.model = prepared(plain, self.groups) if "unit" in by else plain
        self._kernels = Net(self.model, self.groups).kernel_variables
        self._before = [(variable, variable.value()) for variable in self.model.variables]

    def prune(self, by, k):
        """Sets the model's weights to those that are left at the sparsity `k`.

        Returns what is cut: of weights {kernel: bool array of its shape}, of units a bool array of all units.
        """
        self.restore()
        cut = self.rankings[by].cut(k)
        if by == "weight":
            for name, gone in cut.items():
                kernel = self._kernels[name]
                kernel.assign(tf.where(gone, tf.zeros([], kernel.dtype), kernel))
            return cut
        units = np.zeros(self.groups.count, bool)
        for group in self.ranked["unit"]:
            units[group.units] = cut[group.name]
        silence(self.model, self.groups, units)
        return units

    def kernel(self, name):
        """A kernel as it is now, a variable."""
        return self._kernels[name]

    def restore(self):
        """Puts the dense weights back; TensorFlow takes a tensor as it is, without copying it."""
        for variable, value in self._before:
            variable.assign(value)

    def _scores(self, by, net, criterion, scope):
        """{layer or group: scores} of what is pruned; UserError where that is nothing."""
        if not self.ranked[by]:
            raise UserError(f"by={by}: there is nothing to prune in '{net.model.name}'" + _reasons(self.groups) * (by == "unit"))
        if by == "weight":
            scores = criterion.weights(net)
            return {name: scores[name] for name in self.ranked["weight"]}
        scores = criterion.units(net)
        return {name: _normalised(values) for name, values in scores.items()} if scope == "global" else scores


def check_excluded(model, excluded, name="excluded"):
    """UserError where one of these paths is of no layer with a kernel; `name` is what it calls them."""
    layers = _layers(model)
    for path in excluded:
        if path not in layers:
            raise UserError(f"{name}: no layer {path} has weights to prune; there are {', '.join(layers)}")


def _normalised(scores):
    """Scores divided by their L2 norm; as they are where all are 0."""
    scores = np.asarray(scores, np.float64)
    return scores / (np.linalg.norm(scores) or 1)


def _layers(model):
    """{path: names of its kernels} of a model's layers with kernels, as `criteria.Net` names them."""
    names = {path: kernels(layer)[1] for path, layer in walk(model)}
    return {path: [path] if len(own) == 1 else [f"{path}/{name}" for name in own] for path, own in names.items() if own}


def _hidden(model):
    """Paths of the layers with kernels that another such layer follows."""
    hidden = {id(layer) for layer in hidden_layers(model)}
    return [path for path, layer in walk(model) if id(layer) in hidden]


def _reasons(groups):
    """In words: why units cannot be pruned."""
    return "".join(f"; {reason}" for reason in dict.fromkeys(group.fixed for group in groups.groups if group.fixed))
