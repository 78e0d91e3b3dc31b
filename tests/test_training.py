"""Training: TF1's update rules against NumPy, the schedule, the loss, when it stops, and what it leaves behind."""
import json
import math
from functools import partial

import numpy as np
import pytest

import data
from experiments import REGISTRY
from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.models import build_model
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.training.checkpoints import Keeper, load_trained
from tfprune.training.losses import Score, build_loss
from tfprune.training.metrics import read
from tfprune.training.optimizers import OPTIMIZERS, build_optimizer
from tfprune.training.train import train

TINY = ["dataset.limit=300", "hyper.max_num_epochs=3"]


def numpy_rule(name, gradients, rate, w=1.0):
    """TF1's rules written out for one weight; `rate` is what the optimiser is given."""
    m, v, accumulator, linear = 0.0, (1.0 if name == "rmsprop" else 0.0), 0.1, 0.0
    for t, g in enumerate(gradients, start=1):
        if name == "momentum":
            m = .9 * m + g
            w -= rate * m
        elif name == "sgd":
            w -= rate * g
        elif name == "adam":
            m, v = .9 * m + .1 * g, .999 * v + .001 * g * g
            w -= rate * math.sqrt(1 - .999**t) / (1 - .9**t) * m / (math.sqrt(v) + 1e-8)
        elif name in ("adagrad", "proximal_adagrad"):
            accumulator += g * g
            w -= rate * g / math.sqrt(accumulator)
        elif name == "rmsprop":
            v = .9 * v + .1 * g * g
            w -= rate * g / math.sqrt(v + 1e-10)
        elif name == "ftrl":
            grown = accumulator + g * g
            linear += g - (math.sqrt(grown) - math.sqrt(accumulator)) / rate * w
            accumulator = grown
            w = -linear / (math.sqrt(accumulator) / rate)
    return w


@pytest.mark.parametrize("code", range(7))
def test_optimisers_follow_the_rules_of_tf1(code):
    experiment = override(REGISTRY[2], [f"hyper.optimizer={code}"])
    rate, weight, gradients = tf.Variable(0.05), tf.Variable([1.0]), [.5, -.2, .3, .3]
    optimizer = build_optimizer(experiment, rate)
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant([gradient]), weight)])
    assert float(weight[0]) == pytest.approx(numpy_rule(OPTIMIZERS[code][0], gradients, .05), rel=1e-5)


def test_the_learning_rate_variable_reaches_the_compiled_update():
    rate, weight = tf.Variable(.1), tf.Variable([1.0])
    optimizer = build_optimizer(override(REGISTRY[2], ["hyper.optimizer=1"]), rate)

    @tf.function
    def step():
        optimizer.apply_gradients([(tf.constant([1.0]), weight)])

    step()
    rate.assign(.01)
    step()
    assert float(weight[0]) == pytest.approx(1 - .1 - .01)


def test_weight_decay_covers_kernels():
    experiment = override(REGISTRY[9002], ["hyper.weight_decay=0.5"])
    model = build_model(experiment)
    outputs, labels = tf.zeros([4, 10]), tf.zeros([4], tf.int64)
    kernels = {layer.name: float((layer.kernel.numpy() ** 2).sum()) / 2 for layer in model.layers if hasattr(layer, "kernel")}
    assert float(build_loss(experiment, model)(outputs, labels)) == pytest.approx(math.log(10) + .5 * sum(kernels.values()), rel=1e-5)
    original = override(experiment, ["training.decayed_kernels=hidden_dense"])
    expected = math.log(10) + .5 * (kernels["fc3"] + kernels["fc4"])
    assert float(build_loss(original, model)(outputs, labels)) == pytest.approx(expected, rel=1e-5)


def test_squared_error_pairs_each_output_with_its_label():
    experiment = override(REGISTRY[247], ["hyper.mse=true", "dataset.regression=true", "dnn.name=MLP1_regression"])
    outputs, labels = tf.constant([[1.], [3.]]), tf.constant([1., 3.])
    assert float(build_loss(experiment, None)(outputs, labels)) == 0
    broadcast = override(experiment, ["training.mse=broadcast"])
    assert float(build_loss(broadcast, None)(outputs, labels)) == 2  # (0 + 4 + 4 + 0) / 4: the original's bug


