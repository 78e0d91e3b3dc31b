"""A Keras model of your own: which filters of its last block serve which class, and is a class head of five filters enough?

    python examples/class_filters.py                trains a small net on scikit-learn's 1,797 digits and takes it apart; 20 seconds
    python examples/class_filters.py --top=3        with three filters a class

Any Functional or Sequential model will do that ends in a dense layer of class scores: put yours, and your data, in the place of `build` and
`load`. After "Decomposing the Deep" (A. Badola and colleagues, 2023).
"""
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the checkout

from tfprune import UserError, class_filters, decompose_head, flags, remove_class  # noqa: E402
from tfprune.filters.costs import head_costs  # noqa: E402
from tfprune.filters.curve import accuracy_curve, by_top  # noqa: E402
from tfprune.filters.indices import counts_by_top  # noqa: E402
from tfprune.filters.rankings import some_tops  # noqa: E402
from tfprune.keras import keras  # noqa: E402

BATCH = 64


def build():
    """A convolutional net from images [batch, 8, 8, 1] to ten logits; its last block has 48 filters."""
    def block(filters):
        return [keras.layers.Conv2D(filters, 3, padding="same", use_bias=False), keras.layers.BatchNormalization(momentum=0.9),
                keras.layers.ReLU()]

    return keras.Sequential([keras.Input((8, 8, 1)), *block(24), *block(24), keras.layers.MaxPooling2D(), *block(48),
                             keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10)])


def load():
    """((images, labels) to train on, (images, labels) to test with): three quarters and a quarter of the digits, in random order."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    images, labels = (digits.images[order, ..., None] / 16).astype("float32"), digits.target[order]
    count = len(labels) * 3 // 4
    return (images[:count], labels[:count]), (images[count:], labels[count:])


def train(model, train_set, epochs, rate=3e-3):
    """Trains by Adam."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss)
    model.fit(*train_set, BATCH, epochs, verbose=0)


def accuracy(model, images, labels):
    """Share of images whose largest logit is that of their class."""
    return float((model.predict(images, 500, verbose=0).argmax(axis=1) == labels).mean())


def main(top=5, epochs=12, seed=0):
    """Trains a net, decomposes it, trains it on, and takes a class out; returns the accuracies on the test set by name."""
    if epochs < 1 or not 0 <= seed < 2**32:
        raise UserError(f"--epochs={epochs} --seed={seed}: whole numbers are expected, from 1 and from 0")
    keras.utils.set_random_seed(seed)
    train_set, test_set = load()
    dense = build()
    train(dense, train_set, epochs)
    found = class_filters(dense, *train_set, top=top)
    print("\n".join(f"class {number}: filters {' '.join(map(str, own))}" for number, own in found.items()))

    decomposed = decompose_head(dense, found)
    result = {"all filters": accuracy(dense, *test_set), f"{top} filters a class": accuracy(decomposed, *test_set)}
    train(decomposed, train_set, max(1, epochs // 10), rate=1e-3)
    result["trained on"] = accuracy(decomposed, *test_set)

    images, labels = test_set
    without, others = remove_class(decomposed, 9), labels != 9  # the other nine logits are the same as before
    result["without class 9"] = accuracy(without, images[others], labels[others])
    print("\n" + "\n".join(f"{name}: {share:.1%} of the test images right" for name, share in result.items()))

    print("\n" + head_costs(dense, {"decomposed": found}).to_string(index=False, float_format="{:.3g}".format))
    tops = some_tops(found.units)
    curve = accuracy_curve(dense, counts_by_top(dense, *train_set, tops), *test_set)
    print("\naccuracy [%] with the k filters of a class that count most, without training on:")
    print(by_top(curve).to_string(index=False, float_format="{:.1f}".format))
    return result


if __name__ == "__main__":
    parser = flags.Parser(__doc__)
    parser.add_argument("--top", type=int, default=5, help="filters a class (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=12, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of weights and order (default: %(default)s)")
    with flags.in_one_line():
        main(**vars(parser.parse_args()))
