"""PyTorch's rules in TensorFlow, and the schedules of allenai/hidden-networks: golden values, NumPy, and torch where it is installed."""
import math

import pytest

from experiments import REGISTRY
from tests.conftest import TINY, refused
from tfprune.experiment import Experiment, UserError
from tfprune.keras import keras, tf
from tfprune.overrides import override
from tfprune.settings import DNN, Hyper, Training
from tfprune.training.checks import check_trainable
from tfprune.training.evaluate import build_score
from tfprune.training.losses import build_loss, cross_entropy, decayed_weights
from tfprune.training.optimizers import build_optimizer, decayed_gradients
from tfprune.training.schedules import Schedule

SGD = [(1., .1), (1., .1), (-.5, .05), (.25, .05)]  # gradient, rate


def experiment(hyper=None, training=None, **settings):
    return Experiment(0, "", "", hyper=Hyper(**(hyper or {})), training=Training(**(training or {})), **settings)


def trajectory(steps, decay=0.0, start=1.0, **hyper):
    """A weight after each step of an optimiser, compiled."""
    rate, weight, gradient = tf.Variable(0.0), tf.Variable([start]), tf.Variable([0.0])
    optimizer = build_optimizer(experiment(hyper), rate)

    @tf.function
    def update():
        optimizer.apply_gradients(zip(decayed_gradients([gradient.value()], [weight], [weight], decay), [weight], strict=True))

    values = []
    for slope, step in steps:
        gradient.assign([slope])
        rate.assign(step)
        update()
        values.append(float(weight[0]))
    return values


@pytest.mark.parametrize(("nesterov", "golden"), [
    (False, [.899, .707201, .6455379, .5772182]), (True, [.8081, .5347546, .5041049, .4300318])])
def test_sgd_with_l2_in_the_gradient(nesterov, golden):
    """The rate changes on the way: Keras' momentum, which holds it in the velocity, would differ from the third step on."""
    assert trajectory(SGD, decay=.01, momentum=.9, nesterov=nesterov) == pytest.approx(golden, abs=2e-7)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_equals_torch(nesterov):
    torch = pytest.importorskip("torch", reason="compares with torch itself")
    assert trajectory(SGD, decay=.01, momentum=.9, nesterov=nesterov) == pytest.approx(
        of_torch(torch, lambda weights: torch.optim.SGD(weights, .1, momentum=.9, nesterov=nesterov, weight_decay=.01), SGD), rel=1e-6)


def of_torch(torch, optimizer, steps):
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer, values = optimizer([weight]), []
    for slope, rate in steps:
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = torch.tensor([slope])
        optimizer.step()
        values.append(float(weight.detach()))
    return values


# Gradients about as small as epsilon, where it matters that it is added after the correction; TF1's Adam goes a thousandth as far.
ADAM = [(1e-8, .1), (3e-8, .1), (-2e-8, .05), (1e-8, .05), (0., .05)]


def test_adam_is_that_of_torch():
    weight, first, second, expected = 1.0, 0.0, 0.0, []
    for step, (slope, rate) in enumerate(ADAM, start=1):
        first, second = .9 * first + .1 * slope, .999 * second + .001 * slope**2
        weight -= rate / (1 - .9**step) * first / (math.sqrt(second) / math.sqrt(1 - .999**step) + 1e-8)
        expected.append(weight)
    ours = trajectory(ADAM, optimizer=7)
    assert ours == pytest.approx(expected, abs=3e-6) and abs(ours[0] - 1) == pytest.approx(.05, rel=1e-3)
    assert abs(trajectory(ADAM, optimizer=2)[0] - 1) < .004, "TF1's rule is another one"
    torch = pytest.importorskip("torch", reason="compares with torch itself")
    assert ours == pytest.approx(of_torch(torch, lambda weights: torch.optim.Adam(weights, .1), ADAM), abs=3e-6)


def test_adam_of_torch_takes_the_full_rate():
    assert Schedule(experiment({"optimizer": 7, "learning_rate": 3e-4}, {"schedule": "constant"})).rate(0) == 3e-4
    assert Schedule(experiment({"optimizer": 2, "learning_rate": 3e-4}, {"schedule": "constant"})).rate(0) == pytest.approx(3e-5)


@pytest.mark.parametrize(("schedule", "rate", "warm_up", "golden"), [
    ("cosine", .1, 0, {0: .1, 1: .099975328, 10: .0975528258, 25: .0853553391, 50: .05, 75: .0146446609, 99: 2.4672e-05}),
    ("cosine", .256, 5, {0: .0512, 1: .1024, 2: .1536, 3: .2048, 4: .256, 5: .256, 6: .2559300169, 50: .1385701562, 99: 6.99831e-05}),
    ("constant", .1, 4, {0: .025, 1: .05, 2: .075, 3: .1, 4: .1, 99: .1})])
def test_schedules(schedule, rate, warm_up, golden):
    ours = Schedule(experiment({"learning_rate": rate, "max_num_epochs": 100}, {"schedule": schedule, "warm_up": warm_up}), 7)
    assert [ours.rate(epoch) for epoch in golden] == pytest.approx(list(golden.values()), rel=1e-5)
    assert ours.rates(3, 0, 7) == [ours.rate(3)] * 7, "one rate an epoch"
    assert (ours.epochs, ours.reason) == (100, "all 100 epochs done")


