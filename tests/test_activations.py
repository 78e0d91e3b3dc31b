"""Recorded activations: the original's choice of rows, its counts, and many crosses of one pass."""
import numpy as np
import pytest

from tests.small_nets import NETS, build, examples
from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.units.activations import activations, rows_of, samples
from tfprune.units.graph import unit_layers


def originals_rows(model, images, labels, names, max_rows, seed, batch_size, num_batches):
    """What get_activations.py of xboix/frivolous_dnns keeps: (rows, labels) by layer, the outputs last; legacy numpy global seed."""
    net = keras.Model(model.inputs, [model.get_layer(name).output for name in names] + model.outputs)
    np.random.seed(seed)
    most = int(max_rows / num_batches)
    kept = None
    for start in range(0, num_batches * batch_size, batch_size):
        tensors = [tensor.numpy() for tensor in net(images[start:start + batch_size], training=False)]
        batch = []
        for tensor in tensors:
            own = np.repeat(labels[start:start + batch_size], np.prod(tensor.shape[1:-1], dtype=int))
            rows = tensor.reshape(-1, tensor.shape[-1])
            if len(rows) > most:
                index = np.random.permutation(len(rows))[:most]
                rows, own = rows[index], own[index]
            batch.append((rows, own))
        kept = batch if kept is None else [tuple(map(np.concatenate, zip(*pair, strict=True))) for pair in zip(kept, batch, strict=True)]
    return kept


@pytest.fixture(scope="module")
def net():
    return build("chain")


@pytest.fixture(scope="module")
def data(net):
    return examples(net, 150), np.arange(150) * 7 % 4


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip([*first.rows, *first.labels], [*second.rows, *second.labels], strict=True))


@pytest.mark.parametrize("fidelity, num_batches", [("corrected", 5), ("original", 3)])
def test_the_rows_that_the_original_keeps(net, data, fidelity, num_batches):
    images, labels = data
    results = samples(net, images, labels, crosses=(0, 1, 2), max_rows=1000, batch_size=32, fidelity=fidelity)
    for cross, result in enumerate(results):
        expected = originals_rows(net, images, labels, unit_layers(net), 1000, cross, 32, num_batches)
        for rows, own, (expected_rows, expected_labels) in zip(result.rows, result.labels, expected, strict=True):
            assert rows.dtype == np.float32 and np.array_equal(own, expected_labels)
            np.testing.assert_allclose(rows, expected_rows, rtol=1e-5, atol=1e-6)


def test_crosses_of_one_pass_are_those_of_passes_of_their_own(net, data):
    together = samples(net, *data, crosses=(0, 1, 2), max_rows=500, batch_size=64)
    for cross, result in enumerate(together):
        alone, = samples(net, *data, crosses=(cross,), max_rows=500, batch_size=64)
        assert same(result, alone) and result.score == alone.score
    assert not np.array_equal(together[0].rows[0], together[1].rows[0])


@pytest.mark.parametrize("case, train, test", [  # the original's golden values: batches, and rows of each
    ("CIFAR 128", (47_500, 128, 370, 135), (10_000, 128, 77, 649)), ("CIFAR 32", (47_500, 32, 1483, 33), (10_000, 32, 311, 160)),
    ("CIFAR 512", (47_500, 512, 91, 549), (10_000, 512, 18, 2777)), ("rand10", (95_000, 128, 741, 67), (100_000, 128, 780, 64)),
    ("rand10000", (9_500, 128, 73, 684), (1_000, 128, 6, 8333))])
def test_the_originals_counts(case, train, test):
    for count, batch_size, num_batches, rows in (train, test):
        assert rows_of(count, batch_size, fidelity="original") == (num_batches, rows)
        assert rows_of(count, batch_size) == (-(-count // batch_size), 50_000 // -(-count // batch_size))


def test_total_rows_of_alexnet():
    batches, rows = rows_of(47_500, 128, fidelity="original")
    assert (batches * rows, batches * min(128, rows)) == (49_950, 47_360)
    batches, rows = rows_of(10_000, 128, fidelity="original")
    assert (batches * rows, batches * min(128, rows)) == (49_973, 9_856)


@pytest.mark.parametrize("name", NETS)
def test_any_net_and_every_example(name):
    model = build(name)
    images = examples(model, 37)
    result = activations(model, images, batch_size=16)
    assert tuple(result) == unit_layers(model)
    for rows in result.values():
        assert len(rows) % 37 == 0 and rows.dtype == np.float32


def test_values_and_layers(net, data):
    result = activations(net, data[0], layers=["fc3", "conv1"])
    expected = keras.Model(net.inputs, net.get_layer("fc3").output).predict(data[0], verbose=0)
    assert list(result) == ["fc3", "conv1"]
    np.testing.assert_allclose(result["fc3"], expected, rtol=1e-5, atol=1e-6)


def test_rows_stay_below_the_limit(net, data):
    result = activations(net, data[0], max_rows=101, batch_size=32)
    assert {len(rows) for rows in result.values()} == {100}
    assert np.array_equal(result["conv1"], activations(net, data[0], max_rows=101, batch_size=32)["conv1"])
    assert not np.array_equal(result["conv1"], activations(net, data[0], max_rows=101, batch_size=32, seed=1)["conv1"])


def test_arrays_and_datasets_give_the_same(net, data):
    reference, = samples(net, *data, max_rows=500, batch_size=64)
    pairs = tf.data.Dataset.from_tensor_slices(data)
    for dataset in (pairs, pairs.batch(50), pairs.batch(64), pairs.batch(7).filter(lambda *pair: True), pairs.prefetch(1)):
        result, = samples(net, dataset, max_rows=500, batch_size=64)
        assert same(result, reference) and result.score == reference.score
    unlabelled, = samples(net, tf.data.Dataset.from_tensor_slices(data[0]), max_rows=500, batch_size=64)
    assert np.array_equal(unlabelled.rows[0], reference.rows[0]) and unlabelled.labels == [None] * 4 and np.isnan(unlabelled.score)
    known, = samples(net, pairs.batch(64), max_rows=500, batch_size=64, num_examples=150)
    assert same(known, reference)


def test_scores():
    model = build("regression")
    images, labels = examples(model, 40), np.linspace(-1, 1, 40).astype("float32")
    outputs = model.predict(images, verbose=0)
    mse, = samples(model, images, labels, metric="mse", batch_size=16)
    broadcast, = samples(model, images, labels, metric="mse_broadcast", batch_size=40)
    assert mse.score == pytest.approx(np.mean((labels - outputs[:, 0]) ** 2), rel=1e-5)
    assert broadcast.score == pytest.approx(np.mean((labels[None] - outputs) ** 2), rel=1e-5)


@pytest.mark.parametrize("arguments, problem", [
    ({"layers": ["absent"]}, "absent"), ({"max_rows": 4, "batch_size": 32}, "max_rows=4"), ({"fidelity": "exact"}, "fidelity=exact"),
    ({"fidelity": "original", "batch_size": 100}, "150 examples leave no batch of 100 .* at least 200")])
def test_what_cannot_be_asked_for(net, data, arguments, problem):
    with pytest.raises(UserError, match=problem) as error:
        activations(net, data[0], **arguments)
    assert "\n" not in str(error.value)


def test_images_that_do_not_fit(net, data):
    with pytest.raises(UserError, match="shape"):
        activations(net, data[0][:, :5])
    with pytest.raises(UserError):
        activations(net, data[0][:0])
    with pytest.raises(UserError, match="never ends"):
        activations(net, tf.data.Dataset.from_tensor_slices(data[0]).batch(10).repeat())
