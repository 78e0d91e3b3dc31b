"""What an experiment is: frozen settings in five groups, and the hash that pins them.

The order of things: a study declares `Experiment`s, a registry gives them out by ID, `tfprune.overrides` makes the variant that a
command line asks for, and every later part only reads.
"""
import dataclasses
import functools
import hashlib
import json
from dataclasses import dataclass

from tfprune.settings import DNN, GROUPS, Dataset, Hyper, Measure, Training


class UserError(ValueError):
    """Something the user asked for cannot be done; the message is one line that says what is accepted instead."""


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
    recipe: str = ""  # path of the recipe that the experiment follows, where it follows one; with the ID -1 of a file of the user's
    registered_measure: Measure | None = None  # what the registry says, where `measure` was overridden

    @property
    def flag(self):
        """What asks for it on a command line: `--experiment_id=5`; `--config=mine.yml` where a file of the user's describes it."""
        return f"--config={self.recipe}" if self.id < 0 else f"--experiment_id={self.id}"

    @property
    def title(self):
        """What it is called in a sentence: `experiment 5`; the path of its file where it has no ID."""
        return self.recipe if self.id < 0 else f"experiment {self.id}"

    @property
    def label(self):
        """What it is called in a line of progress: `ID 5`; its name where it has no ID."""
        return self.name if self.id < 0 else f"ID {self.id}"

    @property
    def like_hidden_networks(self):
        """Is it trained as allenai/hidden-networks does: by a recipe of that kind, or under a mask?"""
        return bool(self.recipe) or self.dnn.mask != "none"

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
        registered = self.registered_measure or self.measure
        if registered is self.measure:  # as with most: sweeps ask for thousands
            return ""
        mine = {name: getattr(self.measure, name) for name in fields}
        if all(value == getattr(registered, name) for name, value in mine.items()):
            return ""
        return "+" + hashlib.sha256(json.dumps(mine, sort_keys=True).encode()).hexdigest()[:8]


def derive_seed(seed, *purpose):
    """A 31-bit integer that depends on the seed and on what it is for, the same on every machine."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def non_defaults(group):
    """The fields of a settings group whose value is not the default."""
    return {name: value for name, default in _defaults(type(group)) if (value := getattr(group, name)) != default}


@functools.cache
def _defaults(kind):
    return [(field.name, field.default) for field in dataclasses.fields(kind)]
