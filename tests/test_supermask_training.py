"""Training under masks: what is trained when, the share kept, killed and resumed runs, what is left behind, results.csv."""
import json
import re
import shutil
from functools import partial

import numpy as np
import pytest

import data
from experiments import REGISTRY
from tests.conftest import cli, ok, refused, shared
from tests.test_training import assert_same_files
from tfprune.input import records
from tfprune.keras import tf
from tfprune.masks.layers import masked_layers
from tfprune.masks.selection import kept_count
from tfprune.models import build_model
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.settings import MASKS
from tfprune.training import results_csv
from tfprune.training.checkpoints import Keeper, load_trained
from tfprune.training.metrics import read
from tfprune.training.train import train
from tfprune.training.trainer import Trainer

FC_DIGITS = 9016  # edge-popup at keep 0.5
SMALL = ["dataset.limit=400", "hyper.max_num_epochs=3", "hyper.batch_size=32", "hyper.learning_rate=0.1"]


def variant(*settings, **options):
    return override(REGISTRY[FC_DIGITS], [*SMALL, *settings], **options)


def trained(tmp_path, data_dir, *settings, **options):
    """Trains a variant of FC on digits; returns (run, marker)."""
    run = Run(variant(*settings, **options), tmp_path / "results")
    return run, run.execute("train", partial(train, run), partial(data.ensure, run.experiment.dataset, data_dir))


def trainer_of(data_dir, *settings):
    experiment = variant(*settings)
    return Trainer(experiment, records.load(data.ensure(experiment.dataset, data_dir), "train"))


def weights_of(model):
    """(kernels, scores) of the masked layers, as arrays."""
    layers = masked_layers(model)
    return [layer.kernel.numpy() for layer in layers], [layer.scores.numpy() for layer in layers]


def same(ours, theirs):
    return [np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True)]


def test_scores_learn_and_kernels_stay(tmp_path, data_dir):
    run, marker = trained(tmp_path, data_dir, "hyper.max_num_epochs=20", "dataset.limit=0")
    before, after = build_model(run.experiment), load_trained(run, build_model(run.experiment))
    assert all(same(weights_of(before)[0], weights_of(after)[0])) and not any(same(weights_of(before)[1], weights_of(after)[1]))
    assert marker["result"]["test"]["accuracy"] > .9 and marker["result"]["test"]["top_5"] > .98
    for layer in masked_layers(after):
        assert int(tf.reduce_sum(layer.mask())) == kept_count(int(tf.size(layer.scores)), .5)
    lines = read(run.path / "metrics.jsonl")
    assert all(line["density"] == pytest.approx(.5, abs=1e-3) for line in lines)
    assert lines[0]["learning_rate"] == pytest.approx(.1) and lines[10]["learning_rate"] == pytest.approx(.05)


def test_a_penalty_on_scores(data_dir):
    """The loss is cross-entropy + hyper.score_penalty * sum of sigmoid(score), and scores sink."""
    settings = ("hyper.weight_decay=0", "hyper.max_num_epochs=1")
    plain, pushed = (trainer_of(data_dir, *settings, *more) for more in ((), ("training.trainer=ss", "hyper.score_penalty=0.001")))
    start = sum(float(tf.reduce_sum(tf.sigmoid(layer.scores))) for layer in pushed.regime.masked)
    assert float(pushed.regime.penalty(0)) == pytest.approx(.001 * start, rel=1e-5)
    means = []
    for trainer in (plain, pushed):
        trainer.train_epoch(lambda: None)
        means.append(np.mean(np.concatenate([scores.ravel() for scores in weights_of(trainer.model)[1]])))
    assert means[1] < means[0] - 1e-5
    assert pushed.score.result()["loss"] > plain.score.result()["loss"] + .0009 * start


def test_the_lottery_trains_weights_and_then_scores(data_dir):
    trainer = trainer_of(data_dir, "training.trainer=lottery", "hyper.max_num_epochs=8", "hyper.keep=0.3")
    for epoch in range(8):
        kernels, scores = weights_of(trainer.model)
        trainer.train_epoch(lambda: None)
        after = weights_of(trainer.model)
        first = epoch < 6
        assert (any(same(kernels, after[0])), all(same(kernels, after[0]))) == ((False, False) if first else (True, True)), epoch
        assert (any(same(scores, after[1])), all(same(scores, after[1]))) == ((True, True) if first else (False, False)), epoch
        assert trainer.regime.density() == pytest.approx(1 if first else .3, abs=1e-3)
    assert len(trainer._updates) == 2 and all(len(update._list_all_concrete_functions()) == 1 for update in trainer._updates.values())


