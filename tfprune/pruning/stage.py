"""The stage "prune" of a run: its trained net at every sparsity, on the test set.

In the run: pruning.csv and pruning.json (the table of `pruning_sweep`), histograms.npz (`Histograms`). Beside those of other runs, in
`<results_dir>/csv/network_pruning/<name of the run>/`, results.csv as the original study has it. Overrides of what is measured add to the
names of all four (`Run.file`).
"""
import json
import time

import pandas as pd

from tfprune import files
from tfprune.input.pipeline import evaluation_batches
from tfprune.input.records import load
from tfprune.masks import npz
from tfprune.models import build_model, check_buildable
from tfprune.progress import say
from tfprune.pruning import sweep
from tfprune.pruning.evaluation import Evaluation
from tfprune.pruning.histograms import Histograms
from tfprune.pruning.magnitude import Pruner, check_excluded
from tfprune.pruning.table import NUMBERS, read_table
from tfprune.training.checkpoints import trained_model
from tfprune.training.losses import build_loss

BATCH, BATCHES = 250, 40  # of training examples, the first ones, by which units are ranked and averages found anew
HEADER = {"accuracy": "Test Accuracy ({})", "loss_with_penalty": "Test Loss: ({})"}  # of the original's table


def execute(run, records, overwrite=False, dry_run=False):
    """Prunes a run's trained net, unless that is done, and prints the table; returns the done marker (None on a dry run).

    Args:
      run: a `Run`.
      records: finds or builds the folder of records.
      overwrite, dry_run: as of `Run.execute`.

    Raises:
      UserError: the net is not trained, or cannot be pruned as the experiment asks.
    """
    check(run.experiment)
    started = time.monotonic()
    marker = run.execute("prune", lambda folder: _work(run, folder), records, ("train",), overwrite, dry_run)
    if marker and not dry_run:
        table = read_table(run, (*NUMBERS, "parameters"))
        path = results_csv(run)
        files.writable_folder(path.parent, "--results_dir")
        files.write(path, as_original(table))
        say(f"{run.experiment.label} prune: test accuracy and loss (with its penalty) at each sparsity\n{in_words(table)}")
        say(f"{run.experiment.label} prune: {time.monotonic() - started:.1f} seconds, table in {path}")
    return marker


def check(experiment):
    """UserError where an experiment has no net, or what it says of pruning does not go together or with its net."""
    check_buildable(experiment)
    measure = experiment.measure
    sweep.check(measure.sparsities, measure.prune_by, measure.criterion, measure.fidelity,
                ("measure.sparsities", "measure.prune_by", "measure.criterion"))
    if measure.excluded:
        check_excluded(build_model(experiment), measure.excluded, "measure.excluded")


def results_csv(run):
    """Path of the table in the original's format."""
    return run.results_dir / "csv" / "network_pruning" / run.experiment.name / run.file("prune", "results.csv").name


def as_original(table):
    """The text of the original's results.csv: a row a sparsity, in the order asked for; what was not measured stays empty.

    Its loss is what Keras' evaluate gives, with the penalty on weights; "(%)" stands over shares from 0 to 1.
    """
    rows = dict(list(table.groupby("by")))
    columns = {"Sparsity (%)": next(iter(rows.values()))["sparsity"].to_numpy()}
    for column, title in HEADER.items():
        for by in ("weight", "unit"):
            columns[title.format(by.title())] = rows[by][column].to_numpy() if by in rows else None
    return pd.DataFrame(columns).to_csv(index=False, float_format="%.4f", lineterminator="\n")


def in_words(table):
    """The table for people: a line a sparsity."""
    places = table.groupby("by").cumcount().rename("place")
    wide = table.set_index([places, "by"])[["accuracy", "loss_with_penalty", "parameters"]].unstack("by")
    wide = wide.rename(columns={"loss_with_penalty": "loss", "parameters": "left"}).swaplevel(axis=1)
    wide = wide[[(by, figure) for by in table["by"].unique() for figure in ("accuracy", "loss", "left")]]
    wide.index = pd.Index([f"{sparsity:g}" for sparsity in table["sparsity"][:len(wide)]], name="sparsity")
    wide.columns = [f"{by} {figure}" for by, figure in wide.columns]
    return wide.reset_index().to_string(index=False, float_format="{:.4f}".format)


def _work(run, folder):
    """(files, result) of the stage, for the done marker."""
    experiment, measure = run.experiment, run.experiment.measure
    known = first_examples(experiment, load(folder, "train"))
    pruner = Pruner(trained_model(experiment, run.results_dir), measure.prune_by, measure.criterion, measure.scope, measure.excluded, known,
                    fidelity=measure.fidelity, seed=experiment.seed_for("pruning"))
    loss = build_loss(experiment, pruner.model)
    test = evaluation_batches(load(folder, "test"), experiment.dataset, experiment.hyper, BATCH)
    evaluation, histograms = Evaluation(pruner.model, test, loss=loss.data), Histograms(pruner, measure.prune_by)
    table = sweep.sweep(pruner, evaluation, measure.sparsities, measure.prune_by, lambda _: loss.penalty(),
                        known if measure.renormalised else None, histograms.add)
    paths = [run.file("prune", name) for name in ("pruning.json", "pruning.csv", "histograms.npz")]
    files.write(paths[0], json.dumps({"experiment": experiment.id, "rows": table.to_dict("records")}) + "\n")
    files.write(paths[1], table.to_csv(index=False))
    npz.write(paths[2], histograms.arrays(measure.sparsities))
    return paths, {"dense": evaluation() | {"examples": len(load(folder, "test"))}}


def first_examples(experiment, split):
    """The first examples of a training set, prepared as for an evaluation, as a `tf.data.Dataset` of batches."""
    return evaluation_batches(split, experiment.dataset, experiment.hyper, BATCH).take(BATCHES)
