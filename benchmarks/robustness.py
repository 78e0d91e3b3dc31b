"""Seconds to measure robustness, against the plain way: the whole net again for every kind, cross, layer and amount.

    python benchmarks/robustness.py                                          # random images, a net trained for a moment
    python benchmarks/robustness.py --data cifar-10-batches-py --weights alexnet.npz
    python benchmarks/robustness.py --quick
    python benchmarks/robustness.py --experiment_id=217 --train=0 --test=512 --width=1    # ResNet-56; without --width a quarter
    python benchmarks/robustness.py --experiment_id=4000 --train=0 --test=64 --batch=32 --crosses=1    # ResNet-18, 224 pixels

The net of an experiment (an Alexnet) on 2,000 training and 1,000 test images, 3 kinds, 3 crosses, 7 amounts. Both ways are compiled,
batched alike, get the same masks and noise as inputs (the noise drawn once a batch and cross for both, though the original draws it in
every pass), take turns batch by batch, and must count the same agreeing and correct predictions. The limits count multiply-adds: what
leaving out the prefix, amount 0, total ablation and ablated input channels allows, without and with sharing what "all layers" has in
common with single ones.
"""
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfprune import flags  # noqa: E402

KINDS, AMOUNTS, SEED = ("knockout", "noise", "targeted"), 7, 0
TIES = 0.002  # share of the predictions that may differ: two classes whose logits are equal but for rounding


def main():
    """Prints seconds, their ratio, and the limits."""
    parser = flags.Parser(__doc__)
    parser.add_argument("--experiment_id", type=int, default=2, help="whose net: 2 (Alexnet), 217 (ResNet-56), 4000 (ResNet-18), ..")
    parser.add_argument("--width", type=float, help="width factor in place of the experiment's")
    parser.add_argument("--train", type=int, default=2000, help="training images")
    parser.add_argument("--test", type=int, default=1000, help="test images")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--crosses", type=int, default=3)
    parser.add_argument("--data", help="folder of CIFAR-10's python version; random images without")
    parser.add_argument("--weights", help=".npz with weight/<layer>/weights and weight/<layer>/biases; otherwise trained for a moment")
    parser.add_argument("--quick", action="store_true", help="three batches of each set")
    args = parser.parse_args()
    if args.quick:
        args.train = args.test = 3 * args.batch
    experiment = chosen(args)
    sets = load(args, experiment)
    model = net(args, experiment, *sets[0])
    ours, plain = both_ways(model, sets[0][0], args)
    seconds = race({"ours": ours, "plain": plain}, sets, args.batch)
    report(seconds, ours, plain)


def chosen(args):
    """The experiment, in the width asked for."""
    import tfprune
    from experiments import REGISTRY

    width = [] if args.width is None else [f"dnn.neuron_multiplier={args.width}"]
    return tfprune.override(REGISTRY[args.experiment_id], width)


def load(args, experiment):
    """[(images, labels) of each set that is not empty: training set, test set], prepared for the net."""
    import numpy as np

    from data.cifar import CIFAR10
    from tfprune.input.preprocess import prepare

    if experiment.dataset.name == "imagenet":
        return smooth_images(args, experiment.hyper.image_size)
    sets = []
    for count, files in ((args.train, CIFAR10.files[:-1]), (args.test, CIFAR10.files[-1:])):
        if not count:
            continue
        if args.data:
            parts = [CIFAR10.batch(pathlib.Path(args.data) / name) for name in files]
            images, labels = (np.concatenate(values)[:count] for values in zip(*parts, strict=True))
        else:
            generator = np.random.default_rng(SEED)
            images, labels = generator.integers(256, size=(count, 32, 32, 3), dtype=np.uint8), generator.integers(10, size=count)
        sets.append((prepare(images, experiment.dataset, experiment.hyper).numpy(), labels))
    return sets