def test_adam_starts_anew_where_scores_take_over(data_dir):
    """Its first update goes as far as the rate says, as PyTorch's, which counts updates by weight; it would go three times as far."""
    trainer = trainer_of(data_dir, "training.trainer=lottery", "hyper.max_num_epochs=8", "hyper.optimizer=7", "hyper.learning_rate=0.01",
                         "hyper.batch_size=1000", "training.schedule=constant")
    for _ in range(6):
        trainer.train_epoch(lambda: None)
    _, before = weights_of(trainer.model)
    trainer.train_epoch(lambda: None)
    steps = np.concatenate([np.abs(a - b).ravel() for a, b in zip(before, weights_of(trainer.model)[1], strict=True)])
    assert trainer.updates_per_epoch == 1 and np.median(steps[steps > 0]) == pytest.approx(.01, rel=.05) and steps.max() < .0101


def test_the_lottery_of_the_original_starts_from_nothing(data_dir):
    trainer = trainer_of(data_dir, "training.trainer=lottery", "hyper.max_num_epochs=8", "training.lottery_start=empty")
    trainer.regime.begin(0)
    assert trainer.regime.density() == 0 and not np.any(trainer.model(np.ones((2, 8, 8, 1), np.float32)))


def test_nets_with_other_masks_than_those_sought_are_never_the_best(tmp_path, data_dir):
    _, lottery = trained(tmp_path / "a", data_dir, "training.trainer=lottery", "hyper.max_num_epochs=9", "training.patience=1")
    run, falling = trained(tmp_path / "b", data_dir, "training.keep_epochs=4", "hyper.max_num_epochs=7", "hyper.keep=0.2")
    assert lottery["result"]["best_epoch"] >= 7 and falling["result"]["best_epoch"] >= 5
    density = [line["density"] for line in read(run.path / "metrics.jsonl")]
    assert density == pytest.approx([.2, 1, .8, .6, .4, .2, .2, .2], abs=1e-3)


def test_training_is_traced_once(data_dir):
    trainer, traces = trainer_of(data_dir, "training.keep_epochs=2"), []
    for _ in range(3):
        trainer.train_epoch(lambda: None)
        trainer.evaluate(trainer.split)
        traces.append([len(function._list_all_concrete_functions()) for function in (*trainer._updates.values(), trainer.evaluate._run)])
    assert traces == [[1, 1]] * 3


@pytest.mark.parametrize("settings", [
    ["dnn.mask=iterand", "hyper.redraw_every=7"], ["dnn.mask=sampled", "hyper.learning_rate=10"],
    ["dnn.keep_over=all", "training.keep_epochs=2"],
    ["training.trainer=csg", "dnn.last_dense=true", "training.gate_warm_up=0", "training.gate_period=2"],
    ["training.trainer=lottery", "hyper.max_num_epochs=8", "hyper.optimizer=7", "hyper.learning_rate=0.001"],
    ["hyper.optimizer=7", "hyper.learning_rate=0.001", "dnn.mask=dnw", "dnn.freeze=false", "training.save_every=2"]])
def test_resuming_gives_the_same_bits(tmp_path, data_dir, monkeypatch, settings):
    """A process that dies before its third, and one that dies in the midst of an epoch after saving."""
    settings = ["hyper.max_num_epochs=4", *settings]
    whole, _ = trained(tmp_path / "a", data_dir, *settings)
    updates = iter(range(1000))

    def dying(self, batches, rates, update=Trainer.update):
        if next(updates) == 3:
            raise KeyboardInterrupt
        update(self, batches, rates[:2])

    with monkeypatch.context() as patch:  # two updates, a save, two updates, a save, ... and death in the fourth call
        patch.setattr("tfprune.training.trainer.SAVE_SECONDS", -1)
        patch.setattr(Trainer, "_update_for_a_second", lambda self, most: calls_of_two(self, most))
        patch.setattr(Trainer, "update", dying)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "b", data_dir, *settings)
    assert max(Keeper(Run(variant(*settings), tmp_path / "b" / "results"), "last", 2).numbers()) > 0
    resumed, _ = trained(tmp_path / "b", data_dir, *settings)
    assert_same_files(whole.path, resumed.path)


def calls_of_two(self, most, original=Trainer._update_for_a_second):
    """One call of the compiled loop, of two updates at most."""
    return original(self, min(2, most))


