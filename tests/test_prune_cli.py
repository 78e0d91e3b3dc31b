"""prune.py: the original's flags, runs by name, what is done again and what is not, what it leaves, what it says to mistakes."""
import json

import numpy as np
import pandas as pd
import pytest

from experiments import REGISTRY
from tests.conftest import ok, refused
from tests.test_idx_data import arrays, write
from tfprune import pruning_words
from tfprune.experiment import UserError
from tfprune.named_runs import check_name, check_same, named, trained_settings
from tfprune.overrides import override
from tfprune.recipe_flags import arguments, variants
from tfprune.run import Run

SMALL = ("--epochs=1", "--k_vals=0,0.5,1", "--set=dataset.limit=300")


def changed(number, *argv):
    """An experiment under the flags of a command line."""
    overrides = [text.removeprefix("--set=") for text in arguments(["prune.py", *argv])[1:]]
    (assignments,), _ = variants([REGISTRY[number]], overrides)
    return override(REGISTRY[number], assignments)


def test_the_originals_flags():
    e = changed(8000, "--batch_size=64", "--num_valid", "2262", "--epochs", "3", "--learning_rate=0.01", "--l1_reg=1e-4", "--l2_reg=0.1",
                "--k_vals=0, .5,1", "--nokeep_best")
    assert (e.hyper.batch_size, e.dataset.num_valid, e.hyper.max_num_epochs, e.hyper.learning_rate) == (64, 2262, 3, 0.01)
    assert (e.hyper.l1_reg, e.hyper.l2_reg, e.measure.sparsities, e.training.keep) == (1e-4, 0.1, (0, .5, 1), "last")
    assert e.name.startswith("ID8000_mnist_l1=0.0001_l2=0.1_seed=0+")
    assert changed(8000, "--keep_best", "--k_vals=0.5", "--epochs=20").trained_hash() == REGISTRY[8000].trained_hash()
    assert changed(8000, "--keep_best=false") == changed(8000, "--nokeep_best") != changed(8000, "--keep_best")
    assert changed(9040, "--nonesterov").hyper.nesterov is False, "as any switch"


def test_none_held_out_is_none():
    e = changed(8000, "--num_valid=0")
    assert (e.dataset.num_valid, e.dataset.proportion_training_set) == (0, 1.0)


def test_our_own_words():
    measure = changed(9040, "--criterion=apoz", "--scope", "global", "--exclude=fc1,fc2", "--by=unit").measure
    assert (measure.criterion, measure.scope, measure.excluded, measure.prune_by) == ("apoz", "global", ("fc1", "fc2"), ("unit",))
    assert changed(9040, "--exclude=fc1").name == REGISTRY[9040].name, "never asks for another net"


@pytest.mark.parametrize(("words", "number"), [
    ({}, 8000), ({"dataset": "digits"}, 8000), ({"dataset": "fashion"}, 8005), ({"dataset": "fashion_mnist", "l2_reg": ".01"}, 8008),
    ({"l1_reg": "1e-3"}, 8001), ({"l1_reg": "0.0001", "l2_reg": "0"}, 8002), ({"dataset": "fashion", "l2_reg": "0.001"}, 8009),
    ({"l1_reg": "0.5"}, 8000), ({"l1_reg": "0.001", "l2_reg": "0.01"}, 8000), ({"l1_reg": "much"}, 8000)])
def test_which_registered_net_the_original_means(words, number):
    found, answered = pruning_words.member(REGISTRY, words)
    assert found.id == number
    assert ("l1_reg" in answered) == (number != 8000 or words.get("l1_reg") is None)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-5", "a b", "a*", "x" * 101, "naïve", "a\n", "8000,8001"])
def test_names_that_are_no_folders(name):
    with pytest.raises(UserError, match="expected an ID, or a name for the run"):
        check_name(name, "--experiment_id")


