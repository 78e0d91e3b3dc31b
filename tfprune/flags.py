"""The flags that all scripts share, and how a mistake becomes one line on stderr and exit status 2."""
import argparse
import contextlib
import re
import signal
import sys

from absl import flags

from tfprune import family_words, faults, recipe_files, recipe_flags
from tfprune.experiment import UserError
from tfprune.overrides import override
from tfprune.progress import say

FLAGS = flags.FLAGS
LISTED = "with --list: only the experiments of this study"
ABSL = {r"^flag (?=--)": "", r"invalid literal for int\(\) with base 10: .*": "expected a whole number",
        r"could not convert string to float: .*": "expected a number",
        r"\('Non-boolean argument to boolean flag', .*\)": "expected true or false"}  # what Python says of a flag's value: in words


def define(results_dir, data_dir, study=LISTED):
    """Defines the shared flags; a script calls it once, before `run`. `study` is what --study means to it."""
    flags.DEFINE_string("experiment_id", None, "ID of one experiment; a bare number does too, such as 9004")
    flags.DEFINE_string("experiment_ids", None, "IDs and ranges of many, in order: 2-6,9002; feature amounts' old flags work too, "
                        "such as --dataset=MNIST; without an ID they mean its sweep: --vgg-depth=16 (docs/feature_amounts.md)")
    flags.DEFINE_string("config", None, "a recipe (YAML) of allenai/hidden-networks or your own, in place of an ID; the flags of "
                        "its main.py work too, such as --prune-rate=0.3, and override any experiment's settings (docs/recipes.md)")
    flags.DEFINE_string("results_dir", results_dir, "folder of the results")
    flags.DEFINE_string("data_dir", data_dir, "folder of the raw data and of the records made from them")
    flags.DEFINE_integer("seed", None, "another seed of training; replaces seed=... in the name of the run", 0, recipe_files.LARGEST_SEED)
    flags.DEFINE_multi_string("set", [], "override of a setting, repeatable: --set hyper.batch_size=64 --set dataset.limit=1000")
    flags.DEFINE_enum("fidelity", "corrected", ["corrected", "original"], "original switches on the original's quirks (docs/fidelity.md)")
    flags.DEFINE_bool("streaming", False, "of get_redundancy, and of what is made from it: redundancy from all rows, without stored "
                      "activations; the same as --set measure.streaming=true")
    flags.DEFINE_bool("overwrite", False, "do finished work again")
    flags.DEFINE_bool("strict", False, "where records of imagenet are made: refuse unreadable images, which are named and left "
                      "out otherwise")
    flags.DEFINE_bool("dry_run", False, "say what would be done, and do nothing")
    define_list(study)


def define_list(study=LISTED):
    """Defines --list, and --study with its meaning."""
    flags.DEFINE_bool("list", False, "print the table of experiments and exit")
    flags.DEFINE_string("study", None, study)


def run(main, registry=None):
    """Parses the command line, answers --help (the script's docstring and its flags) and --list, calls `main`, and ends the process.

    Args:
      main: called with the positional arguments; what it returns is the exit status (None is 0).
      registry: what `--list` prints; scripts without it take no shared flags.

    SIGTERM ends the process with status 143, and what it is writing is removed; a training ends its step and saves first.
    """
    signal.signal(signal.SIGTERM, _leave)
    with in_one_line():
        if {"--help", "-h", "-help", "--helpfull"} & set(sys.argv[1:]):
            print(sys.modules["__main__"].__doc__.strip() + "\n\nFlags:\n" + _help())
            sys.exit(0)
        positional = FLAGS(recipe_flags.arguments(sys.argv, FLAGS) if "config" in FLAGS else sys.argv)[1:]
        if registry is not None and FLAGS.list:
            print("\n".join(registry.table(FLAGS.study)))
            sys.exit(0)
        _check_folders()
        sys.exit(main(positional))


