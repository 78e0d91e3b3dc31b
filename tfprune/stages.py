"""The measuring stages of a run, from its trained net and records to the pickles whose nesting is the original study's.

Each returns (paths of its files, result) for the run's done marker. The sets measured are train and test; under
`measure.fidelity=original` only floor(n / batch size) - 1 batches of each, as the original does.
"""
from tfprune import files, pickles
from tfprune.input import pipeline, records
from tfprune.progress import track
from tfprune.training.checkpoints import trained_model
from tfprune.units.activations import Sample, samples
from tfprune.units.batches import measured_batches
from tfprune.units.fidelity import is_original
from tfprune.units.graph import unit_layers
from tfprune.units.meter import Meter
from tfprune.units.nesting import SETS, redundancy_files, robustness_file, streamed_redundancy_files
from tfprune.units.robustness import as_table, orders_for
from tfprune.units.streaming import streamed

SUFFIXES = dict(zip(SETS, ("", "_test"), strict=True))  # of the original's file names


def get_activations(run, folder):
    """activations{c}.pkl, labels{c}.pkl and accuracy{c}.pkl (mse{c}.pkl in a regression), and the same with `_test`."""
    model, measure = _trained(run), run.experiment.measure
    written, result = [], {}
    for name, suffix in SUFFIXES.items():
        split = records.load(folder, name)
        crosses = samples(model, _batches(run, split, name), crosses=range(measure.crosses), max_rows=measure.max_rows, metric=_metric(run),
                          batch_size=run.experiment.hyper.batch_size, fidelity=measure.fidelity, num_examples=_examples(run, split, name))
        for cross, sample in enumerate(crosses):
            contents = {"activations": sample.rows, "labels": sample.labels, _score(run): sample.score}
            written += [_write(run, "get_activations", f"{stem}{suffix}{cross}", value) for stem, value in contents.items()]
        result[name] = {_score(run): crosses[0].score, "rows": [len(rows) for rows in crosses[0].rows]}
    return written, result


def get_redundancy(run):
    """corr{c}.pkl, corr_test{c}.pkl, similarity{c}.pkl, redundancy{c}.pkl and selectivity{c}.pkl from the stored activations."""
    measure, written = run.experiment.measure, []
    for cross in track(range(measure.crosses), label="redundancy"):
        train, test = (Sample(*(_read(run, "get_activations", f"{stem}{suffix}{cross}") for stem in ("activations", "labels", _score(run))))
                       for suffix in SUFFIXES.values())
        contents = redundancy_files(train, test, run.experiment.hyper.mse, measure.fidelity)
        written += [_write(run, "get_redundancy", f"{stem}{cross}", value) for stem, value in contents.items()]
    return written, _redundancy_result(contents)


def stream_redundancy(run, folder):
    """The same files from every position of every example; the crosses, which differ in the rows they draw, are then all alike."""
    experiment, model = run.experiment, _trained(run)
    sets = []
    for name in SETS:
        split = records.load(folder, name)
        classes = None if experiment.hyper.mse else range(split.num_classes)
        sets.append(streamed(model, _batches(run, split, name), classes=classes, metric=_metric(run),
                             batch_size=experiment.hyper.batch_size))
    contents = streamed_redundancy_files(*sets, experiment.hyper.mse, experiment.measure.fidelity)
    written = [_write(run, "get_redundancy", f"{stem}{cross}", value)
               for cross in range(experiment.measure.crosses) for stem, value in contents.items()]
    return written, _redundancy_result(contents)


def get_robustness(run, folder):
    """robustness{c}.pkl (agreement with the intact net) and robustness_accuracy{c}.pkl."""
    experiment, model, measure = run.experiment, _trained(run), run.experiment.measure
    layers, tables = unit_layers(model), []
    correlations = [_read(run, "get_redundancy", f"corr{cross}")[:len(layers)] for cross in range(measure.crosses)]
    for number, name in enumerate(SETS):
        split = records.load(folder, name)
        orders = orders_for(model, measure.kinds, measure.crosses, experiment.seed, correlations, measure.fidelity, number)
        meter = Meter(model, measure.kinds, orders, range(measure.crosses), measure.amounts, experiment.seed, measure.fidelity,
                      experiment.hyper.batch_size)
        dataset = _batches(run, split, name)
        for images, labels in track(dataset, len(dataset), f"robustness {name}"):
            meter.add(images, labels)
        tables.append(as_table(meter.scores()))
    written = [_write(run, "get_robustness", f"{stem}{cross}", robustness_file(*tables, layers, cross, column))
               for stem, column in (("robustness", "agreement"), ("robustness_accuracy", "accuracy")) for cross in range(measure.crosses)]
    return written, {"layers": list(layers), "kinds": list(measure.kinds)}


def _trained(run):
    return trained_model(run.experiment, run.results_dir)


def _batches(run, split, name):
    """The batches of a set that are measured."""
    experiment = run.experiment
    dataset, batch = pipeline.evaluation_batches(split, experiment.dataset, experiment.hyper), experiment.hyper.batch_size
    return dataset.take(measured_batches(_examples(run, split, name), batch, experiment.measure.fidelity))


def _examples(run, split, name):
    """How many examples the measures count on; the original's count of a training set always leaves out 5 % for validation."""
    if not is_original(run.experiment.measure.fidelity):
        return len(split)
    generated = name == "train" and run.experiment.dataset.name == "linear"  # its validation set is extra, yet they are left out
    return int(split.epoch_size * run.experiment.dataset.proportion_training_set) if generated else split.epoch_size


def _score(run):
    return "mse" if run.experiment.hyper.mse else "accuracy"


def _metric(run):
    return "mse_broadcast" if run.experiment.hyper.mse and run.experiment.training.mse == "broadcast" else _score(run)


def _read(run, stage, stem):
    return pickles.load(run.file(stage, f"{stem}.pkl"))


def _write(run, stage, stem, value):
    path = run.file(stage, f"{stem}.pkl")
    files.write(path, pickles.dumps(value))
    return path


def _redundancy_result(contents):
    """What the done marker tells at a glance: compressability by layer."""
    return {name: {"compressability_95": [float(value) for value in contents["redundancy"][5][index]]} for index, name in enumerate(SETS)}
