"""Train the net of one or many experiments; a finished one is left alone, an interrupted one goes on where it stopped.

    python train.py --experiment_id=9004
    python train.py --experiment_ids=2-6 --set hyper.max_num_epochs=2 --set dataset.limit=10000
    python train.py --experiment_id=9014 --evaluate             figures of the trained net; writes nothing
    python train.py --experiment_id=4 --pretrained=downloads/ID4/models/model-37     weights of the original study's TF1 checkpoint
    python train.py --experiment_id=5010 --pretrained=resnet50_usc_unsigned.pth --set hyper.keep=0.3 --evaluate      those of a .pth

Afterwards the trained net is measured: its units by get_activations.py, get_redundancy.py and get_robustness.py, its class filters by
decompose.py, and how far it can be pruned by prune.py. report.py shows what was found; sweep.py does many runs with one command.
"""
from functools import partial

import data
from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags
from tfprune.run import asked
from tfprune.training import joining

FLAGS = flags.FLAGS


def main(positional):
    """Prepares the records that each experiment needs, and trains its net or takes the weights of a checkpoint for it."""
    runs = asked(REGISTRY, positional)
    for name in ("pretrained", "resume"):
        if FLAGS[name].value is not None and len(runs) != 1:
            raise flags.UserError(f"--{name}={FLAGS[name].value}: one checkpoint is of one experiment; {len(runs)} are asked for")
    if FLAGS.evaluate and (FLAGS.overwrite or FLAGS.dry_run):
        raise flags.UserError("--evaluate: trains and writes nothing, so that --overwrite and --dry_run have no meaning beside it")
    plan = joining.planned()
    from tfprune.models import check_buildable
    from tfprune.training.checks import check_trainable

    for run in runs:
        if run.experiment.dnn.name:
            check_buildable(run.experiment)
            check_trainable(run.experiment)
    given = {"pretrained": FLAGS.pretrained, "resume": FLAGS.resume}
    if FLAGS.evaluate:
        if FLAGS.pretrained is None and FLAGS.resume is None:
            for run in runs:
                run.require("train", "--evaluate")
        for run in runs:
            evaluate(run, FLAGS.data_dir, **given)
        return
    with joining.joined(plan, runs, FLAGS.overwrite) as follows:
        for run in runs if not follows else ():
            execute(run, FLAGS.data_dir, **given, overwrite=FLAGS.overwrite, dry_run=FLAGS.dry_run, strict=FLAGS.strict,
                    memory_budget_gb=FLAGS.memory_budget_gb)
        if follows:
            follow(runs)


def execute(run, data_dir, pretrained=None, overwrite=False, dry_run=False, strict=False, resume=None, memory_budget_gb=None, source=None):
    """Trains a run's net, from the checkpoint `pretrained` or on from that of `resume`, unless that is done; returns the done marker.

    A checkpoint of the width study (TensorFlow 1) takes the place of a training; `memory_budget_gb` is what a training step may take.
    A `source` says where the weights come from; without one `pretrained` and `resume` do, or the experiment (`training.start_from`).
    """
    from tfprune.training.memory_budget import within_memory
    from tfprune.training.origin import check_start, finished_with, train_from
    from tfprune.training.sources import source_of
    from tfprune.training.summaries import rebuild

    records = partial(data.ensure, run.experiment.dataset, data_dir, strict=strict)
    source = source or source_of(run, pretrained, resume, overwrite) or started_from(run, records, overwrite)
    keep = source.keep if source else partial(train_from, run, afresh=overwrite) if run.experiment.dnn.name else only_records
    fitting = {}

    def prepare():
        if source:
            source.read()
        elif run.experiment.dnn.name:
            check_start(run, overwrite)
        if run.experiment.dnn.name and (source is None or source.trains):
            fitting["micro_batch"] = within_memory(run.experiment, memory_budget_gb)
        return records()

    def work(folder):
        return keep(folder, **fitting)

    def remark(marker):
        return finished_with(marker, run, source)

    marker = run.execute("train", work, prepare, overwrite=overwrite, dry_run=dry_run, remark=remark)
    if marker and not dry_run:
        rebuild(run)  # also where it was done before: the process may have died here
    return marker


def follow(runs):
    """Follows another process, the chief, through its trainings of these runs."""
    from tfprune.training import following

    following.follow(runs, lambda experiment: data.ensure(experiment.dataset, FLAGS.data_dir, strict=FLAGS.strict))


def started_from(run, records, overwrite):
    """The trained net of another experiment from which a run starts, decomposed or pruned, where `training.start_from` asks for one."""
    if run.experiment.training.start_from < 0:
        return None
    from tfprune.filters import finetune
    from tfprune.training import rewinding

    return finetune.start_of(run, REGISTRY, records, overwrite) or rewinding.start_of(run, REGISTRY, overwrite)


def evaluate(run, data_dir, pretrained=None, resume=None):
    """Says what the trained net of a run is worth, or the net of a checkpoint."""
    from tfprune.models import build_model
    from tfprune.training.checkpoints import load_trained
    from tfprune.training.evaluate import say_figures
    from tfprune.training.sources import source_of

    source = source_of(run, pretrained, resume, overwrite=True)  # it meets nothing that the run holds
    model = source.read() if source else None
    folder = data.ensure(run.experiment.dataset, data_dir, strict=FLAGS.strict)
    say_figures(run.experiment, model or load_trained(run, build_model(run.experiment)), folder)


def only_records(folder):
    """An experiment without a net is done when its records are there."""
    return [], {"records": folder.name}


if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    flags.flags.DEFINE_string("pretrained", None, "checkpoint of the original study. IDs 2-240 and 4000-4038: TF1 (what its files' names "
                              "begin with, or their folder), and 7000, 7004-7007, 7010: .th, .pth or .npz, both taken in place of a "
                              "training; 5000-5111: a .pth, from which training starts")
    flags.flags.DEFINE_string("resume", None, "a .pth of IDs 5000-5111 whose training goes on here: its epoch and optimizer are taken too")
    flags.flags.DEFINE_bool("evaluate", False, "say the figures of the trained net on the validation and the test set, and write nothing")
    flags.flags.DEFINE_float("memory_budget_gb", None, "GB (1e9 bytes) that a training step may take beyond TensorFlow and the data: "
                             "fewer of a batch's examples go through the net at once where it takes more; on a GPU, by itself, all it has")
    joining.define()
    flags.run(main, REGISTRY)
