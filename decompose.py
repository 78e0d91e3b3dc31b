"""Which filters of a net's last block serve which class, and is a class head of a few of them enough?

    python decompose.py COMMAND [MODEL | ID] [flags]

    python decompose.py validate resnet20 -w resnet20-12fca82f.th -k 5      accuracy of each class: all filters, and five of each class
    python decompose.py finetune 9032 -n 3                                  trains the decomposed net on
    python decompose.py indices 9032 --out filters.json                     the filters of each class, from the training images
    python decompose.py essential 9032 --set measure.noise=replace,zero     accuracy with noise in their place, and in all others'
    python decompose.py csg 9034                                            class-specific gates against filters found this way

COMMAND is validate, finetune, indices, essential, mutual_info, curve, psi, selectivity or csg; MODEL is resnet20, resnet32, resnet44,
resnet56 or resnet50. Weights are those of -w, else of the trained experiment; a decomposed one starts from the experiment that it names
(9032 from 9030). Filters are those of -i, else found in the training images.

Settings have short names here: -k N (filters of each class; a share below 1), --layer NAME (whose filters, in place of the head's), and of
finetune --lr, -b (batch), -n or --num-epochs, --frozen (the head alone). docs/decomposing.md says more of every command.
"""
import os
import re
import sys
from functools import partial

import data
import train
from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags
from tfprune.recipe_flags import split
from tfprune.run import OF_FILTERS, asked

FLAGS = flags.FLAGS
COMMANDS = ("validate", "finetune", *(command for command in OF_FILTERS if command != "validate"))
MODELS = {"resnet20": 7000, "resnet32": 7005, "resnet44": 7006, "resnet56": 7007, "resnet50": 7010}
# How a net is trained on that has no experiment of its own for that: as the study trains its own.
RECIPE = ("hyper.optimizer=7", "hyper.learning_rate=1e-4", "hyper.batch_size=64", "hyper.weight_decay=0", "hyper.max_num_epochs=10",
          "training.schedule=constant", "training.trainer=default")


def main(positional):
    """Does one command for each experiment."""
    command = positional[0] if positional else "none"
    if command not in COMMANDS:
        raise flags.UserError(f"argument {command}: expected a command: {', '.join(COMMANDS)}")
    check_flags(command)
    use_gpu(FLAGS.gpu)
    runs = asked(REGISTRY, chosen(command, [str(MODELS.get(word.lower(), word)) for word in positional[1:]]))
    given = {f"-{name[0]}": FLAGS[name].value for name in ("weights", "indices", "out") if FLAGS[name].value is not None}
    if given and len(runs) != 1:
        flag, path = next(iter(given.items()))
        raise flags.UserError(f"{flag} {path}: one file is of one experiment; {len(runs)} are asked for")
    for run in runs:
        do(command, run)


def do(command, run):
    """Does a command for one run."""
    from tfprune.filters.finetune import DecomposedStart, before_and_after
    from tfprune.filters.source import Source
    from tfprune.filters.stages import check, copy_index, execute
    from tfprune.models import check_buildable
    from tfprune.progress import say
    from tfprune.training.checks import check_trainable

    check_buildable(run.experiment)
    source = Source(run, REGISTRY, FLAGS.weights, FLAGS.indices)
    records = partial(data.ensure, run.experiment.dataset, FLAGS.data_dir, strict=FLAGS.strict)
    check(command, source)
    say_gpus(FLAGS.gpu)
    if command == "finetune":
        check_trainable(run.experiment)
        start = DecomposedStart(source, records, FLAGS.overwrite)
        marker = train.execute(source.run, FLAGS.data_dir, overwrite=FLAGS.overwrite, dry_run=FLAGS.dry_run, strict=FLAGS.strict,
                               source=start)
        if marker and not FLAGS.dry_run:
            say(f"{run.experiment.label} finetune: {before_and_after(source.run, marker['result'])}")
        return
    marker = execute(command, source, records, FLAGS.overwrite, FLAGS.dry_run)
    if marker and FLAGS.out and not FLAGS.dry_run:
        copy_index(source, FLAGS.out, FLAGS.original_format)


def check_flags(command):
    """UserError where a flag is of another command."""
    for name in ("out", "original_format"):
        if FLAGS[name].value and command != "indices":
            raise flags.UserError(f"--{name}: is of the command indices, not of {command}")
    if FLAGS.original_format and not FLAGS.out:
        raise flags.UserError("--original_format: is the format of --out FILE, which is not given")
    if FLAGS.indices and command in ("curve", "psi", "selectivity", "csg"):
        raise flags.UserError(f"-i {FLAGS.indices}: {command} takes no class filters")


def chosen(command, words):
    """The arguments that name experiments. With -k or -i a plain one stands for that which decomposes its net.

    That is the registered one with as many filters of each class; else the first that there is, or the net's own experiment, with the
    settings changed.
    """
    given = dict(flags.named(words))
    text, top = next(iter(given.values()), ""), filters_of_each(command)
    if len(given) != 1 or top is None or not (text.isdecimal() and len(text) < 10 and int(text) in REGISTRY) or REGISTRY[int(text)].dnn.top:
        return words
    plain = int(text)
    members = [member for member in REGISTRY.values() if member.training.start_from == plain]
    member = next((member for member in members if member.dnn.top == top), members[0] if members else REGISTRY[plain])
    changes = [] if member.dnn.top == top else [f"dnn.top={top:g}"]
    FLAGS.set = [*(changes if members else [f"training.start_from={plain}", *RECIPE, *changes]), *FLAGS.set]
    FLAGS.experiment_id = FLAGS.experiment_ids = None
    return [str(member.id)]


def filters_of_each(command):
    """How many filters of each class -k or -i ask for, as dnn.top; None where neither does. Of csg it is what is compared."""
    top = split(FLAGS.set)[0].get("k")
    if command == "csg":
        FLAGS.set = [f"measure.tops={text[2:]}" if text.startswith("k=") else text for text in FLAGS.set]
        return None
    if top is None and FLAGS.indices is not None:
        from tfprune.filters.index_files import filters_of_each_class

        return filters_of_each_class(FLAGS.indices)
    try:
        return None if top is None or float(top) <= 0 else float(top)
    except ValueError:
        return None  # what it takes is said where settings are read


def use_gpu(number):
    """Lets TensorFlow, which is not imported yet, see one GPU, or some; -1: none."""
    if number is None:
        return
    if not re.fullmatch(r"-1|\d+(,\d+)*", number):
        raise flags.UserError(f"--gpu={number}: expected the number of a GPU, from 0, several with commas between, or -1 for the CPU")
    os.environ["CUDA_VISIBLE_DEVICES"] = number


def say_gpus(number):
    """Says where the GPU that was asked for is not there; the CPU does the work then."""
    from tfprune.keras import tf
    from tfprune.progress import say

    if number not in (None, "-1") and not tf.config.list_physical_devices("GPU"):
        say(f"--gpu={number}: TensorFlow finds no such GPU; going on with the CPU", sys.stderr)


if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    flags.flags.DEFINE_string("weights", None, "-w: a file of weights (.th, .pth, .npz) of the net with its dense head", short_name="w")
    flags.flags.DEFINE_string("indices", None, "-i: a file of class filters (JSON), ours or the original's", short_name="i")
    flags.flags.DEFINE_string("gpu", None, "-g: number of the GPU to use; -1: none", short_name="g")
    flags.flags.DEFINE_string("out", None, "indices: a file that gets a copy of them")
    flags.flags.DEFINE_bool("original_format", False, "indices: --out in the original's format")
    flags.run(main, REGISTRY)
