"""How far can the weights and the units of a net be pruned before it fails? Trains the net where that is not done yet, and prunes it.

    python prune.py --experiment_id=8000                            MNIST: table, plots and two GIFs
    python prune.py --dataset=fashion --l1_reg=0.001                as the original's train.py: experiment 8006
    python prune.py --experiment_ids=9040-9044 --k_vals=0,0.5,0.9   the nets at laptop scale at three sparsities
    python prune.py 9004 --by=unit --criterion=apoz --scope=global  units of any net, by another criterion, ranked over all layers
    python prune.py --experiment_id=wide --dataset=digits --set dnn.neuron_multiplier=2     a run with a name of its own

Sparsities are shares from 0 to 1; every one prunes the trained net anew, and what is left is measured without more training. Settings have
short names here: those of the original (--dataset digits|fashion, --epochs, --learning_rate, --batch_size, --num_valid, --l1_reg,
--l2_reg, --k_vals, --[no]keep_best) and --criterion, --scope, --exclude LAYERS, --by weight,unit. docs/network_pruning.md says more.
"""
from functools import partial

import data
import train
from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags, named_runs, pruning_words
from tfprune.progress import say
from tfprune.recipe_flags import split
from tfprune.run import asked
from tfprune.training import joining

FLAGS = flags.FLAGS
NAMING = "--experiment_id"


def main(positional):
    """Trains and prunes the net of each experiment."""
    if FLAGS.output_dir is not None:
        if FLAGS["results_dir"].present:
            raise flags.UserError(f"--output_dir={FLAGS.output_dir}: is --results_dir under the original's name; give one of them")
        FLAGS.results_dir = FLAGS.output_dir
    runs, plan = asked_for(positional), joining.planned()
    from tfprune.pruning.stage import check
    from tfprune.training.checks import check_trainable

    for run in runs:
        with pruning_words.as_typed(split(FLAGS.set)[0]):
            check(run.experiment)
        check_trainable(run.experiment)
    with joining.joined(plan, runs, FLAGS.force_train) as follows:
        for run in runs if not follows else ():
            prune(run, FLAGS.force_train)
        if follows:
            train.follow(runs)


def prune(run, force_train=False):
    """Trains a run's net unless that is done, or again, prunes it, and draws the figures."""
    from tfprune.pruning.stage import execute
    from tfprune.report.pruning import run_figures

    if force_train or run.done("train") is None:
        train.execute(run, FLAGS.data_dir, overwrite=force_train, dry_run=FLAGS.dry_run, strict=FLAGS.strict)
    else:
        say(f"{run.experiment.label} train: finished before ({run.path}); --force_train does it again")
    if force_train and FLAGS.dry_run:
        return  # what was pruned before is of the net as it still is
    records = partial(data.ensure, run.experiment.dataset, FLAGS.data_dir, strict=FLAGS.strict)
    marker = execute(run, records, FLAGS.overwrite, FLAGS.dry_run)
    if marker and not FLAGS.dry_run:
        say(f"{run.experiment.label} prune: figures in {run_figures(run)[0].parent}")


def asked_for(positional):
    """The runs that the command line asks for: by ID, or as the original's train.py does, by their settings; one may have a name.

    Raises:
      UserError: none is asked for, or a name stands for a run with other settings.
    """
    words, name = split(FLAGS.set)[0], None
    if FLAGS.experiment_id is not None and not FLAGS.experiment_id.isdecimal():
        name, FLAGS.experiment_id = FLAGS.experiment_id, None
        named_runs.check_name(name, NAMING)
    given = flags.named(positional)
    if given and name:
        raise flags.UserError(f"{NAMING}={name}: names a run of the original's, which flags such as --dataset choose; leave "
                              f"{given[0][0]} out")
    if not given and not name and not pruning_words.asked_for(words):
        raise flags.UserError("give one of --experiment_id=ID, --experiment_ids=8000-8009, a bare ID, or what the original asks for its "
                              "runs by, such as --dataset=digits; `python experiments.py --list` lists the experiments")
    if words.get("dataset") == "digits":
        say(pruning_words.DIGITS)
    if given:
        FLAGS.set = [_our_name(text) for text in FLAGS.set]
        return asked(REGISTRY, positional)
    member, answered = pruning_words.member(REGISTRY, words)
    FLAGS.set = [text for text in FLAGS.set if text.partition("=")[0] not in answered]
    run, = asked(REGISTRY, [str(member.id)])
    if name:
        run = named_runs.named(run, name)
        if not FLAGS.force_train:
            named_runs.check_same(run, NAMING, "--force_train")
    return [run]


def _our_name(text):
    """`dataset=digits`, as the original calls MNIST, as we do."""
    word, _, value = text.partition("=")
    return f"dataset={pruning_words.DATASETS.get(value, value)}" if word == "dataset" else text


if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    flags.flags.DEFINE_string("output_dir", None, "--results_dir under the original's name")
    flags.flags.DEFINE_bool("force_train", False, "train the net again, then prune it; --overwrite prunes again alone")
    joining.define()
    flags.run(main, REGISTRY)
