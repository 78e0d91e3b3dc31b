"""The settings of an experiment, in five groups: frozen values, each with those that it may have.

A new field must default to what the code did before it existed: defaults do not enter the hash, so the hashes of old experiments stay (the
rule of facebookresearch/open_lth).
"""
from dataclasses import dataclass, field

from tfprune.datasets import DATASETS

# The rules of tfprune/masks/rules, and the initial weights of tfprune/masks/initial.py.
MASKS = ("edge_popup", "sampled", "fixed", "signed", "dnw", "random", "iterand", "biprop")
INITS = ("kaiming_normal", "kaiming_uniform", "signed_constant", "unsigned_constant", "xavier_normal", "xavier_uniform",
         "xavier_constant", "standard", "pretrained")
# Append-only: pickles list their results in this order.
KINDS = ("weight_noise", "weight_knockout", "knockout", "noise", "targeted")
SCHEDULES = ("decay", "resnet_cifar", "resnet_imagenet", "cosine", "constant", "warm_restarts", "milestones")
NOISES = ("replace", "matched", "zero", "add", "shuffle")  # of tfprune/filters/noises.py
# What is pruned, by which criterion units (or weights) are ranked (tfprune/pruning/criteria), among which; how training prunes; exports.
PRUNED = ("weight", "unit")
CRITERIA = ("magnitude", "l1", "l2", "norm_scale", "activation", "apoz", "taylor", "redundancy", "random")
SCOPES = ("layer", "global")
PRUNINGS = ("none", "unstructured", "block", "2_of_4")
FORMATS = ("keras", "saved_model", "tflite", "tflite_int8")
GROUPS = ("dataset", "dnn", "hyper", "training", "measure")
# How examples are prepared: images in memory (vectors there take "none" only), and images that are decoded as they are read.
IN_MEMORY = ("crop", "pad", "none", "normalise", "resized_crop", "patch")
ENCODED = ("resnet", "inception", "torchvision", "squash")


def setting(default, choices=None, low=None, high=None, above=None, each=str):
    """A field of a settings group, with the values that `--set` accepts: `choices`, or low <= value <= high, value > above.

    Of a tuple these are the values of its members, which are of the type `each`.
    """
    return field(default=default, metadata={"choices": choices, "low": low, "high": high, "above": above, "each": each})


@dataclass(frozen=True)
class Dataset:
    """Which examples, how split, and how they enter the net."""

    name: str = setting("cifar10", choices=tuple(DATASETS))
    seed: int = setting(0, low=0)  # of the split, of random labels, of generated sets; shared by all seeds of training
    limit: int = setting(0, low=0)  # first N training and N/5 test examples; 0 = all
    proportion_training_set: float = setting(0.95, above=0, high=1)  # the rest of the training set is for validation
    num_valid: int = setting(0, low=0)  # so many training examples are for validation, in place of a proportion; 0: by proportion
    random_labels: bool = setting(False)  # of training and validation; test labels stay true
    split: str = setting("clean", choices=("clean", "accumulated", "first"))  # "first": those for validation are the first, unshuffled
    shuffle: bool = setting(True)
    preprocessing: str = setting("crop", choices=IN_MEMORY + ENCODED)
    resize: str = setting("half_pixel", choices=("half_pixel", "tf1", "pil"))
    dimension: int = setting(10, low=1)  # the next five: the random-teacher sets (`linear`) only
    num_train: int = setting(1000, low=1)
    num_test: int = setting(1000, low=1)
    teacher_width: int = setting(32, low=1)
    regression: bool = setting(False)
    # Images are normalised by each channel's mean and deviation, left from 0 to 1, or each has its own contrast taken out.
    scaling: str = setting("normalise", choices=("normalise", "unit", "contrast"))
    statistics: str = setting("own", choices=("own", "feature_amounts", "imagenet", "decomposing"))  # means and deviations
    # ... DATASETS', ImageNet's, or as those studies have them
    three_channels: bool = setting(False)  # grey images are given to the net as three equal channels
    background: bool = setting(True)  # imagenet: class 0 is the background, which no image shows; without it 1,000 classes from 0


