"""Pruned copies: golden values of the original study, exact zeros in nets of every shape, one global ranking, and bad input."""
import math

import numpy as np
import pytest

import tfprune
from tests import small_nets
from tests.test_pruning_counts import A, T
from tfprune import UserError, magnitude_prune
from tfprune.keras import keras, tf
from tfprune.masks.layers import SubnetConv2D, SubnetDense
from tfprune.masks.selection import kept_count
from tfprune.models.multiply_adds import kernels
from tfprune.models.rebuild import walk
from tfprune.pruning.groups import unit_groups
from tfprune.pruning.magnitude import Pruner

layers = keras.layers


def chain(matrix, activation="relu"):
    """A hidden layer with this kernel and no bias, and an output layer of ones."""
    model = keras.Sequential([keras.Input((len(matrix),)), layers.Dense(matrix.shape[1], activation, use_bias=False, name="hidden"),
                              layers.Dense(2, use_bias=False, kernel_initializer="ones", name="output")])
    model.get_layer("hidden").kernel.assign(matrix)
    return model


def kernel(model, name="hidden"):
    return model.get_layer(name).kernel.numpy()


@pytest.mark.parametrize("fidelity", ["original", "corrected"])
def test_golden_values(fidelity):
    model = chain(A)
    for k, kept in ((0, A.size), (.25, 9), (.3, 9), (.75, 3), (.9, 2), (.99, 1)):
        left = kernel(magnitude_prune(model, k, fidelity=fidelity))
        assert np.count_nonzero(left) == kept and np.array_equal(left[left != 0], A[left != 0])
    for k, cut in ((.25, [2]), (.3, [2]), (.5, [1, 2]), (.75, [1, 2, 3]), (.9, [1, 2, 3]), (.99, [1, 2, 3])):
        copy = magnitude_prune(model, k, by="unit", fidelity=fidelity)
        assert np.array_equal(kernel(copy), np.where(np.isin(np.arange(4), cut), 0, A))
        assert np.array_equal(kernel(copy, "output"), np.ones([4, 2]))
    assert np.array_equal(kernel(model), A)


def test_ties():
    assert np.array_equal(kernel(magnitude_prune(chain(T), .25, fidelity="original")), T)
    assert np.array_equal(kernel(magnitude_prune(chain(T), .25)), [[1, 1, 0, 0], [2, 2, 2, 2]])
    assert np.array_equal(kernel(magnitude_prune(chain(T), .5, "unit")), [[1, 1, 0, 0], [2, 2, 0, 0]])


@pytest.mark.parametrize("name", small_nets.NETS)
def test_weights_of_every_net(name):
    """Every kernel but the last ones has exactly so many zeros, the smallest; all else is as it was."""
    model = small_nets.build(name)
    before, last = dict(walk(model)), dict(walk(model))[list(dict(walk(model)))[-1]]
    assert kernels(last)[1]
    for path, layer in walk(magnitude_prune(model, .6)):
        for weight, now in zip(before[path].weights, layer.weights, strict=True):
            old, new = weight.numpy(), now.numpy()
            gone = (old != 0) & (new == 0)
            if "kernel" in weight.name and before[path] is not last:
                assert np.count_nonzero(new == 0) == math.floor(.6 * new.size + 1e-9), path
                assert abs(old[gone]).max() < abs(new[new != 0]).min()
            assert np.array_equal(new[~gone], old[~gone]) and (not gone.any() or "kernel" in weight.name)


@pytest.mark.parametrize("name", small_nets.NETS)
def test_units_of_every_net(name):
    """Silenced units are exactly 0 wherever they are active, all others of the first layer as they were."""
    model = small_nets.build(name)
    pruner = Pruner(model, ("unit",))
    cut = pruner.prune("unit", .5)
    for group in pruner.ranked["unit"]:
        assert cut[group.units].sum() == len(group.units) // 2
    images, groups = small_nets.examples(model, 6), unit_groups(model)
    places = {groups.activity[path]: groups.produced[path] for group in pruner.ranked["unit"] for path in group.layers}
    found = tfprune.activations(pruner.model, images, layers=list(places))
    intact = tfprune.activations(model, images, layers=list(places))
    for place, units in places.items():
        assert not found[place][:, cut[units]].any(), place
    first = next(iter(places))
    assert np.allclose(found[first][:, ~cut[places[first]]], intact[first][:, ~cut[places[first]]], atol=1e-6)
    assert not cut[~np.isin(np.arange(len(cut)), np.concatenate([group.units for group in pruner.ranked["unit"]]))].any()


def test_all_is_pruned():
    model = small_nets.build("chain")
    for by in ("weight", "unit"):
        copy = magnitude_prune(model, 1, by)
        assert not any(kernel(copy, name).any() for name in ("conv1", "conv2", "fc3"))
        outputs = copy.predict(small_nets.examples(model, 4), verbose=0)
        assert np.allclose(outputs, outputs[0]) and np.isfinite(outputs).all()


def test_one_ranking_of_all_weights():
    model = small_nets.build("chain")
    hidden = ("conv1", "conv2", "fc3")
    copy = magnitude_prune(model, .7, scope="global", excluded=["conv2"])
    assert np.array_equal(kernel(copy, "conv2"), kernel(model, "conv2"))
    old, new = ({name: kernel(each, name).ravel() for name in hidden if name != "conv2"} for each in (model, copy))
    threshold = np.sort(abs(np.concatenate([*old.values()])))[math.floor(.7 * sum(map(len, old.values())))]
    for name, values in old.items():
        assert np.array_equal(new[name], np.where(abs(values) < threshold, 0, values))


