"""The CSV of a family of VGGs: the original's columns and text, what its figures are of, which runs it is of, and what may go wrong."""
import ast
import io
import json
import shutil

import pandas as pd
import pytest

from experiments import REGISTRY
from tests.test_training import trained
from tfprune import families
from tfprune.files import write_json
from tfprune.models import build_model, multiply_adds_of, parameter_count
from tfprune.models.vgg import features_of
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.training import family_csv, results_csv, summaries
from tfprune.training.metrics import read

THEIRS = ",Filters,Parameters,Mean,Variance,Skew,BestVal,BestValsTrain,BestEpoch,LastValPrec,LastTrainPrec,AllTrain,AllVal"
SMALL = ["dataset.limit=100", "hyper.batch_size=16", "hyper.max_num_epochs=3"]
LISTS = dict.fromkeys(("Filters", "AllTrain", "AllVal"), ast.literal_eval)


def table_of(run):
    """Writes the table that a run is in; returns it as pandas reads it."""
    return pd.read_csv(family_csv.rebuild(run.results_dir, run.experiment), index_col=0, converters=LISTS)


def finished(run, best_epoch=2, stopped="all 3 epochs done", **result):
    """A done marker as of a training with these figures."""
    epochs = [(None, .12), (.25, .5), (.5, .625), (.75, .625)][:4 if best_epoch else 1]
    lines = [{"epoch": epoch, "train_accuracy": train, "val_accuracy": val, "val_top_5": val and val + .1, "seconds": 1.25}
             for epoch, (train, val) in enumerate(epochs)]
    run.path.mkdir(parents=True)
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = {"best_epoch": best_epoch, "stopped": stopped, "test": {"accuracy": .6}} | result
    result |= summaries.summary(run.experiment, lines, result)
    write_json(run.marker("train"), {"settings": {}, "files": {}, "made_from": {}, "result": result})
    return result


@pytest.fixture(scope="module")
def real(tmp_path_factory, data_dir):
    return trained(tmp_path_factory.mktemp("real"), data_dir, SMALL, experiment_id=9270)


def test_a_row_has_the_figures_of_its_training(real):
    run, marker = real
    lines, result = read(run.path / "metrics.jsonl"), marker["result"]
    row, = table_of(run).itertuples()
    experiment, best = run.experiment, lines[result["best_epoch"]]
    features, dnn = features_of(experiment), experiment.dnn
    assert row.Filters == [float(width) for width in features] and row.Parameters == families.parameters(features)
    assert (row.Mean, row.Variance, row.Skew) == (dnn.location, dnn.scale, dnn.shape) == (6, 1.5, -28)
    assert row.BestEpoch == best["epoch"] - 1 >= 0
    assert (row.BestVal, row.BestValsTrain) == pytest.approx((100 * best["val_accuracy"], 100 * best["train_accuracy"]), abs=1e-5)
    assert (row.LastValPrec, row.LastTrainPrec) == (row.AllVal[-1], row.AllTrain[-1])
    assert row.AllVal == pytest.approx([100 * line["val_accuracy"] for line in lines[1:]], abs=1e-5)
    assert row.AllTrain == pytest.approx([100 * line["train_accuracy"] for line in lines[1:]], abs=1e-5)
    assert (row.ExperimentID, row.Name, row.Stopped) == (9270, experiment.name, "all 3 epochs done")
    assert row.Trainable == sum(weight.shape.num_elements() for weight in build_model(experiment).trainable_weights)
    assert row.Trainable == parameter_count(experiment) and row.MACs == multiply_adds_of(experiment)
    assert (row.Test, row.BestVal) == pytest.approx((100 * result["test"]["accuracy"], 100 * result["val"]["accuracy"]), abs=1e-5)
    assert row.BestValTop5 == pytest.approx(100 * best["val_top_5"], abs=1e-5)
    assert row.Seconds == pytest.approx(sum(line["seconds"] for line in lines), abs=.06)


def test_validation_is_the_test_set_under_the_originals_fidelity(tmp_path, data_dir):
    run, marker = trained(tmp_path, data_dir, SMALL, experiment_id=9270, fidelity="original")
    row, = table_of(run).itertuples()
    assert row.BestVal == row.Test == max(row.AllVal) and row.BestEpoch == row.AllVal.index(row.BestVal), "the first of the best"
    assert "val" not in marker["result"]


def test_the_text_is_that_of_pandas(tmp_path):
    """As the original's `DataFrame.to_csv` writes it."""
    for number in (6000, 6001):
        finished(Run(REGISTRY[number], tmp_path))
    text = family_csv.rebuild(tmp_path, REGISTRY[6000]).read_text()
    lines = text.splitlines()
    assert lines[0].startswith(THEIRS + ",ExperimentID,")
    assert lines[1].startswith('0,"[823.0, 961.0, 852.0, 708.0, 552.0, 405.0, 279.0, 181.0, 110.0, 63.0, 34.0, 17.0, 9.0, 4.0, 2.0]",'
                               '27206551.0,0.0,4.0,8.0,62.5,50.0,1,62.5,75.0,"[25.0, 50.0, 75.0]","[50.0, 62.5, 62.5]",6000,')
    again = pd.read_csv(io.StringIO(text), index_col=0, converters=LISTS).to_csv()
    assert again.splitlines()[1:] == lines[1:] and text.endswith("\n")


