"""Training as the study of feature amounts does: warm restarts, PyTorch's SGD at their rates, a smaller last batch, nets that are given up.

Golden values are of the original's scheduler and of torch.optim.SGD.
"""
import math
import re

import numpy as np
import pytest

from experiments import REGISTRY
from tests.conftest import refused
from tests.test_input import PLAIN, epoch_of, numbered, rows_of, some_images
from tests.test_supermask_training import calls_of_two
from tests.test_torch_rules import experiment, trajectory
from tests.test_training import assert_same_files, trained
from tfprune.experiment import UserError
from tfprune.input import pipeline, plan, records
from tfprune.overrides import override
from tfprune.settings import Dataset, Hyper, Training
from tfprune.training.checks import check_trainable
from tfprune.training.metrics import read
from tfprune.training.schedules import Schedule
from tfprune.training.stopping import reason_to_stop
from tfprune.training.trainer import Trainer

LATE = override(REGISTRY[6000], fidelity="original")


def late(epoch, batch, examples=50_000):
    """The original's rate of an epoch's `batch`-th batch, counted from 1."""
    return Schedule(LATE, math.ceil(examples / 128), full_batches=examples // 128).rate(epoch, batch - 1)


# --- the schedule ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("epoch", "batch", "rate"), [
    (0, 1, .0099999983794), (0, 195, .00993850326127), (0, 390, .00975552729889), (0, 391, .00975428237991), (1, 1, .00975428237991),
    (4, 390, .005005), (9, 389, 1.00016206006e-5), (9, 390, 1e-5), (9, 391, 1.00016206006e-5), (10, 1, 1.00016206006e-5),
    (10, 2, .0099999983794), (19, 390, .005005), (29, 391, 1.00004051502e-5), (30, 1, 1.00004051502e-5), (30, 2, .00999999959485),
    (49, 390, .005005), (69, 391, 1.00001012875e-5), (70, 1, 1.00001012875e-5), (70, 2, .00999999989871), (109, 390, .005005),
    (149, 390, 1e-5)])
def test_late_restarts_on_cifar(epoch, batch, rate):
    assert late(epoch, batch) == pytest.approx(rate, rel=1e-11)


@pytest.mark.parametrize(("epoch", "batch", "rate"), [(0, 1, .00999999887458), (9, 468, 1e-5), (10, 2, .00999999887458)])
def test_late_restarts_on_mnist(epoch, batch, rate):
    assert late(epoch, batch, 60_000) == pytest.approx(rate, rel=1e-11)


def toy(restarts, **changes):
    return experiment({"learning_rate": 1.0, "least_rate": 0.0, "restart_epochs": 2, "max_num_epochs": 30} | changes,
                      {"schedule": "warm_restarts", "restarts": restarts})


def test_late_restarts_of_a_toy():
    schedule = Schedule(toy("late"), 4)
    golden = {0: [.9619397663, .8535533906, .6913417162, .5], 1: [.3086582838, .1464466094, .0380602337, 0],
              2: [.0380602337, .9619397663, .9157348062, .8535533906], 3: [.7777851165, .6913417162, .5975451610, .5],
              6: [.0096073598, .9903926402, .9784701679, .9619397663]}
    for epoch, rates in golden.items():
        assert schedule.rates(epoch, 0, 4) == pytest.approx(rates, abs=1e-10)


def by_the_book(schedule, hyper, updates, epochs):
    """The original's scheduler, with its state, told in its words."""
    counter, cycle, rates = 0, hyper.restart_epochs, []
    for _ in range(epochs):
        for batch in range(1, updates + 1):
            share = (counter + batch / schedule.full_batches) / cycle
            rates.append(hyper.least_rate + .5 * (hyper.learning_rate - hyper.least_rate) * (1 + math.cos(math.pi * share)))
            if counter > 0 and counter % cycle == 0:
                cycle, counter = cycle * hyper.restart_growth, 0
        counter += 1
    return rates


