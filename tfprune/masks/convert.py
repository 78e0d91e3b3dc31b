"""An existing model under masks."""
from tfprune.experiment import UserError, derive_seed
from tfprune.keras import keras, tf
from tfprune.layers.grouped import GroupedConv2D
from tfprune.masks.initial import KernelInit, ScoreInit
from tfprune.masks.layers import (
    SubnetConv1D,
    SubnetConv2D,
    SubnetDense,
    SubnetDepthwiseConv1D,
    SubnetDepthwiseConv2D,
    SubnetGroupedConv2D,
)
from tfprune.models.rebuild import check_graph, rebuilt, walk

KINDS = {
    keras.layers.Dense: SubnetDense,
    keras.layers.Conv1D: SubnetConv1D,
    keras.layers.Conv2D: SubnetConv2D,
    GroupedConv2D: SubnetGroupedConv2D,
    keras.layers.DepthwiseConv1D: SubnetDepthwiseConv1D,
    keras.layers.DepthwiseConv2D: SubnetDepthwiseConv2D,
}


def masked_copy(model, keep=0.5, rule="edge_popup", layers=None, seed=0, first_dense=False, last_dense=False, init=None, freeze=True,
                options=None):
    """A copy of a model in which dense and convolutional layers are masked; names and unit notes are kept, nothing is compiled.

    Layers that are not masked, normalisations too, keep their weights and stay trainable as they were.

    Args:
      model: a Functional or Sequential model, nested ones too.
      keep: share of each masked layer's weights that its mask keeps.
      rule: how its kernel is masked (`tfprune.masks.rules.RULES`), and `options` of that rule.
      layers: names of the layers to mask, in nested models `outer/inner`; by default all Dense, Conv1D, Conv2D, DepthwiseConv1D and
        DepthwiseConv2D layers (no subclasses of theirs), but for the first one with `first_dense`, the last one with `last_dense`.
      seed: of the scores, and of weights that are drawn again; each layer has its own from it.
      init: None keeps the weights; a scheme of `KernelInit`, or a `KernelInit` (whose seed is not used), draws kernels and biases again.
      freeze: kernels and biases of masked layers are not trained, where the rule trains scores.

    Raises:
      UserError: the model has no graph or cannot be copied, a layer is unknown or of another kind, no layer is left to mask, or `keep`,
        `rule` or `init` is not accepted.
    """
    check_graph(model)
    chosen = _chosen(model, layers, first_dense, last_dense)
    shared = {"keep": keep, "rule": rule, "freeze": freeze, "options": options}
    law = KernelInit(init) if isinstance(init, str) else init

    def instead(path, layer):
        return _masked(layer, shared, law, lambda purpose: derive_seed(seed, purpose, path)) if path in chosen else None

    return rebuilt(model, instead)


def _chosen(model, layers, first_dense, last_dense):
    """The paths of the layers to mask."""
    if isinstance(layers, str):
        raise UserError(f"layers: a list of layers' names is needed, not {layers!r}")
    kinds = {path: type(layer) for path, layer in walk(model)}
    able = [path for path, kind in kinds.items() if kind in KINDS]
    chosen = able[first_dense:len(able) - last_dense] if layers is None else list(layers)
    for path in chosen:
        if path not in kinds:
            raise UserError(f"layers: the model '{model.name}' has no layer {path}; there are {', '.join(able)}")
        if path not in able:
            raise UserError(f"layers: {path} is a {kinds[path].__name__}; only {', '.join(kind.__name__ for kind in KINDS)} can be masked")
    if not chosen:
        raise UserError(f"the model '{model.name}' has no layer to mask: it needs one of {', '.join(kind.__name__ for kind in KINDS)}")
    return set(chosen)


def _masked(layer, shared, law, seed_for):
    """The masked layer in the place of a plain one; with its weights, or with such as follow the law."""
    depthwise = hasattr(layer, "depthwise_kernel")
    scores = ScoreInit(seed=seed_for("scores"), depthwise=depthwise)
    config = layer.get_config() | shared | {"seed": seed_for("mask"), "scores_initializer": scores}
    if law is not None:
        config[KINDS[type(layer)].INITIALIZER] = KernelInit(**law.get_config() | {"seed": seed_for("init"), "depthwise": depthwise})
    masked = KINDS[type(layer)](**config)
    with tf.name_scope(layer.name):
        masked.build(layer.get_build_config()["input_shape"])
    if law is None:
        masked.kernel_variable().assign(getattr(layer, masked.KERNEL))
        if layer.use_bias:
            masked.bias.assign(layer.bias)
    return masked
