"""Record what the hidden units of trained nets do on training and test examples: activations{c}.pkl, labels{c}.pkl, accuracy{c}.pkl.

    python get_activations.py --experiment_ids=2-6
"""
from functools import partial

import data
from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags
from tfprune.run import asked

FLAGS = flags.FLAGS


def main(positional):
    """Runs the stage for each experiment."""
    for run in asked(REGISTRY, positional):
        execute(run)


def execute(run):
    """Runs the stage for one experiment, unless that is done."""
    records = partial(data.ensure, run.experiment.dataset, FLAGS.data_dir, strict=FLAGS.strict)
    run.execute("get_activations", partial(work, run), records, ("train",), FLAGS.overwrite, FLAGS.dry_run)


def work(run, folder):
    """The files and the result of the stage."""
    from tfprune import stages

    return stages.get_activations(run, folder)


if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    flags.run(main, REGISTRY)
