"""A net that learns MNIST although none of its weights is ever trained: only which of them are kept is (edge-popup).

    python examples/supermask_mnist.py --data_dir=datasets      MNIST's four idx files (.gz too) in datasets/mnist

The net and the recipe of allenai/hidden-networks' one-file example (Ramanujan et al. 2020, "What's hidden in a randomly weighted neural
network?"). Measured on 14,262 training and all 10,000 test images: 98.1 % right.
"""
import math
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # the checkout, for `data`

from data.mnist import MNIST  # noqa: E402
from tfprune import SubnetConv2D, SubnetDense, UserError, density_report, flags  # noqa: E402
from tfprune.datasets import DATASETS  # noqa: E402
from tfprune.keras import keras, tf  # noqa: E402
from tfprune.masks.initial import KernelInit, ScoreInit  # noqa: E402

RATE, MOMENTUM, DECAY, BATCH = 0.1, 0.9, 5e-4, 64


def build(keep, seed):
    """The net: images [batch, 28, 28, 1] to logits [batch, 10]; its 1,199,648 weights are random, and trained are the scores."""
    seeds = iter(range(1000 * seed, 1000 * seed + 4))

    def masked(kind, *shape):
        own = next(seeds)
        return kind(*shape, keep=keep, kernel_initializer=KernelInit("kaiming_normal", seed=own), scores_initializer=ScoreInit(seed=own))

    return keras.Sequential([
        keras.Input((28, 28, 1)),
        masked(SubnetConv2D, 32, 3), keras.layers.ReLU(),
        masked(SubnetConv2D, 64, 3), keras.layers.MaxPooling2D(2), keras.layers.SpatialDropout2D(0.25),
        keras.layers.Flatten(),
        masked(SubnetDense, 128), keras.layers.ReLU(), keras.layers.Dropout(0.5),
        masked(SubnetDense, 10)])


def load(data_dir, limit):
    """((images, labels) to train on, (images, labels) to test with), normalised; of the first `limit` and a fifth as many, if not 0."""
    paths = MNIST.paths(data_dir)
    if paths is None:
        raise UserError(f"--data_dir={data_dir}: no MNIST there; {MNIST.advice(data_dir)}")
    arrays, mnist = MNIST.read(paths), DATASETS["mnist"]
    sets = [(arrays.train_images, arrays.train_labels, limit), (arrays.test_images, arrays.test_labels, limit // 5)]
    return [(((images[:n or None] / 255 - mnist.mean) / mnist.deviation).astype("float32"), labels[:n or None])
            for images, labels, n in sets]


def train(model, train_set, test_set, epochs):
    """Trains the scores, with a line an epoch."""
    scores = [layer.scores for layer in model.layers if hasattr(layer, "scores")]
    model.add_loss(lambda: DECAY / 2 * tf.add_n([tf.reduce_sum(s**2) for s in scores]))  # PyTorch's weight decay: in the gradient
    model.compile(keras.optimizers.SGD(RATE, MOMENTUM), keras.losses.SparseCategoricalCrossentropy(from_logits=True), ["accuracy"])
    cosine = keras.callbacks.LearningRateScheduler(lambda epoch: RATE * (1 + math.cos(math.pi * epoch / epochs)) / 2)
    report = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print(
        f"epoch {epoch + 1} of {epochs}: test accuracy {logs['val_accuracy']:.2%}", flush=True))
    model.fit(*train_set, BATCH, epochs, verbose=0, callbacks=[cosine, report], validation_data=test_set, validation_batch_size=1000)


def main(keep=0.5, epochs=14, seed=1, data_dir="datasets", limit=0):
    """Trains, and shows that no weight has moved; returns the trained model."""
    for name, value, least in (("epochs", epochs, 1), ("seed", seed, 0), ("limit", limit, 0)):
        if not least <= value < 2**32:
            raise UserError(f"--{name}={value}: expected a whole number from {least} to {2**32 - 1}")
    keras.utils.set_random_seed(seed)
    train_set, test_set = load(data_dir, limit)
    model = build(keep, seed)
    before = [layer.kernel.numpy() for layer in model.layers if hasattr(layer, "scores")]
    started = time.monotonic()
    train(model, train_set, test_set, epochs)
    print(f"{epochs} epochs of {len(train_set[1])} images in {time.monotonic() - started:.0f} s")
    after = [layer.kernel.numpy() for layer in model.layers if hasattr(layer, "scores")]
    if any(one.tobytes() != other.tobytes() for one, other in zip(before, after, strict=True)):
        raise AssertionError("a weight has moved, which must never happen")
    print(density_report(model).to_string(index=False))
    print(f"all {sum(kernel.size for kernel in after)} weights are, bit for bit, as they were drawn")
    return model


if __name__ == "__main__":
    parser = flags.Parser(__doc__)
    parser.add_argument("--keep", type=float, default=0.5, help="share of each layer's weights that is kept (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=14, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of weights, scores and order (default: %(default)s)")
    parser.add_argument("--data_dir", default="datasets", help="folder that has mnist/ (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=0, help="train on the first so many images, test on a fifth as many (default: all)")
    with flags.in_one_line():
        main(**vars(parser.parse_args()))
