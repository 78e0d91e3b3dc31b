"""The sweep against nets that are rebuilt for every sparsity, against the counts of the study, and compiled once."""
import functools
import math

import numpy as np
import pytest
from sklearn.datasets import load_digits

from experiments import REGISTRY
from tests import small_nets
from tests.test_pruning_counts import DEFAULT, LEFT, UNITS, WEIGHTS, ZEROS
from tfprune import UserError, build_model, magnitude_prune, pruning_sweep
from tfprune.keras import keras, tf
from tfprune.overrides import override
from tfprune.pruning import evaluation as evaluation_module
from tfprune.pruning.evaluation import Evaluation
from tfprune.pruning.histograms import Histograms
from tfprune.pruning.magnitude import Pruner
from tfprune.pruning.renormalise import renormalise
from tfprune.pruning.shrinking import shrink
from tfprune.pruning.sweep import regularisers, sweep

layers = keras.layers
SOME = (0.0, 0.9, 0.5)


@functools.cache
def digits():
    images, labels = load_digits(return_X_y=True)
    return (images / 16).astype("float32"), labels


@functools.cache
def trained(softmax=False):
    """A net with a penalty that knows the digits, and Keras' own way to say how well."""
    images, labels = digits()
    keras.utils.set_random_seed(0)
    dense = functools.partial(layers.Dense, kernel_regularizer=keras.regularizers.L1L2(1e-4, 1e-3))
    model = keras.Sequential([keras.Input((64,)), dense(32, "relu", name="fc1"), dense(16, "relu", name="fc2"),
                              layers.Dense(10, "softmax" if softmax else None, name="logits")])
    compiled(model, softmax).fit(images[:1200], labels[:1200], epochs=6, batch_size=32, verbose=0)
    return model


def compiled(model, softmax=False):
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax), ["accuracy"])
    return model


def test_figures_are_those_of_rebuilt_nets():
    """Loss with the penalty is what Keras' evaluate says of a net that is pruned, rebuilt and compiled for its sparsity alone."""
    images, labels = (part[1200:] for part in digits())
    table = pruning_sweep(trained(), images, labels, SOME, batch_size=64)
    assert table[["by", "sparsity"]].values.tolist() == [[by, k] for by in ("weight", "unit") for k in SOME]
    for row in table.itertuples():
        pruned = compiled(magnitude_prune(trained(), row.sparsity, row.by))
        loss, accuracy = pruned.evaluate(images, labels, verbose=0)
        assert row.loss_with_penalty == pytest.approx(loss, abs=1e-5) and row.accuracy == pytest.approx(accuracy, abs=1e-6)
        assert row.loss_with_penalty - row.loss == pytest.approx(float(sum(pruned.losses)), abs=1e-5) and row.loss_with_penalty > row.loss
    dense = table[table.sparsity == 0].drop(columns="by").values
    assert np.array_equal(dense[0], dense[1]) and table.accuracy[0] > .8 > table.accuracy[1]


def test_of_probabilities():
    """The loss of a net that ends in a softmax is that of the same net without, and what Keras says."""
    images, labels = (part[1200:] for part in digits())
    table = pruning_sweep(trained(softmax=True), images, labels, (.3,), by="weight")
    loss, _ = compiled(magnitude_prune(trained(softmax=True), .3), softmax=True).evaluate(images, labels, verbose=0)
    assert table.loss_with_penalty[0] == pytest.approx(loss, abs=1e-5)


@pytest.mark.parametrize("behind", [lambda: [layers.Dropout(.5)], lambda: [layers.Reshape((10,)), layers.Activation("linear")],
                                    lambda: [layers.Flatten()]], ids=["dropout", "reshape", "flatten"])
def test_of_probabilities_that_are_handed_on(behind):
    images, labels = (part[1200:] for part in digits())
    model = keras.Sequential([keras.Input((64,)), *trained(softmax=True).layers, *behind()])
    assert Evaluation(model, images, labels)() == pytest.approx(Evaluation(trained(softmax=True), images, labels)())


def test_one_sparsity_and_one_excluded_layer_need_no_list():
    images, labels = (part[1200:] for part in digits())
    one = pruning_sweep(trained(), images, labels, .5, excluded="fc1")
    assert one.equals(pruning_sweep(trained(), images, labels, [.5], excluded=["fc1"])) and len(one) == 2