@pytest.mark.parametrize("name", ["wide", "digits-20-lr=0.001-l1=0.0-l2=0.0", "v1.5_b", "3.5"])
def test_names_that_are(name):
    check_name(name, "--experiment_id")


def test_a_named_run_is_never_anothers(tmp_path):
    run = named(Run(override(REGISTRY[8000], ["hyper.batch_size=64"]), tmp_path), "mine")
    check_same(run, "--experiment_id", "--force_train")
    run.path.mkdir(parents=True)
    (run.path / "config.json").write_text(json.dumps(run.experiment.settings()))
    check_same(run, "--experiment_id", "--force_train")
    check_same(named(Run(override(run.experiment, ["measure.sparsities=0.5"]), tmp_path), "mine"), "--experiment_id", "--force_train")
    for other, says in ((override(REGISTRY[8000]), "hyper.batch_size=64, not 128"), (override(run.experiment, seed=3), "seed=0, not 3"),
                        (override(run.experiment, ["dataset.num_valid=7"]), "dataset.num_valid=10000, not 7"),
                        (override(run.experiment, fidelity="original"), "fidelity=corrected, not original")):
        with pytest.raises(UserError, match=f"--experiment_id=mine: .* was made with {says}.*; another name .*--force_train"):
            check_same(named(Run(other, tmp_path), "mine"), "--experiment_id", "--force_train")


def test_named_runs_of_before_a_setting_came(tmp_path):
    run = named(Run(override(REGISTRY[9040]), tmp_path), "old")
    run.path.mkdir(parents=True)
    settings = run.experiment.settings()
    del settings["dataset"]["num_valid"], settings["training"]["prune_block"]
    (run.path / "config.json").write_text(json.dumps(settings))
    check_same(run, "--experiment_id", "--force_train")
    with pytest.raises(UserError, match="num_valid=None, not 3"):
        check_same(named(Run(override(REGISTRY[9040], ["dataset.num_valid=3"]), tmp_path), "old"), "--experiment_id", "--force_train")
    (run.path / "config.json").write_text("[1]")
    with pytest.raises(UserError, match="old was made with"):
        check_same(run, "--experiment_id", "--force_train")
    assert len(trained_settings(run.experiment)) > 100


@pytest.mark.parametrize(("words", "says"), [
    ([], "give one of --experiment_id=ID"), (["--output_dir=x"], "give one of --experiment_id=ID"),
    (["9040", "--k_vals=0,1.5"], "--k_vals=0,1.5: takes numbers, comma-separated, >= 0 and <= 1"),
    (["9040", "--k_vals=-0.1"], "--k_vals=-0.1: takes"), (["9040", "--k_vals=0;1"], "--k_vals=0;1: takes"),
    (["9040", "--k_vals=0,,1"], "--k_vals=0,,1: takes"), (["9040", "--k_vals=nan"], "--k_vals=nan: takes"),
    (["9040", "--k_vals"], "needs a value"),
    (["--dataset=cifar"], "--dataset=cifar: takes one of digits, fashion"), (["--dataset=digits", "--l1_reg=-1"], "--l1_reg=-1: takes"),
    (["--dataset=digits", "--num_valid=-1"], "--num_valid=-1: takes a whole number >= 0"), (["--epochs=some"], "--epochs=some: takes"),
    (["9040", "--criterion=size"], "--criterion=size: takes one of magnitude"), (["9040", "--by=layer"], "--by=layer: takes"),
    (["9040", "--scope=net"], "--scope=net: takes one of layer, global"), (["--experiment_id=a/../b"], "expected an ID, or a name"),
    (["--experiment_id=mine", "9040"], "names a run of the original's"), (["--experiment_id=99999"], "no such experiment as 99999"),
    (["9040", "--output_dir=a"], "--output_dir=a: is --results_dir")])
def test_mistakes_that_need_no_tensorflow(tmp_path, words, says):
    given = [] if words == ["--output_dir=x"] else [f"--results_dir={tmp_path / 'results'}"]
    assert says in refused("prune.py", *words, *given, f"--data_dir={tmp_path / 'data'}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("words", "says"), [
    (["9040", "--exclude=fc1,fc9"], "no layer fc9 "),
    (["9040", "--num_valid=5000"], "num_valid=5000: there are 1437 training examples")])
