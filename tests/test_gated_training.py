"""Class-specific gates (CSG): a step against NumPy, the projection, which epochs are gated, what is kept, and what is refused."""
from functools import partial

import numpy as np
import pytest

import data
from experiments import REGISTRY
from tests.conftest import refused
from tfprune.experiment import UserError
from tfprune.input import pipeline
from tfprune.input.records import Split
from tfprune.keras import keras, tf
from tfprune.layers.gated_dense import GatedDense
from tfprune.models import build_model, parameter_count
from tfprune.models.heads import head_of
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.training.accumulation import Gradients
from tfprune.training.checkpoints import load_trained
from tfprune.training.checks import check_trainable
from tfprune.training.gated import is_gated
from tfprune.training.losses import decayed_weights
from tfprune.training.metrics import read
from tfprune.training.regimes import REGIMES
from tfprune.training.schedules import Schedule
from tfprune.training.train import train
from tfprune.training.trainer import Trainer

RNG = np.random.default_rng(0)
SPLIT = Split(RNG.integers(17, size=(40, 8, 8, 1), dtype=np.uint8), RNG.integers(10, size=40), 10)
CSG = ["training.trainer=csg", "training.gate_warm_up=1", "training.gate_period=2", "hyper.gate_penalty=0.01", "hyper.gated_weight=0.7",
       "hyper.batch_size=40", "hyper.optimizer=1", "hyper.learning_rate=0.5", "training.last_batch=keep"]


def variant(*settings, number=9002, **options):
    return override(REGISTRY[number], [*CSG, *settings], **options)


def trainer_of(*settings, **options):
    keras.backend.clear_session()
    return Trainer(variant(*settings), SPLIT, **options)


def projected(gates):
    """By the rule of the method, filter by filter."""
    return np.stack([np.clip(own / own.max(), 0, 1) if own.max() > 0 else np.clip(own - own.max() + 1, 0, 1) for own in gates.T], 1)


def test_the_gated_path():
    head = GatedDense(3, name="head")
    features, gates = RNG.random((5, 4), "float32"), RNG.random((3, 4), "float32")
    plain = head(features).numpy()
    assert (head.gates.numpy() == .5).all() and [weight.name for weight in head.trainable_weights] == ["head/kernel:0", "head/bias:0"]
    head.gates.assign(gates)
    labels = np.array([2, 0, 0, 1, 2])
    with head.gated_by(tf.constant(labels)):
        gated = tf.function(head)(features).numpy()
    np.testing.assert_allclose(gated, (features * gates[labels]) @ head.kernel.numpy() + head.bias.numpy(), rtol=1e-6)
    assert np.array_equal(head(features).numpy(), plain) and not np.allclose(plain, gated), "plain again"


@pytest.mark.parametrize("gates", [[[.5, .2], [.25, .1]], [[-.5, 3.0], [2.0, -1.0]], [[-.5, 0.0], [-.7, 0.0]], [[1e-38, 1.0], [-1.0, 1.0]]])
def test_the_projection(gates):
    head, gates = GatedDense(2), np.array(gates, "float32")
    head.build([None, 2])
    head.gates.assign(gates)
    head.project()
    np.testing.assert_allclose(head.gates.numpy(), projected(gates), rtol=1e-6)
    assert (head.gates.numpy().max(0) == 1).all() and head.gates.numpy().min() >= 0
    before = head.gates.numpy()
    head.project()
    assert np.array_equal(head.gates.numpy(), before)


def test_a_gated_head_starts_as_the_dense_one():
    dense, gated = (build_model(override(REGISTRY[9030], settings)) for settings in ([], ["training.trainer=csg"]))
    assert [weight.name for weight in gated.weights if weight.name not in {own.name for own in dense.weights}] == ["logits/gates:0"]
    own = [weight for weight in gated.weights if weight.name != "logits/gates:0"]
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(own, dense.get_weights(), strict=True))
    assert parameter_count(REGISTRY[9034]) == parameter_count(REGISTRY[9030]), "gates are no part of the net that is used"


