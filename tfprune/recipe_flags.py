"""The flags of four originals' scripts: before the command line is parsed, they become overrides.

`--prune-rate 0.3` becomes `--set=prune_rate=0.3`, the one channel of overrides; what each word means is in tfprune/recipe_words.py, for
allenai/hidden-networks, in tfprune/family_words.py, for Rethinking_CNN_Layerwise_Feature_Amounts, in tfprune/filter_words.py, for
decomposing-the-deep, and in tfprune/pruning_words.py, for network-pruning.
"""
from tfprune import family_words, filter_words, pruning_words, recipe_words
from tfprune.experiment import UserError
from tfprune.recipe_words import NO_RATE, UNUSED, UNUSED_SWITCHES, apply, by_flag
from tfprune.settings import GROUPS

WORDS = recipe_words.WORDS | family_words.WORDS | filter_words.WORDS | pruning_words.WORDS
ALIASES = recipe_words.ALIASES | family_words.ALIASES | filter_words.ALIASES | pruning_words.ALIASES
TRUTHS = ("true", "false")  # in any case; after a switch, which may stand alone: any other word there is of something else


def arguments(argv, own=()):
    """The command line with the originals' flags turned into `--set=word=value`; all else stays as it is, as do `own` flags of the script
    where they are without effect in others.

    Raises:
      UserError: an old flag without its value; `--set` with neither an assignment nor a data set.
    """
    result, rest = list(argv[:1]), list(argv[1:])
    while rest:
        token = rest.pop(0)
        name, equals, value = token.lstrip("-").partition("=")
        key = name.replace("-", "_")
        key = ALIASES.get(key, key)
        if _denies(key) and not equals:  # as absl's flags: --nokeep_best
            key, equals, value = key[2:], "=", "false"
        if token == "--" or not token.startswith("-") or key not in (*WORDS, *UNUSED, "p") or (key in UNUSED and key in own):
            result.append("--evaluate" if token == "-e" else token)
            if token == "--":
                return result + rest
            continue
        if key in UNUSED_SWITCHES or (key in WORDS and WORDS[key].switch):
            value = value if equals else rest.pop(0) if rest and rest[0].lower() in TRUTHS else "true"
            value = value.lower() if value.lower() in TRUTHS else value
        elif not equals:
            if not rest or rest[0].startswith("--"):
                raise UserError(f"{token}: needs a value")
            value = rest.pop(0)
        result.append(f"--set={_assignment(value) if key == 'set' else f'{key}={value}'}")
    return result


def _denies(key):
    return key not in WORDS and key.startswith("no") and key[2:] in WORDS and WORDS[key[2:]].switch


def _assignment(value):
    """`--set` is the flag of an override, and was that of the data set."""
    if "=" in value:
        return value
    if value not in WORDS["set"].values:
        raise UserError(f"--set {value}: expected GROUP.FIELD=VALUE with GROUP one of {', '.join(GROUPS)}, or a data set of "
                        f"{', '.join(WORDS['set'].values)}")
    return f"set={value}"


def variants(chosen, overrides):
    """The assignments that `--set` and old flags ask for, for each of some experiments.

    Args:
      chosen: experiments.
      overrides: the values of all `--set`: assignments to settings, which win, and words of the originals.

    Returns (a list of assignments for each experiment, remarks for the user).
    """
    words, assignments = split(overrides)
    applied = [apply(family_words.spelled_out(words, experiment.study), experiment, _written, WORDS) for experiment in chosen]
    remarks = [remark for _, each in applied for remark in each if not (remark == NO_RATE and sets_keep(assignments))]
    return [asked + assignments for asked, _ in applied], family_words.remarks(words) + remarks


def _written(key, text):
    """How a word reads on a command line; the last of the originals has no dashes within."""
    return f"--{key}={text}" if key in pruning_words.WORDS else by_flag(key, text)


def split(overrides):
    """({word: value} of the originals' words, the last one of each; the assignments to settings) among the values of all `--set`."""
    words, assignments = {}, []
    for text in overrides:
        key, equals, value = text.partition("=")
        if equals and key in (*WORDS, *UNUSED, "p"):
            words[key] = value
        else:
            assignments.append(text)
    return words, assignments


def sets_keep(assignments):
    """Whether the share of weights kept is among the settings that are assigned."""
    return any(text.startswith("hyper.keep=") for text in assignments)
