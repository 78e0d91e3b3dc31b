"""What an experiment is: frozen settings in five groups, typed overrides of any of them, and the hash that pins them.

The order of things: a study declares `Experiment`s, a registry gives them out by ID, `override` makes the variant that a command
line asks for, and every later part only reads. A new field must default to what the code did before it existed: defaults do not
enter the hash, so the hashes of old experiments stay (the rule of facebookresearch/open_lth).
"""
import dataclasses
import hashlib
import json
import math
import re
from dataclasses import dataclass, field

# Append-only: pickles list their results in this order.
KINDS = ("weight_noise", "weight_knockout", "knockout", "noise", "targeted")
GROUPS = ("dataset", "dnn", "hyper", "training", "measure")
ENCODED = ("resnet", "inception")  # the preprocessing of images that are decoded as they are read
LARGEST = {int: 2**31, float: math.inf}  # settings stay below; TensorFlow counts in 32 bits in places


@dataclass(frozen=True)
class Examples:
    """What a data source's examples are: number of classes, and of images the side in pixels and the channels.

    `encoded` ones are files of any size, decoded as they are read; `measured` are the sets whose units are measured.
    """

    classes: int
    side: int | None = None
    channels: int | None = None
    encoded: bool = False
    measured: tuple = ("train", "test")


DATASETS = {
    "cifar10": Examples(10, 32, 3),
    "digits": Examples(10, 8, 1),
    "linear": Examples(2),
    "imagenet": Examples(1001, 224, 3, encoded=True, measured=("test",)),  # 0 is the background, which no image shows
}


class UserError(ValueError):
    """Something the user asked for cannot be done; the message is one line that says what is accepted instead."""


def setting(default, choices=None, low=None, high=None, above=None):
    """A field of a settings group, with the values that `--set` accepts: `choices`, or low <= value <= high, value > above."""
    return field(default=default, metadata={"choices": choices, "low": low, "high": high, "above": above})


@dataclass(frozen=True)
class Dataset:
    """Which examples, how split, and how they enter the net."""

    name: str = setting("cifar10", choices=tuple(DATASETS))
    seed: int = setting(0, low=0)  # of the split, of random labels, of generated sets; shared by all seeds of training
    limit: int = setting(0, low=0)  # first N training and N/5 test examples; 0 = all
    proportion_training_set: float = setting(0.95, above=0, high=1)  # the rest of the training set is for validation
    random_labels: bool = setting(False)  # of training and validation; test labels stay true
    split: str = setting("clean", choices=("clean", "accumulated"))
    shuffle: bool = setting(True)
    preprocessing: str = setting("crop", choices=("crop", "pad", "none", *ENCODED))
    resize: str = setting("half_pixel", choices=("half_pixel", "tf1"))
    dimension: int = setting(10, low=1)  # the next five: the random-teacher sets (`linear`) only
    num_train: int = setting(1000, low=1)
    num_test: int = setting(1000, low=1)
    teacher_width: int = setting(32, low=1)
    regression: bool = setting(False)


@dataclass(frozen=True)
class DNN:
    """The net: its name in `tfprune.models`, its width factor, and how it starts."""

    name: str = setting("")
    neuron_multiplier: float = setting(1.0, above=0)  # width factor w
    init_type: int = setting(0, choices=tuple(range(6)))  # Glorot, He, LeCun: normal (even), uniform (odd)
    act_function: int = setting(0, choices=tuple(range(6)))  # ReLU, leaky ReLU, ELU, SELU, sigmoid, tanh
    factor_end: float = setting(1.0, above=0)  # Inception: width factor of block 288b alone
    time_step: int = setting(0, low=0)  # training stops this many epochs before its end


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
    image_size: int = setting(32, low=1)
    drop_train: float = setting(1.0, above=0, high=1)  # share of units that dropout KEEPS, as the original has it
    momentum: float = setting(0.9, low=0, high=1)
    augmentation: bool = setting(False)
    init_factor: float = setting(1.0, above=0)
    mse: bool = setting(False)
    optimizer: int = setting(0, choices=tuple(range(7)))  # momentum, SGD, Adam, Adagrad, proximal Adagrad, RMSProp, FTRL


