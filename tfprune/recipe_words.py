"""The words of allenai/hidden-networks, in whose recipes (YAML) and command line they stand, and what each sets here.

`prune_rate` is the share of weights that a mask KEEPS, whatever its name says, but for FixedSubnetConv, which removes so many; so it is
there (docs/fidelity.md).
"""
from dataclasses import dataclass, field

from tfprune.experiment import UserError
from tfprune.overrides import assign
from tfprune.settings import MASKS, Training


def renamed(setting, values):
    """The values of a word whose names differ from ours: {theirs: ours} of one setting."""
    return {theirs: (f"{setting}={ours}",) for theirs, ours in values.items()}


@dataclass(frozen=True)
class Word:
    """What a word sets: the field that takes its value (`too` is another one), or assignments for each value that it may have; `also` with
    any of them."""

    setting: str = ""
    too: str = ""
    values: dict = field(default_factory=dict)
    also: tuple = ()
    switch: bool = False  # stands alone on a command line

    def assignments(self, text):
        """The assignments, as `--set` takes them; ValueError where the value is not one of the original's."""
        if self.values:
            if text not in self.values:
                raise ValueError("takes one of " + ", ".join(self.values))
            return [*self.values[text], *self.also]
        return [f"{setting}={text}" for setting in (self.setting, self.too) if setting] + list(self.also)


def _set(name, side, augmented, crop, preprocessing="normalise", background=True, training=0.95):
    return (f"dataset.name={name}", f"dataset.preprocessing={preprocessing}", "dataset.scaling=normalise",
            f"dataset.background={background}", f"dataset.proportion_training_set={training}",
            f"hyper.image_size={side}", f"hyper.crop_size={crop}", f"hyper.augmentation={augmented}")


TORCH_ADAM = 7  # of hyper.optimizer
_NETS = ("FC", "Conv2", "Conv4", "Conv6", "Conv8", "Conv4Wide", "Conv6Wide", "cResNet18", "cResNet50", "cResNet101", "WideResNet50_2",
         "WideResNet101_2", "VGG")
# The order is that in which they take effect.
WORDS = {
    "arch": Word(values=renamed("dnn.name", {name: name for name in _NETS} | {f"ResNet{n}": f"ResNet{n}_v15" for n in (18, 50, 101)})),
    "set": Word(values={"CIFAR10": _set("cifar10", 32, True, 32), "MNIST": _set("mnist", 28, False, 28),
                        "ImageNet": _set("imagenet", 224, True, 28, "torchvision", False, 0.99)}),
    "conv_type": Word(values=renamed("dnn.mask", {"DenseConv": "none", "SubnetConv": "edge_popup", "SampleSubnetConv": "sampled",
                                                  "FixedSubnetConv": "fixed", "SignedMaskConv": "signed", "DNWConv": "dnw",
                                                  "RGConv": "random"})),
    "bn_type": Word(values=renamed("dnn.normalisation", {"LearnedBatchNorm": "affine", "NonAffineBatchNorm": "plain"})),
    "freeze_weights": Word("dnn.freeze", switch=True),
    "first_layer_dense": Word("dnn.first_dense", switch=True),
    "first_layer_type": Word(values={"DenseConv": ("dnn.first_dense=true",)}),
    "last_layer_dense": Word("dnn.last_dense", switch=True),
    "init": Word("dnn.init"),
    "mode": Word("dnn.init_fan"),
    "nonlinearity": Word("dnn.nonlinearity"),
    "scale_fan": Word("dnn.scale_init", switch=True),
    "score_init_constant": Word("dnn.score_constant", also=("dnn.score_init=constant",)),
    "width_mult": Word("dnn.neuron_multiplier"),
    "optimizer": Word(values=renamed("hyper.optimizer", {"sgd": 0, "adam": TORCH_ADAM})),
    "lr": Word("hyper.learning_rate"),
    "weight_decay": Word("hyper.weight_decay"),
    "no_bn_decay": Word(values=renamed("training.weight_decay_on", {"true": "without_norm", "false": "trainables"}), switch=True),
    "momentum": Word("hyper.momentum"),
    "nesterov": Word("hyper.nesterov", switch=True),
    "batch_size": Word("hyper.batch_size"),
    "epochs": Word("hyper.max_num_epochs"),
    "lr_policy": Word(values=renamed("training.schedule", {"constant_lr": "constant", "cosine_lr": "cosine"}) | {
        "multistep_lr": ("training.schedule=decay", "hyper.num_epochs_per_decay=30", "hyper.learning_rate_factor_per_decay=0.1")}),
    "multistep_lr_adjust": Word("hyper.num_epochs_per_decay"),
    "multistep_lr_gamma": Word("hyper.learning_rate_factor_per_decay"),
    "warmup_length": Word("training.warm_up"),
    "label_smoothing": Word("training.label_smoothing"),
    "trainer": Word("training.trainer"),
    "save_every": Word("training.save_every"),
    "prune_rate": Word("hyper.keep"),
}
ALIASES = {"a": "arch", "b": "batch_size", "learning_rate": "lr", "wd": "weight_decay", "j": "workers", "p": "print_freq", "e": "evaluate"}
# Accepted and without effect: of its machine and its folders, what it never read, and what follows from the data or the run here.
UNUSED = ("data", "log_dir", "name", "workers", "gpu", "multigpu", "print_freq", "num_classes", "start_epoch", "low_data", "baseline",
          "one_batch", "random_subnet")
