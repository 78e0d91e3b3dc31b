"""The criteria of pruning: a table of all of them, each against NumPy, dead units, twins, units that live together, bad input."""
import numpy as np
import pytest

import tfprune
from tests.small_nets import build, examples
from tfprune import settings
from tfprune.keras import keras, tf
from tfprune.pruning.criteria import CRITERIA, Net, criterion_named
from tfprune.pruning.criteria.redundancy import greedy
from tfprune.pruning.groups import unit_groups
from tfprune.pruning.renormalise import renormalise

layers = keras.layers
COUNT = 23


def conv():
    """Convolutions and a dense layer, all normalised."""
    images = keras.Input((6, 6, 2))
    x = layers.ReLU(name="relu1")(layers.BatchNormalization(name="bn1")(layers.Conv2D(5, 3, name="conv1")(images)))
    x = layers.ReLU(name="relu2")(layers.BatchNormalization(name="bn2")(layers.Conv2D(4, 2, name="conv2")(x)))
    x = layers.ReLU(name="relu3")(layers.BatchNormalization(name="bn3")(layers.Dense(6, name="fc")(layers.Flatten()(x))))
    return keras.Model(images, layers.Dense(3, name="logits")(x))


def residual():
    """A sum of two kernel layers' units, active in two places: before and after the sum."""
    images = keras.Input((6, 6, 2))
    x = layers.ReLU(name="relu1")(layers.BatchNormalization(name="bn1")(layers.Conv2D(5, 3, padding="same", name="first")(images)))
    y = layers.ReLU(name="relu2")(layers.BatchNormalization(name="bn2")(layers.Conv2D(4, 3, padding="same", name="within")(x)))
    y = layers.BatchNormalization(name="bn3")(layers.Conv2D(5, 3, padding="same", name="second")(y))
    x = layers.ReLU(name="relu3")(layers.Add()([x, y]))
    return keras.Model(images, layers.Dense(3, activation="softmax", name="scores")(layers.GlobalAveragePooling2D()(x)))


# {group: (kernel layers, where its units are active, normalisations)}
PLACES = {
    conv: {"conv1": (["conv1"], ["relu1"], ["bn1"]), "conv2": (["conv2"], ["relu2"], ["bn2"]), "fc": (["fc"], ["relu3"], ["bn3"])},
    residual: {"first": (["first", "second"], ["relu1", "relu3"], ["bn1", "bn3"]), "within": (["within"], ["relu2"], ["bn2"])}}


def case(net, **options):
    """(model, images, labels, `Net`); all units are active on some of the images, and silent on some."""
    model = build(net)
    images, labels = examples(model, COUNT), np.random.default_rng(5).integers(0, 3, COUNT)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.gamma.assign(tf.sign(layer.gamma) * (abs(layer.gamma) + 0.2))
            layer.beta.assign(layer.beta / 10)
    renormalise(model, images)
    return model, images, labels, Net(model, unit_groups(model), images, labels, **options)


def activity(model, name, images):
    """[examples, positions, units] float64."""
    values = keras.Model(model.inputs, model.get_layer(name).output)(images, training=False).numpy().astype(np.float64)
    return values.reshape(len(images), -1, values.shape[-1])


def effects(model, name, images, labels):
    """[examples, units]: activity x gradient, summed over positions, an example at a time."""
    layer = model.get_layer(name)
    both = keras.Model(model.inputs, [layer.output, model.output])
    rows = []
    for image, label in zip(images, labels, strict=True):
        with tf.GradientTape() as tape:
            tape.watch(images := tf.constant(image[None]))
            value, output = both(images, training=False)
            logits = output if model.layers[-1].name == "logits" else tf.math.log(output)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits([label], logits)
        rows.append((value * tape.gradient(loss, value)).numpy().reshape(-1, value.shape[-1]).sum(axis=0))
    return np.array(rows, np.float64)


