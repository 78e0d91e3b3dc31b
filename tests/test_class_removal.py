"""A class taken out of a net: the other logits stay, filters that nobody else sees go."""
import numpy as np
import pytest

import tfprune
from tests.small_nets import build
from tests.test_decompose_head import EVERY, close, made
from tfprune.experiment import UserError
from tfprune.filters.removal import kept_filters
from tfprune.keras import keras
from tfprune.layers.decomposed_head import DecomposedHead, MaskedHead
from tfprune.models.heads import find_head

layers = keras.layers
LOGITS = [net for net in EVERY if net not in ("softmax", "followed", "regression")]


def outputs(model, images):
    return model(images, training=False).numpy()


@pytest.mark.parametrize("form", ["dense", "gather", "mask"])
@pytest.mark.parametrize("net", LOGITS)
def test_the_other_logits_stay(net, form):
    model, images, index = made(net)
    number = len(index) // 2
    if form != "dense":
        model = tfprune.decompose_head(model, index, form)
    smaller = tfprune.remove_class(model, number)
    close(outputs(smaller, images), np.delete(outputs(model, images), number, axis=1), 1e-5)
    left = sorted({filter_ for other, own in index.items() if other != number for filter_ in own})
    features = find_head(model)[2].shape[-1]
    assert kept_filters(smaller) == (list(range(features)) if form == "dense" else left)
    assert find_head(smaller)[2].shape[-1] == len(kept_filters(smaller))
    assert tfprune.unit_layers(smaller) == tfprune.unit_layers(model)
    assert outputs(model, images).shape[1] == len(index), "the model itself stays as it was"


@pytest.mark.parametrize("form", ["gather", "mask"])
def test_class_after_class(form):
    model, images, index = made("head_inside")
    index = {0: [0, 1], 1: [1, 2], 2: [5, 3], 3: [5, 7]}
    model = tfprune.decompose_head(model, index, form)
    without = tfprune.remove_class(model, 2)
    assert kept_filters(without) == [0, 1, 2, 5, 7]
    without = tfprune.remove_class(without, 0)
    assert kept_filters(without) == [1, 2, 5, 7]
    close(outputs(without, images), outputs(model, images)[:, [1, 3]], 1e-5)
    last = tfprune.remove_class(without, 0)
    assert kept_filters(last) == [5, 7] and find_head(last)[1].class_filters() == [[0, 1]]
    close(outputs(last, images), outputs(model, images)[:, [3]], 1e-5)
    with pytest.raises(UserError, match="number=0: it is the only class of the model"):
        tfprune.remove_class(last, 0)


def test_kinds_of_heads_are_kept():
    model, images, index = made("normalised")
    for form, kind in (("gather", DecomposedHead), ("mask", MaskedHead)):
        head = find_head(tfprune.remove_class(tfprune.decompose_head(model, index, form), 1))[1]
        assert type(head) is kind and (head.units, head.name) == (2, "dense")
    masked = tfprune.masked_copy(model, 0.5)
    assert type(find_head(tfprune.remove_class(masked, 1))[1]) is layers.Dense


def test_probabilities_are_shared_among_those_left():
    for net in ("softmax", "followed"):
        model, images, index = made(net)
        model = tfprune.decompose_head(model, index)
        before, after = outputs(model, images), outputs(tfprune.remove_class(model, 3), images)
        close(after, before[:, :3] / before[:, :3].sum(axis=1, keepdims=True), 1e-5)


@pytest.mark.parametrize("kind", [".keras", ".h5", ""], ids=["keras", "h5", "savedmodel"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_saved_and_trained(kind, tmp_path):
    model, images, _ = made("normalised")
    smaller = tfprune.remove_class(tfprune.decompose_head(model, {0: [0, 1], 1: [1, 2], 2: [3, 2]}), 0)
    smaller.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    smaller.fit(images, np.arange(len(images)) % 2, verbose=0)
    smaller.save(tmp_path / f"net{kind}")
    loaded = keras.models.load_model(tmp_path / f"net{kind}")
    close(outputs(loaded, images), outputs(smaller, images))
    assert kept_filters(loaded) == [1, 2, 3]


def test_measures_take_it():
    model, images, index = made("residual")
    smaller = tfprune.remove_class(tfprune.decompose_head(model, {0: [0, 1], 1: [1, 2], 2: [3, 2]}), 0)
    labels = np.arange(len(images)) % 2
    assert tfprune.class_filters(smaller, images, labels, top=1).units == 3
    table = tfprune.robustness(smaller, images, labels, kinds=("knockout", "noise"), amounts=2, crosses=1)
    assert (table[table["amount"] == 0]["agreement"] == 1).all()
    again = tfprune.decompose_head(smaller, {0: [0], 1: [2]})
    assert kept_filters(again) == [1, 2, 3] and np.isfinite(outputs(again, images)).all()


@pytest.mark.parametrize("number", [-1, 3, 1.0, True, "1", None])
def test_no_such_class(number):
    with pytest.raises(UserError, match=f"number={number}: a class from 0 to 2 is accepted"):
        tfprune.remove_class(build("normalised"), number)


def test_no_head():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.LeakyReLU(name="leaky")])
    with pytest.raises(UserError, match="ends in leaky"):
        tfprune.remove_class(model, 0)
