"""Batches that go through the net in pieces: gradients and figures are the whole batch's."""
import numpy as np
import pytest

from experiments import REGISTRY
from tests.conftest import refused
from tfprune.experiment import UserError
from tfprune.input.records import Split
from tfprune.keras import keras, tf
from tfprune.overrides import override
from tfprune.training import accumulation
from tfprune.training.deferred import Deferred
from tfprune.training.trainer import Trainer

EXAMPLES = 83  # two batches of 32, and one of 19
RNG = np.random.default_rng(0)
SPLIT = Split(RNG.integers(17, size=(EXAMPLES, 8, 8, 1), dtype=np.uint8), RNG.integers(10, size=EXAMPLES), 10)
PATCH = Split(RNG.integers(17, size=(9, 8, 8, 1), dtype=np.uint8), RNG.integers(10, size=9), 10)
NUMBERS = Split(RNG.normal(size=(EXAMPLES, 10)).astype("float32"), RNG.normal(size=EXAMPLES).astype("float32"), 1)
LATE = ["dnn.norm_epsilon=0", "hyper.drop_train=1", "hyper.batch_size=4", "dnn.depth=16", "dnn.neuron_multiplier=1",
        "dnn.features=8,8,8,8,8,8,8,8,8,8,16,16,16,32,24"]  # its last kernels take more room than a batch's activations there
KINDS = {  # net: (experiment, settings), of which everything but batch normalisation is here
    "plain": (9002, ["hyper.optimizer=1"]),
    "decay in the loss, smooth labels, momentum": (9002, ["hyper.weight_decay=0.01", "training.label_smoothing=0.1"]),
    "decay in the gradient": (9002, ["hyper.weight_decay=0.1", "training.weight_decay_in=gradient", "training.weight_decay_on=trainables"]),
    "scores": (9016, ["hyper.batch_size=32", "hyper.learning_rate=0.1"]),
    "scores and a penalty": (9016, ["hyper.batch_size=32", "training.trainer=ss", "hyper.score_penalty=0.001"]),
    "lottery": (9016, ["hyper.batch_size=32", "training.trainer=lottery", "hyper.max_num_epochs=8"]),
    "class-specific gates": (9002, ["training.trainer=csg", "training.gate_warm_up=0", "training.gate_period=1", "hyper.gated_weight=0.7",
                                    "hyper.gate_penalty=0.01", "hyper.weight_decay=0.01"]),
    "one threshold": (9016, ["hyper.batch_size=32", "dnn.keep_over=all"]),
    "five likeliest": (9002, ["training.top_5=true"]),
    "VGG without normalisation": (9200, ["dnn.norm_epsilon=0", "hyper.drop_train=1", "hyper.batch_size=4"]),
    "VGG of late kernels, decay in the loss": (9200, [*LATE, "hyper.weight_decay=0.01"]),
    "VGG of late kernels, decay in the gradient": (9200, [*LATE, "hyper.weight_decay=0.1", "training.weight_decay_in=gradient"]),
}


def trainer_of(kind, last_batch="keep", micro_batch=None):
    """A trainer of one of KINDS, on `SPLIT`."""
    number, settings = KINDS[kind]
    keras.backend.clear_session()
    experiment = override(REGISTRY[number], [*settings, f"training.last_batch={last_batch}"])
    return Trainer(experiment, PATCH if kind.startswith("VGG") else SPLIT, micro_batch)


def after_epochs(trainer, epochs=1):
    """(weights, figures of the last epoch) after so many epochs of training."""
    for _ in range(epochs):
        trainer.train_epoch(lambda: None)
    return trainer.training_model.get_weights(), trainer.score.result()


def assert_close(ours, theirs, tolerance=1e-5):
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance * max(1e-3, np.abs(other).max(initial=0)))


