"""Tables and figures of finished runs of one study.

    python report.py --experiment_ids=9002-9006         accuracy, prunability and redundancy against width, with growth factors
    python report.py --experiment_ids=9010-9019         accuracy against the share of weights that supermasks keep
    python report.py --experiment_id=5025 --keeps=0.1,0.3,0.5          likewise, one recipe at several shares
    python report.py --experiment_ids=9200-9219         accuracy against where along the depth the features are, and an interactive page
    python report.py --experiment_ids=9030-9034         which filters serve which class, and what class heads of a few filters are worth

Tables and figures are written into results/report/. Runs of the width study must have been exported with pkl2csv_redundancy.py and
pkl2csv_robustness.py; the others only trained, and supermasks have figures of redundancy and prunability too where they were exported.
Of class filters there is a table and a figure of each command of decompose.py that is done, also where it was given files (-w, -i).
"""
import importlib
import pathlib

from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags
from tfprune.run import asked

FLAGS = flags.FLAGS
REPORTS = {"frivolous_units": "tfprune.report.width_study", "hidden_networks": "tfprune.report.supermasks",
           "feature_amounts": "tfprune.report.feature_amounts", "decomposing": "tfprune.report.decomposing"}


def main(positional):
    """Writes the figures and the table, and prints where they are."""
    runs = asked_for(positional)
    studies = sorted({run.experiment.study for run in runs})
    if len(studies) > 1:
        raise flags.UserError(f"--experiment_ids: a report is of one study, not of {' and '.join(studies)} at once")
    if FLAGS.dry_run:
        print("would write the report of " + ", ".join(run.experiment.label for run in runs))
        return
    out = pathlib.Path(FLAGS.out or pathlib.Path(FLAGS.results_dir) / "report")
    paths = importlib.import_module(REPORTS[studies[0]]).report(runs, out)
    print("\n".join(["wrote", *(f"  {path}" for path in paths)]))


def asked_for(positional):
    """The runs of the experiments that the flags name; with --keeps each at all of these shares."""
    if FLAGS.keeps is None:
        return asked(REGISTRY, positional)
    try:
        return [run for keep in FLAGS.keeps.split(",") for run in asked(REGISTRY, positional, [f"hyper.keep={keep}"])]
    except flags.UserError as error:
        raise flags.UserError(str(error).replace("--set hyper.keep=", "--keeps=")) from None


if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    flags.flags.DEFINE_string("out", None, "folder of the report; by default <results_dir>/report")
    flags.flags.DEFINE_string("keeps", None, "of supermasks: the experiments at each of these shares of weights kept, such as 0.1,0.3,0.5")
    flags.run(main, REGISTRY)
