"""Seconds to measure robustness, against the plain way: the whole net again for every kind, cross, layer and amount.

    python benchmarks/robustness.py                                          # random images, a net trained for a moment
    python benchmarks/robustness.py --data cifar-10-batches-py --weights alexnet.npz
    python benchmarks/robustness.py --quick

An Alexnet on 2,000 training and 1,000 test images, 3 kinds, 3 crosses, 7 amounts. Both ways are compiled, batched alike, get the same
masks and noise as inputs (the noise drawn once a batch and cross for both, though the original draws it in every pass), are checked to
agree, and take turns batch by batch. The limits count multiply-adds: what leaving out the prefix, amount 0, total ablation and ablated
input channels allows, without and with sharing what "all layers" has in common with single ones.
"""
import argparse
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

KINDS, CROSSES, AMOUNTS = ("knockout", "noise", "targeted"), 3, 7


def main():
    """Prints seconds, their ratio, and the limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=float, default=0.25, help="width factor of the Alexnet")
    parser.add_argument("--train", type=int, default=2000, help="training images")
    parser.add_argument("--test", type=int, default=1000, help="test images")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--data", help="folder of CIFAR-10's python version; random images without")
    parser.add_argument("--weights", help=".npz with weight/<layer>/weights and weight/<layer>/biases; otherwise trained for a moment")
    parser.add_argument("--quick", action="store_true", help="one batch of each set")
    args = parser.parse_args()
    if args.quick:
        args.train = args.test = args.batch
    compare(args)


def compare(args):
    """Measures both sets in both ways, which take turns; the first batch, done before, is for compiling and checking."""
    sets = load(args)
    model = net(args, *sets[0])
    ways = make_ways(model, args, sets[0][0])
    check({name: fed(way, [sets[0]], args.batch) for name, way in ways.items()}, ways)
    ways = {name: way.fresh() if hasattr(way, "fresh") else way for name, way in ways.items()}
    times = {name: [] for name in ways}
    for images, labels in sets:
        for start in range(0, len(images), args.batch):
            for name, way in ways.items():
                started = time.perf_counter()
                way.add(images[start:start + args.batch], labels[start:start + args.batch])
                times[name].append(time.perf_counter() - started)
