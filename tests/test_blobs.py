"""Edge-popup on ten Gaussian blobs (facts 11.9): masked layers on their own, under Keras' fit, learn although no weight is trained."""
import math

import numpy as np
import pytest

import tfprune
from tfprune.keras import keras, tf

EPOCHS, RATE, DECAY = 20, 0.1, 1e-4


def blobs():
    """((examples, labels) to train on, the same to test with): 64 numbers each, standardised."""
    rng = np.random.RandomState(0)
    centres, labels = rng.randn(10, 64), rng.randint(0, 10, 6000)
    examples = centres[labels] + 2 * rng.randn(6000, 64)
    examples = ((examples - examples.mean(0)) / examples.std(0)).astype("float32")
    return (examples[:5000], labels[:5000]), (examples[5000:], labels[5000:])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_random_net_has_a_subnet_that_knows_ten_blobs(seed):
    keras.utils.set_random_seed(seed)
    layers = [tfprune.SubnetDense(units, keep=0.5, activation=activation) for units, activation in
              ((300, "relu"), (100, "relu"), (10, None))]
    model = keras.Sequential([keras.Input((64,)), *layers])
    model.add_loss(lambda: DECAY / 2 * tf.add_n([tf.reduce_sum(layer.scores**2) for layer in layers]))  # PyTorch's weight decay
    model.compile(keras.optimizers.SGD(RATE, 0.9), keras.losses.SparseCategoricalCrossentropy(from_logits=True), ["accuracy"])
    training, test = blobs()
    before = [layer.kernel.numpy() for layer in layers]
    assert model.evaluate(*test, batch_size=1000, verbose=0)[1] < .25
    cosine = keras.callbacks.LearningRateScheduler(lambda epoch: RATE * (1 + math.cos(math.pi * epoch / EPOCHS)) / 2)
    model.fit(*training, batch_size=128, epochs=EPOCHS, verbose=0, callbacks=[cosine])
    assert model.evaluate(*test, batch_size=1000, verbose=0)[1] > .94
    assert all(np.array_equal(layer.kernel, kernel) for layer, kernel in zip(layers, before, strict=True))
    assert [int(layer.kept) for layer in layers] == [9600, 15000, 500]
