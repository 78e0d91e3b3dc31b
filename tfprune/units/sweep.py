"""One pass over a net that serves many perturbations of one batch, doing only what they do not share with the intact net or each other.

A *target* is the set of unit layers that are perturbed at once: one of them, or all. At a tensor, a target makes a difference only
through those of its unit layers that come before (the tensor's *reach*); so two targets that agree there share a *row*, and a target
with none there uses the intact tensor. "All" and "the first layer", for instance, are one row until the second unit layer. Rows of a
tensor are folded into the batch axis of a `Stack`. This is right for any graph: where a skip passes a unit layer by, it joins as the
intact tensor or as a row of its own.
"""
from dataclasses import dataclass

from tfprune.keras import tf
from tfprune.units.channels import Kept, absorbs, apply_compact, passes, select_flat
from tfprune.units.graph import kernels


@dataclass(frozen=True)
class Stack:
    """Rows of one tensor: [len(keys) * batch, ...], each under the perturbation of the unit layers in its key."""

    keys: tuple  # of frozensets of unit layer indices
    value: tf.Tensor
    kept: Kept | None = None  # where known, the channels that are not zero
    compact: bool = False  # whether only those are there

    def rows(self):
        """{key: tensor [batch, ...]}."""
        return dict(zip(self.keys, tf.split(self.value, len(self.keys)) if len(self.keys) > 1 else [self.value], strict=True))


class Sweep:
    """Runs perturbed nets.

    Args:
      graph: a `Graph` with one output.
      sites: {tensor: unit layer} where an activity is perturbed right after it is there.
      kernel_sites: {operation name: unit layer} where an operation runs with other kernels.
    """

    def __init__(self, graph, sites, kernel_sites=()):
        self.graph, self.sites, self.kernel_sites = graph, sites, dict(kernel_sites)
        self.reach = {tensor: frozenset() for tensor in graph.inputs}
        for op in graph.operations:
            for tensor in op.outputs:
                self.reach[tensor] = self._reach_in(op) | {self.sites[tensor]} if tensor in sites else self._reach_in(op)

    def intact_tensors(self):
        """The tensors of the intact net that a run needs: where perturbations set in, and what passes them by."""
        needed = set(self.sites)
        for op in self.graph.operations:
            needed |= {t for t in op.inputs if self.reach[t] != self._reach_in(op)}
        return sorted(needed)

    def run(self, intact, targets, perturbation):
        """The net's outputs, one [batch, outputs] tensor a target.

        Args:
          intact: {tensor: value} of `intact_tensors()` and of the graph's output.
          targets: non-empty frozensets of unit layers.
          perturbation: for sites it has `activity(unit layer, key, row) -> Stack` of the perturbed row, which so far was under
            the rest of the key; for kernel sites `kernels(operation)`, a context in which its layer has the perturbed ones.
        """
        pass_ = _Pass(self, intact, targets, perturbation)
        for op in self.graph.operations:
            pass_.step(op)
        output = self.graph.outputs[0]
        return pass_.rows(output, [target & self.reach[output] for target in targets])

    def _reach_in(self, op):
        reach = frozenset().union(*(self.reach[t] for t in op.inputs))
        return reach | {self.kernel_sites[op.name]} if op.name in self.kernel_sites else reach


class _Pass:
    """The rows of one run, tensor by tensor."""

    def __init__(self, sweep, intact, targets, perturbation):
        self.sweep, self.intact, self.targets, self.perturbation = sweep, intact, targets, perturbation
        self.stacks = {}  # tensor -> list of Stacks

    def step(self, op):
        """Evaluate an operation for the rows that differ from the intact net, and perturb what it gives where it is a site."""
        sweep, keys = self.sweep, self._keys(self.sweep._reach_in(op))
        if keys:
            stacks = self._kernel_rows(op, keys) if op.name in sweep.kernel_sites else self._rows_of(op, keys)
            self.stacks |= stacks
        for tensor in op.outputs:
            if tensor in sweep.sites:
                self._perturb(tensor, sweep.sites[tensor])

    def rows(self, tensor, keys):
        """Values [batch, ...] of a tensor under each key; the intact one under the empty key."""
        known = {key: row for stack in self.stacks.get(tensor, ()) for key, row in stack.rows().items()}
        return [known[key] if key else self.intact[tensor] for key in keys]

    def _keys(self, reach):
        """The different, non-empty effects that the targets have on a tensor of this reach."""
        return tuple(dict.fromkeys(target & reach for target in self.targets if target & reach))

    def _rows_of(self, op, keys):
        """{output tensor: stacks} of an operation with its own kernels."""
        if len(op.inputs) == 1:
            stacks = self.stacks[op.inputs[0]]
            results = [_apply(op, stack) for stack in (_merged(stacks) if kernels(op)[1] else stacks)]
            return {tensor: [result[i] for result in results] for i, tensor in enumerate(op.outputs)}
        return self._called(op, keys)

    def _called(self, op, keys):
        values = [tf.concat(self.rows(t, [key & self.sweep.reach[t] for key in keys]), 0) for t in op.inputs]
        return {tensor: [Stack(keys, value)] for tensor, value in zip(op.outputs, op(*values), strict=True)}

    def _kernel_rows(self, op, keys):
        """The same for an operation whose kernels some of the keys perturb."""
        unit_layer, results = self.sweep.kernel_sites[op.name], []
        if own := tuple(key for key in keys if unit_layer not in key):
            results.append(self._called(op, own))
        if changed := tuple(key for key in keys if unit_layer in key):
            with self.perturbation.kernels(op):
                results.append(self._called(op, changed))
        return {tensor: [stack for result in results for stack in result[tensor]] for tensor in op.outputs}

    def _perturb(self, tensor, unit_layer):
        """Add the rows that perturbing this unit layer makes, and drop those that no target needs any more."""
        keys = self._keys(self.sweep.reach[tensor])
        changed = tuple(key for key in keys if unit_layer in key)
        others = tuple(key for key in keys if unit_layer not in key)
        before = self.stacks.get(tensor, [])
        after = [stack for stack in before if set(stack.keys) <= set(others)]
        if len(others) > sum(len(stack.keys) for stack in after):
            after = [Stack(others, tf.concat(self.rows(tensor, others), 0))]
        if changed:
            rows = self.rows(tensor, [key - {unit_layer} for key in changed])
            after += [self.perturbation.activity(unit_layer, key, row) for key, row in zip(changed, rows, strict=True)]
        self.stacks[tensor] = after


def _apply(op, stack):
    """The stacks of an operation's outputs, with what is known of zero channels used or passed on."""
    if stack.kept is None or not (absorbs(op.layer) or passes(op.layer)):
        return [Stack(stack.keys, value) for value in op(stack.value)]
    if absorbs(op.layer):
        value = stack.value if stack.compact else select_flat(stack.value, stack.kept)
        return [Stack(stack.keys, apply_compact(op, value, stack.kept))]
    value = apply_compact(op, stack.value, stack.kept) if stack.compact else op(stack.value)[0]
    return [Stack(stack.keys, value, stack.kept, stack.compact)]


def _merged(stacks):
    """The same rows with as few stacks as can be: a layer that costs is called once for all that are alike."""
    alike = {}
    for stack in stacks:
        alike.setdefault((id(stack.kept), stack.compact), []).append(stack)
    return [group[0] if len(group) == 1 else
            Stack(sum((stack.keys for stack in group), ()), tf.concat([stack.value for stack in group], 0), group[0].kept, group[0].compact)
            for group in alike.values()]
