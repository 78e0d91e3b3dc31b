"""How many multiply-adds robustness needs, counted on the graph.

Only convolutions and dense layers count (in an Alexnet, pooling and normalisation are some 3 % more operations on either side).
"""
from tfprune.models.multiply_adds import of_layer
from tfprune.units.channels import absorbs, passes
from tfprune.units.perturbations import ablated_count, ablates_units, amount_grid


def of_operation(graph, op):
    """Multiply-adds of an operation for one example."""
    return of_layer(op.layer, graph.specs[op.inputs[0]].shape, graph.specs[op.outputs[0]].shape)


def of_net(graph):
    """Multiply-adds of the intact net for one example."""
    return sum(of_operation(graph, op) for op in graph.operations)


def plain(graph, layers, amounts):
    """Of the plain loop, for one kind and cross: the intact net, then the whole net for each layer, and all, and each amount."""
    return (1 + (layers + 1) * amounts) * of_net(graph)


def needed(graph, family, targets, amounts, ablates, share_all):
    """Of one kind and cross (without the intact net, which all of them share).

    Args:
      graph: the net's `Graph`.
      family: whose `sweep` knows where perturbations set in.
      targets: frozensets of unit layers.
      amounts: number of amounts from 0, which costs nothing.
      ablates: whether the family ablates units: total ablation then costs nothing, ablated input channels are not convolved.
      share_all: whether targets share what they have in common, or each runs its own suffix.
    """
    total = 0
    for amount in amount_grid(amounts)[1:-1 if ablates else None]:
        groups = [targets] if share_all else [[target] for target in targets]
        total += sum(_of_pass(graph, family, group, amount if ablates else 0) for group in groups)
    return total


def of_meter(meter, share_all):
    """Of all kinds, for one image and cross; the intact net once for all crosses."""
    amounts = len(meter.amounts)
    return of_net(meter.graph) / len(meter.crosses) + sum(
        needed(meter.graph, work.family, meter.targets, amounts, ablates_units(kind), share_all) for kind, work in meter.passes.items())


def of_loop(meter):
    """The same of the plain loop."""
    return len(meter.kinds) * plain(meter.graph, len(meter.layers) - 1, len(meter.amounts))


def limit(meter, share_all):
    """How many times faster than the plain loop the counts allow a `Meter` to be."""
    return of_loop(meter) / of_meter(meter, share_all)


def _of_pass(graph, family, targets, amount):
    sweep, total = family.sweep, 0
    zeros = {tensor: k for tensor, k in sweep.sites.items() if amount}  # tensor -> unit layer whose ablated channels it lacks
    for op in graph.operations:
        reach = frozenset().union(*(sweep.reach[tensor] for tensor in op.inputs))
        source = zeros.get(op.inputs[0])
        for key in {target & reach for target in targets if target & reach}:
            kept = 1 - ablated_count(amount, family.channels[source]) / family.channels[source] if source in key else 1
            total += of_operation(graph, op) * (kept if absorbs(op.layer) else 1)
        if source is not None and passes(op.layer):
            zeros.setdefault(op.outputs[0], source)
    return total
