"""Training the class head alone: nothing else moves, not even what normalisation remembers."""
from functools import partial

import numpy as np
import pytest

import data
from experiments import REGISTRY
from tfprune.experiment import UserError
from tfprune.input import pipeline
from tfprune.input.records import Split
from tfprune.keras import keras, tf
from tfprune.models.heads import head_of
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.training.checkpoints import load_trained
from tfprune.training.checks import check_trainable
from tfprune.training.origin import check_given
from tfprune.training.train import train
from tfprune.training.trainer import Trainer

RNG = np.random.default_rng(0)
SPLIT = Split(RNG.integers(17, size=(40, 8, 8, 1), dtype=np.uint8), RNG.integers(10, size=40), 10)
HEAD = ["training.trainer=head", "hyper.batch_size=20", "hyper.learning_rate=0.1", "hyper.drop_train=1"]


def trainer_of(number, *settings):
    keras.backend.clear_session()
    return Trainer(override(REGISTRY[number], [*HEAD, *settings]), SPLIT)


def moved(trainer):
    """Names of the weights that an epoch moves."""
    before = {weight.name: weight.numpy() for weight in trainer.model.weights}
    trainer.train_epoch(lambda: None)
    return sorted(name for weight in trainer.model.weights if not np.array_equal(before[name := weight.name], weight.numpy()))


@pytest.mark.parametrize(("number", "settings", "names"), [
    (9030, [], ["logits/bias:0", "logits/kernel:0"]),
    (9030, ["hyper.weight_decay=0.1", "training.weight_decay_in=loss"], ["logits/bias:0", "logits/kernel:0"]),
    (9030, ["dnn.top=5"], ["logits/bias:0", "logits/kernel:0"]),  # its indices stay
    (9002, [], ["softmax_linear/bias:0", "softmax_linear/kernel:0"]),
    (9016, ["dnn.last_dense=true"], ["logits/bias:0", "logits/kernel:0"]),
    (9016, [], ["logits/scores:0"]),
    (9016, ["dnn.mask=iterand", "hyper.redraw_every=1"], ["logits/scores:0"])])  # nothing is redrawn
def test_only_the_head_moves(number, settings, names):
    trainer = trainer_of(number, *settings)
    assert moved(trainer) == names
    statistics = [layer for layer in trainer.model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert number != 9030 or len(statistics) == 19, "of which none moved either"


def test_normalisation_is_by_running_averages():
    """One step's gradient is that of a dense layer on the features of an evaluation."""
    trainer = trainer_of(9030, "hyper.batch_size=40", "training.schedule=constant", "hyper.optimizer=1", "hyper.weight_decay=0")
    for layer in trainer.model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(RNG.normal(size=layer.moving_mean.shape, scale=.1))
            layer.moving_variance.assign(RNG.uniform(.5, 2, layer.moving_variance.shape))
    experiment, head = trainer.experiment, head_of(trainer.model)
    images, labels = next(iter(pipeline.training_stream(SPLIT, experiment.dataset, experiment.hyper, experiment.seed, 0, 0, True)))
    features = keras.Model(trainer.model.inputs, head.input)(images, training=False).numpy()
    kernel, bias = head.kernel.numpy(), head.bias.numpy()
    slope = (tf.nn.softmax(features @ kernel + bias).numpy() - np.eye(10)[labels.numpy()]) / 40
    trainer.train_epoch(lambda: None)
    np.testing.assert_allclose(head.kernel.numpy(), kernel - .1 * features.T @ slope, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(head.bias.numpy(), bias - .1 * slope.sum(0), rtol=1e-4, atol=1e-6)


def test_the_loss_has_no_decay_of_what_is_at_rest():
    trainer = trainer_of(9030, "hyper.weight_decay=0.1", "training.weight_decay_in=loss", "training.weight_decay_on=trainables")
    head = head_of(trainer.model)
    assert {weight.ref() for weight in trainer.loss.decayed} == {head.kernel.ref(), head.bias.ref()}


def test_a_training_and_its_files(tmp_path, data_dir):
    experiment = override(REGISTRY[9030], [*HEAD, "dataset.limit=200", "hyper.max_num_epochs=2"])
    run, started = Run(experiment, tmp_path), []

    def start(trainer):
        for weight in trainer.model.weights:
            weight.assign_add(tf.ones_like(weight) / 100)
        started.append(trainer.model.get_weights())

    run.execute("train", partial(train, run, start=start), partial(data.ensure, experiment.dataset, data_dir))
    kept = load_trained(run, Trainer(override(REGISTRY[9030], []), SPLIT).model).get_weights()
    same = [np.array_equal(ours, theirs) for ours, theirs in zip(kept, started[0], strict=True)]
    assert same.count(False) == 2, "the head's; a checkpoint fits the net whatever was trained of it"


def test_refused():
    with pytest.raises(UserError, match="training.trainer=head: training.keep_epochs changes masks"):
        check_trainable(override(REGISTRY[9016], [*HEAD, "training.keep_epochs=1"]))
    with pytest.raises(UserError, match="--experiment_id=9032: training.start_from=9030 .*; training.start_from=-1 is needed"):
        check_trainable(override(REGISTRY[9032], ["dnn.top=0"]))
    with pytest.raises(UserError, match="--set dnn.top=1e.06: the head of ResNet20 has 64 filters"):
        check_trainable(override(REGISTRY[9030], [*HEAD, "dnn.top=1000000"]))


@pytest.mark.parametrize(("number", "settings", "said"), [
    (7001, [], "--experiment_id=7001: dnn.top=5 .* experiment 7000, which is not trained: python train.py --experiment_id=7000"),
    (9003, ["dnn.top=3"], "--experiment_id=9003: dnn.top=3 .*--set training.start_from=ID")])
def test_a_decomposed_head_needs_a_trained_net(number, settings, said):
    experiment = override(REGISTRY[number], settings)
    with pytest.raises(UserError, match=said):
        check_given(experiment, given=False)
    check_given(experiment, given=True)
