"""CSV files and pickles in the original's shape: its own run read and exported, and ours nested as it nests."""
import csv
import dataclasses
import io

import numpy as np
import pandas as pd
import pytest

from experiments import REGISTRY
from tests.conftest import shared
from tfprune import pickles
from tfprune.overrides import override
from tfprune.settings import KINDS
from tfprune.units import export, nesting
from tfprune.units.activations import Sample
from tfprune.units.redundancy import redundancy
from tfprune.units.selectivity import selectivity

ORIGINAL = override(REGISTRY[2], ["measure.fidelity=original"])
LEGACY = "golden/frivolous_units/legacy_run"


def legacy(stem):
    return [pickles.load(shared(f"{LEGACY}/{stem}{cross}.pkl")) for cross in range(3)]


def golden_csv(suffix):
    return shared(f"{LEGACY}/{REGISTRY[2].name}_{suffix}.csv").read_bytes().decode()


def parsed(columns, rows):
    return list(csv.DictReader(io.StringIO(export.csv_text(columns, rows)), quotechar="|"))


def test_the_legacy_redundancy_csv_byte_by_byte():
    crosses = [dict(zip(("redundancy", "selectivity", "similarity"), files, strict=True))
               for files in zip(legacy("redundancy"), legacy("selectivity"), legacy("similarity"), strict=True)]
    assert export.csv_text(export.REDUNDANCY_COLUMNS, export.redundancy_rows(ORIGINAL, crosses)) == golden_csv("redundancy")
    assert np.isnan(crosses[0]["selectivity"][1][3]).any()  # NaN counts as 0 in the CSV, and stays NaN in what was read


def test_the_legacy_robustness_csv_byte_by_byte():
    results = legacy("robustness")
    assert export.csv_text(export.ROBUSTNESS_COLUMNS, export.robustness_rows(ORIGINAL, results)) == golden_csv("robustness")


def test_corrected_exports_every_kind_that_was_measured():
    rows = parsed(export.ROBUSTNESS_COLUMNS, export.robustness_rows(REGISTRY[2], legacy("robustness")))
    assert len(rows) == 3 * 252 and list(dict.fromkeys(row["perturbation_name"] for row in rows)) == [
        "Activation Knockout", "Activation Noise", "Activation Knockout Selected"]
    golden = list(csv.DictReader(io.StringIO(golden_csv("robustness")), quotechar="|"))
    assert [row for row in rows if row["perturbation_name"] == "Activation Knockout"] == golden


# Our own results

def sample(rows, seed, units=(6, 9, 4), score=0.5):
    random = np.random.default_rng(seed)
    layers = [np.maximum(random.normal(size=(rows, n)), 0).astype("float32") for n in units]
    layers[1][:, 0] = 0  # a dead unit
    return Sample(layers, [np.arange(rows) % 4] * len(units), score)


def test_nesting_of_a_cross():
    train, test = sample(200, 0), sample(100, 1, score=0.25)
    files = nesting.redundancy_files(train, test)
    assert list(files) == ["corr", "corr_test", "similarity", "redundancy", "selectivity"]
    result = redundancy(test.rows[1])
    assert np.array_equal(files["corr_test"][1], result.correlation)
    assert files["similarity"][1][0][1] == result.similarity_mean and files["similarity"][1][1][1] == result.similarity_std
    components, eigenvalues, eigenvectors, scores, units, compressability = (part[1] for part in files["redundancy"])
    assert components[1].dtype == np.float64 and tuple(components[1]) == result.num_components
    assert np.array_equal(eigenvalues[1], result.eigenvalues) and np.array_equal(eigenvectors[1], result.eigenvectors)
    assert scores == [0.25] * 3 and units == [6, 9, 4] and compressability[1] == result.compressability
    expected = selectivity(train.rows[2], train.labels[2], test.rows[2], test.labels[2])
    assert all(np.array_equal(kind[2], values) for kind, values in zip(files["selectivity"], expected, strict=True))
    assert np.isnan(nesting.redundancy_files(train, test, fidelity="original")["corr"][1][0]).all()


@pytest.fixture
def as_stored(tmp_path):
    def as_stored(value):
        (tmp_path / "file.pkl").write_bytes(pickles.dumps(value))
        return pickles.load(tmp_path / "file.pkl")
    return as_stored


@pytest.mark.parametrize("units, rows_expected", [((6, 9, 8, 7, 4), 60), ((6, 4), 24)])
def test_redundancy_csv_of_our_own_results(units, rows_expected, as_stored):
    files = [as_stored(nesting.redundancy_files(sample(200, cross, units), sample(100, 9, units))) for cross in range(3)]
    rows = parsed(export.REDUNDANCY_COLUMNS, export.redundancy_rows(REGISTRY[2], files))
    assert len(rows) == rows_expected and len(rows[0]) == 27
    assert [row["layer"] for row in rows[:len(units)]] == [*map(str, range(len(units) - 1)), "all"]
    every = rows[len(units) - 1]
    layers = [redundancy(layer) for layer in sample(200, 0, units).rows]
    assert float(every["num_components"]) == sum(layer.num_components[0] for layer in layers)  # the outputs' too
    assert float(every["compressability_95"]) == pytest.approx(np.mean([layer.compressability for layer in layers[:-1]]))
    assert int(every["num_neurons_layerall"]) == sum(units)