@pytest.mark.parametrize(("first", "growth"), [(1, 1), (1, 2), (2, 1), (3, 2), (2, 3)])
def test_late_restarts_are_the_originals_in_every_update(first, growth):
    settings = toy("late", restart_epochs=first, restart_growth=growth, least_rate=.01)
    schedule = Schedule(settings, 6, full_batches=5)
    ours = [rate for epoch in range(20) for rate in schedule.rates(epoch, 0, 6)]
    assert ours == pytest.approx(by_the_book(schedule, settings.hyper, 6, 20), abs=1e-12)


def test_prompt_restarts_begin_with_the_full_rate():
    schedule = Schedule(REGISTRY[6000], 391)
    starts = [epoch for epoch in range(150) if schedule.rate(epoch) == .01]
    assert starts == [0, 10, 30, 70], "four whole cycles in 150 epochs"
    assert schedule.rate(5) == pytest.approx(.005005) and schedule.rate(20) == pytest.approx(.005005)
    last = schedule.rates(9, 380, 11)
    assert last == sorted(last, reverse=True) and 1e-5 < last[-1] < 1.1e-5
    assert all(1e-5 < rate <= .01 for epoch in (0, 29, 69, 149) for rate in schedule.rates(epoch, 0, 391))


def test_a_tenth_for_adaptive_optimisers():
    momentum, adam = (Schedule(toy("prompt", optimizer=code), 4) for code in (0, 2))
    assert adam.rates(1, 0, 4) == pytest.approx([rate / 10 for rate in momentum.rates(1, 0, 4)])


@pytest.mark.parametrize(("nesterov", "golden"), [
    (False, [.994995, .9937402625, .9904767663, .9904708242]), (True, [.9904905, .9903587702, .9864167053, .9864083525])])
def test_sgd_at_changing_rates_is_torchs(nesterov, golden):
    """With the rate within the velocity, as Keras has it, the second weight would be .9914880125."""
    steps = [(.5, .01), (-.2, .005), (.1, .01), (.3, 1e-5)]
    assert trajectory(steps, decay=5e-4, momentum=.9, nesterov=nesterov) == pytest.approx(golden, abs=2e-7)


# --- the smaller last batch -----------------------------------------------------------------------------------------------------


def ragged_epochs(split, dataset, hyper, *epochs, first_step=0):
    """The batches of some epochs of a stream in which the last batch of each is kept."""
    count = plan.updates_per_epoch(split, dataset, hyper, ragged=True) * len(epochs) - first_step
    return list(pipeline.training_stream(split, dataset, hyper, 3, epochs[0], first_step, ragged=True).take(count).as_numpy_iterator())


@pytest.mark.parametrize(("count", "sizes"), [(50, [8] * 6 + [2]), (48, [8] * 6), (5, [5]), (9, [8, 1])])
def test_an_epoch_keeps_its_last_batch(count, sizes):
    split, hyper = numbered(count), Hyper(batch_size=8)
    batches = ragged_epochs(split, PLAIN, hyper, 0, 1)
    assert [len(labels) for _, labels in batches] == 2 * sizes
    for epoch in (batches[:len(sizes)], batches[len(sizes):]):
        assert sorted(np.concatenate([labels for _, labels in epoch])) == list(range(count)), "every example once"
    for images, labels in batches:
        np.testing.assert_array_equal(images[:, 0], labels)
    full = count // 8
    assert [labels.tolist() for _, labels in batches[:full]] == rows_of(epoch_of(split, PLAIN, hyper, 3, 0))[:full], "as without it"


