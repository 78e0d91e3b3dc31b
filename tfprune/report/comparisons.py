"""What the width study compares with what: for each figure its curves, for each curve its experiments in the order of width.

A comparison is `{label: Curve}`, and COMPARISONS holds them all by name but for the MLPs', whose experiments depend on the results
(`mlps`). The groupings are those of the notebooks of xboix/frivolous_dnns; where it leaves a choice open, a comment says what we took.
"""
from dataclasses import dataclass

ALL = "all"
MLP_WIDTHS = (1, 2, 4, 8, 16)
MOMENTUM, SGD, ADAM, RMSPROP = 0, 1, 2, 5
FEW, SOME, MANY = 1_000, 10_000, 100_000  # training examples of the synthetic sets
OUTPUT_SIGMA = 1e-2  # of an MLP's output weights at init_factor 1: its curves go by the sigma that they start from


@dataclass(frozen=True)
class Curve:
    """One curve of a figure.

    Attributes:
      ids: experiments in the order of width; None where the seeds have each their own (`by_seed`).
      layer: the unit layer that is measured, as a number, or "all" of them.
      width: the setting in `dnn.` that is the width.
      widened: False where the layer keeps its number of units at every width.
      by_seed: {seed: ids}.
      not_selected: IDs that only hold the place of a setting of which no run was selected; their results do not count.
    """

    ids: tuple = ()
    layer: object = ALL
    width: str = "neuron_multiplier"
    widened: bool = True
    by_seed: dict | None = None
    not_selected: frozenset = frozenset()

    def of_seed(self, seed):
        """The experiments that belong to the curve at this seed."""
        return self.ids if self.by_seed is None else self.by_seed.get(seed, ())


def every(first, step, count=5, **options):
    """A curve of experiments whose IDs lie `step` apart."""
    return Curve(tuple(range(first, first + step * count, step)), **options)


RESNET56_LAYERS = ("stem", "stage 1", "stage 2", "stage 3")
RESNET18_LAYERS = ("stem", "stage 1", "stage 2", "stage 3", "stage 4")
INCEPTION_LAYERS = {7: "35x35x288b", 13: "17x17x1280a", 15: "8x8x2048b"}
INCEPTION = (4013, 4014, 4012)
INCEPTION_BLOCK = (4015, 4016, 4012, 4017, 4018)  # only block 35x35x288b, layer 7, grows