def gradients_by_hand(trainer, images, labels):
    """(loss, gradients of the head's kernel, bias and gates) of a gated update, in float64."""
    hyper, head = trainer.experiment.hyper, trainer.regime.head
    features = keras.Model(trainer.model.inputs, head.input)(images, training=True).numpy().astype(float)
    kernel, bias, gates = (weight.numpy().astype(float) for weight in (head.kernel, head.bias, head.gates))
    gated = features * gates[labels]
    logits = gated @ kernel + bias
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    above = gates.sum() - hyper.gate_density * gates.size
    loss = hyper.gated_weight * -np.log(chances[range(len(labels)), labels]).mean() + hyper.gate_penalty * max(0, above)
    slope = hyper.gated_weight * (chances - np.eye(10)[labels]) / len(labels)
    of_gates = np.zeros_like(gates)
    np.add.at(of_gates, labels, features * (slope @ kernel.T))
    return loss, (gated.T @ slope, slope.sum(0), of_gates + hyper.gate_penalty * (above > 0))


@pytest.mark.parametrize("density", [.2, .6])  # gates of 0.5: above it, and below
@pytest.mark.parametrize("micro_batch", [None, 7])
def test_gradients_of_a_gated_update(density, micro_batch):
    trainer = trainer_of(f"hyper.gate_density={density}", micro_batch=micro_batch)
    head, (images, labels) = trainer.regime.head, (RNG.normal(size=(40, 8, 8, 1)).astype("float32"), SPLIT.labels)
    loss, expected = gradients_by_hand(trainer, images, labels)
    weights = [head.kernel, head.bias, head.gates]
    found, gradients = Gradients(trainer, weights, phase=1)(tf.constant(images), tf.constant(labels))
    assert float(found) == pytest.approx(loss, rel=1e-5)
    for ours, theirs in zip(gradients, expected, strict=True):
        assert isinstance(ours, tf.Tensor), "dense: an optimiser would treat rows without a gradient otherwise"
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-6)


def test_an_epoch_of_each_path():
    """One update an epoch: the first leaves the gates, the second moves them by its gradient, and projects them; they do not decay."""
    trainer = trainer_of("hyper.weight_decay=0.1", "training.weight_decay_on=trainables", "training.weight_decay_in=gradient",
                         "hyper.gated_rate=0.5", "training.schedule=constant", "dataset.shuffle=true")
    head = trainer.regime.head
    trainer.train_epoch(lambda: None)
    assert (head.gates.numpy() == .5).all()
    head.gates.assign(start := RNG.random(head.gates.shape, "float32"))
    images = next(trainer._batches)[0]
    images, labels = batch_of(trainer)
    _, (_, _, of_gates) = gradients_by_hand(trainer, images, labels.numpy())
    trainer.train_epoch(lambda: None)
    np.testing.assert_allclose(head.gates.numpy(), projected(start - .5 * .5 * of_gates), rtol=1e-4, atol=1e-6)
    assert (head.gates.numpy().max(0) == 1).all() and not np.array_equal(head.gates.numpy(), projected(start))
    after = head.gates.numpy()
    trainer.train_epoch(lambda: None)
    assert np.array_equal(head.gates.numpy(), after) and len(trainer._updates) == 2


def batch_of(trainer):
    """The first batch of the epoch at hand."""
    experiment = trainer.experiment
    settings = (experiment.dataset, experiment.hyper, experiment.seed, int(trainer.epoch))
    return next(iter(pipeline.training_stream(trainer.split, *settings, ragged=True)))


def test_gates_never_decay():
    for where in ("kernels", "trainables", "without_norm"):
        trainer = trainer_of("hyper.weight_decay=0.1", f"training.weight_decay_on={where}")
        gates = trainer.regime.head.gates
        in_gradient = decayed_weights(trainer.experiment, trainer.model, trainer.regime.decaying(1))
        assert not [weight for weight in [*trainer.loss.decayed, *in_gradient] if weight is gates] and len(in_gradient) > 2
        assert [weight for weight in trainer.regime.trained(1) if weight is gates]
        assert not [weight for weight in trainer.regime.trained(0) if weight is gates]


