"""Averages of batch normalisation found anew, against NumPy, layer by layer."""
import numpy as np
import pytest

import tfprune
from tests.small_nets import build, examples
from tfprune.keras import keras, tf
from tfprune.layers.normalisation import TorchBatchNormalization
from tfprune.pruning import renormalise as module
from tfprune.pruning.renormalise import Renormaliser, renormalise

layers = keras.layers


def stack():
    """Normalisations one after another, in branches that meet, and of vectors; one has no scale, one is PyTorch's."""
    images = keras.Input((6, 6, 2))
    x = layers.ReLU()(layers.BatchNormalization(name="bn1")(layers.Conv2D(4, 3, padding="same")(images)))
    y = layers.BatchNormalization(scale=False, name="bn2")(layers.Conv2D(4, 3, padding="same")(x))
    x = layers.Add()([TorchBatchNormalization(name="bn3")(layers.Conv2D(4, 1)(images)), y, x])
    x = layers.Flatten()(layers.ReLU()(x))
    x = layers.ReLU()(layers.BatchNormalization(name="bn4")(layers.Dense(5)(x)))
    x = TorchBatchNormalization(name="bn5")(layers.Dense(5)(x))
    return keras.Model(images, layers.Dense(3)(x))


def inner():
    """Normalisations inside nested models."""
    part = keras.Sequential([layers.Dense(4), layers.BatchNormalization(name="bn")], name="part")
    rows = keras.Input((5,))
    return keras.Model(rows, layers.Dense(2)(layers.BatchNormalization(name="last")(part(rows))))


def normalisations(model):
    found = [layer for layer in model.submodules if isinstance(layer, layers.BatchNormalization)]
    return sorted({id(layer): layer for layer in found}.values(), key=lambda layer: layer.name)


def averages(model):
    return {layer.name: (layer.moving_mean.numpy(), layer.moving_variance.numpy()) for layer in normalisations(model)}


def by_hand(model, images):
    """In the order of the names: what goes into each, by a model of Keras' own, once those before are done."""
    for layer in normalisations(model):
        values = keras.Model(model.inputs, layer.input).predict(images, verbose=0).astype(np.float64)
        rows = values.reshape(-1, values.shape[-1])
        layer.moving_mean.assign(rows.mean(axis=0))
        layer.moving_variance.assign(rows.var(axis=0, ddof=int(layer.fused)))
    return averages(model)


def equal(found, expected, rtol=2e-5):
    for name, values in expected.items():
        for ours, theirs in zip(found[name], values, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("batch_size", [7, 64])
@pytest.mark.parametrize("memory", [0, 2**30])
def test_equals_numpy(batch_size, memory, monkeypatch):
    monkeypatch.setattr(module, "MEMORY", memory)  # 0: nothing is held, every level starts from the images
    model = build(stack)
    images, weights = examples(model, 50), model.get_weights()
    expected = by_hand(model, images)
    model.set_weights(weights)
    before = {variable.name: variable.numpy() for variable in model.trainable_weights}
    assert renormalise(model, images, batch_size) is model
    equal(averages(model), expected)
    for variable in model.trainable_weights:
        np.testing.assert_array_equal(variable, before[variable.name])


def test_the_order_matters():
    """What later layers see comes from the renewed earlier ones: not what one pass with the old averages would find."""
    model = build(stack)
    images = examples(model, 50)
    stale = keras.Model(model.inputs, model.get_layer("bn4").input).predict(images, verbose=0).mean(axis=0)
    renormalise(model, images)
    assert np.abs(model.get_layer("bn4").moving_mean - stale).max() > 0.1
    again = averages(model)
    equal(averages(renormalise(model, images)), again)


def test_normalised_outputs():
    model = build(stack)
    images = examples(model, 60)
    renormalise(model, images)
    layer = model.get_layer("bn4")
    values = (keras.Model(model.inputs, layer.output).predict(images, verbose=0) - layer.beta) / layer.gamma
    np.testing.assert_allclose(values.numpy().mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(values.numpy().std(axis=0), 1, atol=0.02)  # but for epsilon


def test_nested_and_datasets():
    model = build(inner)
    images, weights = examples(model, 30), model.get_weights()
    expected = averages(renormalise(model, images))
    part = model.get_layer("part")
    rows = images @ part.layers[0].kernel.numpy() + part.layers[0].bias.numpy()
    np.testing.assert_allclose(expected["bn"][0], rows.mean(axis=0), atol=1e-5)
    for dataset in (tf.data.Dataset.from_tensor_slices(images), tf.data.Dataset.from_tensor_slices((images, np.zeros(30))).batch(4)):
        model.set_weights(weights)
        equal(averages(renormalise(model, dataset)), expected)


def test_it_follows_the_weights():
    """Compiled once, used after every pruning: silent channels get the averages of silence."""
    model = build(stack)
    images, renew = examples(model, 40), Renormaliser(model)
    renew(images)
    kernel = model.get_layer("bn1").input.node.layer.kernel
    kernel.assign(kernel * [0, 1, 0, 1])
    renew(images)
    assert all(section.experimental_get_tracing_count() == 1 for section in renew.sections)
    bias = model.get_layer("bn1").input.node.layer.bias.numpy()
    np.testing.assert_allclose(model.get_layer("bn1").moving_mean[0], bias[0], rtol=1e-6)
    np.testing.assert_allclose(model.get_layer("bn1").moving_variance.numpy()[[0, 2]], 0, atol=1e-9)
    assert np.isfinite(model.predict(images, verbose=0)).all()


def test_what_does_not_fit():
    model = build("chain")  # without normalisation
    before = model.get_weights()
    assert all(map(np.array_equal, before, renormalise(model, examples(model, 5)).get_weights()))
    model = build(stack)
    with pytest.raises(tfprune.UserError, match="images: there are none"):
        renormalise(model, examples(model, 0))
    with pytest.raises(tfprune.UserError, match="does not fit the net"):
        renormalise(model, np.zeros((4, 5, 5, 2), "float32"))
    shared = layers.BatchNormalization(name="twice")
    rows = keras.Input((3,))
    with pytest.raises(tfprune.UserError, match="twice is called again behind itself"):
        renormalise(keras.Model(rows, shared(shared(rows))), np.zeros((4, 3), "float32"))