def test_selectivity_in_the_csv():
    values = np.array([0.6, 0.6, 0, np.nan])
    mean, std, _, _, not_selective = export._selectivity([[values], [values], [values]], 0)
    assert (mean, std, not_selective) == ([pytest.approx(0.3)], [pytest.approx(0.3)], [0.5])


def test_regressions(as_stored):
    units = (6, 5, 1)
    files = as_stored(nesting.redundancy_files(sample(200, 0, units, 1.5), sample(100, 1, units, 2.5), mse=True))
    assert files["corr"][2] == 1 and np.ndim(files["corr"][2]) == 0 and files["similarity"][0][0][2] == 0
    assert [len(part[0]) for part in files["redundancy"]] == [2] * 6 and files["selectivity"] == [[-1, -1]] * 3
    rows = parsed(export.REDUNDANCY_COLUMNS, export.redundancy_rows(REGISTRY[2], [files]))
    assert len(rows) == 12 and {row["performance"] for row in rows} == {"1.5", "2.5"} and rows[0]["selectivity_mean"] == "-1.0"


def table(layers, kinds, amounts, crosses, seed):
    conditions = {"kind": kinds, "cross": range(crosses), "layer": [*layers, "all"], "amount": np.linspace(0, 1, amounts)}
    index = pd.MultiIndex.from_product(conditions.values(), names=conditions)
    random = np.random.default_rng(seed)
    scores = pd.DataFrame({"agreement": random.random(len(index)), "accuracy": random.random(len(index))}, index)
    return scores.reset_index().sample(frac=1, random_state=0)  # the order of rows means nothing


@pytest.mark.parametrize("column", ["agreement", "accuracy"])
def test_robustness_nesting_and_csv(column, as_stored):
    layers, kinds = ("conv1", "conv2", "fc3"), ("knockout", "targeted", "weight_noise")
    train, test = (table(layers, kinds, 4, 2, seed) for seed in (0, 1))
    results = [as_stored(nesting.robustness_file(train, test, layers, cross, column)) for cross in range(2)]
    wanted = test.set_index(["kind", "cross", "layer", "amount"])[column]
    assert results[1][2][1][1][2].tolist() == [wanted["knockout", 1, "conv2", 2 / 3]] * 3
    assert results[1][4][1][4][3].tolist() == [wanted["targeted", 1, "all", 1.0]] * 3
    assert not np.any(results[0][2][0][3]) and results[0][2][0][3].shape == (4, 3)  # the outputs
    for kind in (1, 3):  # not measured
        assert [(len(curves), curves[0].shape) for curves in results[0][kind]] == [(1, (5, 4, 3))] * 2
    rows = parsed(export.ROBUSTNESS_COLUMNS, export.robustness_rows(REGISTRY[2], results))
    assert len(rows) == 2 * 3 * 2 * 5 * 4
    assert [row["perturbation_layer"] for row in rows[:20:4]] == ["0", "1", "2", "3", "all"]
    row = next(row for row in rows if (row["perturbation_name"], row["cross_validation"], row["evaluation_set"], row["perturbation_layer"],
                                       row["perturbation_amount"]) == ("Synaptic Noise", "1", "test", "2", "1.0"))
    assert float(row["performance"]) == wanted["weight_noise", 1, "fc3", 1.0]


def test_kinds_may_be_added(monkeypatch):
    """Pickles from before still export, and a kind that the original did not have goes by its own name."""
    old = legacy("robustness")
    before = parsed(export.ROBUSTNESS_COLUMNS, export.robustness_rows(REGISTRY[2], old))
    monkeypatch.setattr(export, "KINDS", (*KINDS, "shake"))
    assert parsed(export.ROBUSTNESS_COLUMNS, export.robustness_rows(REGISTRY[2], old)) == before
    rows = parsed(export.ROBUSTNESS_COLUMNS, export.robustness_rows(REGISTRY[2], [[*results, results[2]] for results in old]))
    assert list(dict.fromkeys(row["perturbation_name"] for row in rows)) == [
        "Activation Knockout", "Activation Noise", "Activation Knockout Selected", "shake"]


@pytest.mark.parametrize("number, text", [(62, "1,0,False"), (65, "0.5,0,False"), (66, "1,0.001,False"), (67, "0.5,0.001,True")])
def test_training_settings_read_as_in_the_original(number, text):
    assert text in export.csv_text((), [export._training(REGISTRY[number])])


def test_texts_are_quoted_as_the_original_quotes_them():
    experiment = dataclasses.replace(REGISTRY[2], dnn=dataclasses.replace(REGISTRY[2].dnn, name='a,"b"|c'))
    text = export.csv_text(("x",), [[experiment.dnn.name, 1.0, np.float64(0.1), np.int64(3)]])
    assert text == 'x\r\n|a,"b"||c|,1.0,0.1,3\r\n'
