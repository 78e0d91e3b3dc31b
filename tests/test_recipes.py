"""Training recipes: schedules at exact steps, what is decayed, smoothed labels, auxiliary losses, which epoch is kept."""
import math

import numpy as np
import pytest

from experiments import REGISTRY
from tests.conftest import TINY, refused
from tests.test_training import assert_same_files, trained
from tfprune.experiment import UserError
from tfprune.input.records import Split
from tfprune.keras import keras, tf
from tfprune.models import MODELS, Net, build_model, build_training_model, without_auxiliary
from tfprune.models.residual import Parts
from tfprune.overrides import override
from tfprune.training.checkpoints import Keeper, load_trained
from tfprune.training.losses import Score, build_loss, decayed_weights
from tfprune.training.metrics import read
from tfprune.training.optimizers import build_optimizer
from tfprune.training.schedules import Schedule
from tfprune.training.trainer import Trainer

RESNET = ["dnn.name=ResNet_cifar", "training.schedule=resnet_cifar", "training.keep=last",
          "training.weight_decay_on=trainables", "hyper.weight_decay=0.0002"]  # on the digits of ID 9002


def rates(schedule, *updates):
    """The rates after so many updates."""
    return [schedule.rate(*divmod(done, schedule.updates_per_epoch)) for done in updates]


# --- schedules ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("epoch", "rate"), [(0, .01), (1, .0095), (10, .00598737), (100, 5.92053e-5), (499, 7.65736e-14)])
def test_learning_rate_decays(epoch, rate):  # G13
    assert Schedule(REGISTRY[2]).rate(epoch) == pytest.approx(rate, rel=1e-5)


def test_adaptive_optimisers_and_the_original_rates():
    adam, rmsprop = (override(REGISTRY[2], [f"hyper.optimizer={code}", "hyper.learning_rate=0.1"]) for code in (2, 5))
    assert Schedule(adam).rate(0) == pytest.approx(.01) and Schedule(adam).rate(1) == pytest.approx(.0095)
    as_original = [override(e, ["training.learning_rates=original"]) for e in (adam, rmsprop, REGISTRY[2])]
    assert [Schedule(e).rate(3) for e in as_original] == pytest.approx([1e-3, .01, .01 * .95**3])


def test_cifar_resnets_fall_after_91_and_136_epochs_and_end_after_182():
    schedule = Schedule(REGISTRY[219], updates_per_epoch=371)
    assert REGISTRY[219].hyper.learning_rate == .025
    edges = 91 * 371, 136 * 371
    expected = [.025, .025, .0025, .0025, .00025, .00025]
    assert rates(schedule, 0, edges[0] - 1, edges[0], edges[1] - 1, edges[1], 182 * 371 - 1) == pytest.approx(expected, rel=1e-12)
    assert (schedule.epochs, schedule.reason) == (182, "the schedule's 182 epochs are done")
    short = Schedule(override(REGISTRY[219], ["hyper.max_num_epochs=3"]))
    assert (short.epochs, short.reason) == (3, "all 3 epochs done")


def test_cifar_resnets_as_the_original_trains_them():
    """The original's fall at global steps 35,546, 53,125 and 71,093, the boundary itself still at the higher rate."""
    experiment = override(REGISTRY[217], ["training.learning_rates=original", "hyper.max_num_epochs=5000"])
    schedule = Schedule(experiment, updates_per_epoch=371, passes=3.0)
    edges = 35_546, 53_125, 71_093
    updates = [0, *(step for edge in edges for step in (edge, edge + 1)), 202_000]
    assert rates(schedule, *updates) == pytest.approx([.1, .1, .01, .01, .001, .001, .0001, .0001], rel=1e-12)
    assert schedule.epochs == 182 * 142_500 // 47_500 == 546
    assert Schedule(override(REGISTRY[217], ["training.learning_rates=original"]), 371, 3.0).epochs == 500


