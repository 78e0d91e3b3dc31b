"""The stage "prune": its files, the original's results.csv, what overrides rename, and nets of every kind."""
import dataclasses
import functools
import json

import numpy as np
import pandas as pd
import pytest

import data
import train
from experiments import REGISTRY
from tfprune import UserError, files
from tfprune.input.records import load
from tfprune.overrides import override
from tfprune.pruning.stage import as_original, check, execute, results_csv
from tfprune.run import Run
from tfprune.training.checkpoints import trained_model
from tfprune.training.evaluate import Evaluator
from tfprune.training.losses import build_loss

HEADER = "Sparsity (%),Test Accuracy (Weight),Test Accuracy (Unit),Test Loss: (Weight),Test Loss: (Unit)"
KS = (0.0, 0.9, 0.5)


def run_of(number, results, *settings, epochs=2):
    """The run of an experiment on a few examples."""
    experiment = REGISTRY[number]
    short = dataclasses.replace(experiment, hyper=dataclasses.replace(experiment.hyper, max_num_epochs=epochs),
                                measure=dataclasses.replace(experiment.measure, sparsities=KS))
    return Run(override(short, ["dataset.limit=300", *settings]), results)


def pruned(run, data_dir, **options):
    """The marker of a run that is trained and pruned."""
    train.execute(run, data_dir)
    return execute(run, functools.partial(data.ensure, run.experiment.dataset, data_dir), **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data_dir):
    """A run with a penalty, pruned."""
    run = run_of(9041, tmp_path_factory.mktemp("results"))
    return run, pruned(run, data_dir)


def test_files(finished):
    run, marker = finished
    assert set(marker["files"]) == {"pruning.json", "pruning.csv", "histograms.npz"}
    table = pd.read_csv(run.path / "pruning.csv", float_precision="round_trip")
    content = json.loads((run.path / "pruning.json").read_text())
    assert pd.DataFrame(content["rows"]).equals(table) and content["experiment"] == 9041
    assert table[["by", "sparsity"]].values.tolist() == [[by, k] for by in ("weight", "unit") for k in (0, .9, .5)]
    with np.load(run.path / "histograms.npz", allow_pickle=False) as stored:
        assert stored["layers"].tolist() == ["fc1", "fc2", "fc3", "fc4", "logits"] and stored["sparsities"].tolist() == [0, .9, .5]
        assert stored["unit|fc1|counts"][:, 0].tolist() == [0, 225, 125] and stored["unit|fc1|counts"].sum(1).tolist() == [250] * 3
        assert stored["weight|fc2|counts"].sum(1).tolist() == [62500, 6250, 31250]
        assert (stored["weight|logits|counts"] == stored["weight|logits|counts"][0]).all()


def test_dense_figures_are_those_of_training(finished, data_dir):
    """At sparsity 0 stand the loss, with its penalty, and the accuracy that the training says of its best epoch."""
    run, marker = finished
    table = pd.read_csv(run.path / "pruning.csv")
    model = trained_model(run.experiment, run.results_dir)
    loss = build_loss(run.experiment, model)
    test = load(data.ensure(run.experiment.dataset, data_dir), "test")
    figures = Evaluator(run.experiment, model, loss)(test)
    penalty = .001 * sum(float(np.abs(model.get_layer(f"fc{number}").kernel).sum()) for number in (1, 2, 3, 4))
    for row in table[table.sparsity == 0].itertuples():
        assert row.accuracy == figures["accuracy"] == marker["result"]["dense"]["accuracy"]
        assert row.loss_with_penalty == pytest.approx(figures["loss"], rel=1e-5)
        assert row.loss_with_penalty - row.loss == pytest.approx(penalty, rel=1e-4)
    assert marker["result"]["dense"]["examples"] == len(test) == 60


def test_results_csv(finished):
    run, _ = finished
    path = run.results_dir / "csv" / "network_pruning" / run.experiment.name / "results.csv"
    assert results_csv(run) == path
    text, table = path.read_bytes().decode(), pd.read_csv(run.path / "pruning.csv").set_index(["by", "sparsity"])
    lines = text.split("\n")
    assert lines[0] == HEADER and lines[-1] == "" and "\r" not in text
    for line, k in zip(lines[1:-1], (0.0, 0.9, 0.5), strict=True):
        weight, unit = table.loc["weight", k], table.loc["unit", k]
        figures = (k, weight.accuracy, unit.accuracy, weight.loss_with_penalty, unit.loss_with_penalty)
        assert line == ",".join(f"{figure:.4f}" for figure in figures)