@pytest.mark.parametrize("last_batch", ["keep", "scale"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_in_pieces_is_an_epoch_of_whole_batches(kind, last_batch):
    """Batches of 32, 32 and 19 (4, 4 and 1 of the VGG) in pieces of a size that divides none of them: weights and figures are the same."""
    whole, figures = after_epochs(trainer_of(kind, last_batch))
    trainer = trainer_of(kind, last_batch, micro_batch=3 if kind.startswith("VGG") else 7)
    assert int(trainer.micro_batch) < trainer.batch
    weights, summed = after_epochs(trainer)
    assert_close(weights, whole)
    assert summed == pytest.approx(figures, rel=1e-6)
    assert [len(update._list_all_concrete_functions()) for update in trainer._updates.values()] == [1], "traced once"


def gradients(trainer, images, labels):
    """(loss, gradients) of a batch, of all that the regime trains first."""
    trainer.regime.begin(0)
    trainer.score.reset()
    loss, found = accumulation.Gradients(trainer, trainer.regime.trained(0))(tf.constant(images), tf.constant(labels))
    return float(loss), [None if gradient is None else tf.convert_to_tensor(gradient).numpy() for gradient in found]


@pytest.mark.parametrize("micro_batch", [1, 5, 16, 31])
@pytest.mark.parametrize("scaled", [False, True])
def test_gradients_are_sums_over_examples(micro_batch, scaled):
    """Against gradients of each example by itself, added in float64: divided by the number of examples, or by that of a full batch."""
    kind, settings = "decay in the loss, smooth labels, momentum", ("scale" if scaled else "keep")
    images, labels = RNG.normal(size=(19, 8, 8, 1)).astype("float32"), RNG.integers(10, size=19)
    trainer = trainer_of(kind, settings, micro_batch)
    weights = trainer.regime.trained(0)
    expected = [np.zeros(weight.shape) for weight in weights]
    for image, label in zip(images, labels, strict=True):
        with tf.GradientTape() as tape:
            data = trainer.loss.data(trainer.model(image[None], training=True), tf.constant(label)[None])
        for total, gradient in zip(expected, tape.gradient(data, weights), strict=True):
            total += gradient.numpy() / (32 if scaled else 19)
    decayed = {weight.ref() for weight in trainer.loss.decayed}
    assert decayed
    expected = [total + .01 * weight.numpy() * (weight.ref() in decayed) for total, weight in zip(expected, weights, strict=True)]
    loss, found = gradients(trainer, images, labels)
    assert_close(found, expected)
    assert loss == pytest.approx(float(trainer.loss(trainer.model(images), tf.constant(labels))), rel=1e-5), "the reported loss is a mean"
    assert trainer.score.result()["loss"] == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "late" in kind])
def test_gradients_of_late_kernels_are_those_of_the_whole_batch(kind):
    """In pieces of one, two and three, of full batches and smaller ones, in a graph that knows the batch's size or not, and in none."""
    trainer = trainer_of(kind, "scale")
    late = Deferred(trainer.training_model, trainer.regime.trained(0), trainer.batch)
    assert [kernel.name.split("_")[0] for kernel in late.kernels] == ["conv11", "conv12", "conv13", "fc1", "fc2", "logits/kernel:0"]
    for count, micro_batch in ((4, 1), (4, 3), (3, 2), (1, 3)):
        images, labels = RNG.normal(size=(count, 32, 32, 1)).astype("float32"), RNG.integers(10, size=count)
        trainer.micro_batch.assign(trainer.batch)
        loss, expected = gradients(trainer, images, labels)
        assert all(gradient.any() for gradient in expected)
        trainer.micro_batch.assign(micro_batch)
        found = [gradients(trainer, images, labels)]
        for known in {4: [4], 3: [None], 1: []}[count]:
            signature = [tf.TensorSpec([known, 32, 32, 1], tf.float32), tf.TensorSpec([known], tf.int64)]
            found.append(tf.function(accumulation.Gradients(trainer, trainer.regime.trained(0)), input_signature=signature)(images, labels))
        for own_loss, own in found:
            assert float(own_loss) == pytest.approx(loss, rel=1e-6)
            assert_close(own, expected)


