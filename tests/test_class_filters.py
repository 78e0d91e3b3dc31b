"""Class filters: features of any layer, streaming extraction against NumPy, the published indices, bad input."""
import json
from fractions import Fraction

import numpy as np
import pytest

import tfprune
from experiments import REGISTRY
from tests.conftest import shared
from tests.small_nets import NETS, build, examples
from tfprune.experiment import UserError
from tfprune.filters.features import count_below, feature_function
from tfprune.keras import keras, tf

layers = keras.layers
COUNT = 37


def case(net="normalised", count=COUNT):
    """A small net, random examples, and labels that leave classes of different sizes."""
    model = build(net)
    return model, examples(model, count), np.random.default_rng(5).integers(0, model.output_shape[-1], count)


def features_by_keras(model):
    """What goes into the last layer, by a model of Keras' own."""
    return keras.Model(model.inputs, model.layers[-1].input)


def histogram(features, labels, most, classes):
    """counts [classes, filters]: of each image the largest features, the lower position first among equal ones, but no zeros."""
    counts = np.zeros((classes, features.shape[1]), int)
    for row, label in zip(features, labels, strict=True):
        order = np.argsort(-row, kind="stable")[:most[label]]
        counts[label, order[row[order] != 0]] += 1
    return counts


def by_hand(features, labels, top, classes):
    """The study's rules, image by image: {class: [filter]}."""
    if top >= 1:
        counts = histogram(features, labels, [top] * classes, classes)
        return {c: np.argsort(-counts[c], kind="stable")[:top].tolist() for c in range(classes)}, counts
    together = np.cumsum(-np.sort(-features.astype(float)), axis=1) / np.abs(features.astype(float)).sum(axis=1, keepdims=True)
    below = (together < top).sum(axis=1)
    most = [max(int(below[labels == c].mean()), 1) for c in range(classes)]
    counts = histogram(features, labels, most, classes)
    sets = {}
    for c in range(classes):
        order = np.argsort(-counts[c], kind="stable")[::-1]
        mass = [Fraction(int(reached), int(counts[c].sum())) for reached in np.cumsum(counts[c][order])]
        sets[c] = [int(filter_) for filter_, reached in zip(order, mass, strict=True) if reached > Fraction(str(top))][::-1]
    return sets, counts


