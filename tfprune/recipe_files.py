"""Recipes in YAML as allenai/hidden-networks has them: a file of the original's words becomes an experiment.

Defaults < the file < flags, as there. A file may hold our settings too, such as `dnn.mask: biprop`.
"""
import dataclasses
import difflib
import pathlib
import re

from tfprune.experiment import Experiment, UserError
from tfprune.overrides import assign
from tfprune.recipe_flags import sets_keep, split
from tfprune.recipe_words import ALIASES, NO_RATE, RATE_WANTED, STUDY, TRAINING, UNSAID, UNUSED, WORDS, apply, by_flag
from tfprune.settings import GROUPS, Hyper

# What the original's command line takes where a recipe says nothing (facts of its argument parser).
DEFAULTS = {"arch": "ResNet18", "set": "ImageNet", "optimizer": "sgd", "lr": "0.1", "weight_decay": "0.0001", "momentum": "0.9",
            "batch_size": "256", "epochs": "90", "lr_policy": "constant_lr", "init": "kaiming_normal", "freeze_weights": "false"}
NEEDED = ("conv_type", "bn_type")
COMMANDS = ("config", "pretrained", "resume", "evaluate")  # not settings of a net: what is done, and with which files
LARGEST_FILE = 100_000  # bytes
LARGEST_SEED = 2**31 - 1
LONGEST_WORD = 40  # characters of a file's name in that of its run


def from_file(path, registry, overrides=()):
    """The experiment of `--config`: what a file describes, or the registered one whose recipe the path names.

    Args:
      path: of a YAML file; one that is not there but ends like a registered recipe's means that, and so does one that says the same.
      registry: the experiments.
      overrides: the values of all `--set`; the original's words among them stand over the file's.

    Returns (experiment, remarks for the user).

    Raises:
      UserError: there is no such file or recipe, or it holds what cannot be understood; it names the file and the key.
    """
    if not str(path).isprintable():  # no text either where bytes of it are not UTF-8; it stands in messages, config.json and results.csv
        raise UserError(f"--config={str(path)!r}: a path with characters that cannot be printed; rename the file")
    if pathlib.Path(path).is_dir():
        raise UserError(f"--config={path}: is a folder; expected a recipe's file")
    (flags, assignments), parts = split(overrides), pathlib.PurePath(path).parts
    known = next((e for e in registry.values() if e.recipe and parts[-e.recipe.count("/") - 1:] == tuple(e.recipe.split("/"))), None)
    there = pathlib.Path(path).exists()
    if known is None and not there:
        recipes = [e.recipe for e in registry.values() if e.recipe]
        close = difflib.get_close_matches(str(path).removeprefix("configs/"), recipes, n=3, cutoff=0)
        raise UserError(f"--config={path}: no such file, nor a registered recipe; the closest are {', '.join(close)}")
    content = read(path) if there else {}
    if known is not None and (not there or _says_the_same(content, path, known)):
        experiment = known
        remarks = [NO_RATE] if known.dnn.mask in RATE_WANTED and "prune_rate" not in flags else []
    else:
        experiment, remarks = from_words(content, path, flags)
    return experiment, [remark for remark in remarks if not (remark == NO_RATE and sets_keep(assignments))]


def _says_the_same(content, path, known):
    try:
        return from_words(content, path)[0].config_hash() == known.config_hash()
    except UserError:
        return False


def from_words(content, path, flags=()):
    """The experiment that a recipe's words describe, under those given as flags; (experiment, remarks).

    It is named after its file and what it sets, so that two files of one name are two runs.
    """
    (words, assignments, seed), flags = _sorted(content, path), {key: text for key, text in dict(flags).items() if key in (*WORDS, *UNUSED)}
    if words.get("prune_rate", "").startswith("-"):  # it asks for the flag
        del words["prune_rate"]
    words = DEFAULTS | words | flags
    if missing := [key for key in NEEDED if key not in words]:
        raise UserError(f"{path}: {missing[0]} is needed, one of {', '.join(WORDS[missing[0]].values)}")
    dense = words["conv_type"] == "DenseConv"
    if dense:  # has no rate
        words.pop("prune_rate", None)
    blank = Experiment(-1, "", STUDY, STUDY, seed, recipe=str(path), hyper=Hyper(keep=1.0 if dense else UNSAID),
                       training=TRAINING)
    asked, remarks = apply(words, blank, lambda key, text: by_flag(key, text) if key in flags else f"{path}: {key}={text}")
    try:
        experiment = assign(blank, [*asked, *assignments])
    except UserError as error:
        raise UserError(f"{path}: {str(error).removeprefix('--set ')}") from None
    name = f"{_word(pathlib.Path(path).stem)}-{experiment.trained_hash()[:8]}_keep={experiment.hyper.keep:g}_seed={seed}"
    return dataclasses.replace(experiment, name=name), remarks


def _word(stem):
    """A file's name as part of a folder's: TensorFlow takes some characters for patterns, and a folder's name must not be too long."""
    return re.sub(r"[^\w.-]+", "-", stem)[:LONGEST_WORD]


def _sorted(content, path):
    """The content of a recipe file: ({word: value as text}, assignments to our settings, seed)."""
    words, assignments, seed = {}, [], 0
    for key, value in content.items():
        if value is None or (key in COMMANDS and not value):
            continue
        if isinstance(value, (list, dict)):
            raise UserError(f"{path}: {key}: expected one value")
        try:
            text = str(value).lower() if isinstance(value, bool) else str(value)
        except ValueError:  # a whole number of thousands of digits, in hexadecimal
            raise UserError(f"{path}: {key}: its number is too long") from None
        word = ALIASES.get(str(key).replace("-", "_"), str(key).replace("-", "_"))
        if word in COMMANDS:
            raise UserError(f"{path}: {key}: give it on the command line, --{key}={text}")
        if word == "seed":
            if not text.isdecimal() or int(text) > LARGEST_SEED:
                raise UserError(f"{path}: seed={text}: takes a whole number from 0 to {LARGEST_SEED}")
            seed = int(text)
        elif word in (*WORDS, *UNUSED):
            words[word] = text
        elif word.partition(".")[0] in GROUPS:
            assignments.append(f"{word}={text}")
        else:
            close = difflib.get_close_matches(word, [*WORDS, *UNUSED, *ALIASES, "seed"], n=1, cutoff=0)
            raise UserError(f"{path}: unknown key {key}; the nearest known one is {close[0]}")
    return words, assignments, seed


def read(path):
    """The mapping in a YAML file; nothing in it is executed. UserError naming the file where it holds none."""
    import yaml

    with open(path, "rb") as file:
        raw = file.read(LARGEST_FILE + 1)
    try:
        if len(raw) > LARGEST_FILE:
            raise UserError(f"{path}: more than {LARGEST_FILE} bytes are no recipe")
        content = yaml.safe_load(raw.decode())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise UserError(f"{path}: not YAML{line}: {getattr(error, 'problem', None) or 'cannot be read'}") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise error if isinstance(error, UserError) else UserError(f"{path}: not a text in YAML") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected lines such as `arch: Conv4`")
    return content
