"""shrink.py as a user meets it: a trained net becomes smaller, in files that others read; mistakes are one line."""
import json
import pathlib

import numpy as np
import pandas as pd
import pytest

import data
import train
from experiments import REGISTRY
from tests.conftest import TINY, ok, refused
from tfprune import UserError, override
from tfprune.keras import keras
from tfprune.pruning import shrink_stage
from tfprune.pruning.formats import FORMATS
from tfprune.pruning.shrinking import shrink
from tfprune.run import Run
from tfprune.training.checkpoints import trained_model

SMALL = [word.removeprefix("--set=") for word in TINY[1:]]  # of 9002: convolutions, LRN, dense layers


@pytest.fixture(scope="module")
def folders(tmp_path_factory, data_dir):
    """Folders with a tiny run of 9002, trained."""
    results = tmp_path_factory.mktemp("shrunk")
    given = [f"--results_dir={results}", f"--data_dir={data_dir}"]
    ok("train.py", *TINY, *given)
    return given


def path_of(folders):
    return folders[0].partition("=")[2]


@pytest.fixture(scope="module")
def half(folders):
    """(what shrink.py said, the run, the rows of shrink.csv by net) of half of the units."""
    out = ok("shrink.py", *TINY, "--sparsity=0.5", "--formats=keras,tflite_int8", *folders)
    experiment = override(REGISTRY[9002], [*SMALL, "measure.cut=0.5", "measure.formats=keras,tflite_int8"])
    run = Run(experiment, path_of(folders))
    return out, run, pd.read_csv(run.file("shrink", "shrink.csv")).set_index("net")


def test_a_smaller_net_and_its_files(half):
    out, run, table = half
    assert list(table.index) == ["trained", "pruned", "cut", "keras", "tflite_int8"]
    for name in ("keras", "tflite_int8"):
        assert table.loc[name, "bytes"] == (shrink_stage.folder_of(run) / FORMATS[name].file).stat().st_size
    model = keras.models.load_model(shrink_stage.folder_of(run) / "model.keras")
    assert model.count_params() < 0.5 * run_parameters(table, "trained") and run_parameters(table, "cut") == model.count_params()
    assert [layer.units for layer in model.layers if isinstance(layer, keras.layers.Dense)][-1] == 10, "the classes stay"
    for words in ("accuracy [%]", "multiply-adds", "ms of 64", "trained", "cut", "tflite_int8", run.file("shrink", "shrink.csv").name):
        assert words in out


def run_parameters(table, net):
    return int(table.loc[net, "parameters"])


def test_the_smaller_net_is_the_masked_one(half):
    _, run, table = half
    assert table.loc["cut", "accuracy"] == table.loc["pruned", "accuracy"] and table.loc["cut", "agreement"] == 1
    assert table.loc["cut", "difference"] <= 1e-5 * table.loc["cut", "scale"]
    assert table.loc["pruned", "difference"] > 1e-3 * table.loc["pruned", "scale"], "and not the trained one"
    assert table.loc["cut", "multiply_adds"] < 0.6 * table.loc["trained", "multiply_adds"] == 0.6 * table.loc["pruned", "multiply_adds"]
    assert abs(table.loc["tflite_int8", "accuracy"] - table.loc["cut", "accuracy"]) <= 0.1  # of 60 images
    marker = json.loads(run.marker("shrink").read_text())
    assert {path.split("/")[-1] for path in marker["files"]} == {run.file("shrink", "shrink.csv").name, "model.keras", "model_int8.tflite"}
    assert not [path for path in run.path.rglob(".*") if path.name != ".lock"]


def test_done_once(half, folders):
    assert "shrink: finished before" in ok("shrink.py", *TINY, "--set=measure.cut=0.5", "--formats=keras,tflite_int8", *folders)