@dataclass(frozen=True)
class DNN:
    """The net: its name in `tfprune.models`, its width factor, and how it starts."""

    name: str = setting("")
    neuron_multiplier: float = setting(1.0, above=0, high=1e6)  # width factor w
    init_type: int = setting(0, choices=tuple(range(6)))  # Glorot, He, LeCun: normal (even), uniform (odd)
    act_function: int = setting(0, choices=tuple(range(6)))  # ReLU, leaky ReLU, ELU, SELU, sigmoid, tanh
    factor_end: float = setting(1.0, above=0)  # Inception: width factor of block 288b alone
    time_step: int = setting(0, low=0)  # training stops this many epochs before its end
    # Supermasks: `mask` is the rule (tfprune/masks/rules) by which a layer's kernel is masked; hyper.keep is the share that it keeps.
    mask: str = setting("none", choices=("none", *MASKS))
    keep_over: str = setting("layer", choices=("layer", "all"))  # each layer keeps its share, or one threshold serves all layers
    freeze: bool = setting(True)  # kernels under a mask whose scores are trained stay as they were drawn
    first_dense: bool = setting(False)  # the first layer is not masked; in a net whose weights are frozen it stays random
    last_dense: bool = setting(False)  # the same of the last one
    init: str = setting("numbered", choices=("numbered", *INITS))  # of kernels; "numbered" is that of `init_type`
    init_fan: str = setting("fan_in", choices=("fan_in", "fan_out"))
    nonlinearity: str = setting("relu", choices=("linear", "relu", "leaky_relu", "sigmoid", "tanh", "selu"))  # whose gain `init` has
    scale_init: bool = setting(False)  # the fan is multiplied by a share of the weights: of those that are ...
    scale_by: str = setting("kept", choices=("kept", "removed"))
    score_init: str = setting("uniform", choices=("uniform", "kaiming_uniform", "constant"))
    score_constant: float = setting(0.0)  # of "constant"
    normalisation: str = setting("affine", choices=("affine", "plain"))  # batch normalisation with scale and offset, or without
    sampled_evaluation: str = setting("threshold", choices=("threshold", "sample"))  # how the rule "sampled" masks when it is measured
    # VGG: its depth, and the skew normal distribution of its features over the layers (tfprune/families.py); scale 0 is the plain VGG.
    depth: int = setting(16, low=1)
    location: float = setting(0.0)
    scale: float = setting(0.0, low=0)
    shape: float = setting(0.0, low=-1000, high=1000)
    features: tuple = setting((), each=int, low=1)  # of each layer, in place of the distribution's
    residual: bool = setting(False)  # skip connections
    norm_epsilon: float = setting(1e-5, low=0, high=1)  # of batch normalisation; 0: none, and no bias in its place
    # Decomposing: filters of each class that its logit sees (tfprune/filters); below 1: so large a share; 0: all filters, a dense head.
    top: float = setting(0.0, low=0)


@dataclass(frozen=True)
class Hyper:
    """The training recipe, under the names of the original study."""

    batch_size: int = setting(128, low=1)
    learning_rate: float = setting(0.01, above=0)
    num_epochs_per_decay: int = setting(1, low=1)
    learning_rate_factor_per_decay: float = setting(0.95, above=0)
    weight_decay: float = setting(0.0, low=0)
    max_num_epochs: int = setting(500, low=0)
    crop_size: int = setting(28, low=1)
    image_size: int = setting(32, low=1, high=10_000)
    drop_train: float = setting(1.0, above=0, high=1)  # share of units that dropout KEEPS, as the original has it
    momentum: float = setting(0.9, low=0, high=1)
    augmentation: bool = setting(False)
    init_factor: float = setting(1.0, above=0)
    mse: bool = setting(False)
    # momentum, SGD, Adam, Adagrad, proximal Adagrad, RMSProp, FTRL; 7 is Adam as PyTorch has it, 8 as Keras has it, at the full rate
    optimizer: int = setting(0, choices=tuple(range(9)))
    nesterov: bool = setting(False)
    restart_epochs: int = setting(10, low=1)  # of training.schedule=warm_restarts: length of the first cycle, ...
    restart_growth: int = setting(2, low=1)  # ... how many times longer each is than the one before, ...
    least_rate: float = setting(1e-5, low=0)  # ... and the rate towards which it falls
    keep: float = setting(0.5, low=0, high=1)  # share of a masked layer's weights that its mask keeps
    score_penalty: float = setting(1e-8, low=0)  # of training.trainer=ss: times the sum of sigmoid(score)
    redraw_share: float = setting(0.1, low=0, high=1)  # of the rule "iterand": of the masked-out weights, every `redraw_every` updates
    redraw_every: int = setting(300, low=1)
    # Of training.trainer=csg: weight of the gated path's loss; what is paid for each gate (their sum) above ...
    gated_weight: float = setting(1.0, above=0)
    gate_penalty: float = setting(1e-3, low=0)
    gate_density: float = setting(0.2, low=0, high=1)  # ... this share of all gates
    gated_rate: float = setting(1.0, above=0)  # learning rate in the gated epochs, times the schedule's
    l1_reg: float = setting(0.0, low=0)  # the loss holds this times the sum of |w| over all kernels but the last layer's, ...
    l2_reg: float = setting(0.0, low=0)  # ... and this times the sum of w^2
    sparsity: float = setting(0.8, low=0, high=1)  # of training.pruning: the share of each kernel's weights that is 0 in the end