def test_what_was_not_pruned_stays_empty():
    table = pd.DataFrame({"by": "unit", "sparsity": [.995, 0], "accuracy": [.12345, 1], "loss_with_penalty": [2, .5]})
    assert as_original(table) == f"{HEADER}\n0.9950,,0.1235,,2.0000\n0.0000,,1.0000,,0.5000\n".replace("0.1235", f"{.12345:.4f}")


def test_done_once_and_again(finished, data_dir, capsys):
    run, marker = finished
    before = (run.path / "pruning.csv").stat().st_mtime_ns
    results_csv(run).unlink()  # as if the process had died before it
    assert pruned(run, data_dir) == marker and (run.path / "pruning.csv").stat().st_mtime_ns == before
    assert results_csv(run).exists() and "finished before" in capsys.readouterr().out
    contents = {name: files.sha256(run.path / name) for name in marker["files"]}
    assert pruned(run, data_dir, overwrite=True)["files"] == contents == marker["files"]
    out = capsys.readouterr().out
    assert "weight accuracy" in out and "unit left" in out and "results.csv" in out
    assert not list(run.results_dir.rglob("*.part*"))


def test_overrides_have_files_of_their_own(finished, data_dir):
    run, _ = finished
    other = run_of(9041, run.results_dir, "measure.sparsities=0.7,0.7", "measure.prune_by=weight", "measure.scope=global")
    assert other.path == run.path and results_csv(other).parent == results_csv(run).parent
    pruned(other, data_dir)
    names = {path.name for path in run.path.iterdir()}
    assert {"pruning.csv", other.file("prune", "pruning.csv").name, other.marker("prune").name} <= names
    table = pd.read_csv(other.file("prune", "pruning.csv"))
    assert len(table) == 2 and table.iloc[0].equals(table.iloc[1])
    lines = results_csv(other).read_text().splitlines()
    assert lines[0] == HEADER and lines[1] == lines[2] and lines[1].split(",")[2] == lines[1].split(",")[4] == ""
    assert len(results_csv(run).read_text().splitlines()) == 4


def test_a_failure_leaves_nothing(finished, data_dir, monkeypatch):
    run = run_of(9041, finished[0].results_dir, "measure.sparsities=0.1")
    monkeypatch.setattr("tfprune.masks.npz.write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        pruned(run, data_dir)
    assert not run.marker("prune").exists() and not results_csv(run).exists() and not list(run.path.rglob("*.part*"))


@pytest.mark.parametrize(("number", "settings"), [
    (9004, ("measure.criterion=apoz", "measure.prune_by=unit")),
    (9012, ()),  # a supermask
    (9030, ("measure.renormalised=true", "dnn.neuron_multiplier=0.25")),  # residual sums, normalisations
])
def test_nets_of_every_kind(number, settings, tmp_path, data_dir):
    run = run_of(number, tmp_path, "dataset.limit=100", *settings, epochs=1)
    pruned(run, data_dir)
    table = pd.read_csv(run.file("prune", "pruning.csv"))
    assert np.isfinite(table.drop(columns="by").to_numpy()).all() and table.accuracy.between(0, 1).all()
    assert ("accuracy_before" in table) == run.experiment.measure.renormalised
    for _, rows in table.groupby("by"):
        ordered = rows.sort_values("sparsity")
        assert ordered.removed.is_monotonic_increasing and ordered.parameters.is_monotonic_decreasing
        assert ordered.parameters_cut.is_monotonic_decreasing and ordered.removed.iloc[-1] >= .85


@pytest.mark.parametrize(("settings", "message"), [
    (["measure.sparsities=0.5,1", "measure.fidelity=original"], "measure.sparsities=1.0: the original's rule"),
    (["measure.criterion=apoz"], "measure.criterion=apoz: ranks units.*measure.prune_by=unit is accepted"),
    (["measure.excluded=fc9"], "measure.excluded: no layer fc9 has weights to prune; there are fc1, fc2, fc3, fc4, logits"),
])
def test_refused(settings, message, tmp_path, data_dir):
    run = run_of(9040, tmp_path, *settings)
    for refuse in (lambda: check(run.experiment), lambda: execute(run, lambda: pytest.fail("records were built"))):
        with pytest.raises(UserError, match=message):
            refuse()
    assert not list(tmp_path.iterdir())


def test_needs_training(tmp_path):
    with pytest.raises(UserError, match="needs train first"):
        execute(run_of(9040, tmp_path), lambda: pytest.fail("records were built"))
    assert execute(run_of(9040, tmp_path), lambda: pytest.fail("records were built"), dry_run=True) is None
    assert not list(tmp_path.iterdir())