def expected(name, model, places, images, labels):
    """A criterion of a group's units, by hand."""
    kernels, places, norms = places
    columns = np.concatenate([k.reshape(-1, k.shape[-1]) for k in (model.get_layer(path).kernel.numpy() for path in kernels)])
    if name == "l1":
        return np.abs(columns).sum(axis=0)
    if name in ("l2", "magnitude"):
        return np.linalg.norm(columns, axis=0)
    if name == "norm_scale":
        return np.linalg.norm([model.get_layer(norm).gamma for norm in norms], axis=0)
    if name == "taylor":
        return np.abs(sum(effects(model, place, images, labels) for place in places)).mean(axis=0)
    active = [activity(model, place, images).reshape(-1, columns.shape[1]) for place in places]
    if name == "redundancy":
        correlation = np.mean([np.corrcoef(rows.T) for rows in active], axis=0)
        return slowly(correlation, np.mean([rows.var(axis=0) for rows in active], axis=0))
    rows = np.abs(np.concatenate(active))
    mean, nonzero = rows.mean(axis=0), (rows != 0).sum(axis=0)
    return mean if name == "activation" else (nonzero + mean / (1 + mean)) / (len(rows) + 1)


def slowly(correlation, variance):
    """`greedy`, one pair at a time."""
    left, scores = list(range(len(variance))), np.ones(len(variance))
    while len(left) > 1:
        pair = max(((i, j) for i in left for j in left if i < j), key=lambda pair: abs(correlation[pair]))
        out = min(pair, key=lambda unit: variance[unit])
        scores[out] = 1 - abs(correlation[pair])
        left.remove(out)
    return scores


def test_the_table_is_complete():
    assert tuple(CRITERIA) == settings.CRITERIA
    assert all(criterion.name == name and set(criterion.ranks) <= set(settings.PRUNED) for name, criterion in CRITERIA.items())
    with pytest.raises(tfprune.UserError, match="criterion=best: expected one of magnitude, l1"):
        criterion_named("best")


@pytest.mark.parametrize("name", [name for name in CRITERIA if name != "random"])
@pytest.mark.parametrize("net", PLACES)
def test_units_equal_numpy(net, name):
    model, images, labels, ours = case(net)
    scores = CRITERIA[name].units(ours)
    assert list(scores) == list(PLACES[net])
    for group, places in PLACES[net].items():
        np.testing.assert_allclose(scores[group], expected(name, model, places, images, labels), rtol=1e-4, atol=1e-6, err_msg=group)


@pytest.mark.parametrize("name", CRITERIA)
def test_scores_are_the_same_again(name):
    """Another batch size, a Dataset, batched or not: the same scores."""
    model, images, labels, net = case(residual)
    first, dataset = CRITERIA[name].units(net), tf.data.Dataset.from_tensor_slices((images, labels))
    for options in ({"images": images, "labels": labels}, {"images": images, "labels": labels, "batch_size": 4},
                    {"images": dataset}, {"images": dataset.batch(5), "batch_size": 7}):
        again = CRITERIA[name].units(Net(model, unit_groups(model), **options))
        for group, scores in first.items():
            assert scores.shape == (5 if group == "first" else 4,) and np.isfinite(scores).all()
            np.testing.assert_allclose(again[group], scores, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in CRITERIA if "weight" in CRITERIA[name].ranks])
def test_weights(name):
    model, images, labels, net = case(conv)
    scores = CRITERIA[name].weights(net)
    kernels = {path: model.get_layer(path).kernel for path in ("conv1", "conv2", "fc", "logits")}
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(images, training=False)))
    by_hand = {"taylor": tape.gradient(loss, kernels)}.get(name, dict.fromkeys(kernels, 1.0))
    for path, kernel in kernels.items():
        assert scores[path].shape == kernel.shape
        if name != "random":
            np.testing.assert_allclose(scores[path], np.abs(kernel * by_hand[path]), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["activation", "apoz", "taylor", "redundancy"])