def test_counts_of_the_study():
    """The table of facts 4, on the study's net: what is zero, what is alive, what is left where it is taken out."""
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    table = pruning_sweep(build_model(REGISTRY[8000]), images, np.arange(4), DEFAULT).set_index(["by", "sparsity"])
    for k in DEFAULT[1:]:
        assert table.parameters["weight", k] == 2_386_000 - sum(WEIGHTS[k])
        assert round(1 - table.parameters["weight", k] / 2_386_000, 6) == ZEROS[k]
        assert table.removed["weight", k] == pytest.approx(sum(WEIGHTS[k]) / 2_384_000)
        assert (table.units["unit", k], table.parameters_cut["unit", k]) == (2700 - sum(UNITS[k]), LEFT[k])
        assert table.removed["unit", k] == pytest.approx(sum(UNITS[k]) / 2700)
    for by in ("weight", "unit"):
        assert table.loc[(by, 0.0)][["removed", "parameters", "units", "parameters_cut"]].tolist() == [0, 2_386_000, 2700, 2_386_000]


def test_parameters_that_a_cut_net_has():
    """Of each kind of layer: what is left without silent units is what the net has that is really cut."""
    for name in ("chain", "residual", "branches", "nested", "depthwise", "normalised"):
        model = small_nets.build(name)
        table = pruning_sweep(model, small_nets.examples(model, 4), np.zeros(4), (.3, .6), by="unit")
        for row in table.itertuples():
            small = shrink(magnitude_prune(model, row.sparsity, "unit"))
            trained = [weight for weight in small.weights if weight.trainable]
            assert row.parameters_cut == sum(weight.shape.num_elements() for weight in trained), name


@pytest.mark.parametrize("top", [3, 0.5])
def test_decomposed_heads(top):
    """They are never pruned, and see fewer filters."""
    experiment = override(REGISTRY[9031], [f"dnn.top={top}"])
    model = build_model(experiment)
    images = np.random.default_rng(0).random((4, *model.input_shape[1:]), np.float32)
    table = pruning_sweep(model, images, np.arange(4), (0, .5), "unit")
    trained = [weight for weight in model.weights if weight.trainable]
    assert table.parameters_cut[0] == sum(weight.shape.num_elements() for weight in trained) > 2 * table.parameters_cut[1]


@pytest.fixture
def swept():
    """(pruner, evaluation) of a net of each kind of layer."""
    model = small_nets.build("residual")
    pruner = Pruner(model)
    return pruner, Evaluation(pruner.model, small_nets.examples(model, 30), np.arange(30) % 3, batch_size=8)


def test_one_model_compiled_once(swept):
    pruner, evaluation = swept
    before = [variable.numpy() for variable in pruner.model.variables]
    sweep(pruner, evaluation, np.linspace(0, 1, 6), ("weight", "unit"), regularisers)
    assert evaluation.traced == 1
    assert all(np.array_equal(old, variable.numpy()) for old, variable in zip(before, pruner.model.variables, strict=True))
    again = sweep(pruner, evaluation, (.4, .4, .2), ("unit",), regularisers)
    assert evaluation.traced == 1 and np.array_equal(again.iloc[0], again.iloc[1])


def test_histograms_against_numpy(swept):
    pruner, evaluation = swept
    by, ks = ("weight", "unit"), (0, .5, .8)
    histograms = Histograms(pruner, by)
    sweep(pruner, evaluation, ks, by, regularisers, watch=histograms.add)
    found, model = histograms.arrays(ks), small_nets.build("residual")
    assert found["sparsities"].tolist() == list(ks) and len(found["layers"]) == 6
    for row, k in enumerate(ks):
        pruned = {each: magnitude_prune(model, k, each) for each in by}
        for path in found["layers"]:
            weights = pruned["weight"].get_layer(path).kernel.numpy()
            columns = pruned["unit"].get_layer(path).kernel.numpy().reshape(-1, weights.shape[-1])
            for each, values, bins in (("weight", abs(weights[weights != 0]), 300), ("unit", np.linalg.norm(columns, axis=0), 100)):
                edges = found[f"{each}|{path}|edges"]
                assert edges.shape == (bins + 1,) and found[f"{each}|{path}|counts"].shape == (3, bins)
                assert np.array_equal(found[f"{each}|{path}|counts"][row], np.histogram(values, edges)[0])