def test_which_kernels_wait():
    """Those of plain layers without activation, called once and trained, that nothing else has; of a batch smaller than they are."""
    inputs = keras.Input(48)
    plain, tied, frozen, twice = [keras.layers.Dense(48, name=name) for name in ("plain", "tied", "frozen", "twice")]
    x = plain(tied(frozen(twice(twice(keras.layers.Dense(48, "relu", name="relu")(inputs))))))
    other = keras.layers.Dense(48, name="other")
    model = keras.Model(inputs, other(x))
    other.kernel = tied.kernel
    weights = [weight for layer in model.layers if layer is not frozen for weight in layer.trainable_weights]
    assert [kernel.name for kernel in Deferred(model, weights, 23).kernels] == ["plain/kernel:0"]
    assert not Deferred(model, weights, 24).kernels, "input and output of the batch take as much room as a kernel"


def test_auxiliary_classifiers_in_pieces():
    """Their losses count 0.4 each, and the running figures are those of the logits."""
    inputs = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(inputs)
    hidden = keras.layers.Dense(12, "relu", kernel_initializer=keras.initializers.HeNormal(seed=1))(flat)
    outputs = [keras.layers.Dense(10, kernel_initializer=keras.initializers.HeNormal(seed=2))(x) for x in (hidden, flat)]
    whole, split = trainer_of("plain"), trainer_of("plain", micro_batch=6)
    results = []
    for trainer in (whole, split):
        trainer.training_model = trainer.regime.model = keras.Model(inputs, outputs)
        results.append((*gradients(trainer, SPLIT.images[:32].astype("float32"), SPLIT.labels[:32]), trainer.score.result()))
    assert results[1][0] == pytest.approx(results[0][0], rel=1e-6) and results[1][2] == pytest.approx(results[0][2])
    assert_close(results[1][1], results[0][1])


def test_a_weight_that_the_loss_does_not_reach_stays_without_gradient():
    """Weight decay must not move it, nor an optimiser that remembers."""
    trainer = trainer_of("decay in the gradient", micro_batch=7)
    lonely = tf.Variable([1.0])
    images, labels = tf.constant(SPLIT.images[:19], tf.float32), tf.constant(SPLIT.labels[:19])
    _, found = tf.function(accumulation.Gradients(trainer, [*trainer.regime.trained(0), lonely]))(images, labels)
    assert found[-1] is None and all(gradient is not None for gradient in found[:-1])


def test_a_late_kernel_that_the_loss_does_not_reach_stays_without_gradient():
    trainer = trainer_of("plain", micro_batch=6)
    inputs = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(inputs)
    unheard = keras.layers.Lambda(tf.stop_gradient)(keras.layers.Dense(10)(keras.layers.Dense(80)(flat)))
    trainer.training_model = trainer.regime.model = keras.Model(inputs, [keras.layers.Dense(10)(keras.layers.Dense(80)(flat)), unheard])
    assert len(Deferred(trainer.training_model, trainer.regime.trained(0), 32).kernels) == 2
    _, found = gradients(trainer, SPLIT.images[:32].astype("float32"), SPLIT.labels[:32])
    assert sorted(gradient.shape for gradient in found if gradient is not None) == [(10,), (64, 80), (80,), (80, 10)]


@pytest.mark.parametrize(("count", "most", "sizes"), [(32, 32, [32]), (32, 16, [16, 16]), (19, 16, [9, 10]), (128, 48, [42, 43, 43]),
                                                      (129, 64, [43, 43, 43]), (5, 1, [1] * 5), (1, 4, [1])])
