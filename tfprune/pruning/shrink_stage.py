"""The stage "shrink" of a run: its trained net with the units that count least taken out, measured, and written for other programs.

In the run: shrink.csv, what the net is worth and costs before and after and in each format, every one beside the net that it was made
from; and the folder shrunk/ with the files of the formats (`pruning.formats`). Overrides of what is measured add to both names, as in
`Run.file`.
"""
import pandas as pd

from tfprune import files
from tfprune.experiment import UserError
from tfprune.input import pipeline, records
from tfprune.masks.dense_twin import to_dense
from tfprune.models import build_model, check_buildable
from tfprune.progress import say
from tfprune.pruning import sweep
from tfprune.pruning.costs import costs_of, latencies
from tfprune.pruning.export import check_formats, export
from tfprune.pruning.formats.serving import serving_function
from tfprune.pruning.magnitude import check_excluded, magnitude_prune
from tfprune.pruning.renormalise import renormalise
from tfprune.pruning.roundtrip import figures, outputs
from tfprune.pruning.shrinking import shrink
from tfprune.pruning.stage import BATCH, first_examples
from tfprune.run import STAGES
from tfprune.training.checkpoints import trained_model

SAME = 1e-5  # what the outputs of the smaller net may differ by from those of the masked one, as a share of the largest
LATENCIES = (1, 64)  # images of a batch
COLUMNS = {"accuracy": ("accuracy [%]", 100, "{:.2f}"), "agreement": ("same class [%]", 100, "{:.2f}"),
           "difference": ("difference", 1, "{:.1e}"), "parameters": ("parameters", 1, "{:,.0f}"),
           "multiply_adds": ("multiply-adds", 1, "{:,.0f}"), "bytes": ("kB", 1e-3, "{:,.1f}"), "gzip_bytes": ("kB gzip", 1e-3, "{:,.1f}"),
           **{f"seconds_{batch}": (f"ms of {batch}", 1e3, "{:.3f}") for batch in LATENCIES}}  # name in words, factor, format


def execute(run, records, overwrite=False, dry_run=False):
    """Makes a run's net smaller, unless that is done, and prints the table; returns the done marker (None on a dry run).

    Args:
      run: a `Run`.
      records: finds or builds the folder of records.
      overwrite, dry_run: as of `Run.execute`.

    Raises:
      UserError: the net is not trained, nothing would be left of a layer, the net cannot be cut, or a format cannot take it.
    """
    check(run.experiment)
    nets = {}

    def prepare():
        folder = records()
        nets.update(smaller(run, folder))  # before anything is written
        return folder

    marker = run.execute("shrink", lambda folder: _work(run, folder, nets), prepare, ("train",), overwrite, dry_run)
    if marker and not dry_run:
        say(f"{run.experiment.label} shrink: on the test set\n{in_words(pd.read_csv(run.file('shrink', 'shrink.csv')))}")
        say(f"{run.experiment.label} shrink: table in {run.file('shrink', 'shrink.csv')}, files in {folder_of(run)}")
    return marker


def check(experiment):
    """UserError where what an experiment says of cutting does not go together, or with its net."""
    check_buildable(experiment)
    measure = experiment.measure
    if measure.cut == 1:
        raise UserError(f"measure.cut={measure.cut:g}: leaves nothing of any layer; a number from 0 to below 1 is accepted")
    sweep.check((measure.cut,), ("unit",), measure.criterion, measure.fidelity, ("measure.cut", "measure.prune_by", "measure.criterion"))
    check_formats(measure.formats)
    if measure.excluded:
        check_excluded(build_model(experiment), measure.excluded, "measure.excluded")


def folder_of(run):
    """Where a run's exported files are."""
    return run.path / f"shrunk{run.experiment.tag(*STAGES['shrink'])}"


def smaller(run, folder):
    """{"trained", "pruned", "cut"}: a run's net, the same with silent units, and without them.

    With `measure.cut` 0 nothing is pruned: what is silent already, as training leaves it, is taken out.
    """
    measure, trained = run.experiment.measure, to_dense(trained_model(run.experiment, run.results_dir))
    pruned = trained
    if measure.cut:
        known = first_examples(run.experiment, records.load(folder, "train"))
        pruned = magnitude_prune(trained, measure.cut, "unit", measure.criterion, measure.scope, measure.excluded, known,
                                 fidelity=measure.fidelity, seed=run.experiment.seed_for("pruning"))
    return {"trained": trained, "pruned": pruned, "cut": shrink(pruned)}


def in_words(table):
    """The table for people."""
    wide = table.set_index("net")[[column for column in COLUMNS if column in table]].rename_axis(None)
    for column in wide:
        _, factor, form = COLUMNS[column]
        wide[column] = [form.format(value * factor) if pd.notna(value) else "" for value in wide[column]]
    return wide.rename(columns={column: words for column, (words, *_) in COLUMNS.items()}).to_string()


def _work(run, folder, nets):
    """(files, result) of the stage, for the done marker."""
    experiment, measure = run.experiment, run.experiment.measure
    test = pipeline.evaluation_batches(records.load(folder, "test"), experiment.dataset, experiment.hyper, BATCH)
    known = first_examples(experiment, records.load(folder, "train"))
    logits = {name: _logits(net, test, name) for name, net in nets.items()}
    same = figures(logits["cut"][0], *logits["pruned"])
    if not same["difference"] <= SAME * same["scale"]:
        raise UserError(f"{experiment.flag}: the smaller net gives other outputs than the masked one, by up to {same['difference']:.3g} of "
                        f"{same['scale']:.3g}; nothing was written")
    if measure.renormalised:
        nets["cut"] = renormalise(nets["cut"], known)
        logits["cut"] = _logits(nets["cut"], test, "cut")
    written = export(nets["cut"], folder_of(run), measure.formats, test, representative=known)
    rows = _rows(nets, logits)
    exported = written[written["format"] != "memory"].rename(columns={"format": "net", "seconds": "seconds_1"}).drop(columns=["path"])
    table = pd.concat([pd.DataFrame(rows), exported], ignore_index=True)
    path = run.file("shrink", "shrink.csv")
    files.write(path, table.to_csv(index=False))
    made = [part for part in sorted(folder_of(run).rglob("*")) if part.is_file()]
    return [path, *made], {"difference": same["difference"], "scale": same["scale"]} | {
        name: {"accuracy": row["accuracy"], "parameters": row["parameters"]} for name, row in zip(nets, rows, strict=True)}


def _logits(net, images, name):
    function = serving_function(net)
    return outputs(lambda batch: function(batch)["logits"].numpy(), images, None, BATCH, function.images, name)


def _rows(nets, logits):
    """What each net is worth and costs; `agreement` and `difference` are those with the net that it was made from."""
    before = {"trained": "trained", "pruned": "trained", "cut": "pruned"}
    rows = [{"net": name} | figures(logits[name][0], logits[before[name]][0], logits[name][1]) | costs_of(net)
            for name, net in nets.items()]
    for batch in LATENCIES:
        for row, seconds in zip(rows, latencies(list(nets.values()), batch), strict=True):
            row[f"seconds_{batch}"] = seconds
    return rows
