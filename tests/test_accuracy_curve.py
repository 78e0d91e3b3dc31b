"""Accuracy against the number of filters a class, against NumPy and the stored logits of ResNet-20; and what decomposed heads cost."""
import numpy as np
import pytest

from experiments import REGISTRY
from tests.conftest import shared
from tests.decomposing_runs import done, source, variant, write_weights
from tfprune.experiment import UserError
from tfprune.files import read_json
from tfprune.filters.costs import head_costs
from tfprune.filters.curve import accuracy_curve
from tfprune.filters.decomposition import decompose_head
from tfprune.filters.indices import class_filters, counts_by_top
from tfprune.filters.rankings import at_random, by_value, some_tops, whole_tops
from tfprune.keras import keras, tf
from tfprune.models import build_model


def net(filters=12, classes=4, use_bias=True, seed=3):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((5, 5, 2)), keras.layers.Conv2D(filters, 3, activation="relu"),
                              keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(classes, use_bias=use_bias, name="scores")])
    if use_bias:
        model.layers[-1].bias.assign(np.linspace(-0.1, 0.1, classes))
    return model


def some_images(count=70, classes=4, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, 5, 5, 2)).astype(np.float32), generator.integers(classes, size=count)


def features_of(model, images):
    return keras.Model(model.inputs, model.layers[-1].input)(images).numpy()


def share_right(model, features, labels, ranking, top):
    """NumPy: each class by itself, over its own filters."""
    kernel, bias = model.layers[-1].kernel.numpy(), model.layers[-1].bias.numpy()
    logits = [features[:, own] @ kernel[own, number] + bias[number] for number, own in enumerate(ranking < top)]
    return (np.argmax(logits, axis=0) == labels).mean()


def test_every_head_of_the_curve():
    model, (images, labels) = net(), some_images()
    counts = np.random.default_rng(1).integers(6, size=(4, 12))  # with ties
    table = accuracy_curve(model, counts, images, labels, tops=[1, 3, 12, 7], draws=2, seed=5, batch_size=32)
    assert list(table.columns) == ["filters", "draw", "top", "accuracy"] and len(table) == 4 * 4 + 1
    features, kernel = features_of(model, images), model.layers[-1].kernel.numpy()
    rankings = {"own": by_value(counts), "weights": by_value(abs(kernel.T)), "random": None}
    for row in table[table.filters != "dense"].itertuples():
        ranking = at_random(4, 12, (5, row.draw)) if row.filters == "random" else rankings[row.filters]
        assert row.accuracy == pytest.approx(share_right(model, features, labels, ranking, row.top)), row
    dense = (model.predict(images, verbose=0).argmax(1) == labels).mean()
    assert table[table.top == 12].accuracy.to_numpy() == pytest.approx([dense] * 5) and table.iloc[-1].filters == "dense"


def test_own_filters_are_those_of_decomposed_nets():
    """The study's rule: the histogram itself depends on k, so each k has counts of its own, all from one pass."""
    model, (images, labels), (some, others) = net(), some_images(200), some_images(90, seed=9)
    table = accuracy_curve(model, counts_by_top(model, images, labels, [2, 5, 9], batch_size=64), some, others, draws=0)
    own = table[table.filters == "own"]
    assert list(own.top) == [2, 5, 9]
    for row in own.itertuples():
        decomposed = decompose_head(model, class_filters(model, images, labels, row.top))
        assert row.accuracy == pytest.approx((decomposed.predict(some, verbose=0).argmax(1) == others).mean())


def test_counts_of_several_sizes_in_one_pass():
    model, (images, labels) = net(), some_images(130)
    images[:8] = 0  # all features are 0, or one bias: no more than those count
    found = counts_by_top(model, images, labels, (5, 1, 12, 5), batch_size=50)
    assert list(found) == [1, 5, 12]
    for top, counts in found.items():
        np.testing.assert_array_equal(counts, class_filters(model, images, labels, top).counts)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    np.testing.assert_array_equal(counts_by_top(model, dataset, tops=(5,))[5], found[5])


def test_a_layer_inside():
    model, (images, labels) = net(), some_images()
    found = counts_by_top(model, images, labels, [3], layer=model.layers[0].name)
    assert found[3].shape == (4, 12) and found[3].sum() <= 3 * len(images)


def test_published_nets_answers():
    """Of the first 1,017 test images: how often each decomposed head agrees with the dense one, as the stored logits say."""
    golden = np.load(shared("golden/decomposing/resnet20.npz"))
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])
    model.set_weights([golden["fc_weight"].T, golden["fc_bias"]])
    plain, counts = golden["logits_plain_imagenet"].argmax(1), {}
    for top in (5, 10, 20):
        counts[top] = np.zeros((10, 64), int)
        np.put_along_axis(counts[top], golden[f"idx{top}"].astype(int), 1, axis=1)
    table = accuracy_curve(model, counts, golden["features_imagenet"], plain, draws=20).set_index(["filters", "top"])
    for top in (5, 10, 20):
        expected = (golden[f"logits_dec{top}_imagenet"].argmax(1) == plain).mean()
        assert table.accuracy["own", top].item() == pytest.approx(expected)
        assert table.accuracy["own", top].item() > table.accuracy["random", top].mean() + 0.1
    assert table.accuracy["dense", 64].item() == 1 and 0.93 < table.accuracy["own", 5].item() < 0.98