@pytest.mark.parametrize("first_step", [2, 4])
def test_a_resumed_epoch_goes_on_with_the_same_smaller_batch(first_step):
    split, dataset = records.Split(some_images(37, size=12), np.arange(37), 37), Dataset(preprocessing="crop")
    hyper = Hyper(batch_size=8, crop_size=10, image_size=12, augmentation=True)
    whole, rest = (ragged_epochs(split, dataset, hyper, 2, 3, first_step=step) for step in (0, first_step))
    assert len(rest) == len(whole) - first_step and len(whole[4][1]) == 5
    for (images, labels), (same_images, same_labels) in zip(whole[first_step:], rest, strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(labels, same_labels)


def test_encoded_images_keep_their_last_batch(small_imagenet):
    split, dataset = records.load(small_imagenet[2], "train"), Dataset("imagenet", preprocessing="resnet")
    hyper = Hyper(batch_size=9, image_size=32, augmentation=True)
    count = math.ceil(len(split) / 9)
    whole, rest = (ragged_epochs(split, dataset, hyper, 1, 2, first_step=step) for step in (0, count - 1))
    assert [len(labels) for _, labels in whole] == 2 * ([9] * (count - 1) + [len(split) % 9])
    assert sorted(np.concatenate([labels for _, labels in whole[:count]])) == sorted(split.labels)
    for (images, labels), (same_images, same_labels) in zip(whole[count - 1:], rest, strict=True):
        assert images.dtype == np.float32 and len(images) == len(labels)
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(labels, same_labels)


@pytest.mark.parametrize(("last_batch", "updates"), [("drop", 4), ("keep", 5), ("scale", 5)])
def test_a_training_has_so_many_updates(last_batch, updates):
    rng = np.random.default_rng(0)
    split = records.Split(rng.integers(256, size=(36, 8, 8, 1), dtype=np.uint8), rng.integers(10, size=36), 10)
    trainer = Trainer(override(REGISTRY[9002], [f"training.last_batch={last_batch}", "hyper.batch_size=8"]), split)
    trainer.train_epoch(lambda: None)
    assert trainer.updates_per_epoch == updates and float(trainer.score.sums[0]) == (32 if last_batch == "drop" else 36)
    assert trainer.schedule.full_batches == 4


@pytest.mark.parametrize("last_batch", ["keep", "scale"])
def test_killed_within_an_epoch_training_ends_in_the_same_bits(tmp_path, data_dir, monkeypatch, last_batch):
    """With a rate for every update, dropout, and a last batch of one example; death after six updates of the second epoch's eleven."""
    settings = ["dataset.limit=338", "hyper.batch_size=32", "hyper.max_num_epochs=3", "hyper.drop_train=0.8", "hyper.restart_epochs=1",
                "training.schedule=warm_restarts", "training.weight_decay_in=gradient", f"training.last_batch={last_batch}"]
    whole, marker = trained(tmp_path / "a", data_dir, settings)
    calls = iter(range(1000))

    def dying(self, batches, rates, update=Trainer.update):
        if next(calls) == 9:
            raise KeyboardInterrupt
        update(self, batches, rates)

    with monkeypatch.context() as patch:
        patch.setattr("tfprune.training.trainer.SAVE_SECONDS", -1)
        patch.setattr(Trainer, "_update_for_a_second", lambda self, most: calls_of_two(self, most))
        patch.setattr(Trainer, "update", dying)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "b", data_dir, settings)
    assert len(read(tmp_path / "b" / "results" / "laptop" / whole.path.name / "metrics.jsonl")) == 2, "in the second epoch"
    resumed, again = trained(tmp_path / "b", data_dir, settings)
    assert_same_files(whole.path, resumed.path)
    assert again["files"] == marker["files"], "checkpoints and all"


def test_a_training_begun_before_micro_batches_goes_on(tmp_path, data_dir, monkeypatch):
    """Its checkpoints say nothing of them."""
    settings = ["dataset.limit=100", "hyper.batch_size=32", "hyper.max_num_epochs=3"]
    whole, marker = trained(tmp_path / "a", data_dir, settings)
    tracked, calls = Trainer.tracked, iter(range(1000))

    def dying(self, *arguments, update=Trainer.update):
        if next(calls) == 2:
            raise KeyboardInterrupt
        update(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "tracked", lambda self: {name: part for name, part in tracked(self).items() if name != "micro_batch"})
        patch.setattr(Trainer, "update", dying)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "b", data_dir, settings)
    assert list((tmp_path / "b" / "results" / "laptop" / whole.path.name / "checkpoints" / "last").glob("*.index"))
    resumed, again = trained(tmp_path / "b", data_dir, settings)
    assert_same_files(whole.path, resumed.path)
    assert again["files"] == marker["files"]


