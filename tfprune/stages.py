"""The measuring stages of a run, from its trained net and records to the pickles whose nesting is the original study's.

Each returns (paths of its files, result) for the run's done marker. Which sets are measured, and how the results nest, is the layout of
the run's data set (tfprune/units/layouts.py); under `measure.fidelity=original` not all batches are measured (`batches.measured_batches`).
"""
from dataclasses import dataclass

from tfprune import files, pickles
from tfprune.datasets import classes
from tfprune.input import pipeline, records
from tfprune.keras import tf
from tfprune.progress import track
from tfprune.training.checkpoints import trained_model
from tfprune.units.activations import Sample, samples
from tfprune.units.batches import fitting_batch, measured_batches
from tfprune.units.fidelity import is_original
from tfprune.units.graph import unit_layers
from tfprune.units.layouts import layout_of
from tfprune.units.meter import Meter
from tfprune.units.robustness import as_table, orders_for
from tfprune.units.streaming import streamed


def get_activations(run, folder):
    """activations{c}.pkl, labels{c}.pkl and accuracy{c}.pkl (mse{c}.pkl in a regression), of two sets the second's with `_test`."""
    model, measure, layout = _trained(run), run.experiment.measure, layout_of(run.experiment)
    written, result = [], {}
    for name, suffix in layout.suffixes.items():
        measured = _measured(run, folder, name, model)
        crosses = samples(model, measured.batches, crosses=range(measure.crosses), max_rows=measure.max_rows, metric=_metric(run),
                          batch_size=measured.batch_size, num_examples=measured.number * measured.batch_size)
        for cross, sample in enumerate(crosses):
            contents = {"activations": sample.rows, "labels": sample.labels, _score(run): sample.score}
            written += [_write(run, "get_activations", f"{stem}{suffix}{cross}", value) for stem, value in contents.items()]
        result[name] = {_score(run): crosses[0].score, "rows": [len(rows) for rows in crosses[0].rows]}
    return written, result


def get_redundancy(run):
    """corr{c}.pkl, similarity{c}.pkl, selectivity{c}.pkl and what else the layout has, from the stored activations."""
    measure, layout, written = run.experiment.measure, layout_of(run.experiment), []
    for cross in track(range(measure.crosses), label="redundancy"):
        sets = [Sample(*(_read(run, "get_activations", f"{stem}{suffix}{cross}") for stem in ("activations", "labels", _score(run))))
                for suffix in layout.suffixes.values()]
        contents = layout.nesting.redundancy_files(*sets, mse=run.experiment.hyper.mse, fidelity=measure.fidelity)
        written += [_write(run, "get_redundancy", f"{stem}{cross}", value) for stem, value in contents.items()]
    return written, layout.nesting.summary(contents)


def stream_redundancy(run, folder):
    """The same files from every position of every example; the crosses, which differ in the rows they draw, are then all alike."""
    experiment, model, layout = run.experiment, _trained(run), layout_of(run.experiment)
    sets = []
    for name in layout.suffixes:
        measured = _measured(run, folder, name, model)
        numbers = None if experiment.hyper.mse else range(classes(experiment.dataset))
        sets.append(streamed(model, measured.batches, classes=numbers, metric=_metric(run), batch_size=measured.batch_size))
    contents = layout.nesting.streamed_redundancy_files(*sets, mse=experiment.hyper.mse, fidelity=experiment.measure.fidelity)
    written = [_write(run, "get_redundancy", f"{stem}{cross}", value)
               for cross in range(experiment.measure.crosses) for stem, value in contents.items()]
    return written, layout.nesting.summary(contents)


def get_robustness(run, folder):
    """robustness{c}.pkl (agreement with the intact net) and robustness_accuracy{c}.pkl."""
    experiment, model, measure, layout = run.experiment, _trained(run), run.experiment.measure, layout_of(run.experiment)
    layers, tables = unit_layers(model), []
    correlations = [_read(run, "get_redundancy", f"corr{cross}")[:len(layers)] for cross in range(measure.crosses)]
    for number, name in enumerate(layout.suffixes):
        measured = _measured(run, folder, name, model)
        orders = orders_for(model, measure.kinds, measure.crosses, experiment.seed, correlations, measure.fidelity, number,
                            len(layout.suffixes))
        meter = Meter(model, measure.kinds, orders, range(measure.crosses), measure.amounts, experiment.seed, measure.fidelity,
                      measured.batch_size)
        for images, labels in track(measured.batches, measured.number, f"robustness {name}"):
            meter.add(images, labels)
        tables.append(as_table(meter.scores()))
    written = [_write(run, "get_robustness", f"{stem}{cross}",
                      layout.nesting.robustness_file(*tables, layers=layers, cross=cross, column=column))
               for stem, column in (("robustness", "agreement"), ("robustness_accuracy", "accuracy")) for cross in range(measure.crosses)]
    return written, {"layers": list(layers), "kinds": list(measure.kinds)}


@dataclass(frozen=True, eq=False)
class _Measured:
    """What is measured of a set: `number` batches of `batch_size`, of which the last may be smaller."""

    split: object  # kept for as long as its batches are wanted
    batches: tf.data.Dataset
    number: int
    batch_size: int


def _measured(run, folder, name, model):
    experiment, wraps = run.experiment, layout_of(run.experiment).wraps
    split, fidelity = records.load(folder, name), experiment.measure.fidelity
    size = fitting_batch(model, experiment.hyper.batch_size)
    number = measured_batches(_examples(run, split, name), size, fidelity, wraps)
    dataset = pipeline.evaluation_batches(split, experiment.dataset, experiment.hyper, size)
    if wraps and is_original(fidelity):
        dataset = dataset.repeat().rebatch(size)
    return _Measured(split, dataset.take(number), number, size)


def _examples(run, split, name):
    """How many examples the measures count on; the original's count of a training set always leaves out 5 % for validation."""
    if not is_original(run.experiment.measure.fidelity):
        return len(split)
    generated = name == "train" and run.experiment.dataset.name == "linear"  # its validation set is extra, yet they are left out
    return int(split.epoch_size * run.experiment.dataset.proportion_training_set) if generated else split.epoch_size


def _trained(run):
    return trained_model(run.experiment, run.results_dir)


def _score(run):
    return "mse" if run.experiment.hyper.mse else "accuracy"


def _metric(run):
    if run.experiment.hyper.mse:
        return "mse_broadcast" if run.experiment.training.mse == "broadcast" else "mse"
    return layout_of(run.experiment).metric


def _read(run, stage, stem):
    return pickles.load(run.file(stage, f"{stem}.pkl"))


def _write(run, stage, stem, value):
    path = run.file(stage, f"{stem}.pkl")
    files.write(path, pickles.dumps(value))
    return path