UNUSED_SWITCHES = ("one_batch", "random_subnet")
RATE_WANTED = tuple(mask for mask in MASKS if mask != "sampled")  # masks that keep the share they are told
UNSAID = 0.5  # the share kept where none is given: the original refuses; accuracy peaks around it
STUDY = "hidden_networks"
# What the original does whatever a recipe says: it never stops early, decays all that is trained, and counts the five likeliest classes.
TRAINING = Training(patience=1_000_000, weight_decay_on="trainables", weight_decay_in="gradient", top_5=True)
NO_RATE = f"no prune rate is given: the masks keep {UNSAID} of the weights; --prune-rate=0.3 keeps 0.3"


def by_flag(key, text):
    """How a word reads on a command line: `--prune-rate=0.5`."""
    return f"--{key.replace('_', '-')}={text}"


def apply(words, experiment, written=by_flag, vocabulary=WORDS):
    """What words ask for on top of an experiment.

    Args:
      words: {word: value as text}.
      experiment: an `Experiment`.
      written: of a word and its value, how the user wrote it, for messages.
      vocabulary: {word: `Word`} in the order of their effect.

    Returns (assignments as `--set` takes them, remarks for the user, each one line).

    Raises:
      UserError: naming the word, its value and what it takes.
    """
    remarks = [f"{', '.join(unused)}: not used here"] if (unused := [key for key in words if key in UNUSED]) else []
    if words.get("save_every") == "-1":
        words = words | {"save_every": "0"}
    asked = []
    for key in (key for key in vocabulary if key in words):
        assignments = _checked(vocabulary[key], key, words[key], experiment, written)
        asked += [] if key == "prune_rate" else assignments
    changed = assign(experiment, asked)
    if changed.hyper.optimizer == TORCH_ADAM and {"optimizer", "weight_decay"} & set(words):
        asked.append("hyper.weight_decay=0")
        if "weight_decay" in words:
            remarks.append("weight_decay: adam does without, as the original's")
    keep, remark = _keep(words.get("prune_rate"), experiment.dnn.mask, changed.dnn.mask)
    return asked + keep, remarks + remark


def _checked(word, key, text, experiment, written):
    """The assignments of one word."""
    try:
        assignments = word.assignments(text)
        assign(experiment, assignments)
    except UserError as error:  # it names the field; the user wrote the word
        raise UserError(f"{written(key, text)}: takes {str(error).partition(' takes ')[2]}") from None
    except ValueError as error:
        raise UserError(f"{written(key, text)}: {error}") from None
    return assignments


def _keep(rate, before, mask):
    """(assignments of the share kept, remarks), where the prune rate is given or None, and the mask was `before`."""
    if mask not in RATE_WANTED:
        remarks = [f"prune_rate: the mask {mask} takes none"] if rate is not None else []
        return (["hyper.keep=1"] if mask == "none" and before != "none" else []), remarks
    if rate is not None:
        return [f"hyper.keep={round(1 - float(rate), 12) if mask == 'fixed' else rate}"], []
    if before not in RATE_WANTED:
        return [f"hyper.keep={UNSAID}"], [NO_RATE]
    return [], []
