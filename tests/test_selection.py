"""The choice among the MLP runs: validation decides, test never; runs that are missing or spoilt are named and passed over."""
import json
import math

import pytest

from experiments import REGISTRY
from tests.conftest import ok, refused
from tests.test_cli import quick
from tfprune.overrides import override
from tfprune.report import comparisons, selection
from tfprune.run import Run

CANDIDATES = (250, 260, 270, 280, 290)  # SGD, 10 inputs, 1,000 examples, width 1, init_factor 10: learning rates 1 to 1e-4
SETTING = (0, 10, 1_000, 1, 10.0, 1)


def plant(results_dir, experiment_id, val, test=0.5, seed=0, **changes):
    """The folder of a trained run, as train.py leaves it."""
    run = Run(override(REGISTRY[experiment_id], seed=seed), results_dir)
    run.path.mkdir(parents=True)
    figures = {name: {"loss": 0.1, "accuracy": value} for name, value in (("train", 1.0), ("val", val), ("test", test))}
    marker = {"stage": "train", "settings": run._settings("train"), "records": "records", "made_from": {}, "files": {},
              "result": {"best_epoch": 3, "stopped": "all 50 epochs done", **figures}} | changes
    run.marker("train").write_text(json.dumps(marker))
    return run


def entry_of(report, seed=0, init_factor=10.0):
    found, = [entry for entry in report["best_learning_rate"] if (
        entry["seed"], entry["dimension"], entry["examples"], entry["optimizer"], entry["init_factor"], entry["width"]) == (
        seed, 10, 1_000, 1, init_factor, 1)]
    return found


def test_a_run_that_wins_on_test_only_is_not_chosen(tmp_path):
    for experiment_id, val, test in zip(CANDIDATES, (.7, .8, .75, .6, .79), (.9, .6, 1.0, .99, .95), strict=True):
        plant(tmp_path, experiment_id, val, test)
    chosen = selection.select(REGISTRY, tmp_path)
    assert chosen[0] == {SETTING: 260} and chosen[1] == {(0, 10, 1_000, 1, 1): 260}
    entry = entry_of(json.loads((tmp_path / "csv" / "frivolous_units" / "ids_mlps.json").read_text()))
    assert (entry["chosen"], entry["validation_accuracy"]) == (260, .8)
    assert entry["considered"] == {"250": .7, "260": .8, "270": .75, "280": .6, "290": .79}
    assert entry["missing"] == [] and entry["unusable"] == {}


def test_runs_that_cannot_be_judged_are_named_and_passed_over(tmp_path):
    plant(tmp_path, 250, math.nan)
    plant(tmp_path, 260, None)
    plant(tmp_path, 270, .55)
    plant(tmp_path, 280, .9).marker("train").write_text('{"stage": "tra')
    _, report = selection.choose(REGISTRY, tmp_path)
    entry = entry_of(report)
    assert (entry["chosen"], entry["considered"], entry["missing"]) == (270, {"270": .55}, [290])
    assert entry["unusable"] == {"250": "no finite validation accuracy", "260": "no finite validation accuracy",
                                 "280": "damaged, or made with other settings"}
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize(("changes", "reason"), [
    ({"result": {}}, "damaged, or made with other settings"), ({"settings": {"trained_hash": "0", "measure": {}}}, "other settings"),
    ({"files": {"checkpoints/best/1.index": "0"}}, "incomplete")])
def test_a_marker_that_does_not_stand(tmp_path, changes, reason):
    plant(tmp_path, 250, .9, **changes)
    entry = entry_of(selection.choose(REGISTRY, tmp_path)[1])
    assert entry["chosen"] is None and reason in entry["unusable"]["250"] and 250 not in entry["missing"]


def test_of_equals_the_lower_id(tmp_path):
    for experiment_id in (290, 270, 280):
        plant(tmp_path, experiment_id, .875)
    assert selection.choose(REGISTRY, tmp_path)[0].best_rate == {SETTING: 270}


def test_each_seed_is_judged_by_itself(tmp_path):
    plant(tmp_path, 250, .9)
    plant(tmp_path, 260, .8)
    plant(tmp_path, 260, .7, seed=1)
    chosen, report = selection.choose(REGISTRY, tmp_path, seeds=(0, 1))
    assert chosen.best_rate == {SETTING: 250, (1, *SETTING[1:]): 260}
    assert entry_of(report, seed=1)["missing"] == [250, 270, 280, 290]


def test_the_best_start_is_the_best_of_all_rates_and_starts(tmp_path):
    plant(tmp_path, 250, .7)  # init_factor 10
    plant(tmp_path, 267, .8)  # init_factor 0.01, learning rate 0.01... of which only the best counts
    plant(tmp_path, 297, .9)  # init_factor 0.01, width 2
    chosen, _ = selection.choose(REGISTRY, tmp_path)
    assert chosen.best == {(0, 10, 1_000, 1, 1): 267, (0, 10, 1_000, 1, 2): 297}
    assert len(chosen.best_rate) == 3


def test_every_setting_has_its_five_learning_rates_and_no_other_difference(tmp_path):
    chosen, report = selection.choose(REGISTRY, tmp_path)
    assert len(report["best_learning_rate"]) == 600 and len(report["best_learning_rate_and_init_factor"]) == 60
    for (dimension, examples, optimizer, factor, width), ids in chosen.candidates[0].items():
        experiments = [REGISTRY[i] for i in ids]
        assert sorted(e.hyper.learning_rate for e in experiments) == [1e-4, 1e-3, 1e-2, 1e-1, 1]
        assert {(e.dataset.dimension, e.dataset.num_train, e.hyper.optimizer, e.hyper.init_factor, e.dnn.neuron_multiplier)
                for e in experiments} == {(dimension, examples, optimizer, factor, width)}
    assert sorted(i for ids in chosen.candidates[0].values() for i in ids) == list(range(247, 3247))
    assert {len(ids) for ids in chosen.candidates[1].values()} == {50}


def test_curves_of_what_was_chosen_keep_the_place_of_what_was_not(tmp_path):
    plant(tmp_path, 2747 + 50 + 23, .9)  # momentum, width 2
    curve = comparisons.mlps(selection.choose(REGISTRY, tmp_path)[0], 10)["examples"]["1,000 examples"]
    assert curve.of_seed(0) == (2747, 2820, 2847, 2897, 2947)
    assert curve.not_selected == {(0, i) for i in (2747, 2847, 2897, 2947)} and curve.of_seed(1) == ()


def test_the_script(tmp_path):
    plant(tmp_path / "results", 250, .9)
    assert "python select_mlps.py --seeds=0,1,2" in quick("select_mlps.py", "--help")
    out = ok("select_mlps.py", f"--results_dir={tmp_path / 'results'}", "--seeds=0,1")
    assert "chosen for 1 of 1200 settings" in out and "1 of 120" in out and "ids_mlps.json" in out
    assert "--seeds=0,x: expected whole numbers" in refused("select_mlps.py", "--seeds=0,x")
    assert "argument 247" in refused("select_mlps.py", "247")
    (tmp_path / "file").write_text("")
    assert "cannot write there" in refused("select_mlps.py", f"--results_dir={tmp_path / 'file'}")