def test_imagenet_nets_warm_up_and_fall():
    schedule = Schedule(REGISTRY[4004], updates_per_epoch=2500)
    peak = .1 * 512 / 256
    assert rates(schedule, 0, 1, 6250, 12_499, 12_500) == pytest.approx([0, peak / 12_500, peak / 2, peak * 12_499 / 12_500, peak])
    edges = [epoch * 2500 for epoch in (30, 60, 80)]
    expected = [peak, peak / 10, peak / 10, peak / 100, peak / 100, peak / 1000]
    assert rates(schedule, *(step for edge in edges for step in (edge - 1, edge))) == pytest.approx(expected)
    assert (schedule.epochs, schedule.reason) == (90, "all 90 epochs done")


@pytest.mark.parametrize(("epochs", "falls"), [(200, (100, 150)), (30, (15, 23)), (1, (1, 1))])
def test_milestones(epochs, falls):
    """At half and three quarters of all epochs, of which a training that ends earlier sees fewer."""
    settings = ["training.schedule=milestones", f"hyper.max_num_epochs={epochs}", "hyper.learning_rate_factor_per_decay=0.2"]
    schedule = Schedule(override(REGISTRY[9002], settings), updates_per_epoch=7)
    expected = [.01 * .2 ** sum(epoch >= fall for fall in falls) for epoch in range(epochs)]
    assert [schedule.rate(epoch, step) for epoch in range(epochs) for step in (0, 6)] == pytest.approx(np.repeat(expected, 2), rel=1e-12)
    if epochs == 200:
        shorter = Schedule(override(REGISTRY[9002], [*settings, "dnn.time_step=60"]))
        assert shorter.epochs == 140 and shorter.rate(139) == pytest.approx(.002)


def test_the_rate_is_that_of_the_batch_there_is():
    """Of a small data set all examples are a batch, whatever the experiment asks for."""
    experiment = override(REGISTRY[9002], ["training.schedule=resnet_imagenet", "hyper.batch_size=8192"])
    rng = np.random.default_rng(0)
    trainer = Trainer(experiment, Split(rng.integers(256, size=(64, 8, 8, 1), dtype=np.uint8), rng.integers(10, size=64), 10))
    assert trainer.schedule.rate(5) == pytest.approx(.01 * 64 / 256)


@pytest.mark.parametrize(("experiment_id", "settings", "updates"), [
    (2, [], 7), (217, [], 3), (217, ["training.learning_rates=original"], 371), (4000, ["hyper.batch_size=512"], 4)])
def test_the_rates_of_many_updates_are_those_of_each(experiment_id, settings, updates):
    schedule = Schedule(override(REGISTRY[experiment_id], settings), updates_per_epoch=updates)
    for epoch in (0, 4, 5, 29, 30, 90, 91, 95, 96, 135, 136, 143, 191):
        each = [schedule.rate(epoch, step) for step in range(updates)]
        assert schedule.rates(epoch, 0, updates) == each and schedule.rates(epoch, 2, updates - 2) == each[2:]


def test_time_steps_end_before_the_end():
    ends = {number: Schedule(REGISTRY[number]).epochs for number in (4018, 4019, 4024, 4029, 4034)}
    assert ends == {4018: 90, 4019: 82, 4024: 84, 4029: 86, 4034: 88}
    assert Schedule(REGISTRY[4019]).reason == "82 of 90 epochs done (dnn.time_step=8)"
    at_60 = [Schedule(REGISTRY[number], 10).rate(60) for number in (4000, 4019)]
    assert at_60[0] == at_60[1], "the same schedule"
    assert Schedule(override(REGISTRY[217], ["dnn.time_step=6"])).epochs == 176, "of 182, not of 500"
    with pytest.raises(UserError, match="dnn.time_step=90: training ends after 90 epochs"):
        Schedule(override(REGISTRY[4019], ["dnn.time_step=90"]))


def test_a_time_step_that_leaves_nothing_is_refused_before_anything_is_written(tmp_path, data_dir):
    line = refused("train.py", *TINY, "--set=dnn.time_step=3", f"--results_dir={tmp_path / 'results'}", f"--data_dir={data_dir}")
    assert "--set dnn.time_step=3" in line and "hyper.max_num_epochs=3" in line
    assert not (tmp_path / "results").exists()