def test_scores_over_batches_equal_scores_over_all():
    score = Score(regression=False)
    outputs, labels = tf.constant([[2., 1.], [0., 1.], [3., 0.]]), tf.constant([0, 1, 1], tf.int64)
    score.update(1.0, outputs[:2], labels[:2])
    score.update(4.0, outputs[2:], labels[2:])
    assert score.result() == pytest.approx({"loss": 2.0, "accuracy": 2 / 3})
    explained = Score(regression=True)
    target = np.array([1., 2., 3., 4.], "float32")
    explained.update(0.0, tf.constant([[1.], [2.], [3.], [3.]]), tf.constant(target))
    assert explained.result()["accuracy"] == pytest.approx(1 - 1 / 5)  # error 1, variance sum 5


def trained(tmp_path, data_dir, settings, experiment_id=9002, **options):
    """Trains an experiment; returns (run, marker)."""
    run = Run(override(REGISTRY[experiment_id], settings, **options), tmp_path / "results")
    return run, run.execute("train", partial(train, run), partial(data.ensure, run.experiment.dataset, data_dir))


def test_training_learns_and_its_figures_are_those_of_the_kept_weights(tmp_path, data_dir):
    run, marker = trained(tmp_path, data_dir, ["hyper.max_num_epochs=8"], experiment_id=9003)
    lines = read(run.path / "metrics.jsonl")
    assert [line["epoch"] for line in lines] == list(range(9))
    best = max(lines, key=lambda line: line["val_accuracy"])
    assert marker["result"]["best_epoch"] == best["epoch"]
    assert marker["result"]["val"]["accuracy"] == best["val_accuracy"] > .85
    assert abs(lines[0]["val_loss"] - math.log(10)) < .2, "epoch 0 is the untrained net"
    model = load_trained(run, build_model(run.experiment))
    from tfprune.input import pipeline, records
    split = records.load(data.ensure(run.experiment.dataset, data_dir), "test")
    images, labels = next(iter(pipeline.evaluation_batches(split, run.experiment.dataset, run.experiment.hyper, 1000)))
    assert (model(images).numpy().argmax(1) == labels.numpy()).mean() == pytest.approx(marker["result"]["test"]["accuracy"])


def test_zero_epochs_keep_the_untrained_net(tmp_path, data_dir):
    run, marker = trained(tmp_path, data_dir, ["dataset.num_train=100", "hyper.max_num_epochs=0"], experiment_id=241)
    fresh, kept = build_model(run.experiment), load_trained(run, build_model(override(run.experiment, seed=3)))
    assert marker["result"]["best_epoch"] == 0
    assert all(np.array_equal(a, b) for a, b in zip(fresh.get_weights(), kept.get_weights(), strict=True))


def test_stops_when_nothing_gets_better(tmp_path, data_dir):
    settings = ["dataset.limit=100", "hyper.learning_rate=1e-12", "training.patience=4", "hyper.max_num_epochs=50"]
    run, marker = trained(tmp_path, data_dir, settings)
    assert "no better figure for 4 epochs" in marker["result"]["stopped"]
    assert read(run.path / "metrics.jsonl")[-1]["epoch"] == marker["result"]["best_epoch"] + 4


def test_random_labels_stop_when_all_are_learnt(tmp_path, data_dir):
    settings = ["dataset.limit=40", "dataset.random_labels=true", "hyper.batch_size=8", "hyper.max_num_epochs=500", "training.patience=200"]
    _, marker = trained(tmp_path, data_dir, settings, experiment_id=9004)
    assert marker["result"]["stopped"] == "every training label is right"


def test_a_lost_loss_stops_training_and_keeps_the_good_weights(tmp_path, data_dir):
    _, marker = trained(tmp_path, data_dir, [*TINY, "hyper.learning_rate=1e20"])
    assert "no number at step" in marker["result"]["stopped"] and marker["result"]["best_epoch"] == 0
    assert math.isfinite(marker["result"]["test"]["loss"])


@pytest.mark.parametrize("settings", [[], ["training.evaluate=before"]])
def test_evaluation_before_or_after_the_updates(tmp_path, data_dir, settings):
    run, _ = trained(tmp_path, data_dir, [*TINY, *settings])
    lines = read(run.path / "metrics.jsonl")
    assert len(lines) == (3 if settings else 4)
    assert (lines[0]["train_accuracy"] is None) == (not settings)


@pytest.mark.parametrize(("experiment_id", "settings"), [
    (9002, ["hyper.drop_train=0.5", "hyper.weight_decay=0.001"]), (9002, ["hyper.optimizer=2"]), (9002, ["hyper.optimizer=6"]),
    (9002, ["training.evaluate=before", "dataset.shuffle=false"]), (247, ["dataset.num_train=200", "dataset.dimension=7"])])