@contextlib.contextmanager
def in_one_line():
    """Ends the process where something goes wrong in the block that the user can mend: one line on stderr, exit status 2."""
    try:
        yield
    except (UserError, flags.Error) as error:
        fail(error)
    except BrokenPipeError:  # the reader of `--list | head` has gone
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        fail(faults.of_system(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if not isinstance(error, MemoryError) and not type(error).__module__.startswith("tensorflow."):
            raise
        fail(faults.of_tensorflow(error))


class Parser(argparse.ArgumentParser):
    """argparse's parser, for scripts of few flags: shows the script's docstring, and says a mistake in one line."""

    def __init__(self, text):
        super().__init__(description=text, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)

    def error(self, message):
        fail(message)


def whole_numbers(text):
    """[number] of a text such as `2,4`; UserError where it holds something else, or 0."""
    numbers = text.split(",")
    if not all(number.isdecimal() and len(number) < 10 and int(number) for number in numbers):
        raise UserError(f"{text}: expected whole numbers from 1, with commas between")
    return list(map(int, numbers))


def _check_folders():
    """UserError where a folder is no folder's name: an empty one is a variable that is not set, and `~` is the shell's to replace."""
    for name in ("results_dir", "data_dir"):
        folder = FLAGS[name].value if name in FLAGS else "."
        if not folder or folder.startswith("~") or not folder.isprintable():
            raise UserError(f"--{name}={folder}: expected a folder, such as {FLAGS[name].default} or, in yours, $HOME/{name}")


def _leave(*_):
    raise SystemExit(143)


def fail(error):
    """Prints one line on stderr, without what a terminal would obey, and exits with status 2."""
    line = " ".join(str(error).split())
    for words, ours in ABSL.items():
        line = re.sub(words, ours, line)
    print("error: " + re.sub(r"[\x00-\x1f\x7f-\x9f]", "?", line), file=sys.stderr)
    sys.exit(2)


def experiments(registry, positional=(), more=()):
    """The experiments that the flags ask for, with every override applied, in order.

    Args:
      registry: the experiments by ID.
      positional: arguments that are not flags.
      more: assignments after those of `--set`.

    Raises:
      UserError: none or more than one way of naming them was used, an ID is unknown, or an override is not accepted.
    """
    overrides = [*FLAGS.set, *more]
    words, _ = recipe_flags.split(overrides)
    given = named(positional)
    if len(given) > 1 or not (given or family_words.asked_for(words)):
        problem = "give one of" if not given else "give only one of"
        raise UserError(f"{problem} --experiment_id=ID, --experiment_ids=2-6,9002, --config=FILE, or a bare ID; "
                        "`python experiments.py --list` lists them")
    chosen, remarks = _named(registry, *given[0], overrides) if given else family_words.family(registry, words)
    chosen = _rest(chosen, words)
    assignments, others = recipe_flags.variants(chosen, overrides)
    streaming = ["measure.streaming=true"] if FLAGS.streaming else []
    changed = [override(experiment, each + streaming, FLAGS.seed, FLAGS.fidelity)
               for experiment, each in zip(chosen, assignments, strict=True)]
    for remark in dict.fromkeys(remarks + others):
        say(remark)
    return changed


def named(positional=()):
    """[(flag, its value)] of all that name experiments on the command line: one where it is right; none may still mean a sweep."""
    asked = [("--experiment_id", FLAGS.experiment_id), ("--experiment_ids", FLAGS.experiment_ids), ("--config", FLAGS.config),
             ("argument", " ".join(positional) or None)]
    return [(flag, text) for flag, text in asked if text is not None]


def _rest(chosen, words):
    """The experiments that --resume-model-id leaves; the process ends, as having done all, where it leaves none."""
    rest = family_words.resumed(chosen, words)
    if not rest:
        say(f"--resume-model-id={words[family_words.RESUME]}: all {len(chosen)} experiments asked for come before; nothing to do")
        sys.exit(0)
    return rest


def _named(registry, flag, text, overrides):
    """(experiments, remarks for the user) that one flag names."""
    if len(text) > 10_000:
        raise UserError(f"{flag}: {len(text)} characters are too many")
    if flag == "--config":
        experiment, remarks = recipe_files.from_file(text, registry, overrides)
        return [experiment], remarks
    if flag != "--experiment_ids" and not text.isdecimal():
        raise UserError(f"{flag}={text}: expected one ID, a whole number; known IDs are {registry.ranges()}")
    return registry.select(text, flag), []


def _help():
    """The flags of the script and the shared ones, without absl's own."""
    own = [flag for module, listed in FLAGS.flags_by_module_dict().items() if not module.startswith("absl") for flag in listed]
    lines = []
    for flag in sorted({flag.name: flag for flag in own}.values(), key=lambda flag: flag.name):
        value = "" if flag.boolean else "=..."
        default = f" (default: {flag.default})" if flag.default not in (None, [], False, "") else ""
        lines.append(f"  --{flag.name}{value}\n        {flag.help}{default}")
    return "\n".join(lines)