def test_silent_units_go_first(name):
    model, images, labels, net = case(conv)
    for layer in (model.get_layer(n) for n in ("bn1", "bn3")):
        for weight in (layer.gamma, layer.beta):
            weight.assign(tf.where(tf.range(weight.shape[0]) < 2, 0.0, weight))
    scores = CRITERIA[name].units(net)
    for group in ("conv1", "fc"):
        assert set(np.argsort(scores[group], kind="stable")[:2]) == {0, 1}
        assert scores[group][:2].max() < scores[group][2:].min()


def test_of_twins_one_stays():
    model, images, labels, net = case(conv)
    for layer in ("conv1", "bn1"):
        for weight in model.get_layer(layer).weights:
            values = weight.numpy()
            values[..., 3] = values[..., 1]
            weight.assign(values)
    scores = CRITERIA["redundancy"].units(net)["conv1"]
    assert scores.argmin() == 3 and scores[3] == pytest.approx(0, abs=1e-6) and scores[1] > 0.05


@pytest.mark.parametrize("seed", range(4))
def test_greedy(seed):
    rows = np.random.default_rng(seed).normal(size=(40, 12)) @ np.random.default_rng(seed + 9).normal(size=(12, 12))
    correlation, variance = np.corrcoef(rows.T), rows.var(axis=0)
    np.testing.assert_allclose(greedy(correlation, variance), slowly(correlation, variance))
    variance[[2, 7]] = 0
    scores = greedy(correlation, variance)
    assert (scores[[2, 7]] == -1).all() and np.delete(scores, [2, 7]).min() >= 0


def test_random_follows_from_seed_and_layer():
    model = build(conv)
    draws = [CRITERIA["random"].units(Net(model, unit_groups(model), seed=seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(draws[0]["fc"], draws[1]["fc"])
    assert not np.array_equal(draws[0]["fc"], draws[2]["fc"]) and not np.array_equal(draws[0]["conv1"][:4], draws[0]["conv2"])


def test_taylor_of_a_regression():
    model = build("regression")
    images, values = examples(model, COUNT), np.linspace(-1, 1, COUNT)
    scores = CRITERIA["taylor"].units(Net(model, unit_groups(model), images, values, batch_size=5))
    assert [len(scores[group]) for group in ("hidden1", "hidden2")] == [8, 6] and scores["hidden1"].max() > 0


def test_what_is_refused():
    model = build(conv)
    groups, images = unit_groups(model), examples(model, 4)
    bare = Net(model, groups)
    for name in ("activation", "apoz", "redundancy"):
        with pytest.raises(tfprune.UserError, match=f"criterion={name}: ranks units, not single weights"):
            CRITERIA[name].weights(Net(model, groups, images))
        with pytest.raises(tfprune.UserError, match=f"criterion={name}: is found by running the net; give images$"):
            CRITERIA[name].units(bare)
    with pytest.raises(tfprune.UserError, match="give images and labels"):
        CRITERIA["taylor"].weights(bare)
    with pytest.raises(tfprune.UserError, match="labels: the class of each image is needed"):
        CRITERIA["taylor"].units(Net(model, groups, images))
    with pytest.raises(tfprune.UserError, match="labels: 3 is no class of the model"):
        CRITERIA["taylor"].units(Net(model, groups, images, [0, 1, 2, 3]))
    chain = build("chain")
    with pytest.raises(tfprune.UserError, match="norm_scale: no batch normalisation with a scale follows conv1; exclude it"):
        CRITERIA["norm_scale"].units(Net(chain, unit_groups(chain)))
    with pytest.raises(tfprune.UserError, match="excluded: no layer"):
        Net(model, groups, excluded=("nowhere",))
    assert list(CRITERIA["l1"].units(Net(model, groups, excluded=("conv1",)))) == ["conv2", "fc"]
