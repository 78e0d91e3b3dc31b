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
from tfprune.report.measured import curve_label, label, readable, variants
from tfprune.report.pruning_results import read_histograms, read_table
from tfprune.report.together import common
from tfprune.run import OF_PRUNING

HISTOGRAMS = {"weight": "pruned_weights_l1_k=", "unit": "pruned_units_l2_k="}  # the original's names, to which the sparsity is added
MOST_HISTOGRAMS = 8  # runs


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


def measured(runs):
    """([(run, (stage, the run as it was measured))] for each time that prune.py or shrink.py was done, a line for each damaged run)."""
    def read(run):
        return [(run, (stage, member)) for stage in OF_PRUNING for member in variants(run, stage)]

    return readable(runs, read)


def report(runs, folder, form="png"):
    """Writes the tables and figures of the runs as they are, as of `written`.

    Raises:
      UserError: a run is neither pruned nor made smaller, or the runs have different numbers of classes and cannot share an axis.
    """
    found = [(stage, run) for stage in OF_PRUNING for run in runs if run.done(stage)]
    for run in runs:
        if run not in [run for _, run in found]:
            _require(run)
    return written(found, folder, form)


def written(found, folder, form="png"):
    """Writes the tables and figures of what was measured, prints the accuracies, and returns the paths.

    Of what prune.py measured `pruning.csv` is tidy, `pruning.md` has accuracies by sparsity, `pruning_accuracy.<form>` and
    `pruning_loss.<form>` have a curve for all seeds of a net, and `pruning_histograms_<weight|unit>_<run>.<form>` shows some sparsities;
    of what shrink.py made there are `shrink.csv` and `shrink.<form>`.

    Args:
      found: [(stage, run)], the stage being "prune" or "shrink".
    """
    pruned, small = ([run for stage, run in found if stage == wanted] for wanted in OF_PRUNING)
    common([run for _, run in found], "data sets with one number of classes", lambda experiment: classes(experiment.dataset))
    texts, drawn = {}, {}
    if pruned:
        table = tidy(pruned)
        texts |= {"pruning.csv": table.to_csv(index=False), "pruning.md": pruning_curves.as_markdown(table)}
        drawn |= {f"pruning_{column}": pruning_curves.against_sparsity(table, column) for column in ("accuracy", "loss")}
        drawn |= _histograms(pruned)
        print(pruning_curves.as_text(table))
    if small:
        sizes = shrunk.tidy(small, [curve_label(run, "shrink") for run in small])
        texts["shrink.csv"], drawn["shrink"] = sizes.to_csv(index=False), shrunk.before_and_after(sizes)
    folder = files.writable_folder(folder, "--out")
    for name, text in texts.items():
        files.write(folder / name, text)
    for name, figure in drawn.items():
        save(figure, folder / f"{name}.{form}")
    return [folder / name for name in texts] + [folder / f"{name}.{form}" for name in drawn]


def _histograms(runs):
    """{name: figure} of each of the first runs, by weight and by unit."""
    drawn = {}
    for run in runs[:MOST_HISTOGRAMS]:
        name = run.experiment.name + run.experiment.tag(*OF_PRUNING["prune"])
        for by in run.experiment.measure.prune_by:
            drawn[f"pruning_histograms_{by}_{name}"] = pruning_frames.overlaid(read_histograms(run, by), label(run, "prune"))
    if len(runs) > MOST_HISTOGRAMS:
        print(f"histograms are drawn of the first {MOST_HISTOGRAMS} of {len(runs)} runs")
    return drawn


def _require(run):
    """UserError where a run is not pruned: by what prune.py would refuse of its settings, else with the command."""
    if run.done("prune") is None:
        from tfprune.pruning.stage import check

        check(run.experiment)
    run.require("prune", "the report")


def tidy(runs):
    """A row a run, what was pruned, and a sparsity.

    Columns: experiment_id, name, curve (its label, without the seed), seed; those of the stage's own table (tfprune/pruning/sweep.py);
    chance (accuracy of guessing; NaN in a regression).
    """
    every = []
    for run in runs:
        run.require("prune", "the report")
        about = {"experiment_id": run.experiment.id, "name": run.experiment.name, "curve": curve_label(run, "prune"),
                 "seed": run.experiment.seed}
        table = read_table(run).assign(chance=_chance(run.experiment.dataset))
        every.append(pd.concat([pd.DataFrame(about, table.index), table], axis=1))
    table = pd.concat(every, ignore_index=True)
    table.attrs["title"] = ", ".join(sorted({f"{run.experiment.dnn.name} on {run.experiment.dataset.name}" for run in runs}))
    return table


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