# --- which nets are kept, and which given up ------------------------------------------------------------------------------------

SMALL = ["dataset.limit=300", "hyper.batch_size=32", "hyper.max_num_epochs=3"]


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_net_that_guesses_is_given_up(tmp_path, data_dir, keep):
    hopeless = [*SMALL, "hyper.learning_rate=1e-9", "training.give_up_after=2", f"training.keep={keep}"]
    run, marker = trained(tmp_path, data_dir, hopeless)
    accuracy = read(run.path / "metrics.jsonl")[2]["train_accuracy"]
    assert accuracy < .2 and [line["epoch"] for line in read(run.path / "metrics.jsonl")] == [0, 1, 2]
    assert marker["result"]["stopped"] == f"given up after 2 epochs: training accuracy {accuracy:.4f}, below twice that of guessing"
    assert marker["result"]["best_epoch"] in (1, 2), "the untrained net is no result of a training"


def test_a_net_that_learns_is_not(tmp_path, data_dir):
    run, marker = trained(tmp_path, data_dir, [*SMALL, "training.give_up_after=2", "hyper.learning_rate=0.05"])
    assert read(run.path / "metrics.jsonl")[2]["train_accuracy"] >= .2 and marker["result"]["stopped"] == "all 3 epochs done"


def test_a_killed_training_goes_on_within_the_epoch_after_which_nets_are_given_up():
    """What it has of the next epoch, a few batches, says nothing yet."""
    split = records.Split(np.zeros((16, 8, 8, 1), np.uint8), np.arange(16) % 10, 10)
    trainer = Trainer(override(REGISTRY[9002], ["training.give_up_after=1", "hyper.batch_size=8", "hyper.learning_rate=1e-9"]), split)
    trainer.train_epoch(lambda: None)  # of black images one class in ten is right
    assert reason_to_stop(trainer).startswith("given up after 1 epochs")
    trainer.step.assign(1)
    assert reason_to_stop(trainer) is None


def test_the_first_of_equally_good_epochs_is_kept(tmp_path, data_dir):
    """Strictly better replaces; the untrained net gives way to any trained one."""
    run, marker = trained(tmp_path, data_dir, [*SMALL, "hyper.learning_rate=1e-12"])
    figures = [line["val_accuracy"] for line in read(run.path / "metrics.jsonl")]
    assert figures == figures[:1] * 4 and marker["result"]["best_epoch"] == 1


# --- what does not go together --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("settings", "words"), [
    (["training.last_batch=keep", "dataset.shuffle=false"], "training.last_batch=keep needs dataset.shuffle=true"),
    (["training.schedule=warm_restarts", "hyper.least_rate=0.01"], "hyper.least_rate=0.01 must be below hyper.learning_rate=0.01"),
    (["training.schedule=warm_restarts", "training.warm_up=2"], "training.warm_up=2 is of training.schedule=cosine and constant"),
    (["hyper.restart_epochs=0"], "hyper.restart_epochs takes a whole number >= 1")])
def test_settings_that_do_not_go_together(settings, words):
    with pytest.raises(UserError, match=re.escape(words)) as refusal:
        check_trainable(override(REGISTRY[9002], settings))
    assert "\n" not in str(refusal.value)


def test_the_command_line_says_so_and_writes_nothing(tmp_path):
    line = refused("train.py", "--experiment_id=9002", "--set=training.last_batch=keep", "--set=dataset.shuffle=false",
                   f"--results_dir={tmp_path / 'results'}")
    assert "training.last_batch=keep needs dataset.shuffle=true" in line and not (tmp_path / "results").exists()


def test_the_originals_quirks_are_fields():
    training, plain = LATE.training, Training()
    assert (training.restarts, training.last_batch, training.validate_on) == ("late", "scale", "test")
    assert (plain.restarts, plain.last_batch, plain.validate_on) == ("prompt", "drop", "val")
    assert LATE.hyper == REGISTRY[6000].hyper