def test_the_rate_changes_at_the_exact_step_of_a_training(monkeypatch):
    """Boundaries within an epoch: the original's schedule, with a shorter epoch, and warm-up step by step."""
    monkeypatch.setattr("tfprune.training.schedules.CIFAR_IMAGES", 8)
    experiment = override(REGISTRY[9002], ["training.schedule=resnet_cifar", "training.learning_rates=original", "hyper.optimizer=1"])
    assert experiment.hyper.batch_size == 32
    seen = rates_of_a_training(experiment, epochs=4)
    assert seen == pytest.approx([.01] * 23 + [.001] * 12 + [.0001] * 5, rel=1e-6), "steps 22 and 34 are the boundaries"
    warm = rates_of_a_training(override(REGISTRY[9002], ["training.schedule=resnet_imagenet"]), epochs=2)
    assert warm == pytest.approx([.01 * 32 / 256 * done / 50 for done in range(20)], rel=1e-6)


def rates_of_a_training(experiment, epochs):
    """What the optimiser was given in every update of a training with 10 updates an epoch."""
    rng = np.random.default_rng(0)
    trainer = Trainer(experiment, Split(rng.integers(256, size=(320, 8, 8, 1), dtype=np.uint8), rng.integers(10, size=320), 10))
    seen = tf.Variable(tf.zeros(10 * epochs))
    apply = trainer.optimizer.apply_gradients

    def noting(pairs):
        seen.scatter_nd_update([[trainer.epoch * 10 + trainer.step]], [trainer.rate])
        return apply(pairs)

    trainer.optimizer.apply_gradients = noting
    for _ in range(epochs):
        trainer.train_epoch(lambda: None)
    return seen.numpy().tolist()


# --- the loss -------------------------------------------------------------------------------------------------------------------


def numpy_step(x, y, w, gamma, beta, dense, bias, decay, epsilon):
    """Gradients of cross-entropy + decay / 2 * ||all||^2 of x @ w -> normalisation by the batch -> ReLU -> dense, written out."""
    h = x @ w
    mean, variance = h.mean(0), h.var(0)
    norm = (h - mean) / np.sqrt(variance + epsilon)
    pre = gamma * norm + beta
    act = np.maximum(pre, 0)
    logits = act @ dense + bias
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    d = (p - np.eye(p.shape[1])[y]) / len(y)
    dact = d @ dense.T * (pre > 0)
    dnorm = dact * gamma
    dh = (dnorm - dnorm.mean(0) - norm * (dnorm * norm).mean(0)) / np.sqrt(variance + epsilon)
    gradients = [x.T @ dh, (dact * norm).sum(0), dact.sum(0), act.T @ d, d.sum(0)]
    return [g + decay * v for g, v in zip(gradients, (w, gamma, beta, dense, bias), strict=True)], mean, variance


def test_momentum_with_decay_of_everything_on_a_normalised_net():
    """Three steps of the ResNets' update against NumPy: momentum .9, L2 on kernels, gamma, beta and bias, normalisation by the batch."""
    experiment = override(REGISTRY[9002], ["training.weight_decay_on=trainables", "hyper.weight_decay=0.05", "training.keep=last"])
    rng = np.random.default_rng(0)
    inputs = keras.Input((4,))
    h = keras.layers.Dense(6, use_bias=False)(inputs)
    h = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=.9, epsilon=1e-3)(h))
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(h))
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape))
    ours = [weight.numpy().astype(float) for weight in model.trainable_weights]
    loss, optimizer = build_loss(experiment, model), build_optimizer(experiment, tf.Variable(.3))
    velocity, moving = [np.zeros_like(v) for v in ours], [np.zeros(6), np.ones(6)]
    for _ in range(3):
        x, y = rng.normal(size=(8, 4)), rng.integers(3, size=8)
        with tf.GradientTape() as tape:
            value = loss(model(tf.constant(x, tf.float32), training=True), tf.constant(y))
        optimizer.apply_gradients(zip(tape.gradient(value, model.trainable_weights), model.trainable_weights, strict=True))
        gradients, *moments = numpy_step(x, y, *ours, decay=.05, epsilon=1e-3)
        velocity = [.9 * v + g for v, g in zip(velocity, gradients, strict=True)]
        ours = [w - .3 * v for w, v in zip(ours, velocity, strict=True)]
        moving = [.9 * old + .1 * new for old, new in zip(moving, moments, strict=True)]
    for weight, expected in zip(model.weights, [*ours[:3], *moving, *ours[3:]], strict=True):
        np.testing.assert_allclose(weight.numpy(), expected, rtol=2e-3, atol=1e-4, err_msg=weight.name)