def test_multistep_is_the_width_study_s_decay():
    ours = Schedule(experiment({"learning_rate": .1, "num_epochs_per_decay": 30, "learning_rate_factor_per_decay": .1}))
    assert [ours.rate(epoch) for epoch in (0, 29, 30, 59, 60, 90)] == pytest.approx([.1, .1, .01, .01, .001, .0001])


@pytest.mark.parametrize(("epochs", "warm_up"), [(0, 0), (1, 0), (5, 5), (3, 5)])
def test_schedules_without_epochs_after_the_warm_up(epochs, warm_up):
    ours = Schedule(experiment({"learning_rate": .1, "max_num_epochs": epochs}, {"schedule": "cosine", "warm_up": warm_up}))
    assert all(0 <= ours.rate(epoch) <= .1 for epoch in range(epochs + 1))


def test_label_smoothing():
    logits, labels = tf.constant([[2., 1, 0, -1], [.5, .5, 3, -2]]), tf.constant([0, 3], tf.int64)
    for smoothing, golden in ((.1, 2.748985), (0., 2.798985)):
        assert float(tf.reduce_mean(cross_entropy(logits, labels, smoothing))) == pytest.approx(golden, abs=1e-6)
        loss = build_loss(experiment(training={"label_smoothing": smoothing}), None)
        assert float(loss(logits, labels)) == pytest.approx(golden, abs=1e-6), "and so in validation"


def small_net():
    """Dense, batch normalisation, a frozen dense layer."""
    layers = keras.layers
    net = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.BatchNormalization(), layers.Dense(2, name="logits")])
    net.layers[-1].trainable = False
    return net


@pytest.mark.parametrize(("where", "names"), [
    ("trainables", ["kernel", "bias", "gamma", "beta"]), ("without_norm", ["kernel", "bias"]), ("kernels", ["kernel"])])
def test_what_decays(where, names):
    """Nothing that is not trained does."""
    settings, net = experiment({"weight_decay": .5}, {"weight_decay_on": where}), small_net()
    assert [weight.name.split("/")[-1].split(":")[0] for weight in decayed_weights(settings, net)] == names


def test_weight_decay_in_the_gradient_is_no_part_of_the_loss():
    outputs, labels = tf.zeros([4, 10]), tf.zeros([4], tf.int64)
    for where, more in (("gradient", False), ("loss", True)):
        loss = build_loss(experiment({"weight_decay": .5}, {"weight_decay_in": where, "weight_decay_on": "trainables"}), small_net())
        assert (float(loss(outputs, labels)) > math.log(10) + .01) == more
    weights, gradients = [tf.Variable([2.]), tf.Variable([4.]), tf.Variable([8.])], [tf.constant([1.]), tf.constant([1.]), None]
    decayed = decayed_gradients(gradients, weights, [weights[0], weights[2]], .5)
    assert [float(decayed[0][0]), float(decayed[1][0]), decayed[2]] == [2., 1., None]


def test_top_5_of_few_classes():
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(10)])
    assert build_score(experiment(training={"top_5": True}), net).top_5 and not build_score(experiment(), net).top_5


@pytest.mark.parametrize(("setting", "words"), [
    (["training.trainer=ss"], "training.trainer=ss trains scores, of which dnn.mask=none has none; one of edge_popup"),
    (["training.trainer=lottery", "dnn.mask=random"], "of which dnn.mask=random has none"),
    (["training.trainer=lottery", "dnn.mask=edge_popup", "hyper.max_num_epochs=6"], "hyper.keep is reached in epoch 7"),
    (["training.keep_epochs=9", "dnn.mask=edge_popup", "hyper.max_num_epochs=9"], "training ends after 9 epochs"),
    (["training.keep_epochs=2"], "training.keep_epochs=2 is of masks that keep the largest"),
    (["dnn.keep_over=all"], "dnn.mask=none does not"),
    (["dnn.keep_over=all", "dnn.mask=sampled"], "dnn.keep_over=all is of masks that keep the largest of something, and dnn.mask=sampled"),
    (["training.warm_up=5"], "training.warm_up=5 is of training.schedule=cosine and constant, not of decay"),
    (["hyper.nesterov=true", "hyper.optimizer=2"], "hyper.nesterov=true is of hyper.optimizer=0"),
    (["training.trainer=lottery", "dnn.mask=edge_popup", "hyper.weight_decay=0.1"], "training.weight_decay_in=gradient is needed")])
def test_settings_that_do_not_go_together(setting, words):
    with pytest.raises(UserError, match=words):
        check_trainable(override(REGISTRY[9003], setting))


def test_five_classes_are_needed_for_top_5():
    settings = Experiment(7, "", "", dataset=REGISTRY[247].dataset, dnn=DNN("MLP1"), training=Training(top_5=True))
    with pytest.raises(UserError, match="--experiment_id=7: training.top_5=true needs five classes or more; linear has 2"):
        check_trainable(settings)


def test_refused_before_anything_is_written(tmp_path, data_dir):
    line = refused("train.py", *TINY, "--set=training.trainer=ss", f"--results_dir={tmp_path / 'results'}", f"--data_dir={data_dir}")
    assert "training.trainer=ss" in line and not list(tmp_path.iterdir())
