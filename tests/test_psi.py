"""Psi and the class-selectivity index of layers: loops in NumPy on stored responses."""
import numpy as np
import pytest

from tfprune.experiment import UserError
from tfprune.filters.class_selectivity import class_selectivity, layer_selectivity
from tfprune.filters.psi import layer_psi, of_counts, psi
from tfprune.filters.responses import collected_features, responses
from tfprune.keras import keras, tf


@pytest.fixture(scope="module")
def net():
    """Two convolutions, the second with negative responses and a dead filter, and a dense head of 4 classes; no image is of class 3."""
    random = np.random.default_rng(0)
    inputs = keras.Input([6, 6, 2])
    hidden = keras.layers.Conv2D(7, 3, activation="relu", name="one", bias_initializer="ones")(inputs)
    hidden = keras.layers.Conv2D(5, 2, activation="tanh", name="two")(hidden)
    model = keras.Model(inputs, keras.layers.Dense(4, name="head")(keras.layers.GlobalAveragePooling2D(name="pool")(hidden)))
    for layer in model.layers:
        layer.set_weights([random.normal(size=weight.shape) for weight in layer.get_weights()])
    kernel, bias = model.get_layer("two").get_weights()
    model.get_layer("two").set_weights([kernel * (np.arange(5) != 2), bias * (np.arange(5) != 2)])
    return model, random.normal(size=(91, 6, 6, 2)).astype("float32"), random.integers(0, 3, 91)


def stored(model, images, layer):
    return keras.Model(model.input, model.get_layer(layer).output)(images).numpy().astype("float64").mean(axis=(1, 2))


def psi_by_loops(rows, labels, number, fraction):
    counts = []
    for row in np.abs(rows[labels == number]):
        together, count = 0.0, 0
        for value in sorted(row, reverse=True):
            together += value / row.sum()
            count += together < fraction
        counts.append(count)
    return 1 - np.median(counts) / rows.shape[1], 1 - np.mean(counts) / rows.shape[1]


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.8])
def test_psi_against_loops(net, fraction):
    model, images, labels = net
    table = psi(*net, fraction=fraction, batch_size=20)
    assert list(dict.fromkeys(table["layer"])) == ["one", "two"]
    for row in table.itertuples():
        assert row.examples == (labels == row[2]).sum()
        expected = psi_by_loops(stored(model, images, row.layer), labels, row[2], fraction) if row.examples else (np.nan, np.nan)
        assert (row.psi, row.psi_of_mean) == pytest.approx(expected, nan_ok=True)
    means = table[table["class"] < 3].groupby("layer")["psi"].mean().to_dict()
    assert layer_psi(table) == pytest.approx(means)  # a class without images does not count


def test_medians_of_counts():
    columns = of_counts(np.array([[0, 2, 0, 1, 0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 6]]))
    assert columns["psi"].tolist() == pytest.approx([0.75, 0.5, np.nan, 0], nan_ok=True)
    assert columns["psi_of_mean"].tolist() == pytest.approx([1 - 5 / 3 / 4, 0.5, np.nan, 0], nan_ok=True)


def test_few_and_many_carriers():
    model = keras.Sequential([keras.Input([8]), keras.layers.ReLU(name="units"), keras.layers.Dense(3)])
    images = np.stack([np.eye(8)[0], np.ones(8), np.zeros(8)]).astype("float32")  # one filter, all alike, none
    table = psi(model, images, [0, 1, 2], ["units"])
    assert table["psi"].tolist() == [1, 1 - 3 / 8, 0]


def test_selectivity_against_its_definition(net):
    model, images, labels = net
    table = class_selectivity(*net, batch_size=20)
    for layer, rows in table.groupby("layer"):
        responded = stored(model, images, layer)
        means = np.array([responded[labels == number].mean(axis=0) for number in range(3)])
        largest = means.max(axis=0)
        others = (means.sum(axis=0) - largest) / 2
        np.testing.assert_allclose(rows["selectivity"], (largest - others) / (largest + others + 1e-300), rtol=1e-4)
        silent = ~means.any(axis=0)
        assert rows["preferred"].tolist() == np.where(silent, -1, means.argmax(axis=0)).tolist()
        assert layer_selectivity(table)[layer] == pytest.approx(rows["selectivity"].mean())
    assert table[table["layer"] == "two"].iloc[2][["preferred", "selectivity"]].tolist() == [-1, 0]


def test_of_every_class_the_mean_counts_and_not_its_examples():
    model = keras.Sequential([keras.Input([1]), keras.layers.ReLU(name="units"), keras.layers.Dense(3)])
    images, labels = np.array([[6.0], [2.0], [2.0], [2.0], [0.0]], "float32"), [0, 1, 1, 1, 2]
    assert class_selectivity(model, images, labels, ["units"])["selectivity"].tolist() == [(6 - 1) / (6 + 1)]


@pytest.mark.parametrize("measure", [psi, class_selectivity])
def test_batches_and_datasets_change_nothing(net, measure):
    model, images, labels = net
    expected = measure(model, images, labels, ["two", "pool"])
    assert list(dict.fromkeys(expected["layer"])) == ["two", "pool"]
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(7)
    for other in (measure(model, images, labels, ["two", "pool"], batch_size=1), measure(model, dataset, layers=["two", "pool"])):
        for column in expected.columns[2:]:
            np.testing.assert_allclose(other[column], expected[column], rtol=1e-5)
    two, pool = (rows.drop(columns="layer") for _, rows in expected.groupby("layer", sort=False))
    np.testing.assert_allclose(two, pool, rtol=1e-4)  # responses are averaged over positions


def test_collected_features(net):
    model, images, labels = net
    features, numbers = collected_features(*net, batch_size=13)
    np.testing.assert_allclose(features, stored(model, images, "two"), atol=1e-6)
    assert numbers.tolist() == labels.tolist()
    assert sum(len(rows["one"]) for rows, _ in responses(*net, layers=["one"])) == 91


@pytest.mark.parametrize("measure", [psi, class_selectivity])
@pytest.mark.parametrize(("labels", "layers", "problem"), [
    (None, None, "labels"), ([4] * 91, None, "labels: 4"), ([0] * 90, None, "90"), ([0] * 91, ["three"], "no layer named three")])
def test_bad_input(net, measure, labels, layers, problem):
    with pytest.raises(UserError, match=problem):
        measure(net[0], net[1], labels, layers)


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 2])
def test_fractions_that_are_refused(net, fraction):
    with pytest.raises(UserError, match="fraction="):
        psi(*net, fraction=fraction)