def test_what_is_under_decay():
    model = three_blocks(REGISTRY[217], (32, 32, 3), 10)
    for fidelity in ("corrected", "original"):
        decayed = decayed_weights(override(REGISTRY[217], fidelity=fidelity), model)
        assert {w.ref() for w in decayed} == {w.ref() for w in model.trainable_weights}, "normalisation and bias too"
    inception = override(REGISTRY[4013], ["dnn.neuron_multiplier=0.0625", "hyper.image_size=107"])
    model = build_training_model(inception)
    for fidelity in ("corrected", "original"):
        decayed = decayed_weights(override(inception, fidelity=fidelity), model)
        assert {w.ref() for w in decayed} == {w.ref() for w in model.trainable_weights if "kernel" in w.name}
    assert any("auxiliary" in w.name for w in decayed)


def test_label_smoothing_and_auxiliary_losses_as_written_out():
    experiment = override(REGISTRY[9002], ["training.label_smoothing=0.1"])
    rng = np.random.default_rng(0)
    main, aux = rng.normal(size=(2, 5, 10)).astype("float32")
    labels = rng.integers(10, size=5)

    def expected(logits):
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        wanted = .9 * np.eye(10)[labels] + .1 / 10
        return -(wanted * log_p).sum(1).mean()

    loss = build_loss(experiment, None)
    assert float(loss(tf.constant(main), tf.constant(labels))) == pytest.approx(expected(main), rel=1e-5)
    both = loss([tf.constant(main), tf.constant(aux)], tf.constant(labels))
    assert float(both) == pytest.approx(expected(main) + .4 * expected(aux), rel=1e-5)


def test_top_5():
    score = Score(regression=False, top_5=True)
    outputs = np.zeros((3, 12), "float32")
    outputs[:, :6] = [6, 5, 4, 3, 2, 1]
    score.update(1.0, tf.constant(outputs), tf.constant([0, 4, 5], tf.int64))
    assert score.result() == pytest.approx({"loss": 1.0, "accuracy": 1 / 3, "top_5": 2 / 3})


def test_top_5_of_equal_outputs_and_of_none():
    score = Score(regression=False, top_5=True)
    outputs = np.zeros((4, 12), "float32")
    outputs[2:] = np.nan
    score.update(1.0, tf.constant(outputs), tf.constant([4, 5, 0, 11], tf.int64))
    assert score.result()["top_5"] == 1 / 4


# --- whole trainings ------------------------------------------------------------------------------------------------------------


def test_the_last_epoch_is_kept_and_nothing_stops_earlier(tmp_path, data_dir):
    settings = ["dataset.limit=60", "training.keep=last", "training.patience=1", "hyper.learning_rate=1e-12", "dataset.random_labels=true",
                "hyper.max_num_epochs=6"]
    run, marker = trained(tmp_path, data_dir, settings)
    assert (marker["result"]["best_epoch"], marker["result"]["stopped"]) == (6, "all 6 epochs done")
    assert Keeper(run, "best", 1).numbers() == [6]
    stopped, _ = trained(tmp_path, data_dir, [*settings, "training.keep=best"])
    assert len(read(stopped.path / "metrics.jsonl")) < 7


def test_quirks_of_the_originals_train_py_leave_its_residual_nets_alone():
    alexnet, resnet = (override(REGISTRY[number], fidelity="original") for number in (2, 217))
    assert (alexnet.dataset.shuffle, alexnet.training.evaluate, alexnet.training.decayed_kernels) == (False, "before", "hidden_dense")
    assert (resnet.dataset.shuffle, resnet.training.evaluate, resnet.training.decayed_kernels) == (True, "after", "all")
    assert resnet.dataset.split == "accumulated" and resnet.training.learning_rates == "original"


