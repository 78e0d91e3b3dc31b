"""Training of network pruning: which examples validate, the penalty on weights, Adam as Keras has it, the epoch of the least loss."""
import json
import math
from functools import partial

import numpy as np
import pytest

import data
from data import splits
from experiments import REGISTRY
from tests import small_nets
from tests.conftest import refused, shared
from tests.test_idx_data import arrays, write
from tfprune.experiment import UserError
from tfprune.input import pipeline, records
from tfprune.keras import keras, tf
from tfprune.models import build_model
from tfprune.models.hidden_layers import hidden_layers
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.settings import Dataset, Hyper, Training
from tfprune.training.accumulation import Gradients
from tfprune.training.checks import check_trainable
from tfprune.training.evaluate import Evaluator
from tfprune.training.losses import Loss, build_loss
from tfprune.training.metrics import read
from tfprune.training.optimizers import build_optimizer
from tfprune.training.train import train
from tfprune.training.trainer import Trainer

# Golden values of the facts on the original: the penalty of A is .0039 at l1=.001 and .017 at l2=.01.
A = np.array([[.1, -.5, .3, .05], [-.2, .4, -.3, .6], [.7, -.15, .25, -.35]], np.float32)
FIRST_LABELS = [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]  # of MNIST, which the original validates on


# --- which examples validate --------------------------------------------------------------------------------------------------------


def test_the_first_examples_validate():
    train_rows, val = splits.split_rows(Dataset(split="first", num_valid=3), 10)
    assert val.tolist() == [0, 1, 2] and train_rows.tolist() == list(range(3, 10))
    train_rows, val = splits.split_rows(Dataset(split="first", proportion_training_set=0.75), 10)
    assert val.tolist() == [0, 1, 2] and len(train_rows) == 7, "int(0.75 * 10) train"
    train_rows, val = splits.split_rows(Dataset(split="first", proportion_training_set=1), 10)
    assert not len(val) and train_rows.tolist() == list(range(10))


def test_a_number_of_examples_validates():
    train_rows, val = splits.split_rows(Dataset(num_valid=30), 100)
    assert len(val) == 30 and sorted([*train_rows, *val]) == list(range(100)) and val.tolist() != sorted(val)
    np.testing.assert_array_equal(val, splits.split_rows(Dataset(proportion_training_set=0.7), 100)[1])


@pytest.mark.parametrize(("settings", "says"), [
    ({"num_valid": 100}, "num_valid=100: there are 100 training examples; less than 100"), ({"num_valid": 1000}, "there are 100"),
    ({"num_valid": 50, "limit": 40}, "num_valid=50 with dataset.limit=40: there are 40"),
    ({"num_valid": 5, "split": "accumulated"}, "the accumulated split holds out a share")])
def test_numbers_that_cannot_be_held_out(settings, says):
    with pytest.raises(UserError, match=says):
        splits.split_rows(Dataset(**settings), settings.get("limit", 100))


@pytest.mark.parametrize(("dataset", "says"), [
    (Dataset("linear", num_valid=5), "dataset.num_valid=5: linear has validation examples of its own"),
    (Dataset("linear", split="first"), "dataset.split=first"), (Dataset("imagenet", split="first"), "dataset.split=first")])
def test_sources_without_such_a_split(tmp_path, dataset, says):
    with pytest.raises(UserError, match=says):
        data.ensure(dataset, tmp_path)
    assert not list(tmp_path.iterdir())


def test_official_files_in_their_order(tmp_path):
    values = arrays()
    values[1][:10] = FIRST_LABELS
    write(tmp_path / "mnist", values)
    folder = data.ensure(Dataset("mnist", split="first", num_valid=12), tmp_path)
    val, rest = records.load(folder, "val"), records.load(folder, "train")
    assert val.labels[:10].tolist() == FIRST_LABELS and len(val) == 12 and rest.epoch_size == len(rest) == 28
    np.testing.assert_array_equal(val.images[..., 0], values[0][:12])
    np.testing.assert_array_equal(rest.images[..., 0], values[0][12:])
    assert "num_valid=12" in json.loads((folder / "meta.json").read_text())["rebuild"]


def test_real_mnist_begins_as_the_original_says():
    folder = shared("data/mnist")
    part = data.SOURCES["mnist"].load(Dataset("mnist"), folder.parent).parts(Dataset("mnist", split="first", num_valid=2262))
    _, labels = next(part["val"].chunks())
    assert labels[:10].tolist() == FIRST_LABELS and (part["val"].count, part["train"].count) == (2262, 12_000)