def test_nothing_pruned_only_what_is_silent_goes(folders):
    run = Run(override(REGISTRY[9002], [*SMALL, "measure.cut=0"]), path_of(folders))
    nets = shrink_stage.smaller(run, None)
    assert nets["pruned"] is nets["trained"]
    images = np.random.default_rng(0).random((20, *nets["cut"].input_shape[1:])).astype("float32")
    assert np.allclose(nets["cut"](images), nets["trained"](images), atol=1e-5)


def test_nothing_is_written_before_training(tmp_path, data_dir):
    line = refused("shrink.py", *TINY, f"--results_dir={tmp_path / 'none'}", f"--data_dir={data_dir}")
    assert "shrink needs train first; run: python train.py --experiment_id=9002" in line and not (tmp_path / "none").exists()


@pytest.mark.parametrize(("settings", "says"), [
    (["measure.cut=1"], "measure.cut=1: leaves nothing of any layer"),
    (["measure.excluded=conv9"], "measure.excluded: no layer conv9 .*there are conv"),
    (["measure.criterion=taylor", "measure.cut=1"], "measure.cut=1")])
def test_settings_that_are_refused(settings, says):
    with pytest.raises(UserError, match=says):
        shrink_stage.check(override(REGISTRY[9002], settings))


@pytest.mark.parametrize(("settings", "says"), [
    (["measure.cut=1.5"], "measure.cut=1.5: measure.cut takes a number >= 0 and <= 1"), (["measure.cut=half"], "measure.cut=half"),
    (["measure.formats=onnx"], "measure.formats=onnx: .* of keras, saved_model, tflite, tflite_int8")])
def test_values_that_are_refused(settings, says):
    with pytest.raises(UserError, match=says):
        override(REGISTRY[9002], settings)


def test_a_layer_of_which_nothing_is_left(folders, monkeypatch):
    def silent(*given):
        model = trained_model(*given)
        layer = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
        layer.set_weights([0 * weight for weight in layer.get_weights()])
        return model

    monkeypatch.setattr(shrink_stage, "trained_model", silent)
    with pytest.raises(UserError, match="the layer .* would be empty"):
        shrink_stage.smaller(Run(override(REGISTRY[9002], [*SMALL, "measure.cut=0"]), path_of(folders)), None)


def test_a_net_that_comes_out_wrong_is_not_written(folders, monkeypatch, data_dir):
    def wrong(model):
        smaller = shrink(model)
        smaller.set_weights([1.01 * weight for weight in smaller.get_weights()])
        return smaller

    monkeypatch.setattr(shrink_stage, "shrink", wrong)
    run = Run(override(REGISTRY[9002], [*SMALL, "measure.cut=0.25"]), path_of(folders))
    with pytest.raises(UserError, match="the smaller net gives other outputs than the masked one"):
        shrink_stage.execute(run, lambda: data.ensure(run.experiment.dataset, data_dir))
    assert not run.marker("shrink").exists() and not shrink_stage.folder_of(run).exists()


def test_averages_are_found_anew(tmp_path, data_dir):
    run = Run(override(REGISTRY[9290], ["dataset.limit=200", "hyper.max_num_epochs=1", "measure.cut=0.3",
                                        "measure.renormalised=true"]), tmp_path)
    train.execute(run, data_dir)
    shrink_stage.execute(run, lambda: data.ensure(run.experiment.dataset, data_dir))
    table = pd.read_csv(run.file("shrink", "shrink.csv")).set_index("net")
    assert table.loc["cut", "difference"] > 1e-3 * table.loc["cut", "scale"] and table.loc["keras", "agreement"] == 1
    assert json.loads(run.marker("shrink").read_text())["result"]["difference"] <= 1e-5 * table.loc["pruned", "scale"] * 2


def test_mistakes_are_one_line(folders):
    results = pathlib.Path(path_of(folders))
    before = sorted(results.rglob("*"))
    assert refused("shrink.py", *TINY, "--formats=onnx", *folders).startswith("error: --formats=onnx: measure.formats takes")
    assert "no layer conv9" in refused("shrink.py", *TINY, "--exclude=conv9", *folders)
    assert sorted(results.rglob("*")) == before
