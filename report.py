"""One page of all results; or tables and figures of all results, or of finished runs of one study.

    python report.py --format=html                      everything in results/, as one page for the browser: report.html
    python report.py --format=pdf                       the same as figures for print, a folder for each study, net and data set
    python report.py --experiment_ids=9002-9006         accuracy, prunability and redundancy against width, with growth factors
    python report.py --experiment_ids=9010-9019         accuracy against the share of weights that supermasks keep
    python report.py --experiment_id=5025 --keeps=0.1,0.3,0.5          likewise, one recipe at several shares
    python report.py --experiment_ids=9200-9219         accuracy against where along the depth the features are, and an interactive page
    python report.py --experiment_ids=9030-9034         which filters serve which class, and what class heads of a few filters are worth
    python report.py --experiment_ids=9040-9044         accuracy against sparsity of nets that prune.py has pruned
    python report.py 9004 --by=unit --criteria=apoz,random --seeds=0,1,2     likewise of any net, by criteria of units, means of three seeds
    python report.py --experiment_ids=9002-9006 --study=network_pruning      what prune.py has measured of another study's nets

The page is written into the current folder, tables and figures into results/report/. Runs of the width study must have been exported
with pkl2csv_redundancy.py and pkl2csv_robustness.py; the others only trained, and supermasks have figures of redundancy and prunability
too where they were exported. Of class filters there is a table and a figure of each command of decompose.py that is done, also where it
was given files (-w, -i). Figures of all results show every net in each way in which it was measured, whatever its study; where something
is left out the exit status is 1.
"""
import importlib
import itertools
import pathlib

from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags
from tfprune.run import asked

FLAGS = flags.FLAGS
PRUNING = "network_pruning"
OF_EXPERIMENTS = ("seed", "set", "fidelity", "streaming")
EACH = {"keeps": "hyper.keep", "criteria": "measure.criterion"}  # flags that ask for every experiment at several values of a setting
REPORTS = {"frivolous_units": "tfprune.report.width_study", "hidden_networks": "tfprune.report.supermasks",
           "feature_amounts": "tfprune.report.feature_amounts", "decomposing": "tfprune.report.decomposing",
           PRUNING: "tfprune.report.pruning"}


def main(positional):
    """Writes the page, or the figures and the table, and prints where they are."""
    if FLAGS.format == "html":
        return one_page(positional)
    if FLAGS["format"].present and not flags.named(positional):
        return every_study(positional)
    runs = asked_for(positional)
    study = PRUNING if FLAGS.criteria is not None or FLAGS.study == PRUNING else own_study(runs)
    if FLAGS.study not in (None, study):
        raise flags.UserError(f"--study={FLAGS.study}: the runs are reported as those of {study}; only {PRUNING} takes other studies' runs")
    if FLAGS.dry_run:
        print("would write the report of " + ", ".join(run.experiment.label for run in runs))
        return None
    out = pathlib.Path(FLAGS.out or pathlib.Path(FLAGS.results_dir) / "report")
    paths = importlib.import_module(REPORTS[study]).report(runs, out, FLAGS.format)
    print("\n".join(["wrote", *(f"  {path}" for path in paths)]))
    return None


def every_study(positional):
    """Writes the figures of all that is in the results folder; returns the status."""
    _only_of_all("png and pdf, without an experiment, are", positional)
    from tfprune.report import everything
    from tfprune.report.found import found

    entries = found(FLAGS.results_dir, REGISTRY).entries
    if not any(entry.trained or entry.stages for entry in entries):
        raise flags.UserError(f"--results_dir={FLAGS.results_dir}: no trained net in it; train.py makes some")
    return everything.write(entries, pathlib.Path(FLAGS.out or pathlib.Path(FLAGS.results_dir) / "report"), FLAGS.format, FLAGS.dry_run)


def one_page(positional):
    """Writes the page of all that is in the results folder."""
    _only_of_all("the page of --format=html is", positional)
    out = pathlib.Path("report.html" if FLAGS.out is None else FLAGS.out)
    if out.is_dir() or out.suffix != ".html":
        raise flags.UserError(f"--out={out}: expected the name of a file that ends in .html")
    from tfprune.report import overall

    if FLAGS.dry_run:
        print(f"would write the page of {len(overall.runs_in(FLAGS.results_dir, REGISTRY).entries)} runs in {FLAGS.results_dir} into {out}")
        return
    print(f"wrote {overall.write(FLAGS.results_dir, REGISTRY, out)}")


def _only_of_all(what, positional):
    """UserError where flags name experiments: that is of all there is."""
    given = [name for name in (*EACH, "seeds", "study", *OF_EXPERIMENTS) if FLAGS[name].present] + flags.named(positional)
    if given:
        name = given[0] if isinstance(given[0], str) else given[0][0].lstrip("-")
        raise flags.UserError(f"--{name}: {what} of all that is in --results_dir; leave it out, or --format")


def own_study(runs):
    """The study of the runs; UserError where they are of several."""
    studies = sorted({run.experiment.study for run in runs})
    if len(studies) > 1:
        raise flags.UserError(f"--experiment_ids: a report is of one study, not of {' and '.join(studies)} at once")
    return studies[0]


def asked_for(positional):
    """The runs of the experiments that the flags name, in each of --keeps, --criteria and --seeds."""
    several = [[f"{setting}={value}" for value in FLAGS[name].value.split(",")] for name, setting in EACH.items()
               if FLAGS[name].value is not None]
    runs, numbers = [], seeds()
    for assignments in itertools.product(*several):
        for FLAGS.seed in numbers:
            try:
                runs += asked(REGISTRY, positional, list(assignments))
            except flags.UserError as error:
                text = str(error).replace("give one of ", "give one of --format=html (one page of all results), --format=png or pdf (their "
                                          "figures), ")
                for name, setting in EACH.items():
                    text = text.replace(f"--set {setting}=", f"--{name}=")
                raise flags.UserError(text) from None
    return runs


def seeds():
    """The numbers of --seeds, or that of --seed."""
    if FLAGS.seeds is None:
        return [FLAGS.seed]
    if FLAGS.seed is not None:
        raise flags.UserError("--seeds: replaces --seed; give one of them")
    if not all(text.isdecimal() and len(text) < 10 for text in FLAGS.seeds.split(",")):
        raise flags.UserError(f"--seeds={FLAGS.seeds}: expected whole numbers from 0, such as 0,1,2")
    return list(map(int, FLAGS.seeds.split(",")))


if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR, "network_pruning: what prune.py has measured of nets of any study; with --list: only the "
                 "experiments of this study")
    flags.flags.DEFINE_enum("format", "png", ["png", "pdf", "html"], "png, pdf: figures of the experiments asked for "
                            "(without the flag png), or of all in the results folder; html: one page of all of these")
    flags.flags.DEFINE_string("out", None, "folder of the report, by default <results_dir>/report; of html the file, by default "
                              "report.html in the current folder")
    flags.flags.DEFINE_string("keeps", None, "of supermasks: the experiments at each of these shares of weights kept, such as 0.1,0.3,0.5")
    flags.flags.DEFINE_string("criteria", None, "of pruning: the experiments by each of these criteria, such as magnitude,apoz,random")
    flags.flags.DEFINE_string("seeds", None, "the experiments with each of these seeds, such as 0,1,2; curves are then means")
    flags.run(main, REGISTRY)