def test_records_of_before_keep_their_names(tmp_path):
    assert data.ensure(Dataset("digits", proportion_training_set=.85), tmp_path).name == "digits-258fe2f6cde4"
    assert data.ensure(Dataset("linear", num_train=20, num_test=10), tmp_path).name == "linear-977a722ba822"


def test_images_are_the_files_divided_by_255(tmp_path):
    values = arrays()
    write(tmp_path / "mnist", values)
    experiment = override(REGISTRY[8000], ["dataset.num_valid=12"])
    val = records.load(data.ensure(experiment.dataset, tmp_path), "val")
    images, _ = next(iter(pipeline.evaluation_batches(val, experiment.dataset, experiment.hyper, 12)))
    np.testing.assert_allclose(images.numpy()[..., 0], values[0][:12] / np.float32(255), atol=1e-7)


# --- the penalty --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("l1", "l2", "expected"), [(.001, 0, .0039), (0, .01, .017), (.001, .01, .0209), (0, 0, 0)])
def test_golden_penalties(l1, l2, expected):
    loss = Loss(Hyper(l1_reg=l1, l2_reg=l2), Training(), [], [tf.Variable(A)])
    assert float(loss.penalty()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("number", "last"), [(9040, "logits"), (9004, None), (9030, "logits"), (9200, "logits")])
def test_every_kernel_but_the_last_is_paid_for(number, last):
    experiment = override(REGISTRY[number], ["hyper.l1_reg=0.25", "hyper.l2_reg=0.5", "hyper.weight_decay=0"])
    model = build_model(experiment)
    kernels = [layer.kernel.numpy().astype(np.float64) for layer in model.layers if hasattr(layer, "kernel")]
    assert last is None or model.layers[-1].name == last
    expected = sum(.25 * np.abs(kernel).sum() + .5 * (kernel ** 2).sum() for kernel in kernels[:-1])
    loss = build_loss(experiment, model)(tf.zeros([4, 10]), tf.zeros([4], tf.int64))
    assert float(loss) == pytest.approx(math.log(10) + expected, rel=1e-5)


def test_hidden_layers_of_any_graph():
    def names(model):
        return [layer.name for layer in hidden_layers(model)]

    assert names(small_nets.chain())[-1:] and small_nets.chain().layers[-1].name not in names(small_nets.chain())
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(3, name="b")], name="inner")
    images = keras.Input((4,))
    x = inner(images)
    followed = keras.Model(images, [keras.layers.Dense(2, name="c")(x), keras.layers.ReLU()(x)])
    assert names(followed) == ["a", "b"]
    assert names(keras.Model(images, keras.layers.ReLU()(x))) == ["a"], "what ends in a nested model ends in its last layer"


def test_pieces_pay_once():
    experiment = override(REGISTRY[9041], ["dnn.neuron_multiplier=0.02", "hyper.l2_reg=0.01"])
    rng = np.random.default_rng(0)
    split = records.Split(rng.integers(17, size=(32, 8, 8, 1), dtype=np.uint8), rng.integers(10, size=32), 10, 32)
    images, labels = tf.constant(rng.random((32, 8, 8, 1)), tf.float32), tf.constant(rng.integers(10, size=32))
    found = []
    for micro_batch in (32, 5):
        trainer = Trainer(experiment, split, micro_batch)
        found.append(Gradients(trainer, trainer.regime.trained(0))(images, labels))
    assert float(found[0][0]) == pytest.approx(float(found[1][0]), rel=1e-5)
    for whole, pieces in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(whole, pieces, atol=1e-6)


@pytest.mark.parametrize(("number", "settings", "says"), [
    (9010, ["hyper.l1_reg=0.1"], "hyper.l1_reg=0.1 .* dnn.mask=edge_popup"), (9030, ["hyper.l2_reg=1", "training.trainer=head"], "=head"),
    (9010, ["hyper.l2_reg=0.1", "training.trainer=lottery"], "=lottery")])
def test_nets_without_trained_kernels_pay_nothing(number, settings, says):
    with pytest.raises(UserError, match=says):
        check_trainable(override(REGISTRY[number], settings))