def test_mistakes_that_are_found_before_anything_is_written(tmp_path, words, says):
    assert says in refused("prune.py", *words, f"--results_dir={tmp_path / 'results'}", f"--data_dir={tmp_path / 'data'}")
    assert not list(tmp_path.iterdir())


def test_one_command_trains_prunes_and_draws(tmp_path, data_dir):
    given = [f"--results_dir={tmp_path}", f"--data_dir={data_dir}"]
    out = ok("prune.py", 9040, *SMALL, *given)
    assert "ID 9040 train: done" in out and "ID 9040 prune: done" in out
    run = Run(changed(9040, *SMALL), tmp_path)
    table = pd.read_csv(tmp_path / "csv" / "network_pruning" / run.experiment.name / run.file("prune", "results.csv").name)
    assert list(table.columns) == ["Sparsity (%)", "Test Accuracy (Weight)", "Test Accuracy (Unit)", "Test Loss: (Weight)",
                                   "Test Loss: (Unit)"]
    assert table["Sparsity (%)"].tolist() == [0, .5, 1]
    dense = json.loads(run.marker("train").read_text())["result"]["test"]
    assert table["Test Accuracy (Weight)"][0] == table["Test Accuracy (Unit)"][0] == round(dense["accuracy"], 4)
    assert table["Test Loss: (Unit)"][0] == pytest.approx(dense["loss"], abs=1e-4)
    np.testing.assert_allclose(table.iloc[2, 3:].astype(float), np.log(10), atol=1e-4)  # nothing is left: all classes alike
    assert len(list((run.path / "figures").glob("*.gif"))) == 2 and len(list((run.path / "figures").glob("*.png"))) >= 2

    run.marker("train").unlink()  # as if it had died after the last epoch
    weights = {path: path.read_bytes() for path in (run.path / "checkpoints" / "best").glob("*.data*")}
    out = ok("prune.py", 9040, *SMALL, "--k_vals=0.9", "--by=weight", *given)
    assert "ID 9040 train: done" in out and (run.path / "metrics.jsonl").read_text().count("\n") == 2, "it went on, and was over"
    assert len(weights) == 1 and {path: path.read_bytes() for path in weights} == weights

    out = ok("prune.py", 9040, *SMALL, "--k_vals=0.9", "--by=weight", *given, "--dry_run")
    assert "train: finished before" in out and "prune: finished before" in out
    assert "train: would run" in ok("prune.py", 9040, *SMALL, "--seed=1", *given, "--dry_run")


def test_a_named_run_of_the_original(tmp_path):
    write(tmp_path / "data" / "mnist", arrays(train=60, test=30))
    given = ["--experiment_id=mine", "--dataset=digits", "--epochs=1", "--k_vals=0,0.5", "--set=dnn.neuron_multiplier=0.02",
             f"--data_dir={tmp_path / 'data'}", f"--output_dir={tmp_path / 'out'}"]
    out = ok("prune.py", *given, "--num_valid=12", "--l1_reg=0.001")
    assert "--dataset=digits: MNIST, as in the original" in out
    config = json.loads((tmp_path / "out" / "network_pruning" / "mine" / "config.json").read_text())
    assert config["id"] == 8001 and (config["dataset"]["num_valid"], config["hyper"]["l1_reg"], config["hyper"]["l2_reg"]) == (12, .001, 0)
    line = refused("prune.py", *given, "--num_valid=13", "--l1_reg=0.001")
    assert "--experiment_id=mine:" in line and "dataset.num_valid=12, not 13" in line and "--force_train" in line
    out = ok("prune.py", *given, "--num_valid=13", "--l1_reg=0.001", "--force_train")
    assert "train: done" in out and "prune: done" in out