@dataclass(frozen=True)
class Training:
    """How training is run: what the original fixed in code, and its quirks (docs/fidelity.md)."""

    patience: int = setting(50, low=1)  # epochs without a better figure before training stops
    evaluate: str = setting("after", choices=("after", "before"))  # ... an epoch's updates
    learning_rates: str = setting("corrected", choices=("corrected", "original"))
    decayed_kernels: str = setting("all", choices=("all", "hidden_dense"))
    mse: str = setting("per_example", choices=("per_example", "broadcast"))
    schedule: str = setting("decay", choices=("decay", "resnet_cifar", "resnet_imagenet"))  # of the learning rate
    keep: str = setting("best", choices=("best", "last"))  # which epoch's weights; "last" never stops early
    weight_decay_on: str = setting("kernels", choices=("kernels", "trainables"))  # the latter: biases and normalisation too
    label_smoothing: float = setting(0.0, low=0, high=1)


@dataclass(frozen=True)
class Measure:
    """How units are measured after training. Changing these never asks for a new net."""

    crosses: int = setting(3, low=1)
    max_rows: int = setting(50_000, low=1)
    amounts: int = setting(7, low=2)
    kinds: tuple = setting(("knockout", "noise", "targeted"), choices=KINDS)
    fidelity: str = setting("corrected", choices=("corrected", "original"))
    streaming: bool = setting(False)  # redundancy over every row of every example, nothing stored


@dataclass(frozen=True)
class Experiment:
    """One run of one study: everything that decides its numbers, and its place in the results folder."""

    id: int
    name: str
    study: str
    family: str = ""
    seed: int = 0
    fidelity: str = "corrected"
    dataset: Dataset = Dataset()
    dnn: DNN = DNN()
    hyper: Hyper = Hyper()
    training: Training = Training()
    measure: Measure = Measure()
    registered_measure: Measure | None = None  # what the registry says, where `measure` was overridden

    def settings(self):
        """All settings as a JSON-ready dictionary: the content of config.json."""
        values = dataclasses.asdict(self)
        del values["registered_measure"]
        return values | {"config_hash": self.config_hash()}

    def config_hash(self, groups=GROUPS):
        """SHA-256 (hex) of the seed, the fidelity and every setting in `groups` that differs from its default."""
        changed = {f"{group}.{key}": value for group in groups for key, value in non_defaults(getattr(self, group)).items()}
        content = {"seed": self.seed, "fidelity": self.fidelity} | changed
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def seed_for(self, purpose):
        """A 31-bit seed for one purpose ("init/conv1", "order"): a new consumer of randomness moves no other one."""
        return derive_seed(self.seed, purpose)

    def trained_hash(self):
        """The hash of all that decides the trained weights."""
        return self.config_hash(groups=("dataset", "dnn", "hyper", "training"))

    def tag(self, *fields):
        """'' or '+<hash8>': what overriding these `measure.` fields adds to the names of a stage's files."""
        mine = {name: getattr(self.measure, name) for name in fields}
        registered = self.registered_measure or self.measure
        if all(value == getattr(registered, name) for name, value in mine.items()):
            return ""
        return "+" + hashlib.sha256(json.dumps(mine, sort_keys=True).encode()).hexdigest()[:8]


# `--fidelity=original` switches all of these together; docs/fidelity.md says what each of them did.
QUIRKS = {
    "dataset.split": "accumulated", "dataset.shuffle": "false", "dataset.resize": "tf1", "training.evaluate": "before",
    "training.learning_rates": "original", "training.decayed_kernels": "hidden_dense", "training.mse": "broadcast",
    "measure.fidelity": "original",
}
# Of the original's train.py alone: nets with a schedule of their own were trained by other scripts.
QUIRKS_OF_DECAY = ("dataset.shuffle", "training.evaluate", "training.decayed_kernels")


