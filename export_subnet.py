"""Exports the trained subnet of a supermask net, for use elsewhere.

    python export_subnet.py --experiment_id=9010                     mask bits and seeds, for tfprune.load_supermask
    python export_subnet.py --experiment_id=9010 --format=dense      weights x mask as `layer/variable`, for numpy.load
"""
import pathlib

from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags
from tfprune.progress import say
from tfprune.run import asked

FLAGS = flags.FLAGS
flags.flags.DEFINE_enum("format", "mask", ["mask", "dense"], "mask: bits and seeds; dense: plain weights")
flags.flags.DEFINE_string("out", None, "the file, of one experiment; by default subnet_<format>.npz in the run's folder")


def main(positional):
    """Writes a file for each experiment; one that is there is replaced."""
    runs = asked(REGISTRY, positional)
    if FLAGS.out and len(runs) > 1:
        raise flags.UserError(f"--out={FLAGS.out}: names one file, and {len(runs)} experiments were asked for")
    for run in runs:
        if run.experiment.dnn.mask == "none":
            raise flags.UserError(f"{run.experiment.flag}: {run.experiment.name} has no masks (dnn.mask=none), so no subnet")
    for run in runs:
        run.require("train", "the export")
        path = pathlib.Path(FLAGS.out or run.path / f"subnet_{FLAGS.format}.npz")
        if not FLAGS.dry_run:
            export(run, path)
        say(f"{run.experiment.label}: {'would write' if FLAGS.dry_run else 'wrote'} {path}")


def export(run, path):
    """Writes the net that a run has trained."""
    import tfprune
    from tfprune.masks.dense_twin import save_dense

    model = tfprune.trained_model(run.experiment, run.results_dir)
    {"mask": tfprune.save_supermask, "dense": save_dense}[FLAGS.format](model, path)


if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    flags.run(main, REGISTRY)
