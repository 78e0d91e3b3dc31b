"""Train the net of one or many experiments; a finished one is left alone, an interrupted one goes on where it stopped.

    python train.py --experiment_id=9004
    python train.py --experiment_ids=2-6 --set hyper.max_num_epochs=2 --set dataset.limit=10000
"""
import data
from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags
from tfprune.run import Run

FLAGS = flags.FLAGS


def main(positional):
    """Prepares the records that each experiment needs, and trains its net."""
    experiments = flags.experiments(REGISTRY, positional)
    from tfprune.models import check_buildable

    for experiment in experiments:
        if experiment.dnn.name:
            check_buildable(experiment)
    for experiment in experiments:
        run = Run(experiment, FLAGS.results_dir)
        run.execute("train", lambda run=run: train(run), overwrite=FLAGS.overwrite, dry_run=FLAGS.dry_run)


def train(run):
    """The files and the result of training; an experiment without a net only gets its records."""
    from tfprune.training.train import train as train_run

    folder = data.ensure(run.experiment.dataset, FLAGS.data_dir)
    if not run.experiment.dnn.name:
        return [], {"records": folder.name}
    return train_run(run, folder, afresh=FLAGS.overwrite)


if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    flags.run(main, REGISTRY)