def derive_seed(seed, *purpose):
    """A 31-bit integer that depends on the seed and on what it is for, the same on every machine."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def non_defaults(group):
    """The fields of a settings group whose value is not the default."""
    return {f.name: getattr(group, f.name) for f in dataclasses.fields(group) if getattr(group, f.name) != f.default}


def override(experiment, assignments=(), seed=None, fidelity="corrected"):
    """The variant of an experiment that a command line asks for.

    Args:
      experiment: a registered `Experiment`.
      assignments: strings `group.field=value`, as `--set` takes them; the last one of a field wins.
      seed: another seed; it replaces `seed=...` in the name.
      fidelity: "corrected", or "original" to switch on every quirk of the original (explicit assignments still win).

    Raises:
      UserError: the field does not exist or the value is not one it accepts.
    """
    quirks = _quirks(experiment) if fidelity == "original" else []
    changed = _assign(dataclasses.replace(experiment, fidelity=fidelity), quirks)
    registered_measure = changed.measure
    changed = _assign(changed, assignments)
    name = experiment.name
    if changed.trained_hash() != experiment.trained_hash():
        name += "+" + changed.trained_hash()[:8]
    if seed is not None and seed != experiment.seed:
        name = re.sub(r"_seed=\d+", f"_seed={seed}", name) if "_seed=" in name else f"{name}_seed={seed}"
        changed = dataclasses.replace(changed, seed=seed)
    return dataclasses.replace(changed, name=name, registered_measure=registered_measure)


def _quirks(experiment):
    excepted = () if experiment.training.schedule == "decay" else QUIRKS_OF_DECAY
    return [f"{key}={value}" for key, value in QUIRKS.items() if key not in excepted]


def _assign(experiment, assignments):
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        group, _, name = key.strip().partition(".")
        if not equals or group not in GROUPS:
            raise UserError(f"--set {assignment}: expected GROUP.FIELD=VALUE with GROUP one of {', '.join(GROUPS)}")
        settings = getattr(experiment, group)
        fields = {f.name: f for f in dataclasses.fields(settings)}
        if name not in fields:
            raise UserError(f"--set {assignment}: {group} has no field '{name}'; it has {', '.join(fields)}")
        try:
            value = _parse(text.strip(), fields[name])
        except ValueError:
            raise UserError(f"--set {assignment}: {group}.{name} takes {_accepted(fields[name])}") from None
        experiment = dataclasses.replace(experiment, **{group: dataclasses.replace(settings, **{name: value})})
    return experiment


def _parse(text, spec):
    """The value that `text` means for a field; ValueError where the field does not accept it."""
    limits = spec.metadata
    if spec.type is bool:
        value = {"true": True, "1": True, "false": False, "0": False}.get(text.lower())
        accepted = value is not None
    elif spec.type is tuple:
        value = tuple(part.strip() for part in text.split(","))
        accepted = set(value) <= set(limits["choices"]) and len(set(value)) == len(value)
    else:
        value = spec.type(text)
        accepted = (spec.type is str or abs(value) < LARGEST[spec.type]) and _within(value, **limits)
    if not accepted:
        raise ValueError(text)
    return value


def _within(value, choices, low, high, above):
    return ((choices is None or value in choices) and (low is None or value >= low)
            and (high is None or value <= high) and (above is None or value > above))


def _accepted(spec):
    """In words: the values that a field accepts."""
    limits = spec.metadata
    if spec.type is bool:
        return "true or false"
    if limits["choices"] is not None:
        one_of = "one or more, comma-separated, of" if spec.type is tuple else "one of"
        return f"{one_of} {', '.join(map(str, limits['choices']))}"
    bounds = [f"{sign} {limits[key]}" for key, sign in (("low", ">="), ("above", ">"), ("high", "<=")) if limits[key] is not None]
    kind = {int: "a whole number", float: "a number", str: "a word"}[spec.type]
    return " ".join([kind, " and ".join(bounds)]).strip()