def test_arrays_datasets_and_streams_are_one(monkeypatch):
    model, labels = small_nets.build("chain"), np.arange(30) % 4
    images = small_nets.examples(model, 30)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    given = [(images, labels), (dataset, None), (dataset.batch(7), None), (images.tolist(), labels.tolist())]
    tables = [pruning_sweep(model, *pair, (.3,), batch_size=8) for pair in given]
    monkeypatch.setattr(evaluation_module, "MEMORY", 1000)  # nothing is held
    tables += [pruning_sweep(model, *pair, (.3,), batch_size=8) for pair in given]
    for table in tables[1:]:
        assert np.allclose(table.drop(columns="by"), tables[0].drop(columns="by"), atol=1e-6)


def test_averages_found_anew():
    model = small_nets.build("normalised")
    images, known = small_nets.examples(model, 20), small_nets.examples(model, 40, seed=2)
    labels = np.arange(20) % 3
    table = pruning_sweep(model, images, labels, (.5,), renormalised=True, training_images=known)
    for row in table.itertuples():
        pruned = magnitude_prune(model, row.sparsity, row.by)
        for loss, accuracy in ((row.loss_before, row.accuracy_before), (row.loss, row.accuracy)):
            figures = Evaluation(pruned, images, labels)()
            assert (loss, accuracy) == (pytest.approx(figures["loss"], abs=1e-5), figures["accuracy"])
            renormalise(pruned, known)
        assert abs(row.loss - row.loss_before) > 1e-3


def test_regression():
    model = small_nets.build("regression")
    images = small_nets.examples(model, 40)
    wanted = model.predict(images, verbose=0)[:, 0]
    table = pruning_sweep(model, images, wanted, (0, .5))
    assert table.accuracy[0] == pytest.approx(1) and table.loss[0] == pytest.approx(0, abs=1e-9)
    left = magnitude_prune(model, .5).predict(images, verbose=0)[:, 0]
    assert table.loss[1] == pytest.approx(np.mean((left - wanted) ** 2), rel=1e-4)
    assert table.accuracy[1] == pytest.approx(max(0, 1 - table.loss[1] / np.var(wanted)), abs=1e-4) and table.accuracy[1] < 1


@pytest.mark.parametrize(("arguments", "message"), [
    ({"sparsities": (.5, 1.5)}, "sparsities=1.5: the share that is removed is a number from 0 to 1"),
    ({"sparsities": (-.5,)}, "sparsities=-0.5"), ({"sparsities": (math.nan,)}, "sparsities=nan"), ({"sparsities": ()}, "sparsities: "),
    ({"sparsities": (1.0,), "fidelity": "original"}, "sparsities=1.0: the original's rule"),
    ({"by": "neuron"}, "by=neuron: expected one or more of weight, unit"), ({"by": ()}, "by="),
    ({"criterion": "apoz"}, "criterion=apoz: ranks units, so that nothing can be pruned by weight; by=unit is accepted"),
    ({"criterion": "apoz", "by": "unit"}, "criterion=apoz: .*images"),
    ({"excluded": ["fc9"]}, "excluded: no layer fc9"),
    ({"renormalised": True}, "renormalised: give training_images"),
    ({"labels": None}, "labels: the class of each image is needed"),
    ({"labels": np.full(4, 10)}, "labels: 10 is no class of the model; whole numbers from 0 to 9"),
    ({"labels": np.zeros(3)}, "labels: there are 3 for 4 images"),
    ({"images": np.zeros((0, 64))}, "images: there are none|labels: there are 4"),
    ({"images": np.zeros((4, 63))}, r"images: shape \(63,\) does not fit the net"),
    ({"images": np.full((4, 64), np.nan)}, "images: some values are NaN"),
])
def test_bad_input(arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        pruning_sweep(**{"model": trained(), "images": np.zeros((4, 64)), "labels": np.zeros(4), "sparsities": (.5,)} | arguments)
    assert "\n" not in str(caught.value)
