"""The study of pruning: the figures of a run, and the report of several, as report.py gives it.

A run counts once it is trained and pruned (prune.py). What shrink.py measured of its smaller net is in the report too.
"""
import numpy as np
import pandas as pd

from tfprune import files
from tfprune.datasets import classes
from tfprune.pruning_words import GIFS
from tfprune.report import pruning_curves, pruning_frames, shrunk
from tfprune.report import pruning_figures as figures
from tfprune.report.figures import save
from tfprune.report.pruning_results import read_histograms, read_table
from tfprune.report.together import common, curve_labels

HISTOGRAMS = {"weight": "pruned_weights_l1_k=", "unit": "pruned_units_l2_k="}  # the original's names, to which the sparsity is added


def run_figures(run):
    """Draws the figures of a run that is trained and pruned, into its folder `figures`; returns their paths.

    Those of overrides of `measure.` have names of their own. Figures that are newer than the pruning stay as they are.

    Raises:
      UserError: the run is not pruned, or its files are damaged.
    """
    from tfprune.training import metrics

    trained, _ = run.require("train", "its figures"), run.require("prune", "its figures")
    folder = run.path / "figures"
    lines, best = metrics.read(run.path / "metrics.jsonl"), trained["result"].get("best_epoch")
    epochs = {"loss_accuracy.png": folder / "loss_accuracy.png"} if best else {}  # none of weights from elsewhere, or untrained ones
    paths = epochs | {name: folder / run.file("prune", name).name for name in _names(run.experiment.measure)}
    pruned_at = run.marker("prune").stat().st_mtime
    if all(path.exists() and path.stat().st_mtime >= pruned_at for path in paths.values()):
        return list(paths.values())
    files.writable_folder(folder, "--results_dir")
    title = f"{run.experiment.label}: {run.experiment.dnn.name} on {run.experiment.dataset.name}"
    if epochs:
        save(figures.loss_accuracy(lines, best, title), paths["loss_accuracy.png"], figures.DPI)
    drawn = figures.against_sparsity(read_table(run), classes(run.experiment.dataset), title + _settings(run.experiment.measure))
    save(drawn, paths["pruned_loss_accuracy.png"], figures.DPI)
    for by in run.experiment.measure.prune_by:
        _animate(read_histograms(run, by), _settings(run.experiment.measure), paths)
    return list(paths.values())


def report(runs, folder, form="png"):
    """Writes the tables and figures of the runs, prints the accuracies, and returns the paths.

    Of what prune.py measured `pruning.csv` is tidy, `pruning.md` has accuracies by sparsity, and `pruning_accuracy.<form>` a curve for all
    seeds of what else differs; of what shrink.py made there are `shrink.csv` and `shrink.<form>`.

    Raises:
      UserError: a run has neither, or the runs have different numbers of classes and cannot share an axis.
    """
    common(runs, "data sets with one number of classes", lambda experiment: classes(experiment.dataset))
    pruned, small = ([run for run in runs if run.done(stage)] for stage in ("prune", "shrink"))
    for run in runs:
        if run not in small:
            _require(run)
    written, drawn = {}, {}
    if pruned:
        table = tidy(pruned)
        written |= {"pruning.csv": table.to_csv(index=False), "pruning.md": pruning_curves.as_markdown(table)}
        drawn[f"pruning_accuracy.{form}"] = pruning_curves.accuracies(table)
        print(pruning_curves.as_text(table))
    if small:
        sizes = shrunk.tidy(small, _labels([run.experiment for run in small]))
        written["shrink.csv"], drawn[f"shrink.{form}"] = sizes.to_csv(index=False), shrunk.before_and_after(sizes)
    folder = files.writable_folder(folder, "--out")
    for name, text in written.items():
        files.write(folder / name, text)
    for name, figure in drawn.items():
        save(figure, folder / name)
    return [folder / name for name in (*written, *drawn)]


def _require(run):
    """UserError where a run is not pruned: by what prune.py would refuse of its settings, else with the command."""
    if run.done("prune") is None:
        from tfprune.pruning.stage import check

        check(run.experiment)
    run.require("prune", "the report")


def tidy(runs):
    """A row a run, what was pruned, and a sparsity.

    Columns: experiment_id, name, curve (what tells it apart from the others but for its seed), seed; those of the stage's own table
    (tfprune/pruning/sweep.py); chance (accuracy of guessing; NaN in a regression).
    """
    labels = _labels([run.experiment for run in runs])
    every = []
    for run, label in zip(runs, labels, strict=True):
        run.require("prune", "the report")
        about = {"experiment_id": run.experiment.id, "name": run.experiment.name, "curve": label, "seed": run.experiment.seed}
        table = read_table(run).assign(chance=_chance(run.experiment.dataset))
        every.append(pd.concat([pd.DataFrame(about, table.index), table], axis=1))
    table = pd.concat(every, ignore_index=True)
    table.attrs["title"] = ", ".join(sorted({f"{run.experiment.dnn.name} on {run.experiment.dataset.name}" for run in runs}))
    return table


def _labels(experiments):
    """What tells the experiments apart; their criteria by name alone."""
    labels, criteria = curve_labels(experiments, "measure.criterion"), [experiment.measure.criterion for experiment in experiments]
    if len(set(criteria)) == 1:
        return labels
    return criteria if len(set(labels)) == 1 else [f"{label}, {criterion}" for label, criterion in zip(labels, criteria, strict=True)]


def _names(measure):
    """File names of the figures of a pruning."""
    every = ["pruned_loss_accuracy.png"]
    for by in measure.prune_by:
        every += [f"{HISTOGRAMS[by]}{float(sparsity)}.png" for sparsity in sorted(set(measure.sparsities))] + [GIFS[by]]
    return every


def _animate(histograms, title, paths):
    images = []
    for sparsity, image in pruning_frames.frames(histograms, title):
        files.write(paths[f"{HISTOGRAMS[histograms.by]}{sparsity}.png"], pruning_frames.png(image))
        images.append(image)
    files.write(paths[GIFS[histograms.by]], pruning_frames.gif(images))


def _settings(measure):
    """Words for what is not as the study has it."""
    words = [f"by {measure.criterion}" if measure.criterion != "magnitude" else "",
             "all layers ranked together" if measure.scope == "global" else "",
             "averages found anew" if measure.renormalised else ""]
    return "".join(f", {word}" for word in words if word)


def _chance(dataset):
    """The accuracy of guessing; NaN in a regression."""
    return 1 / classes(dataset) if classes(dataset) > 1 else np.nan
