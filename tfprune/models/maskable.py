"""The parts of nets whose kernels may be masked (allenai/hidden-networks): no biases, padding as PyTorch has it, batch normalisation too.

`dnn.mask` says by which rule a layer is masked; with "none" the layers are Keras's own.
"""
from dataclasses import dataclass

from tfprune.experiment import UserError
from tfprune.keras import keras
from tfprune.layers.grouped import GroupedConv2D
from tfprune.layers.initializers import kernel_initializer
from tfprune.layers.normalisation import TorchBatchNormalization
from tfprune.masks.initial import SCALED, KernelInit, ScoreInit
from tfprune.masks.layers import SubnetConv2D, SubnetDense, SubnetGroupedConv2D
from tfprune.masks.rules import RULES
from tfprune.models.residual import Parts

MASKED = {keras.layers.Conv2D: SubnetConv2D, GroupedConv2D: SubnetGroupedConv2D, keras.layers.Dense: SubnetDense}
LAST = "logits"


@dataclass(frozen=True)
class MaskableParts(Parts):
    """Adds named layers to a net, as `Parts`; a layer is masked unless it is the first or the last one and that is to be dense."""

    momentum: float = 0.9
    first: str = "stem_conv"  # name of the first layer
    torch_stem: bool = False  # that, where it is dense, starts as PyTorch starts a layer, not as `dnn.init` says
    last_bias: str = ""  # "zeros", or "drawn": where it is not masked, the last layer has such a bias and starts as `dnn.init` says

    @property
    def frozen(self):
        """Whether the net is random: what is not masked keeps its initial values too."""
        dnn = self.experiment.dnn
        return dnn.mask != "none" and dnn.freeze and not RULES[dnn.mask].trains_kernel

    def kernel_layer(self, x, kind, name, **options):
        """A masked layer of the Keras class `kind` without bias, or a dense one: of these the last has a bias, if it is to be dense."""
        dnn, seed_for = self.experiment.dnn, self.experiment.seed_for
        dense = (name == LAST and dnn.last_dense) or (name == self.first and dnn.first_dense)
        if dnn.mask != "none" and not dense:
            return self._masked(x, kind, name, **options)
        initial, bias = kernel_initial(self.experiment, name), {"use_bias": False}
        if name == LAST and self.last_bias:
            bias = {"use_bias": True} if self.last_bias == "zeros" else _bias(x, seed_for(f"init/{name}/bias"))
        elif dense and (name == LAST or self.torch_stem):
            initial = KernelInit("standard", seed=seed_for(f"init/{name}"))
            bias = _bias(x, seed_for(f"init/{name}/bias")) if name == LAST else bias
        return kind(name=name, kernel_initializer=initial, trainable=not self.frozen, **bias, **options)(x)

    def _masked(self, x, kind, name, **options):
        experiment, dnn, hyper = self.experiment, self.experiment.dnn, self.experiment.hyper
        settings = {"evaluation": dnn.sampled_evaluation, "redraw_share": hyper.redraw_share, "redraw_every": hyper.redraw_every}
        of_rule = {option: settings[option] for option in RULES[dnn.mask].OPTIONS}
        return MASKED[kind](
            name=name, keep=hyper.keep, rule=dnn.mask, freeze=dnn.freeze, seed=experiment.seed_for(f"mask/{name}"), options=of_rule,
            kernel_initializer=kernel_initial(experiment, name), scores_initializer=score_initial(experiment, name), **options)(x)

    def dense(self, x, units, name, activation="relu"):
        """A dense layer; a 1x1 convolution of a 1x1 image, as the original has it, is the same."""
        return self.kernel_layer(x, keras.layers.Dense, name, units=units, activation=activation)

    def normalisation(self, x, name):
        """Batch normalisation as PyTorch has it, by `dnn.normalisation` with scale and offset or without."""
        return TorchBatchNormalization(affine=self.experiment.dnn.normalisation == "affine", frozen=self.frozen, momentum=self.momentum,
                                       epsilon=self.epsilon, name=name)(x)


def kernel_initial(experiment, layer_name):
    """The initialiser of a layer's kernel, by the experiment's `dnn.` settings, with a seed of the layer's own.

    Weights that are to come from a trained net (`dnn.init=pretrained`) start as zeros: `training.origin` sees to it that one is given.

    Raises:
      UserError: the weights are to be scaled by a share that is 0.
    """
    dnn, seed = experiment.dnn, experiment.seed_for(f"init/{layer_name}")
    if dnn.init == "pretrained":
        return keras.initializers.Zeros()
    if dnn.init == "numbered":
        return kernel_initializer(dnn.init_type, seed)
    return KernelInit(dnn.init, dnn.init_fan, dnn.nonlinearity, scaling_share(experiment), seed)


def scaling_share(experiment):
    """The share of weights by which the initial ones are scaled, or None where they are not; UserError where that is 0."""
    dnn, keep = experiment.dnn, experiment.hyper.keep
    if not (dnn.scale_init and dnn.init in SCALED):
        return None
    share = keep if dnn.scale_by == "kept" else 1 - keep
    if not share > 0:
        raise UserError(f"hyper.keep={keep:g}: dnn.scale_init divides by the share of weights that are {dnn.scale_by}, which is 0; "
                        "--set dnn.scale_init=false, or another hyper.keep")
    return share


def score_initial(experiment, layer_name):
    """The initialiser of a layer's scores, by the experiment's `dnn.` settings."""
    return ScoreInit(experiment.dnn.score_init, experiment.dnn.score_constant, experiment.seed_for(f"scores/{layer_name}"))


def _bias(x, seed):
    """The options of a dense layer's bias, drawn as PyTorch does: uniformly within 1 / sqrt(inputs)."""
    bound = x.shape[-1] ** -0.5
    return {"use_bias": True, "bias_initializer": keras.initializers.RandomUniform(-bound, bound, seed)}