@dataclass(frozen=True)
class Training:
    """How training is run: what the original fixed in code, and its quirks (docs/fidelity.md)."""

    patience: int = setting(50, low=1)  # epochs without a better figure before training stops
    evaluate: str = setting("after", choices=("after", "before"))  # ... an epoch's updates
    learning_rates: str = setting("corrected", choices=("corrected", "original"))
    decayed_kernels: str = setting("all", choices=("all", "hidden_dense"))
    mse: str = setting("per_example", choices=("per_example", "broadcast"))
    # of the learning rate
    schedule: str = setting("decay", choices=SCHEDULES)
    restarts: str = setting("prompt", choices=("prompt", "late"))  # of "warm_restarts": with a cycle's first update, or its second
    keep: str = setting("best", choices=("best", "last"))  # which epoch's weights; "last" never stops early
    # "trainables": biases, scores and normalisation too; "without_norm": all of these but normalisation
    weight_decay_on: str = setting("kernels", choices=("kernels", "trainables", "without_norm"))
    weight_decay_in: str = setting("loss", choices=("loss", "gradient"))  # the latter leaves it out of the reported loss
    label_smoothing: float = setting(0.0, low=0, high=1)
    warm_up: int = setting(0, low=0)  # epochs: of "cosine" and "constant"
    trainer: str = setting("default", choices=("default", "ss", "lottery", "csg", "head"))
    lottery_start: str = setting("dense", choices=("dense", "empty"))  # what the trainer "lottery" keeps while it trains weights
    keep_epochs: int = setting(0, low=0)  # the share kept falls from all to hyper.keep over so many epochs
    best: str = setting("accuracy", choices=("accuracy", "loss"))  # the figure by which the best epoch is chosen
    validate_on: str = setting("val", choices=("val", "test"))  # the set by which the best epoch is chosen
    save_every: int = setting(0, low=0)  # epochs between checkpoints that are never removed; 0: none
    # What an epoch does with examples that fill no batch: leaves them out, takes them as a smaller batch, or gives that less weight.
    last_batch: str = setting("drop", choices=("drop", "keep", "scale"))
    give_up_after: int = setting(0, low=0)  # epochs after which a net is given up that guesses less than twice as well as chance; 0: none
    micro_batch: int = setting(0, low=0)  # examples that go through the net at once, gradients being summed; 0: as many as fit
    # "csg": after `gate_warm_up` epochs, the last `gate_epochs` of every `gate_period` train class-specific gates.
    gate_warm_up: int = setting(10, low=0)
    gate_period: int = setting(3, low=1)
    gate_epochs: int = setting(1, low=1)
    start_from: int = setting(-1, low=-1)  # ID of the experiment whose trained net this one decomposes or prunes, and trains on; -1: none
    # Weights are pruned while the net trains (tensorflow-model-optimization), every `prune_every` updates: the share rises between two
    # points in time, each a share of all epochs. With start_from the trained net is pruned first, by magnitude, and the rest trained on.
    pruning: str = setting("none", choices=PRUNINGS)
    prune_schedule: str = setting("polynomial", choices=("polynomial", "constant"))
    prune_from: float = setting(0.0, low=0, high=1)
    prune_until: float = setting(0.5, low=0, high=1)
    prune_every: int = setting(100, low=1)
    prune_block: tuple = setting((1, 4), each=int, low=1)  # rows and columns of a block of "block"
    rewind: int = setting(-1, low=-1)  # with start_from: what is left starts with its weights after so many epochs; -1: the trained ones
    top_5: bool = setting(False)  # counted too where there are no more than ten classes


@dataclass(frozen=True)
class Measure:
    """How units are measured after training. Changing these never asks for a new net."""

    crosses: int = setting(3, low=1)
    max_rows: int = setting(50_000, low=1)
    amounts: int = setting(7, low=2)
    kinds: tuple = setting(("knockout", "noise", "targeted"), choices=KINDS)
    fidelity: str = setting("corrected", choices=("corrected", "original"))
    streaming: bool = setting(False)  # redundancy over every row of every example, nothing stored
    augmented: bool = setting(False)  # class filters are sought in augmented training images
    noise: tuple = setting(("replace",), choices=NOISES)  # what takes the place of filters whose part is asked for
    draws: int = setting(20, low=1)  # seeds of that noise, and of random sets
    gates: str = setting("largest", choices=("largest", "smallest"))  # which gates of a class name its filters
    tops: tuple = setting((5, 10, 20), each=int, low=1)  # numbers of filters a class for which gates are compared
    layer: str = setting("")  # whose filters are sought; "": those that the class head sees
    sparsities: tuple = setting((0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99, 0.995, 0.999), each=float, low=0, high=1)
    prune_by: tuple = setting(PRUNED, choices=PRUNED)
    criterion: str = setting("magnitude", choices=CRITERIA)
    scope: str = setting("layer", choices=SCOPES)  # each layer is pruned to the same share, or all are ranked together
    excluded: tuple = setting(())  # names of layers that are left whole, besides the last one
    renormalised: bool = setting(False)  # the averages of batch normalisation are found anew after pruning
    cut: float = setting(0.5, low=0, high=1)  # the share of units that shrink.py takes out
    formats: tuple = setting(("keras",), choices=FORMATS)  # in which it writes the smaller net
