"""Pruning that makes a net really smaller: units without a part in what it computes are taken out of every layer that knows them."""
from tfprune.experiment import UserError
from tfprune.masks.dense_twin import to_dense
from tfprune.masks.layers import masked_layers
from tfprune.models.hidden_layers import hidden_layers
from tfprune.models.rebuild import check_graph, rebuilt
from tfprune.pruning.cut_layers import Cutter
from tfprune.pruning.dead import dead_units
from tfprune.pruning.groups import groups_of, passage_of
from tfprune.pruning.passing import paths_of


def shrink(model):
    """A copy of a model without the units that always give 0, or that no layer reads: same outputs, fewer weights, not compiled.

    Which these are is found in the weights (`tfprune.magnitude_prune` with by="unit" puts zeros there). Kernels, biases,
    normalisations and the inputs of what follows shrink; names and unit notes stay; masked layers become plain ones. Of a net
    without such units an equal copy is returned.

    Args:
      model: a Functional or Sequential model, nested ones too.

    Raises:
      UserError: the model has no graph of layers, a layer of it cannot be copied or would have no units left, or no layer of it can
        be cut because others mix their channels.
    """
    check_graph(model)
    model = to_dense(model) if masked_layers(model) else model
    passage = passage_of(model)
    groups, stays = groups_of(model, passage), ~dead_units(passage)
    _check(model, groups, passage.opaque, stays)
    cutter, nested = Cutter(passage, stays), dict(paths_of(model))
    smaller = rebuilt(model, lambda path, layer: cutter.cut(layer), lambda path: cutter.channels(nested[path]))
    cutter.assign_weights()
    return smaller


def _check(model, groups, opaque, stays):
    """UserError where no layer of a net can be cut, or one of them would be empty."""
    if hidden_layers(model) and not groups.prunable():
        why = [*opaque.values(), *(group.fixed for group in groups.groups)][0]
        raise UserError(f"the model '{model.name}' cannot be cut, for all of its units are needed: {why}")
    for path in [path for group in groups.groups for path in group.layers]:
        units = groups.produced[path]
        if not stays[units].any():
            raise UserError(f"the layer {path} would be empty: none of its {len(units)} units has a part in the output; prune fewer units, "
                            f"or leave it whole (excluded={path})")
