"""Train the net of one or many experiments; a finished one is left alone, an interrupted one goes on where it stopped.

    python train.py --experiment_id=9004
    python train.py --experiment_ids=2-6 --set hyper.max_num_epochs=2 --set dataset.limit=10000
    python train.py --experiment_id=4 --pretrained=downloads/ID4/models/model-37     weights of the original study's TF1 checkpoint
"""
from functools import partial

import data
from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags
from tfprune.run import asked

FLAGS = flags.FLAGS


def main(positional):
    """Prepares the records that each experiment needs, and trains its net or takes the weights of a checkpoint for it."""
    runs = asked(REGISTRY, positional)
    if FLAGS.pretrained is not None and len(runs) != 1:
        raise flags.UserError(f"--pretrained={FLAGS.pretrained}: one checkpoint is of one experiment; {len(runs)} are asked for")
    from tfprune.models import check_buildable
    from tfprune.training.schedules import Schedule

    for run in runs:
        if run.experiment.dnn.name:
            check_buildable(run.experiment)
            Schedule(run.experiment)  # refuses a length that leaves nothing
    for run in runs:
        execute(run, FLAGS.data_dir, FLAGS.pretrained, FLAGS.overwrite, FLAGS.dry_run, FLAGS.strict)


def execute(run, data_dir, pretrained=None, overwrite=False, dry_run=False, strict=False):
    """Trains a run's net, or takes its weights from the checkpoint `pretrained`, unless that is done; returns the done marker."""
    from tfprune.training.pretrained import Pretrained, finished_with
    from tfprune.training.train import train

    records = partial(data.ensure, run.experiment.dataset, data_dir, strict=strict)
    work, remark = partial(train, run, afresh=overwrite), finished_with
    if pretrained is not None:
        source = Pretrained(run, pretrained, overwrite)
        work, remark = source.keep, partial(finished_with, source=source)
    elif not run.experiment.dnn.name:
        work = only_records

    def prepare():
        if pretrained is not None:
            source.read()
        return records()

    return run.execute("train", work, prepare, overwrite=overwrite, dry_run=dry_run, remark=remark)


def only_records(folder):
    """An experiment without a net is done when its records are there."""
    return [], {"records": folder.name}


if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    flags.flags.DEFINE_string("pretrained", None, "TF1 checkpoint of the original study (what its files' names begin with, or their "
                              "folder) whose weights are taken in place of training; IDs 2-240 and 4000-4038")
    flags.run(main, REGISTRY)
