"""The parts of nets whose kernels may be masked (allenai/hidden-networks): no biases, padding as PyTorch has it, batch normalisation too.

`dnn.mask` says by which rule a layer is masked; with "none" the layers are Keras's own.
"""
from dataclasses import dataclass

from tfprune.keras import keras
from tfprune.layers.normalisation import TorchBatchNormalization
from tfprune.masks.initial import KernelInit, kernel_initial, score_initial
from tfprune.masks.layers import SubnetConv2D, SubnetDense
from tfprune.masks.rules import RULES
from tfprune.models.residual import Parts

MASKED = {keras.layers.Conv2D: SubnetConv2D, keras.layers.Dense: SubnetDense}
LAST = "logits"


@dataclass(frozen=True)
class MaskableParts(Parts):
    """Adds named layers to a net, as `Parts`; a layer is masked unless it is the first or the last one and that is to be dense."""

    momentum: float = 0.9
    first: str = "stem_conv"  # name of the first layer
    torch_stem: bool = False  # that, where it is dense, starts as PyTorch starts a layer, not as `dnn.init` says

    @property
    def frozen(self):
        """Whether the net is random: what is not masked keeps its initial values too."""
        dnn = self.experiment.dnn
        return dnn.mask != "none" and dnn.freeze and not RULES[dnn.mask].trains_kernel

    def kernel_layer(self, x, kind, name, **options):
        """A masked layer of the Keras class `kind` without bias, or a dense one: of these the last has a bias."""
        experiment, dnn, hyper, seed_for = self.experiment, self.experiment.dnn, self.experiment.hyper, self.experiment.seed_for
        dense = (name == LAST and dnn.last_dense) or (name == self.first and dnn.first_dense)
        if dense and (name == LAST or self.torch_stem):
            initial = KernelInit("standard", seed=seed_for(f"init/{name}"))
        else:
            initial = kernel_initial(experiment, name)
        if dense or dnn.mask == "none":
            bias = _bias(x, seed_for(f"init/{name}/bias")) if dense and name == LAST else {"use_bias": False}
            return kind(name=name, kernel_initializer=initial, trainable=not self.frozen, **bias, **options)(x)
        settings = {"evaluation": dnn.sampled_evaluation, "redraw_share": hyper.redraw_share, "redraw_every": hyper.redraw_every}
        of_rule = {name: settings[name] for name in RULES[dnn.mask].OPTIONS}
        return MASKED[kind](name=name, keep=hyper.keep, rule=dnn.mask, freeze=dnn.freeze, seed=seed_for(f"mask/{name}"), options=of_rule,
                            kernel_initializer=initial, scores_initializer=score_initial(experiment, name), **options)(x)

    def dense(self, x, units, name, activation="relu"):
        """A dense layer; a 1x1 convolution of a 1x1 image, as the original has it, is the same."""
        return self.kernel_layer(x, keras.layers.Dense, name, units=units, activation=activation)

    def normalisation(self, x, name):
        """Batch normalisation as PyTorch has it, by `dnn.normalisation` with scale and offset or without."""
        return TorchBatchNormalization(affine=self.experiment.dnn.normalisation == "affine", frozen=self.frozen, momentum=self.momentum,
                                       epsilon=self.epsilon, name=name)(x)


def _bias(x, seed):
    """The options of a dense layer's bias, drawn as PyTorch does: uniformly within 1 / sqrt(inputs)."""
    bound = x.shape[-1] ** -0.5
    return {"use_bias": True, "bias_initializer": keras.initializers.RandomUniform(-bound, bound, seed)}