COMPARISONS = {
    "demo": {"Alexnet on digits": every(9002, 1)},
    "demo_cifar": {"Alexnet": every(2, 1)},
    "cifar": {"Alexnet": every(67, 6), "Alexnet, random labels": every(63, 6),
              "ResNet-56": every(217, 3), "ResNet-56, random labels": every(218, 3)},
    "regularisers": {"none": every(62, 6), "augmentation": every(64, 6), "dropout": every(65, 6), "weight decay": every(66, 6),
                     "all three": every(67, 6)},
    # Six curves there; it skips ID 166, which is among the Alexnets without regulariser, so those it must show.
    "learning_rate_and_batch": {
        "Alexnet, k = 1/4": every(157, 2), "Alexnet, k = 1": every(62, 6), "Alexnet, k = 4": every(158, 2),
        "ResNet-56, k = 1/4": every(219, 3), "ResNet-56, k = 1": every(217, 3), "ResNet-56, k = 4": every(234, 1)},
    "initialisers_normal": {"Glorot": every(2, 1), "He": every(12, 1), "LeCun": every(22, 1)},
    "initialisers_uniform": {"Glorot": every(7, 1), "He": every(17, 1), "LeCun": every(27, 1)},
    "initialisers_conv2": {"Glorot": every(2, 1, layer=1), "He": every(12, 1, layer=1), "LeCun": every(22, 1, layer=1)},
    "optimisers": {name: every(92 + code, 7) for code, name in enumerate(
        ("momentum", "SGD", "Adam", "Adagrad", "proximal Adagrad", "RMSProp", "FTRL"))},
    "activations": {name: every(127 + code, 6) for code, name in enumerate(("ReLU", "leaky ReLU", "ELU", "SELU", "sigmoid", "tanh"))},
    "resnet56_layers": {name: every(217, 3, layer=layer) for layer, name in enumerate(RESNET56_LAYERS)},
    "imagenet_batch": {  # a net of the series at the largest batch belongs to another curve as well where it has that batch
        "largest that fits": every(4000, 1), "4096": Curve((4005, 4001)), "2048": every(4006, 1, 3),
        "1024": Curve((4009, 4010, 4011, 4003))},
    "imagenet_nets": {"ResNet-18": every(4000, 1), "Inception-v3": Curve(INCEPTION),
                      "Inception-v3, one block": Curve(INCEPTION_BLOCK, width="factor_end")},
    "resnet18_layers": {name: every(4000, 1, layer=layer) for layer, name in enumerate(RESNET18_LAYERS)},
    "inception_layers": {name: Curve(INCEPTION, layer) for layer, name in INCEPTION_LAYERS.items()},
    "inception_block_layers": {
        f"{name}{' (widened)' if layer == 7 else ''}": Curve(INCEPTION_BLOCK, layer, "factor_end", widened=layer == 7)
        for layer, name in INCEPTION_LAYERS.items()},
    "imagenet_time": {**{f"{8 - 2 * step} epochs before the end": every(4019 + 5 * step, 1) for step in range(4)},
                      "end of training": every(4000, 1)},
    # Any MLP of a width has the number of parameters of all.
    "sizes": {"Alexnet": every(2, 1), "ResNet-56": every(217, 3), "MLP, 10 inputs": every(2747, 50), "MLP, 10,000 inputs": every(2997, 50),
              "ResNet-18": every(4000, 1), "Inception-v3": Curve(INCEPTION),
              "Inception-v3, one block": Curve(INCEPTION_BLOCK, width="factor_end")},
    # The notebooks of curves and violins have a panel or a violin for each net: few widths of these.
    "curves": {"Glorot": every(2, 1), "He": every(12, 1)},
    "curves_imagenet": {"ResNet-18": every(4000, 1), "Inception-v3": Curve(INCEPTION)},
    "violins": {"Glorot": every(2, 2, 3, layer=1), "He": every(12, 2, 3, layer=1)},
    "violins_demo": {"Alexnet on digits": every(9002, 2, 3, layer=1)},
}


def mlps(selection, dimension):
    """The comparisons of the MLPs with this number of inputs: {"examples", "optimisers", "initialisers": {label: Curve}}.

    A point is the run that `selection` (tfprune/report/selection.py) chose for its setting. Optimisers and initialisers are compared on
    1,000 examples, the one size that every optimiser has runs of.
    """
    def best(examples, optimizer):
        return _selected(selection, 1, [(dimension, examples, optimizer, width) for width in MLP_WIDTHS])

    def best_rate(factor):
        return _selected(selection, 0, [(dimension, FEW, MOMENTUM, factor, width) for width in MLP_WIDTHS])

    optimizers = {"momentum": MOMENTUM, "SGD": SGD, "Adam": ADAM, "RMSProp": RMSPROP}
    return {
        "examples": {f"{examples:,} examples": best(examples, MOMENTUM) for examples in (FEW, SOME, MANY)},
        "optimisers": {name: best(FEW, optimizer) for name, optimizer in optimizers.items()},
        "initialisers": {f"sigma {factor * OUTPUT_SIGMA:g}": best_rate(factor) for factor in (1e-2, 1.0, 1e2, 1e4, 1e6)},
    }


def mlp_summary(selection):
    """10 and 10,000 inputs, small and ordinary initial weights: {label: Curve}, on 1,000 examples, trained with momentum."""
    return {f"{dimension:,} inputs, sigma {factor * OUTPUT_SIGMA:g}": _selected(
        selection, 0, [(dimension, FEW, MOMENTUM, factor, width) for width in MLP_WIDTHS])
        for dimension in (10, 10_000) for factor in (1e-2, 1.0)}


def _selected(selection, index, settings):
    """The curve of the runs chosen for these settings, seed by seed; where none was, a candidate's ID holds the place."""
    by_seed = {seed: tuple(selection.id_of(index, seed, *setting) for setting in settings) for seed in selection.seeds}
    empty = frozenset((seed, selection.id_of(index, seed, *setting)) for seed in selection.seeds for setting in settings
                      if (seed, *setting) not in selection[index])
    return Curve(by_seed=by_seed, not_selected=empty)