def test_one_ranking_of_all_units():
    """Scores count against those of their layer: a layer of a hundred times the scale loses no fewer units."""
    model = small_nets.build("regression")
    shares = []
    for factor in (1, 100):
        model.get_layer("hidden1").kernel.assign(kernel(model, "hidden1") * factor)
        copy = magnitude_prune(model, .5, "unit", scope="global")
        dead = {name: ~kernel(copy, name).any(0) for name in ("hidden1", "hidden2")}
        shares.append({name: each.tolist() for name, each in dead.items()})
        norms = {name: np.linalg.norm(kernel(model, name), axis=0) for name in dead}
        scores = np.concatenate([each / np.linalg.norm(each) for each in norms.values()])
        assert np.array_equal(np.concatenate([*dead.values()]), scores < np.sort(scores)[7])
    assert shares[0] == shares[1]


def test_excluded_layers_and_what_lives_with_them():
    model = small_nets.build("residual")
    paths = [path for path, layer in walk(model) if kernels(layer)[1]]
    copy = magnitude_prune(model, .5, "unit", excluded=[paths[0]])
    assert np.array_equal(kernel(copy, paths[0]), kernel(model, paths[0]))
    together = next(group for group in unit_groups(model).groups if paths[0] in group.layers)
    assert len(together.layers) > 1
    for path in together.layers:  # a residual sum adds their units together
        assert np.array_equal(kernel(copy, path), kernel(model, path))
    nested = magnitude_prune(small_nets.build("nested"), .5, excluded=["inner/a"])
    zeros = {path: int(np.count_nonzero(layer.kernel == 0)) for path, layer in walk(nested) if layer.weights}
    assert [zeros.pop("shared"), zeros.pop("inner/a"), zeros.pop("inner/b"), *zeros.values()] == [18, 0, 15, 0]


def test_masked_layers_are_pruned_as_their_plain_twin():
    """What the masks hide is zero and goes first."""
    model = keras.Sequential([keras.Input((6, 6, 2)), SubnetConv2D(5, 3, keep=.3, name="conv"), layers.Flatten(),
                              SubnetDense(8, keep=.5, activation="relu", name="dense"), layers.Dense(3)])
    plain = tfprune.to_dense(model)
    for name, keep in (("conv", .3), ("dense", .5)):
        zeros = np.count_nonzero(kernel(plain, name) == 0)
        assert zeros == kernel(plain, name).size - kept_count(kernel(plain, name).size, keep)
    assert np.array_equal(kernel(magnitude_prune(model, .5), "dense"), kernel(plain, "dense"))
    assert np.count_nonzero(kernel(magnitude_prune(model, .9), "dense") == 0) == math.floor(.9 * kernel(plain, "dense").size)
    assert type(magnitude_prune(model, .5, "unit").get_layer("conv")) is layers.Conv2D


def test_separable_convolutions():
    model = keras.Sequential([keras.Input((7, 7, 4)), layers.SeparableConv2D(6, 3, name="both"), layers.Flatten(), layers.Dense(3)])
    both = magnitude_prune(model, .5).get_layer("both")
    assert np.count_nonzero(both.depthwise_kernel) == 18 and np.count_nonzero(both.pointwise_kernel) == 12


@pytest.mark.parametrize(("arguments", "message"), [
    ({"sparsity": 1.2}, "sparsity=1.2: the share that is removed is a number from 0 to 1"),
    ({"sparsity": math.nan}, "sparsity=nan"),
    ({"sparsity": 1, "fidelity": "original"}, "sparsity=1: the original's rule"),
    ({"by": "filter"}, "by=filter: expected weight or unit"),
    ({"criterion": "size"}, "criterion=size: expected one of magnitude"),
    ({"scope": "net"}, "scope=net: expected layer or global"),
    ({"criterion": "apoz", "by": "unit"}, "criterion=apoz: .*images"),
    ({"criterion": "apoz"}, "criterion=apoz: ranks units"),
    ({"excluded": ["hiden"]}, "excluded: no layer hiden has weights to prune; there are hidden, output"),
    ({"excluded": ["hidden"]}, "by=weight: there is nothing to prune"),
    ({"excluded": ["hidden"], "by": "unit"}, "by=unit: there is nothing to prune"),
])
def test_bad_input(arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        magnitude_prune(chain(A), **{"sparsity": .5} | arguments)
    assert "\n" not in str(caught.value)


def test_models_that_cannot_be_pruned():
    with pytest.raises(UserError, match="by=weight: there is nothing to prune in 'single'"):
        magnitude_prune(keras.Sequential([keras.Input((3,)), layers.Dense(2)], "single"), .5)
    mixed = keras.Sequential([keras.Input((3,)), layers.Dense(4, name="fc"), layers.LayerNormalization(name="norm"), layers.Dense(2)])
    with pytest.raises(UserError, match=r"by=unit: there is nothing to prune in .*; norm \(LayerNormalization\)"):
        magnitude_prune(mixed, .5, "unit")
    assert np.count_nonzero(kernel(magnitude_prune(mixed, .5), "fc")) == 6

    class Subclassed(keras.Model):
        def call(self, inputs):
            return tf.identity(inputs)

    with pytest.raises(UserError, match="no graph of layers"):
        magnitude_prune(Subclassed(), .5)
