"""Seconds to measure robustness, against the plain way: the whole net again for every kind, cross, layer and amount.

    python benchmarks/robustness.py                                          # random images, a net trained for a moment
    python benchmarks/robustness.py --data cifar-10-batches-py --weights alexnet.npz
    python benchmarks/robustness.py --quick

An Alexnet on 2,000 training and 1,000 test images, 3 kinds, 3 crosses, 7 amounts. Both ways are compiled, batched alike, get the same
masks and noise as inputs (the noise drawn once a batch and cross for both, though the original draws it in every pass), take turns batch
by batch, and must count the same agreeing and correct predictions. The limits count multiply-adds: what leaving out the prefix, amount
0, total ablation and ablated input channels allows, without and with sharing what "all layers" has in common with single ones.
"""
import argparse
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

KINDS, CROSSES, AMOUNTS, SEED = ("knockout", "noise", "targeted"), 3, 7, 0
TIES = 0.002  # share of the predictions that may differ: two classes whose logits are equal but for rounding


def main():
    """Prints seconds, their ratio, and the limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=float, default=0.25, help="width factor of the Alexnet")
    parser.add_argument("--train", type=int, default=2000, help="training images")
    parser.add_argument("--test", type=int, default=1000, help="test images")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--data", help="folder of CIFAR-10's python version; random images without")
    parser.add_argument("--weights", help=".npz with weight/<layer>/weights and weight/<layer>/biases; otherwise trained for a moment")
    parser.add_argument("--quick", action="store_true", help="three batches of each set")
    args = parser.parse_args()
    if args.quick:
        args.train = args.test = 3 * args.batch
    sets = load(args)
    model = net(args, *sets[0])
    ours, plain = both_ways(model, sets[0][0], args.batch)
    seconds = race({"ours": ours, "plain": plain}, sets, args.batch)
    report(seconds, ours, plain)


def load(args):
    """[(images, labels) of the training set, of the test set], prepared for the net."""
    import numpy as np

    from data import cifar10
    from experiments import REGISTRY
    from tfprune.input.preprocess import prepare

    experiment, sets = REGISTRY[2], []
    for count, files in ((args.train, cifar10.TRAIN), (args.test, (cifar10.TEST,))):
        if args.data:
            parts = [cifar10.read(pathlib.Path(args.data) / name) for name in files]
            images, labels = (np.concatenate(values)[:count] for values in zip(*parts, strict=True))
        else:
            generator = np.random.default_rng(SEED)
            images, labels = generator.integers(256, size=(count, 32, 32, 3), dtype=np.uint8), generator.integers(10, size=count)
        sets.append((prepare(images, experiment.dataset, experiment.hyper).numpy(), labels))
    return sets


def net(args, images, labels):
    """The Alexnet, with the given weights or after a moment of training."""
    import numpy as np

    import tfprune
    from experiments import REGISTRY
    from tfprune.keras import keras

    model = tfprune.build_model(tfprune.override(REGISTRY[2], [f"dnn.neuron_multiplier={args.width}"]))
    if args.weights:
        with np.load(args.weights) as values:
            for layer in filter(lambda layer: layer.weights, model.layers):
                layer.set_weights([values[f"weight/{layer.name}/{name}"] for name in ("weights", "biases")])
    else:
        model.compile(keras.optimizers.SGD(0.01, 0.9), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(images, labels, args.batch, epochs=1, verbose=0)
    return model


def both_ways(model, images, batch_size):
    """Our way and the plain one, on the same orders."""
    from benchmarks.plain import PlainLoop
    from tfprune.units.meter import Meter
    from tfprune.units.redundancy import redundancy
    from tfprune.units.robustness import orders_for

    correlations = [[layer.correlation for layer in redundancy(model, images[:512]).values()]] * CROSSES
    orders = orders_for(model, KINDS, CROSSES, SEED, correlations)
    return Meter(model, KINDS, orders, range(CROSSES), AMOUNTS, SEED, batch_size=batch_size), PlainLoop(
        model, KINDS, orders, CROSSES, AMOUNTS, SEED)


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
    total = {name: sum(values) for name, values in seconds.items()}
    ratio = statistics.median(p / o for o, p in zip(seconds["ours"], seconds["plain"], strict=True))
    layers, graph = len(ours.layers) - 1, ours.graph
    loop = len(KINDS) * multiply_adds.plain(graph, layers, AMOUNTS)
    print(f"ours {total['ours']:.1f} s, plain loop {total['plain']:.1f} s, ratio {total['plain'] / total['ours']:.2f} "
          f"(median over {len(seconds['ours'])} batches {ratio:.2f}); largest difference {difference:.3%} of the predictions")
    for share_all, words in ((False, '"all" run on its own'), (True, '"all" shared')):
        mine = multiply_adds.of_net(graph) / CROSSES + sum(
            multiply_adds.needed(graph, ours.passes[kind].family, ours.targets, AMOUNTS, kind != "noise", share_all) for kind in KINDS)
        print(f"multiply-adds of an image and cross: plain {loop / 1e6:.0f} M, {words} {mine / 1e6:.0f} M: limit {loop / mine:.2f}, "
              f"reached {ratio / (loop / mine):.0%}")


if __name__ == "__main__":
    main()