def test_what_is_kept(tmp_path, data_dir):
    run, marker = trained(tmp_path, data_dir, "training.save_every=2", "hyper.max_num_epochs=5")
    kept = {re.sub(r"\.(index|data.*)$", "", name) for name in marker["files"]}
    names = ("last/last-50", f"best/best-{marker['result']['best_epoch']}", "initial/initial-0", "epoch/epoch-2", "epoch/epoch-4")
    assert kept == {f"checkpoints/{name}" for name in names}
    untrained, initial = build_model(run.experiment), build_model(override(run.experiment, seed=5))
    Keeper(run, "initial", 1, model=initial).restore()
    assert all(np.array_equal(a, b) for a, b in zip(untrained.get_weights(), initial.get_weights(), strict=True))


def test_other_weights_to_start_from(tmp_path, data_dir):
    experiment, started = variant("hyper.max_num_epochs=1"), []

    def start(trainer):
        started.append(trainer)
        for layer in trainer.regime.masked:
            layer.scores.assign(tf.ones_like(layer.scores))

    run = Run(experiment, tmp_path)
    folder = data.ensure(experiment.dataset, data_dir)
    run.execute("train", partial(train, run, start=start), lambda: folder)
    model = build_model(experiment)
    Keeper(run, "initial", 1, model=model).restore()
    assert all((scores == 1).all() for scores in weights_of(model)[1]) and len(started) == 1
    run.marker("train").unlink()
    run.execute("train", partial(train, run, start=start), lambda: folder)
    assert len(started) == 1, "a training that is under way goes on from its own state"


def test_lost_scores_stop_training(tmp_path, data_dir):
    """They need not make the loss none: the mask passes over them."""
    run, marker = trained(tmp_path, data_dir, "hyper.learning_rate=1e38")
    assert re.search(r"was no number at step \d+ of epoch 1", marker["result"]["stopped"]) and marker["result"]["best_epoch"] == 0
    assert all(np.isfinite(scores).all() for scores in weights_of(load_trained(run, build_model(run.experiment)))[1])


def test_the_original_validates_on_the_test_set(tmp_path, data_dir):
    run, marker = trained(tmp_path, data_dir, fidelity="original")
    best = read(run.path / "metrics.jsonl")[marker["result"]["best_epoch"]]
    assert best["val_accuracy"] == marker["result"]["test"]["accuracy"] and "val" not in marker["result"]


def test_tensorboard_has_the_original_s_tags(tmp_path, data_dir):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    run, _ = trained(tmp_path, data_dir, "dnn.mask=sampled")
    board = EventAccumulator(str(run.path / "tb")).Reload()
    figures = {f"{where}/{name}_avg" for where in ("train", "test") for name in ("Loss", "Acc@1", "Acc@5")}
    diagnostics = {f"diagnostics/{name}_time_val" for name in ("epoch", "validation", "train")}
    names = {f"pr/{layer.name}" for layer in masked_layers(build_model(run.experiment))} | {"pr/average"}
    assert figures | diagnostics | names | {"test/lr"} <= set(board.Tags()["tensors"])
    value = tf.make_ndarray(board.Tensors("test/Acc@1_avg")[-1].tensor_proto)
    assert float(value) == pytest.approx(100 * read(run.path / "metrics.jsonl")[-1]["val_accuracy"], rel=1e-5)


ARGUMENTS = [f"--set={setting}" for setting in SMALL]


def test_results_csv_and_evaluation(tmp_path, data_dir):
    folders = [f"--results_dir={tmp_path / 'results'}", f"--data_dir={data_dir}"]
    line = refused("train.py", "--experiment_id=9016", "--evaluate", *ARGUMENTS, *folders)
    assert "run: python train.py --experiment_id=9016" in line and not (tmp_path / "results").exists()
    ok("train.py", "--experiment_id=9016", *ARGUMENTS, *folders)
    path = tmp_path / "results" / "csv" / "hidden_networks" / "results.csv"
    header, row = path.read_text().splitlines()
    assert header == ("Date Finished, Base Config, Name, Prune Rate, Current Val Top 1, Current Val Top 5, Best Val Top 1, "
                      "Best Val Top 5, Best Train Top 1, Best Train Top 5")
    assert re.fullmatch(r"\d\d-\d\d-\d\d_\d\d:\d\d:\d\d, ID 9016, ID9016_FC_digits_keep=0\.5_seed=0\+\w{8}, 0\.5(, \d+\.\d\d){6}", row)
    run = next((tmp_path / "results" / "laptop").glob("ID9016*"))
    best = max(line["val_accuracy"] for line in read(run / "metrics.jsonl")[1:])
    assert row.split(", ")[6] == f"{100 * best:.2f}"

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    said = ok("train.py", "--experiment_id=9016", "--evaluate", *ARGUMENTS, *folders)
    result = json.loads((run / "train.done.json").read_text())["result"]
    assert [f"ID 9016 {name}: accuracy {result[name]['accuracy']:.4f}, " in text
            for name, text in zip(("val", "test"), said.splitlines(), strict=True)] == [True, True]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before, "nothing was written"

    path.unlink()  # as if the process had died before it was written
    ok("train.py", "--experiment_id=9016", *ARGUMENTS, *folders)
    assert path.read_text().splitlines() == [header, row]