def test_time_step_of_a_training(tmp_path, data_dir):
    shorter, marker = trained(tmp_path, data_dir, ["dataset.limit=100", "hyper.max_num_epochs=5", "dnn.time_step=2", "training.keep=last"])
    assert (marker["result"]["best_epoch"], marker["result"]["stopped"]) == (3, "3 of 5 epochs done (dnn.time_step=2)")
    longer, _ = trained(tmp_path, data_dir, ["dataset.limit=100", "hyper.max_num_epochs=3", "training.keep=last"])
    nets = [load_trained(run, build_model(run.experiment)).get_weights() for run in (shorter, longer)]
    assert all(np.array_equal(a, b) for a, b in zip(*nets, strict=True)), "as a shorter training gives it"


def test_a_residual_net_resumes_within_an_epoch_to_the_same_bits(tmp_path, data_dir, monkeypatch):
    monkeypatch.setitem(MODELS, "ResNet_cifar", Net(three_blocks, "images", 8))
    settings = [*RESNET, "dataset.limit=120", "hyper.batch_size=16", "hyper.max_num_epochs=2", "dataset.random_labels=true"]
    monkeypatch.setattr("tfprune.training.trainer.SAVE_SECONDS", 0)
    monkeypatch.setattr(Trainer, "_update_for_a_second", one_update)
    whole, marker = trained(tmp_path / "a", data_dir, settings)
    assert marker["result"]["best_epoch"] == 2
    with monkeypatch.context() as patch:  # the process dies in the fifth save of `last`, within an epoch
        saves = iter(range(100))

        def dying(self, number, save=Keeper.save):
            if self.kind == "last" and next(saves) == 4:
                raise KeyboardInterrupt
            save(self, number)

        patch.setattr(Keeper, "save", dying)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "b", data_dir, settings)
    resumed, _ = trained(tmp_path / "b", data_dir, settings)
    assert_same_files(whole.path, resumed.path)
    before, after = build_model(whole.experiment), load_trained(whole, build_model(override(whole.experiment, seed=3)))
    for name in ("stem_bn", "stage3_block1_bn2"):
        fresh, moved = (net.get_layer(name).moving_variance.numpy() for net in (before, after))
        assert not np.allclose(fresh, moved), "training moves the averages"


def three_blocks(experiment, input_shape, outputs):
    """ResNet-56 with one block a stage in place of nine."""
    parts = Parts(experiment)
    images = keras.Input(input_shape, name="images")
    x = parts.stem(images, 2, size=3, stride=1)
    for number in (1, 2, 3):
        x = parts.stage(x, 2 * number, 1, stride=2 if number > 1 else 1, name=f"stage{number}")
    return keras.Model(images, parts.classifier(x, outputs))


def one_update(self, most, original=Trainer._update_for_a_second):
    return original(self, min(most, 1))


def test_an_auxiliary_classifier_is_trained_and_left_out_of_what_is_kept(tmp_path, data_dir, monkeypatch):
    def net(experiment, input_shape, outputs):
        images = keras.Input(input_shape, name="images")
        x = keras.layers.Flatten()(images)
        hidden = keras.layers.Dense(8, activation="relu", name="hidden")(x)
        return keras.Model(images, [keras.layers.Dense(outputs, name="logits")(hidden), keras.layers.Dense(outputs, name="aux")(hidden)])

    monkeypatch.setitem(MODELS, "Alexnet_digits", Net(net, "images", 32))
    run, marker = trained(tmp_path, data_dir, ["dataset.limit=100", "hyper.max_num_epochs=2"])
    assert math.isfinite(marker["result"]["test"]["loss"])
    model = build_training_model(run.experiment)
    untrained = model.get_layer("aux").get_weights()[0]
    assert Keeper(run, "last", 2, model=model).restore() is not None
    assert not np.array_equal(untrained, model.get_layer("aux").get_weights()[0]), "the state to go on from has it, trained"
    assert len(load_trained(run, build_model(run.experiment)).weights) == 4
    names = [name for name, _ in tf.train.list_variables(str(run.path / "checkpoints" / "best" / f"best-{marker['result']['best_epoch']}"))]
    assert sum("VARIABLE_VALUE" in name and name.startswith("model/") for name in names) == 4
    assert without_auxiliary(model).output_shape == (None, 10)
