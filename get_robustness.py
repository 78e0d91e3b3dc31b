"""How the answers of trained nets change when their units or weights are knocked out or disturbed: robustness{c}.pkl.

    python get_robustness.py --experiment_ids=2-6
    python get_robustness.py --experiment_id=2 --set measure.kinds=weight_noise,knockout
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
    run.execute("get_robustness", partial(work, run), records, ("train", "get_redundancy"), FLAGS.overwrite, FLAGS.dry_run)


def work(run, folder):
    """The files and the result of the stage."""
    from tfprune import stages

    return stages.get_robustness(run, folder)


if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    flags.run(main, REGISTRY)