@pytest.mark.parametrize(("mask", "keep"), [("edge_popup", .5), ("sampled", .25)])
def test_the_share_in_a_row_is_asked_for_or_counted(mask, keep):
    line = {"epoch": 1, "val_accuracy": .5, "train_accuracy": .5, "density": .25}
    assert results_csv.summary(variant(f"dnn.mask={mask}"), [line])["keep"] == keep


def test_a_damaged_marker_costs_only_its_own_row(tmp_path, data_dir, capsys):
    run, _ = trained(tmp_path, data_dir, "hyper.max_num_epochs=1")
    rows = results_csv.rebuild(run.results_dir).read_text().splitlines()[1:]
    run.execute("train", partial(train, run, afresh=True), partial(data.ensure, run.experiment.dataset, data_dir), overwrite=True)
    again = results_csv.rebuild(run.results_dir).read_text().splitlines()[1:]
    assert [row.split(", ")[1:] for row in again] == [row.split(", ")[1:] for row in rows] and len(rows) == 1, "one row a run"
    shutil.copytree(run.path, run.path.parent / "other")
    assert len(results_csv.rebuild(run.results_dir).read_text().splitlines()) == 3
    (run.path.parent / "other" / "train.done.json").write_text("{")
    assert len(results_csv.rebuild(run.results_dir).read_text().splitlines()) == 2
    assert "it has no row in results.csv" in capsys.readouterr().out


def test_evaluation_goes_with_no_other_work(tmp_path):
    status, _, err = cli("train.py", "--experiment_id=9016", "--evaluate", "--overwrite", f"--results_dir={tmp_path}")
    assert (status, "--evaluate" in err) == (2, True)


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """A data folder with the real MNIST."""
    folder = tmp_path_factory.mktemp("mnist")
    (folder / "mnist").symlink_to(shared("data/mnist").resolve())
    return folder


ON_MNIST = ["dataset.limit=2000", "hyper.max_num_epochs=6"]
WAYS = {mask: [f"dnn.mask={mask}"] for mask in MASKS} | {
    "random": ["dnn.mask=random", "dnn.freeze=false", "hyper.learning_rate=0.05"],
    "dnw": ["dnn.mask=dnw", "dnn.freeze=false", "dnn.init=kaiming_normal"],  # constant weights would all be equally large
    "fixed": ["dnn.mask=fixed", "dnn.freeze=false", "hyper.learning_rate=0.05"], "iterand": ["dnn.mask=iterand", "hyper.redraw_every=30"],
    "biprop": ["dnn.mask=biprop", "hyper.max_num_epochs=8"],
    "sampled": ["dnn.mask=sampled", "dnn.init=kaiming_normal", "hyper.learning_rate=400", "hyper.weight_decay=0",
                "hyper.max_num_epochs=20"],
    "keep_over": ["dnn.keep_over=all", "training.keep_epochs=3"], "ss": ["training.trainer=ss"],
    "lottery": ["training.trainer=lottery", "hyper.max_num_epochs=9"], "adam": ["hyper.optimizer=7", "hyper.learning_rate=0.01"]}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_learns_mnist(tmp_path, mnist, way):
    recipe = next(REGISTRY[number] for number in REGISTRY if REGISTRY[number].recipe.endswith("fc/fc_usc_unsigned.yml"))
    run = Run(override(recipe, [*ON_MNIST, *WAYS[way]]), tmp_path)
    marker = run.execute("train", partial(train, run), partial(data.ensure, run.experiment.dataset, mnist))
    assert marker["result"]["test"]["accuracy"] > .8
