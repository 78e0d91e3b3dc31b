"""Tables and figures of finished runs: accuracy, prunability and redundancy against width, with growth factors.

    python report.py --experiment_ids=9002-9006         writes PNGs and width_study.csv into results/report/

The runs must have been exported with pkl2csv_redundancy.py and pkl2csv_robustness.py.
"""
import pathlib

from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags
from tfprune.run import asked

FLAGS = flags.FLAGS


def main(positional):
    """Writes the figures and the table, and prints where they are."""
    runs = asked(REGISTRY, positional)
    from tfprune.report import width_study

    if FLAGS.dry_run:
        print("would write the report of " + ", ".join(str(run.experiment.id) for run in runs))
        return
    out = pathlib.Path(FLAGS.out or pathlib.Path(FLAGS.results_dir) / "report")
    paths = width_study.report(runs, out)
    print("\n".join(["wrote", *(f"  {path}" for path in paths)]))


if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    flags.flags.DEFINE_string("out", None, "folder of the report; by default <results_dir>/report")
    flags.run(main, REGISTRY)