def test_rows_are_in_order_and_none_is_there_twice(tmp_path):
    runs = [Run(REGISTRY[number], tmp_path) for number in (6999, 6150, 6000)]
    for run in runs:
        finished(run)
    table = table_of(runs[0])
    assert table.ExperimentID.tolist() == [6000, 6150, 6999] and table.index.tolist() == [0, 1, 2]
    plain = table.iloc[-1]
    assert (plain.Mean, plain.Variance, plain.Skew, plain.Parameters, plain.Trainable, plain.MACs) == (
        0, 0, 0, 15239872, 15250378, 313725952)
    shutil.rmtree(runs[1].path)
    finished(runs[1], best_epoch=1)  # trained again
    assert table_of(runs[1]).BestEpoch.tolist() == [1, 0, 1]
    (runs[2].path / "train.done.json").unlink()
    assert table_of(runs[0]).ExperimentID.tolist() == [6150, 6999]


def test_a_damaged_marker_costs_only_its_own_row(tmp_path, capsys):
    runs = [Run(REGISTRY[number], tmp_path) for number in (6000, 6001)]
    for run in runs:
        finished(run)
    for text in ("{", "[" * 100_000):
        runs[0].marker("train").write_text(text)
        assert table_of(runs[1]).ExperimentID.tolist() == [6001]
        assert "damaged" in capsys.readouterr().out


@pytest.mark.parametrize("damage", [
    {"id": "x"}, {"id": None}, {"features": -1}, {"features": [["a"]]}, {"best_epoch": "x"}, {"best_epoch": 7}, {"train": None},
    {"location": {}}, {"parameters": "=cmd()"}, {"test": []}])
def test_so_does_one_of_another_shape(tmp_path, capsys, damage):
    runs = [Run(REGISTRY[number], tmp_path) for number in (6000, 6001)]
    for run in runs:
        result = finished(run)
    marker = {"settings": {}, "files": {}, "made_from": {}, "result": result | {"summary": result["summary"] | damage}}
    write_json(runs[0].marker("train"), marker)
    assert table_of(runs[1]).ExperimentID.tolist() == [6001]
    assert str(runs[0].marker("train")) in capsys.readouterr().out
    del marker["result"]
    write_json(runs[0].marker("train"), marker)
    assert table_of(runs[1]).ExperimentID.tolist() == [6001]


def test_what_is_missing_is_empty(tmp_path):
    untrained, unvalidated = (Run(REGISTRY[number], tmp_path) for number in (6000, 6001))
    finished(untrained, best_epoch=0, stopped="the loss was no number at step 3 of epoch 1")
    lines = [{"epoch": epoch, "train_accuracy": .5, "val_accuracy": None, "seconds": 1.0} for epoch in (0, 1)]
    result = {"best_epoch": 1, "stopped": ""} | summaries.summary(unvalidated.experiment, lines, {"best_epoch": 1, "stopped": ""})
    unvalidated.path.mkdir()
    write_json(unvalidated.marker("train"), {"settings": {}, "files": {}, "made_from": {}, "result": result})
    first, second = table_of(untrained).itertuples()
    assert pd.isna([first.BestVal, first.BestEpoch, first.LastTrainPrec]).all() and first.AllVal == []
    assert (second.AllVal, second.BestValsTrain) == ([None], 50) and pd.isna([second.BestVal, second.Test, second.BestValTop5]).all()


@pytest.mark.parametrize(("number", "settings", "options", "name"), [
    (6000, [], {}, "VGG16_cifar10_seed=0"), (6192, [], {"seed": 2}, "VGG16_cifar10_seed=2"), (6999, [], {}, "VGG16_cifar10_seed=0"),
    (6200, [], {}, "VGG7_cifar10_seed=0"), (7200, [], {}, "VGG11_cifar10_seed=0"), (9200, [], {}, "VGG7_digits_seed=0"),
    (6000, ["measure.crosses=1"], {}, "VGG16_cifar10_seed=0")])
def test_names_of_tables(number, settings, options, name):
    assert family_csv.family(override(REGISTRY[number], settings, **options)) == name


def test_overrides_have_tables_of_their_own():
    def name(number, *settings, **options):
        return family_csv.family(override(REGISTRY[number], settings, **options))

    mnist = "dataset.name=mnist"
    assert name(6000, mnist) == name(6100, mnist) == name(6999, mnist) and name(6000, mnist).startswith("VGG16_mnist_seed=0+")
    assert len({name(6000), name(6000, mnist), name(6000, mnist, fidelity="original"), name(6000, mnist, "hyper.batch_size=64")}) == 4
    assert name(6000, mnist, "dnn.location=3") == name(6000, mnist)
    assert name(6000, mnist, "dnn.features=" + ",".join(map(str, range(1, 16)))) == name(6000, mnist)


def test_studies_keep_apart(tmp_path, data_dir):
    """Trainings of two studies in one folder, and another net in the place of the VGG."""
    run = Run(REGISTRY[9270], tmp_path / "results")
    finished(run)
    other, _ = trained(tmp_path, data_dir, ["dataset.limit=100", "hyper.max_num_epochs=1"], experiment_id=9016)
    for one in (run, other):
        summaries.rebuild(one)
    assert len(results_csv.rebuild(run.results_dir).read_text().splitlines()) == 2
    assert table_of(run).ExperimentID.tolist() == [9270]
    assert summaries.summary(override(REGISTRY[9270], ["dnn.name=Alexnet_digits"]), [], {}) == {}
    assert summaries.summary(REGISTRY[9002], [], {}) == {}