def smooth_images(args, side):
    """The same of random images [side, side, 3] that differ in their large features, as photographs do, with labels of ImageNet."""
    import numpy as np

    from tfprune.keras import tf

    generator = np.random.default_rng(SEED)
    counts = [count for count in (args.train, args.test) if count]
    return [(tf.image.resize(100 * generator.standard_normal((count, 4, 4, 3), "float32"), [side, side]).numpy(),
             generator.integers(1, 1001, size=count)) for count in counts]


def net(args, experiment, images, labels):
    """The net, with the given weights or after a moment of training."""
    import numpy as np

    import tfprune
    from tfprune.keras import keras

    model = tfprune.build_model(experiment)
    if args.weights:
        with np.load(args.weights) as values:
            for layer in filter(lambda layer: layer.weights, model.layers):
                layer.set_weights([values[f"weight/{layer.name}/{name}"] for name in ("weights", "biases")])
    else:
        for layer in model.layers:
            layer.momentum = 0.0  # of normalisations: a moment is too short for moving averages
        model.compile(keras.optimizers.SGD(0.01, 0.9), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(images[:1000], labels[:1000], args.batch, epochs=1, verbose=0)
    return model


def both_ways(model, images, args):
    """Our way and the plain one, on the same orders."""
    from benchmarks.plain import PlainLoop
    from tfprune.units.meter import Meter
    from tfprune.units.redundancy import redundancy
    from tfprune.units.robustness import orders_for

    correlations = [[layer.correlation for layer in redundancy(model, images[:512]).values()]] * args.crosses
    orders = orders_for(model, KINDS, args.crosses, SEED, correlations)
    return Meter(model, KINDS, orders, range(args.crosses), AMOUNTS, SEED, batch_size=args.batch), PlainLoop(
        model, KINDS, orders, args.crosses, AMOUNTS, SEED)


def race(ways, sets, batch_size):
    """{way: seconds of each batch}; the ways take turns, and a first batch, not counted, is for compiling."""
    batches = [(images[i:i + batch_size], labels[i:i + batch_size]) for images, labels in sets for i in range(0, len(images), batch_size)]
    seconds = {name: [] for name in ways}
    for number, batch in enumerate([batches[0], *batches]):
        for name, way in ways.items():
            started = time.perf_counter()
            way.add(*batch)
            seconds[name] += [time.perf_counter() - started] if number else []
    return seconds


def report(seconds, ours, plain):
    """Prints the figures, after checking that both ways count the same."""
    import numpy as np

    from benchmarks import multiply_adds

    difference = max(np.abs(np.roll(ours.sums[kind], -1, axis=1) - plain.sums[kind]).max() for kind in KINDS) / plain.examples
    if difference > TIES:
        raise SystemExit(f"the two ways differ by {difference:.2%} of the predictions")
    agreement = np.mean([plain.sums[kind][..., 0] for kind in KINDS]) / plain.examples
    total = {name: sum(values) for name, values in seconds.items()}
    ratio = statistics.median(p / o for o, p in zip(seconds["ours"], seconds["plain"], strict=True))
    print(f"ours {total['ours']:.1f} s, plain loop {total['plain']:.1f} s, ratio {total['plain'] / total['ours']:.2f} "
          f"(median over {len(seconds['ours'])} batches {ratio:.2f}); largest difference {difference:.3%} of the predictions, "
          f"of which {agreement:.0%} agree with the intact net's")
    for share_all, words in ((False, '"all" run on its own'), (True, '"all" shared')):
        limit = multiply_adds.limit(ours, share_all)
        print(f"multiply-adds of an image and cross: plain {multiply_adds.of_loop(ours) / 1e6:.0f} M, {words} "
              f"{multiply_adds.of_meter(ours, share_all) / 1e6:.0f} M: limit {limit:.2f}, reached {ratio / limit:.0%}")


if __name__ == "__main__":
    with flags.in_one_line():
        main()
