"""The flags of justincosentino/network-pruning's train.py, what each sets here, and the experiment that they ask for without an ID.

Those that allenai/hidden-networks has too (--epochs, --learning_rate, --batch_size) stand in tfprune/recipe_words.py; --output_dir and
--force_train, which are no settings, in prune.py.
"""
import contextlib
from dataclasses import dataclass

from tfprune.experiment import UserError
from tfprune.recipe_words import Word, renamed

STUDY = "network_pruning"
GIFS = {"weight": "pruned_weights.gif", "unit": "pruned_units.gif"}  # by what is pruned
DATASETS = {"digits": "mnist", "fashion": "fashion_mnist"}  # the original's name: ours
DATASET = "digits"  # where none is given
DIGITS = "--dataset=digits: MNIST, as in the original; the bundled 8x8 digits are experiments 9040-9049"


@dataclass(frozen=True)
class HeldOut(Word):
    """How many training examples are for validation; of none the proportion says so, for 0 leaves it to that."""

    def assignments(self, text):
        """As `Word.assignments`."""
        none = text.strip().isdecimal() and not int(text)
        return [f"dataset.num_valid={text}", *(["dataset.proportion_training_set=1"] if none else [])]


WORDS = {
    "num_valid": HeldOut(),
    "l1_reg": Word("hyper.l1_reg"),
    "l2_reg": Word("hyper.l2_reg"),
    "keep_best": Word(values=renamed("training.keep", {"true": "best", "false": "last"}), switch=True),
    "k_vals": Word("measure.sparsities"),
    "criterion": Word("measure.criterion"),
    "scope": Word("measure.scope"),
    "exclude": Word("measure.excluded"),
    "by": Word("measure.prune_by"),
}
ALIASES = {}
# Of these the original makes its run, whatever else it is given.
ASKING = ("dataset", "batch_size", "num_valid", "epochs", "lr", "l1_reg", "l2_reg", "k_vals", "keep_best")


@contextlib.contextmanager
def as_typed(words, flags=()):
    """Within the block a mistake in a setting is said of the flag that was typed in its place, and so is what is accepted instead.

    Args:
      words: {word: value} of the command line.
      flags: {setting: flag} of flags of a script's own that were typed.
    """
    names = {word.setting: name for name, word in WORDS.items() if word.setting} | dict(flags)
    typed = tuple(setting for setting, name in names.items() if name in words or setting in flags)
    try:
        yield
    except UserError as error:
        message = str(error)
        if not message.startswith(typed):
            raise
        for setting, name in names.items():
            message = message.replace(setting, f"--{name}")
        raise UserError(message) from None


def asked_for(words):
    """Whether words, without an ID, ask for one of the original's runs."""
    return bool(words.keys() & set(ASKING))


def member(registry, words):
    """The original's run: the registered net for its data set, with its penalties where there is such a one.

    Args:
      registry: the experiments.
      words: {word: value}.

    Returns (experiment, the words that it is the answer to).

    Raises:
      UserError: there is no such data set.
    """
    text = words.get("dataset", DATASET)
    name = DATASETS.get(text, text)
    members = [e for e in registry.values() if e.study == e.family == STUDY and e.dataset.name == name]
    if not members:
        raise UserError(f"--dataset={text}: takes one of {', '.join(DATASETS)}; with an ID, such as --experiment_id=9040, any data set")
    asked = tuple(words.get(word, "0") for word in ("l1_reg", "l2_reg"))
    found = [e for e in members if _number(asked[0]) == e.hyper.l1_reg and _number(asked[1]) == e.hyper.l2_reg]
    return (found or members)[0], ("dataset", "l1_reg", "l2_reg") if found else ("dataset",)


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None  # what it takes is said where settings are read


def drawn(run):
    """Whether what prune.py makes of a pruned run is there, and from after it was last pruned: the GIF of the last kind comes last."""
    try:
        gif = run.path / "figures" / run.file("prune", GIFS[run.experiment.measure.prune_by[-1]]).name
        return gif.stat().st_mtime >= run.marker("prune").stat().st_mtime
    except FileNotFoundError:
        return False