@pytest.mark.parametrize(("warm_up", "period", "epochs", "gated"), [
    (10, 3, 1, [11, 14, 17]), (0, 3, 1, [2, 5, 8, 11, 14, 17]), (4, 4, 2, [6, 7, 10, 11, 14, 15, 18, 19]), (17, 1, 1, [17, 18, 19]),
    (9, 20, 8, [12, 13, 14, 15, 16, 17, 18, 19])])
def test_which_epochs_are_gated(warm_up, period, epochs, gated):
    """The first is the official code's rule for its parts of PASCAL VOC; the last the original study's period."""
    experiment = variant(f"training.gate_warm_up={warm_up}", f"training.gate_period={period}", f"training.gate_epochs={epochs}",
                         "hyper.gated_rate=0.1", "training.schedule=constant")
    assert [epoch for epoch in range(20) if is_gated(experiment, epoch)] == gated
    assert REGIMES["csg"].settled(experiment) == gated[0] + 1
    assert [epoch for epoch in range(20) if Schedule(experiment).rate(epoch) < .1] == gated


def test_a_short_training(tmp_path, data_dir):
    """The kept net is none from before its gates were trained, and each of its filters has a gate of 1."""
    experiment = override(REGISTRY[9034], ["dataset.limit=300", "hyper.max_num_epochs=7", "training.gate_warm_up=3",
                                           "training.gate_period=3", "training.gate_epochs=1", "training.patience=1", "training.keep=best"])
    run = Run(experiment, tmp_path)
    marker = run.execute("train", partial(train, run), partial(data.ensure, experiment.dataset, data_dir))
    gates = head_of(load_trained(run, build_model(experiment))).gates.numpy()
    assert marker["result"]["best_epoch"] >= 6 and (gates.max(0) == 1).all() and gates.min() >= 0
    densities = [line["gate_density"] for line in read(run.path / "metrics.jsonl")]
    assert densities[:6] == [.5] * 6 and densities[6] == pytest.approx(gates.mean(), abs=1e-6)


@pytest.mark.parametrize(("number", "settings"), [(9200, []), (9016, ["dnn.last_dense=true"]), (9002, ["hyper.drop_train=0.5"])])
def test_any_net_can_have_gates(number, settings):
    """A VGG, a supermask net with a dense head, an Alexnet with dropout before the head."""
    always = ["training.trainer=csg", "training.gate_warm_up=0", "training.gate_period=1", "training.gate_epochs=1"]
    experiment = override(REGISTRY[number], [*always, "hyper.batch_size=8", *settings])
    check_trainable(experiment)
    trainer = Trainer(experiment, Split(SPLIT.images[:8], SPLIT.labels[:8], 10))
    trainer.train_epoch(lambda: None)
    gates = trainer.regime.head.gates.numpy()
    assert (gates.max(0) == 1).all() and np.isfinite(gates).all() and np.ptp(gates) > 0


@pytest.mark.parametrize(("settings", "said"), [
    (["training.gate_epochs=3"], "training.gate_epochs=3 are the last of training.gate_period=2 epochs; 1 to 2 are accepted"),
    (["hyper.max_num_epochs=3", "training.gate_warm_up=2"], "training ends after 3 epochs.* the first gated one is epoch 4"),
    (["hyper.mse=true"], "need classes"), (["dnn.top=5"], "dnn.top=0 is needed, not 5"),
    (["dataset.random_labels=true"], "or training.keep=last"), (["dataset.proportion_training_set=1"], "or training.keep=last"),
    (["training.gate_warm_up=2000000000"], "the first gated one is epoch 2000000002")])
def test_settings_that_do_not_go_together(settings, said):
    with pytest.raises(UserError, match=said) as error:
        check_trainable(variant(*settings))
    assert str(error.value).startswith("--experiment_id=9002: ") and "\n" not in str(error.value)


def test_settings_that_do(tmp_path, data_dir):
    check_trainable(variant("dataset.proportion_training_set=1", "training.validate_on=test"))
    check_trainable(variant("dataset.random_labels=true", "training.keep=last"))
    folders = [f"--results_dir={tmp_path / 'results'}", f"--data_dir={data_dir}"]
    line = refused("train.py", "--experiment_id=9016", "--set=training.trainer=csg", *folders)
    assert "not a SubnetDense; --set dnn.last_dense=true" in line and not (tmp_path / "results").exists()