def test_masked_nets_pay_for_the_kernels_they_train():
    experiment = override(REGISTRY[9040], ["dnn.mask=random", "hyper.keep=0.5", "hyper.l1_reg=1", "dnn.neuron_multiplier=0.02"])
    check_trainable(experiment)
    assert len(build_loss(experiment, build_model(experiment)).penalised) == 4


# --- the optimiser ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [keras.optimizers.Adam, keras.optimizers.legacy.Adam])
def test_adam_is_that_of_keras(kind):
    experiment, rng = REGISTRY[8000], np.random.default_rng(0)
    start = rng.normal(size=200).astype(np.float32)
    ours, theirs = tf.Variable(start), tf.Variable(start)
    optimizer, reference = build_optimizer(experiment, tf.Variable(1e-3)), kind(1e-3)
    for _ in range(10):
        gradient = tf.constant(rng.normal(size=200) * 10.0 ** rng.uniform(-9, 0, 200), tf.float32)  # some no larger than epsilon
        optimizer.apply_gradients([(gradient, ours)])
        reference.apply_gradients([(gradient, theirs)])
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert float(tf.reduce_max(tf.abs(ours - start))) > 5e-3, "at the full rate"


def test_an_epoch_is_that_of_keras_fit(data_dir):
    """Same weights, same batches: the weights, and the losses with the penalty in them, as Keras's own regularisers and fit leave them."""
    experiment = override(REGISTRY[9041], ["dnn.neuron_multiplier=0.05", "hyper.l2_reg=0.01"])
    folder = data.ensure(experiment.dataset, data_dir)
    trainer = Trainer(experiment, records.load(folder, "train"))
    regulariser = keras.regularizers.L1L2(l1=.001, l2=.01)
    widths = [layer.units for layer in trainer.model.layers if hasattr(layer, "units")]
    theirs = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()] + [
        keras.layers.Dense(width, "relu", use_bias=False, kernel_regularizer=regulariser) for width in widths[:-1]] + [
        keras.layers.Dense(10, "softmax", use_bias=False)])
    theirs.set_weights(trainer.model.get_weights())
    theirs.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", ["accuracy"])
    stream = pipeline.training_stream(trainer.split, experiment.dataset, experiment.hyper, experiment.seed, 0, 0, True)
    history = theirs.fit(stream.take(trainer.updates_per_epoch), verbose=0).history
    trainer.train_epoch(lambda: None)
    assert trainer.updates_per_epoch == math.ceil(len(trainer.split) / 32)
    for ours, reference in zip(trainer.model.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(ours, reference, atol=1e-4)
    val = records.load(folder, "val")
    figures = Evaluator(experiment, trainer.model, trainer.loss)(val)
    loss, accuracy = theirs.evaluate(pipeline.evaluation_batches(val, experiment.dataset, experiment.hyper, 32), verbose=0)
    assert figures["loss"] == pytest.approx(loss, rel=1e-4) and figures["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert trainer.score.result()["accuracy"] == pytest.approx(history["accuracy"][0], abs=2e-3)
    assert 0 < figures["penalty"] < figures["loss"]


# --- the best epoch -----------------------------------------------------------------------------------------------------------------


def test_the_best_epoch_is_that_of_the_least_validation_loss(tmp_path, data_dir):
    settings = ["dataset.limit=300", "hyper.max_num_epochs=10", "hyper.learning_rate=0.003", "hyper.l1_reg=0.001"]
    run = Run(override(REGISTRY[9040], settings), tmp_path)
    marker = run.execute("train", partial(train, run), partial(data.ensure, run.experiment.dataset, data_dir))
    lines = read(run.path / "metrics.jsonl")
    least = min(lines[1:], key=lambda line: line["val_loss"])
    assert marker["result"]["best_epoch"] == least["epoch"]
    assert marker["result"]["val"]["loss"] == least["val_loss"] and marker["result"]["val"]["penalty"] == least["penalty"] > 0
    assert least["epoch"] != max(lines, key=lambda line: line["val_accuracy"])["epoch"], "accuracy would have chosen another"
    assert "all 10 epochs" in marker["result"]["stopped"]


def test_too_many_held_out_is_one_line(tmp_path):
    line = refused("train.py", "9040", "--num_valid=1437", f"--results_dir={tmp_path / 'r'}", f"--data_dir={tmp_path / 'd'}")
    assert "dataset.num_valid=1437: there are 1437 training examples" in line
    assert not (tmp_path / "r").exists() and not (tmp_path / "d").exists()