def test_resuming_gives_the_same_bits(tmp_path, data_dir, monkeypatch, experiment_id, settings):
    settings = [*settings, "hyper.max_num_epochs=4"] + (["dataset.limit=300"] if experiment_id == 9002 else [])
    whole, _ = trained(tmp_path / "a", data_dir, settings, experiment_id)
    with monkeypatch.context() as patch:  # the process dies in the third save of `last`
        saves = iter(range(100))

        def dying(self, number, save=Keeper.save):
            if "last" in str(self.folder) and next(saves) == 2:
                raise KeyboardInterrupt
            save(self, number)

        patch.setattr(Keeper, "save", dying)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "b", data_dir, settings, experiment_id)
    resumed, _ = trained(tmp_path / "b", data_dir, settings, experiment_id)
    assert_same_files(whole.path, resumed.path)


def assert_same_files(ours, theirs):
    """Every file of two runs is the same, times and TensorBoard files aside."""
    files = {path.relative_to(ours) for path in ours.rglob("*") if path.is_file()}
    assert {path for path in files if path.parts[0] != "tb"} == {
        path.relative_to(theirs) for path in theirs.rglob("*") if path.is_file() and "tb" not in path.relative_to(theirs).parts}
    for path in files:
        if path.parts[0] != "tb" and path.name not in ("provenance.json", "checkpoint"):
            assert timeless(ours / path) == timeless(theirs / path), path


def timeless(path):
    """The content of a file, without times."""
    if path.name != "metrics.jsonl":
        return path.read_bytes()
    return [{key: value for key, value in json.loads(line).items() if key not in ("seconds", "images_per_second")}
            for line in path.read_text().splitlines()]


def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(tmp_path, data_dir, capsys):
    run, _ = trained(tmp_path, data_dir, TINY)
    last = Keeper(run, "last", 2, model=build_model(run.experiment))
    sound = last.numbers()[0]
    last.save(10_000)
    (run.path / "checkpoints" / "last" / "last-10000.data-00000-of-00001").write_bytes(b"damaged")
    assert Keeper(run, "last", 2, model=build_model(run.experiment)).restore() == sound
    assert "last-10000: damaged checkpoint, passed over" in capsys.readouterr().out


def test_a_damaged_index_of_checkpoints_loses_nothing(tmp_path, data_dir):
    run, _ = trained(tmp_path, data_dir, TINY)
    folder = run.path / "checkpoints" / "last"
    (folder / "checkpoint").write_text("garbage")
    (folder / "thesis.tex").write_text("not ours")
    run.marker("train").unlink()
    run, _ = trained(tmp_path, data_dir, TINY)
    assert len(list((run.path / "tb").iterdir())) == 2 and len(read(run.path / "metrics.jsonl")) == 4, "it went on from the last state"
    assert (folder / "thesis.tex").read_text() == "not ours"


def test_training_afresh_goes_through_a_link_to_another_disk(tmp_path, data_dir):
    run, _ = trained(tmp_path, data_dir, TINY)
    (run.path / "checkpoints").rename(tmp_path / "disk")
    (run.path / "checkpoints").symlink_to(tmp_path / "disk")
    folder = data.ensure(run.experiment.dataset, data_dir)
    marker = run.execute("train", partial(train, run, afresh=True), lambda: folder, overwrite=True)
    assert len(read(run.path / "metrics.jsonl")) == 4 and marker["result"]["stopped"] == "all 3 epochs done"


def test_without_validation_examples_training_decides(tmp_path, data_dir):
    run, marker = trained(tmp_path, data_dir, ["dataset.proportion_training_set=1", "hyper.max_num_epochs=5"], experiment_id=9003)
    assert all(line["val_accuracy"] is None for line in read(run.path / "metrics.jsonl")), "no figure for a set that is not there"
    assert marker["result"]["best_epoch"] > 0 and "val" not in marker["result"]


def test_damaged_best_weights_are_refused(tmp_path, data_dir):
    run, marker = trained(tmp_path, data_dir, TINY)
    name = next(name for name in marker["files"] if "best" in name and "data" in name)
    content = (run.path / name).read_bytes()
    (run.path / name).write_bytes(content[:len(content) // 2])
    with pytest.raises(UserError, match="every checkpoint is damaged; train.py --overwrite"):
        load_trained(run, build_model(run.experiment))


def test_only_layers_of_the_registry_are_restored(tmp_path, data_dir):
    run, _ = trained(tmp_path, data_dir, TINY)
    other = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])
    with pytest.raises(UserError, match="damaged"):
        load_trained(run, other)