@pytest.mark.parametrize("top", [1, 3, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("net", NETS)
def test_equals_numpy(net, top):
    model, images, labels = case(net)
    features, classes = features_by_keras(model).predict(images, verbose=0), model.output_shape[-1]
    index = tfprune.class_filters(model, images, labels, top=top, batch_size=10)
    expected, counts = by_hand(features, labels, top, classes)
    assert index == expected
    np.testing.assert_array_equal(index.counts, counts)
    np.testing.assert_array_equal(index.images, np.bincount(labels, minlength=classes))
    assert (index.units, index.top) == (features.shape[1], top)


def test_published_indices_of_resnet20():
    """Facts 3: 47, 99 and 199 of the shipped indices are found again in 8,068 lossless training images."""
    data, golden = np.load(shared("data/cifar10_lossless_train.npz")), np.load(shared("golden/decomposing/resnet20.npz"))
    weights = shared("golden/decomposing/resnet20-12fca82f.npz")
    from tfprune.training.torch_checkpoints import TorchCheckpoint

    model = tfprune.build_model(REGISTRY[7000])
    TorchCheckpoint(str(weights), "-w").load_into(model, REGISTRY[7000])
    function = feature_function(model)
    found, _ = function(golden["x_norm_nhwc_imagenet"])
    np.testing.assert_allclose(found, golden["features_imagenet"][:8], atol=1e-4)
    images = ((data["x"] / np.float32(255) - golden["mean_repo"]) / golden["std_repo"]).astype(np.float32)
    features = np.concatenate([function(images[start:start + 256])[0] for start in range(0, len(images), 256)])
    head = keras.Sequential([keras.Input([64]), layers.Dense(10)])
    for top, name, least in ((5, "", 45), (10, "_10_10", 97), (20, "_20_20", 195)):
        published = json.loads(shared(f"golden/decomposing/resnet20_cifar-10{name}_indices.json").read_text())
        index = tfprune.class_filters(head, features, data["y"], top=top)
        assert sum(len(set(published[str(c)]) & set(index[c])) for c in range(10)) >= least
    whole, first = tfprune.class_filters(model, images[:300], data["y"][:300]), tfprune.class_filters(head, features[:300], data["y"][:300])
    np.testing.assert_array_equal(whole.counts.sum(axis=1), first.counts.sum(axis=1))
    assert np.abs(whole.counts - first.counts).sum() <= 4, "the same but for ties within rounding"


def test_any_layer_averaged_over_positions():
    model, images, _ = case("chain")
    for name in ("conv1", "conv2", "fc3"):
        activity = keras.Model(model.inputs, model.get_layer(name).output).predict(images, verbose=0)
        function = feature_function(model, name)
        features, outputs = function(images)
        np.testing.assert_allclose(features, activity.reshape(COUNT, -1, activity.shape[-1]).mean(axis=1), atol=1e-5)
        np.testing.assert_allclose(outputs, model.predict(images, verbose=0), atol=1e-5)
        assert function.layer == name and function.filters == activity.shape[-1]
    inner = feature_function(build("nested"), "inner/a")
    assert inner.filters == 5
    sequences = build("depthwise")  # [batch, positions, filters]
    images = examples(sequences, 3)
    activity = keras.Model(sequences.inputs, sequences.get_layer("conv1d").output)(images)
    np.testing.assert_allclose(feature_function(sequences, "conv1d")(images)[0], np.mean(activity, axis=1), atol=1e-6)


def test_one_compilation_for_all_batches():
    model, images, _ = case()
    function = feature_function(model)
    for count in (1, 5, COUNT):
        function(images[:count])
    assert function.experimental_get_tracing_count() == 1


def test_datasets_and_batch_sizes_give_the_same():
    model, images, labels = case()
    expected = tfprune.class_filters(model, images, labels, top=2)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    for pairs in (dataset, dataset.batch(8)):
        for top in (2, 0.6):
            found = tfprune.class_filters(model, pairs, top=top, batch_size=5)
            assert found == tfprune.class_filters(model, images, labels, top=top)
    assert tfprune.class_filters(model, images, labels.astype("float32"), top=2.0, batch_size=1) == expected
    before = [weight.numpy() for weight in model.weights]
    tfprune.class_filters(model, images, labels, top=2)
    assert all(np.array_equal(weight, earlier) for weight, earlier in zip(model.weights, before, strict=True)), "averages moved"


def test_masked_nets_are_found_as_their_plain_twins():
    model = tfprune.build_model(REGISTRY[9014])
    images, labels = examples(model, COUNT), np.arange(COUNT) % 10
    assert tfprune.class_filters(model, images, labels) == tfprune.class_filters(tfprune.to_dense(model), images, labels)


def test_ties_dead_filters_and_classes_without_images():
    model = keras.Sequential([keras.Input([6]), layers.Dense(3)])
    features = np.array([[0, 2, 2, 2, 0, 0], [0, 0, 0, 0, 0, 0], [9, 0, 0, 0, 0, 8], [0, 0, 0, 0, 0, 0]], "float32")
    index = tfprune.class_filters(model, features, [0, 0, 2, 2], top=2)
    assert index == {0: [1, 2], 1: [], 2: [0, 5]}
    np.testing.assert_array_equal(index.counts[0], [0, 1, 1, 0, 0, 0])
    assert index.images.tolist() == [2, 0, 2]
    assert tfprune.class_filters(model, features[1:2], [0], top=2)[0] == [0, 1], "nothing was active: the first ones"
    assert tfprune.class_filters(model, features[1:2], [0], top=0.5)[0] == []
    assert count_below(features, 0.6).numpy().tolist() == [1, 6, 1, 6]


@pytest.mark.parametrize(("options", "message"), [
    ({"top": 0}, "top=0: layer global_average_pooling2d has 4 filters; a whole number from 1 to 4 or a share between 0 and 1 is accepted"),
    ({"top": 5}, "top=5: .* 1 to 4"), ({"top": 2.5}, "top=2.5"), ({"top": -0.1}, "top=-0.1"), ({"top": float("nan")}, "top=nan"),
    ({"top": True}, "top=True"), ({"top": "5"}, "top=5"), ({"layer": "nowhere"}, "no layer named nowhere; the net has"),
    ({"labels": None}, "labels: the class of each image is needed"),
    ({"labels": [0, 1, 3]}, "labels: 3 is no class of the model; .* 0 to 2"),
    ({"labels": [0, -1, 1]}, "labels: -1 is no class"), ({"labels": [0.5, 1, 1]}, "labels: 0.5 is no class"),
    ({"labels": np.array([0, np.nan, 1])}, "labels: nan is no class"), ({"labels": [0, 1]}, "labels: there are 2 for 3 images"),
    ({"labels": np.eye(3)}, "labels: 9 numbers for 3 images"), ({"images": np.zeros((3, 8, 8, 1), "float32")}, "does not fit the net"),
    ({"images": np.zeros((0, 8, 8, 2), "float32"), "labels": []}, "images: there are none")])
def test_bad_input_is_one_line(options, message):
    model, images, labels = case(count=3)
    with pytest.raises(UserError, match=message) as error:
        tfprune.class_filters(model, **{"images": images, "labels": labels, "top": 2} | options)
    assert "\n" not in str(error.value)


def test_nets_without_a_head_are_refused():
    images = keras.Input((8, 8, 2))
    planes = keras.Model(images, layers.Conv2D(3, 3, name="last")(images))
    with pytest.raises(UserError, match="gives outputs of shape .* a score for each class is needed"):
        feature_function(planes)
    pooled = keras.Model(images, layers.GlobalMaxPooling2D(name="pool")(layers.Conv2D(3, 3, name="last")(images)))
    with pytest.raises(UserError, match=r"ends in pool \(GlobalMaxPooling2D\), not in one dense layer of class scores"):
        feature_function(pooled)
    assert tfprune.class_filters(pooled, examples(pooled, 6), [0, 1, 2] * 2, top=1, layer="last").units == 3
    with pytest.raises(UserError, match="a tf_keras model is needed"):
        feature_function("net")


def test_a_net_that_diverged_is_refused():
    model, images, labels = case()
    model.get_layer("conv2").bias.assign([np.nan] * 4)
    with pytest.raises(UserError, match="the features of layer global_average_pooling2d hold NaN or infinite values"):
        tfprune.class_filters(model, images, labels, top=2)
