"""How redundant the hidden units of trained nets are: correlation, similarity, principal components, compressability, selectivity.

    python get_redundancy.py --experiment_ids=2-6
    python get_redundancy.py --experiment_id=4 --streaming      from every row of every example, without stored activations
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
    streaming = run.experiment.measure.streaming
    records = partial(data.ensure, run.experiment.dataset, FLAGS.data_dir, strict=FLAGS.strict) if streaming else None
    needs = ("train",) if streaming else ("get_activations",)
    run.execute("get_redundancy", partial(work, run), records, needs, FLAGS.overwrite, FLAGS.dry_run)


def work(run, folder):
    """The files and the result of the stage; `folder` is None where activations were stored."""
    from tfprune import stages

    return stages.stream_redundancy(run, folder) if folder else stages.get_redundancy(run)


if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    flags.run(main, REGISTRY)
