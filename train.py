"""Train the net of one or many experiments; a finished one is left alone, an interrupted one goes on where it stopped.

    python train.py --experiment_id=9004
    python train.py --experiment_ids=2-6 --set hyper.max_num_epochs=2 --set dataset.limit=10000
"""
from functools import partial

import data
from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags
from tfprune.run import asked

FLAGS = flags.FLAGS


def main(positional):
    """Prepares the records that each experiment needs, and trains its net."""
    runs = asked(REGISTRY, positional)
    from tfprune.models import check_buildable
    from tfprune.training.train import train

    for run in runs:
        if run.experiment.dnn.name:
            check_buildable(run.experiment)
    for run in runs:
        experiment = run.experiment
        work = partial(train, run, afresh=FLAGS.overwrite) if experiment.dnn.name else only_records
        records = partial(data.ensure, experiment.dataset, FLAGS.data_dir)
        run.execute("train", work, records, overwrite=FLAGS.overwrite, dry_run=FLAGS.dry_run)


def only_records(folder):
    """An experiment without a net is done when its records are there."""
    return [], {"records": folder.name}


if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    flags.run(main, REGISTRY)