def test_pieces_are_even_and_cover_the_batch(count, most, sizes):
    images, labels = np.arange(count * 2, dtype="float32").reshape(count, 2), np.arange(count)

    def lengths_and_rows(images, labels):
        pieces = accumulation.Pieces(images, labels, -(-(labels.shape[0] or tf.shape(labels)[0]) // most))
        parts = [pieces.piece(tf.constant(number)) for number in range(len(sizes))]
        tf.debugging.assert_equal(pieces.number, len(sizes))
        return [tf.shape(own)[0] for _, own in parts], *(tf.concat(own, 0) for own in zip(*parts, strict=True))

    for known in (count, None):  # the size of a batch, before it comes
        signature = [tf.TensorSpec([known, 2], tf.float32), tf.TensorSpec([known], tf.int64)]
        lengths, *rows = tf.function(lengths_and_rows, input_signature=signature)(images, labels)
        assert [int(length) for length in lengths] == sizes
        assert all(np.array_equal(ours, theirs) for ours, theirs in zip(rows, (images, labels), strict=True))


def test_a_regression_in_pieces_and_one_that_cannot_be_cut(tmp_path, data_dir):
    experiment = override(REGISTRY[247], ["hyper.mse=true", "dataset.regression=true", "dnn.name=MLP1_regression", "hyper.batch_size=32"])
    whole, figures = after_epochs(Trainer(experiment, NUMBERS))
    weights, summed = after_epochs(Trainer(experiment, NUMBERS, micro_batch=9))
    assert_close(weights, whole)
    assert summed == pytest.approx(figures, rel=1e-6)
    with pytest.raises(UserError, match="training.mse=broadcast compares every label"):
        Trainer(override(experiment, ["training.mse=broadcast"]), NUMBERS, micro_batch=9)
    settings = ["--set=hyper.mse=true", "--set=dataset.regression=true", "--set=dnn.name=MLP1_regression", "--set=training.mse=broadcast",
                "--set=training.micro_batch=9"]
    line = refused("train.py", "--experiment_id=247", *settings, f"--results_dir={tmp_path / 'results'}", f"--data_dir={data_dir}")
    assert "training.micro_batch=9" in line and "mse=per_example" in line and not (tmp_path / "results").exists()


def test_one_example_at_a_time_with_batch_normalisation_and_dropout():
    """Of one value batch normalisation leaves its offset: no use, but sound numbers; and dropout is drawn for each example."""
    states = []
    for micro_batch in (3, 1):
        trainer = Trainer(override(REGISTRY[9200], ["hyper.batch_size=3", "hyper.drop_train=0.5"]), PATCH, micro_batch)
        weights, figures = after_epochs(trainer)
        assert all(np.isfinite(weight).all() for weight in weights) and np.isfinite(figures["loss"])
        states.append(trainer.model.get_layer("dropout").generator.state.numpy().tolist())
    assert states[0] == states[1] and states[0][0] > 0


def test_a_batch_in_one_piece_is_trained_to_the_bits_of_today():
    """A micro-batch of the batch, or more, changes nothing."""
    kind = "decay in the loss, smooth labels, momentum"
    whole = after_epochs(trainer_of(kind, "drop"), 2)
    for micro_batch in (32, 1000):
        same = after_epochs(trainer_of(kind, "drop", micro_batch), 2)
        assert same[1] == whole[1] and all(np.array_equal(a, b) for a, b in zip(same[0], whole[0], strict=True))


def test_a_lost_loss_in_one_piece_is_noticed():
    images = SPLIT.images.astype("float32")[:32]
    trainer = trainer_of("plain", micro_batch=8)
    images[9] = np.nan
    assert np.isnan(gradients(trainer, images, SPLIT.labels[:32])[0])


@pytest.mark.parametrize("batches", [None, 2])
def test_evaluation_in_pieces(batches):
    whole, split = trainer_of("five likeliest"), trainer_of("five likeliest", micro_batch=7)
    assert split.evaluate(SPLIT, batches) == pytest.approx(whole.evaluate(SPLIT, batches), rel=1e-6)
    sizes = sizes_of(split.evaluate, batches)
    assert max(sizes) == 7 and sum(sizes) == (EXAMPLES if batches is None else 64)


def sizes_of(evaluate, batches):
    """The sizes of the batches that an `Evaluator` puts through its net."""
    seen = []
    evaluate._run = lambda dataset: seen.extend(len(labels) for _, labels in dataset)
    evaluate(SPLIT, batches)
    return seen