def test_the_command_and_validate_agree(tmp_path, data_dir):
    """`decompose.py curve` at five filters a class, and `validate` with the filters that it finds by itself."""
    weights = write_weights(tmp_path / "resnet20.npz")
    plain, five = source(variant(9030), tmp_path / "results", weights), source(variant(9032), tmp_path / "results", weights)
    _, out = done("curve", plain, data_dir)
    done("validate", five, data_dir)
    curve = read_json(plain.run.file("curve", "curve.json"))["rows"]
    found = {row["net"]: row["accuracy"] for row in read_json(five.run.file("validate", "validate.json"))["rows"] if row["class"] == "all"}
    of_own = {row["top"]: row["accuracy"] for row in curve if row["filters"] == "own"}
    assert of_own[5] == pytest.approx(found["k=5"]) and of_own[64] == pytest.approx(found["all filters"])
    assert list(of_own) == [1, 2, 3, 5, 10, 20, 30, 50, 64] and len(curve) == 9 * (1 + 1 + 20) + 1
    assert "weights" in out and (tmp_path / "results" / "csv" / "decomposing").exists()


def test_rankings():
    np.testing.assert_array_equal(by_value([[3, 9, 3, 0], [0, 0, 0, 0]]), [[1, 0, 2, 3], [0, 1, 2, 3]])
    drawn = at_random(50, 30, (1, 2))
    np.testing.assert_array_equal(np.sort(drawn, axis=1), np.tile(np.arange(30), (50, 1)))
    np.testing.assert_array_equal(drawn, at_random(50, 30, (1, 2)))
    assert (drawn[0] != drawn[1]).any() and (drawn != at_random(50, 30, (1, 3))).any()
    assert abs(drawn.mean() - 14.5) < 0.01 and abs((drawn[:, 0] < 15).mean() - 0.5) < 0.25
    assert some_tops(64) == [1, 2, 3, 5, 10, 20, 30, 50, 64] and some_tops(1) == [1] and some_tops(10) == [1, 2, 3, 5, 10]
    assert whole_tops([9, 3.0, 3], 9) == [3, 9]


@pytest.mark.parametrize(("change", "message"), [
    ({"tops": [0]}, "tops: 0 is no number of filters; whole numbers from 1 to 12"), ({"tops": [13]}, "tops: 13 is no"),
    ({"tops": [2.5]}, "tops: 2.5 is no"), ({"counts": np.ones((12, 4))}, "counts: 4 classes x 12 filters are needed, not 12 x 4"),
    ({"counts": {3: np.ones((4, 12))}, "tops": [3, 5]}, "tops: there are no counts for 5 filters"),
    ({"labels": np.full(70, 4)}, "labels: 4 is no class"), ({"labels": None}, "labels: the class of each image")])
def test_refuses(change, message):
    images, labels = some_images()
    arguments = {"counts": np.ones((4, 12)), "labels": labels} | change
    with pytest.raises(UserError, match=message) as caught:
        accuracy_curve(net(), images=images, **arguments)
    assert "\n" not in str(caught.value)


# --- costs -----------------------------------------------------------------------------------------------------------------------


def test_costs_of_resnet_20s_heads():
    index = {number: [number, number + 1, 40, 41, 42] for number in range(10)}
    table = head_costs(build_model(REGISTRY[7000]), {"k=5": 5, "found": index, "k=20": 20}).set_index("head")
    assert table.parameters.to_dict() == {"dense": 650, "k=5": 60, "found": 60, "k=20": 210}
    assert table.multiply_adds.to_dict() == {"dense": 640, "k=5": 50, "found": 50, "k=20": 200}
    assert table.net_parameters.to_dict() == {"dense": 269_722, "k=5": 269_132, "found": 269_132, "k=20": 269_282}
    assert table.share["k=5"] == 60 / 650 and table.used["found"] == 14 and table.used["dense"] == 64 and np.isnan(table.used["k=5"])
    assert (table.net_multiply_adds - table.multiply_adds).nunique() == 1 and 40e6 < table.net_multiply_adds["dense"] < 42e6


def test_costs_of_resnet_50s_heads():
    """The study's figures for ImageNet."""
    model = keras.Sequential([keras.Input((2048,)), keras.layers.Dense(1000)])
    table = head_costs(model, {"k=50": 50}).set_index("head")
    assert table.parameters.to_dict() == {"dense": 2_049_000, "k=50": 51_000}


@pytest.mark.parametrize("form", ["gather", "mask"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_costs_are_those_of_a_decomposed_net(form, use_bias):
    """As counted in the net itself; a head with a mask works with all of its kernel, and is worth what it keeps."""
    model = net(use_bias=use_bias)
    index = {number: [number, 5, 6] for number in range(4)}
    table, decomposed = head_costs(model, {"found": index}).set_index("head"), decompose_head(model, index, form)
    assert table.net_parameters["dense"] == model.count_params()
    if form == "gather":
        assert table.net_parameters["found"] == sum(weight.shape.num_elements() for weight in decomposed.trainable_weights)
    again = head_costs(decomposed, {"found": index}).set_index("head")
    assert again.multiply_adds.equals(table.multiply_adds) and again.net_multiply_adds["found"] == table.net_multiply_adds["found"]


def test_costs_of_sets_of_different_sizes():
    table = head_costs(net(), {"ragged": {0: [1], 1: [2, 3], 2: [3, 4, 5, 6], 3: [1]}}).set_index("head")
    assert table.loc["ragged", ["filters", "used", "parameters", "multiply_adds"]].tolist() == [2, 6, 12, 8]
