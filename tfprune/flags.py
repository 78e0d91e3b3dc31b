"""The flags that all scripts share, and how a mistake becomes one line on stderr and exit status 2."""
import itertools
import sys

from absl import flags

from tfprune import family_words, recipe_files, recipe_flags
from tfprune.experiment import UserError
from tfprune.overrides import override
from tfprune.progress import say

FLAGS = flags.FLAGS


def define(results_dir, data_dir):
    """Defines the shared flags; a script calls it once, before `run`."""
    flags.DEFINE_string("experiment_id", None, "ID of one experiment; a bare number does too: train.py 3")
    flags.DEFINE_string("experiment_ids", None, "IDs and ranges of many, in order: 2-6,9002; feature amounts' old flags work too, "
                        "such as --dataset=MNIST; without an ID they mean its sweep: --vgg-depth=16 (docs/feature_amounts.md)")
    flags.DEFINE_string("config", None, "a recipe (YAML) of allenai/hidden-networks or your own, in place of an ID; the flags of "
                        "its main.py work too, such as --prune-rate=0.3, and override any experiment's settings (docs/recipes.md)")
    flags.DEFINE_string("results_dir", results_dir, "folder of the results")
    flags.DEFINE_string("data_dir", data_dir, "folder of the raw data and of the records made from them")
    flags.DEFINE_integer("seed", None, "another seed of training; replaces seed=... in the name of the run", lower_bound=0)
    flags.DEFINE_multi_string("set", [], "override of a setting, repeatable: --set hyper.batch_size=64 --set dataset.limit=1000")
    flags.DEFINE_enum("fidelity", "corrected", ["corrected", "original"], "original switches on the original's quirks (docs/fidelity.md)")
    flags.DEFINE_bool("streaming", False, "redundancy from all rows without stored activations: --set measure.streaming=true")
    flags.DEFINE_bool("overwrite", False, "do finished work again")
    flags.DEFINE_bool("strict", False, "refuse unreadable images (imagenet), which are named and left out otherwise")
    flags.DEFINE_bool("dry_run", False, "say what would be done, and do nothing")
    define_list()


def define_list():
    """Defines --list and --study."""
    flags.DEFINE_bool("list", False, "print the table of experiments and exit")
    flags.DEFINE_string("study", None, "with --list: only this study; of report.py: network_pruning, for what prune.py measured of any net")


def run(main, registry=None):
    """Parses the command line, answers --help (the script's docstring and its flags) and --list, calls `main`, and ends the process.

    Args:
      main: called with the positional arguments; what it returns is the exit status (None is 0).
      registry: what `--list` prints; scripts without it take no shared flags.
    """
    try:
        if {"--help", "-h", "-help", "--helpfull"} & set(sys.argv[1:]):
            print(sys.modules["__main__"].__doc__.strip() + "\n\nFlags:\n" + _help())
            sys.exit(0)
        positional = FLAGS(recipe_flags.arguments(sys.argv, FLAGS) if "config" in FLAGS else sys.argv)[1:]
        if registry is not None and FLAGS.list:
            print("\n".join(registry.table(FLAGS.study)))
            sys.exit(0)
        sys.exit(main(positional))
    except (UserError, flags.Error) as error:
        fail(error)
    except BrokenPipeError:  # the reader of `--list | head` has gone
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        fail(f"{error.filename or 'input/output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if not isinstance(error, MemoryError) and not type(error).__module__.startswith("tensorflow."):
            raise
        line = _fault(str(error)) or "out of memory"
        _, ours, mistake = line.partition("UserError: ")
        fail(mistake if ours else f"{type(error).__name__}: {line}")


def _fault(text):
    """The line of TensorFlow's message that says what is wrong: the first, but for a graph's errors, which begin with where it was."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ours = [line for line in lines if "UserError: " in line]  # raised by what TensorFlow called: a damaged record read while training
    graphs = [line for line, following in itertools.pairwise(lines) if following.startswith("[[{{node ")]
    return next(iter([*ours, *(graphs if lines[:1] == ["Graph execution error:"] else []), *lines]), "")


def fail(error):
    """Prints one line on stderr and exits with status 2."""
    print("error: " + " ".join(str(error).split()), file=sys.stderr)
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
