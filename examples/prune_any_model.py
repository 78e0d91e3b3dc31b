"""A Keras model of your own: how far can it be pruned, and what is gained by taking out what was pruned?

    python examples/prune_any_model.py                      trains a small net on scikit-learn's 1,797 digits and prunes it; half a minute
    python examples/prune_any_model.py --sparsity=0.7       takes out 70 % of its units
    python examples/prune_any_model.py --criterion=apoz     those that are 0 most often, in place of those with the smallest weights

Any Functional or Sequential model will do whose layers are Keras' own: put yours, and your data, in the place of `build` and `load`.
"""
import pathlib
import sys

import numpy as np
import pandas as pd

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the checkout

from tfprune import UserError, flags, magnitude_prune, pruning_sweep, shrink  # noqa: E402
from tfprune.keras import keras  # noqa: E402
from tfprune.pruning.costs import costs_of, latencies  # noqa: E402
from tfprune.pruning.renormalise import renormalise  # noqa: E402
from tfprune.settings import CRITERIA  # noqa: E402

BATCH = 64
SPARSITIES = (0, 0.25, 0.5, 0.75, 0.9, 0.95)


def build():
    """A convolutional net from images [batch, 8, 8, 1] to ten logits, with a residual sum: what is added together is pruned together."""
    def block(x, filters):
        x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x))

    images = keras.Input((8, 8, 1))
    first = block(images, 64)
    x = keras.layers.Add()([first, block(block(first, 64), 64)])
    x = block(keras.layers.MaxPooling2D()(x), 128)
    x = keras.layers.Dense(128, "relu")(keras.layers.Flatten()(x))
    return keras.Model(images, keras.layers.Dense(10)(x))


def load():
    """((images, labels) to train on, (images, labels) to test with): three quarters and a quarter of the digits, in random order."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images, labels = (digits.images[order, ..., None] / 16).astype("float32"), digits.target[order]
    count = len(labels) * 3 // 4
    return (images[:count], labels[:count]), (images[count:], labels[count:])


def train(model, train_set, epochs, rate=1e-3):
    """Trains by Adam."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    model.fit(*train_set, BATCH, epochs, verbose=0)


def accuracy(model, images, labels):
    """Percentage of images whose largest logit is that of their class."""
    return 100 * float((model.predict(images, 500, verbose=0).argmax(axis=1) == labels).mean())


def costs(nets):
    """What nets cost, a row each: weights, how many of them are not 0, multiply-adds of an image, milliseconds for one image and for 64."""
    table = pd.DataFrame({name: costs_of(net) for name, net in nets.items()}).T
    for batch in (1, 64):
        table[f"ms for {batch}"] = [1000 * seconds for seconds in latencies(list(nets.values()), batch)]
    return table.drop(columns="bytes")


def main(sparsity=0.5, criterion="magnitude", epochs=8, seed=0):
    """Trains a net, prunes it at several sparsities, and makes a smaller one; returns (accuracies by name, the table of costs)."""
    if epochs < 1 or not 0 <= seed < 2**32:
        raise UserError(f"--epochs={epochs} --seed={seed}: whole numbers are expected, from 1 and from 0")
    keras.utils.set_random_seed(seed)
    train_set, test_set = load()
    images, labels = train_set
    dense = build()
    train(dense, train_set, epochs)

    # Every sparsity from the dense net, and nothing is trained on; but what normalisations remember of their inputs is found anew.
    sweep = pruning_sweep(dense, *test_set, SPARSITIES, renormalised=True, training_images=images)
    print("accuracy [%] by the share of weights, or of units, that is pruned; before that, with the dense net's averages:")
    wide = 100 * sweep.pivot(index="sparsity", columns="by", values=["accuracy", "accuracy_before"])
    print(wide.rename(columns={"accuracy_before": "before"}).rename_axis(columns=[None, None]).to_string(float_format="{:.1f}".format))

    # A pruned copy has the shapes of the dense net, with zeros in it; `shrink` makes one without them that computes the same.
    pruned = magnitude_prune(dense, sparsity, by="unit", criterion=criterion, images=images, labels=labels)
    smaller = shrink(pruned)
    difference = np.abs(smaller.predict(test_set[0], verbose=0) - pruned.predict(test_set[0], verbose=0)).max()
    print(f"\nthe outputs of the smaller net are those of the pruned one to {difference:.1g}")
    result = {"dense": accuracy(dense, *test_set), f"without {sparsity:.0%} of its units": accuracy(smaller, *test_set)}
    result["averages found anew"] = accuracy(renormalise(smaller, images), *test_set)
    train(smaller, train_set, max(1, epochs // 4), 5e-4)  # a little training brings back what was lost
    result["trained on"] = accuracy(smaller, *test_set)
    print("\n" + "\n".join(f"{name}: {share:.1f} % of the test images right" for name, share in result.items()))

    table = costs({"dense": dense, "pruned": pruned, "smaller": smaller})  # zeros alone save no time
    print("\n" + table.to_string(float_format="{:.2f}".format))
    return result, table


if __name__ == "__main__":
    parser = flags.Parser(__doc__)
    parser.add_argument("--sparsity", type=float, default=0.5, help="share of the units that is taken out (default: %(default)s)")
    parser.add_argument("--criterion", default="magnitude", help=f"{', '.join(CRITERIA)} (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of weights and order (default: %(default)s)")
    with flags.in_one_line():
        main(**vars(parser.parse_args()))
