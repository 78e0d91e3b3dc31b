"""What taking units out gains: weights, multiply-adds, file size and latency of nets before and after, on the machine that runs it.

    python benchmarks/shrink.py
    python benchmarks/shrink.py --nets=4:0.5,7007:0.5

A net is an experiment's, not trained (how long it takes does not depend on that; scales, shifts and averages of normalisations are random,
so that equality means something), and the share of each group's units that go, those with the smallest L2 norms. First the outputs of
the smaller net are compared with those of the masked one, on random images; then all are timed in turn. Latencies are medians.
"""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfprune import flags  # noqa: E402

FLAGS = flags.FLAGS
BATCHES = (1, 64)
NET = re.compile(r"\d{1,9}:(0?\.\d+|0|1)")


def main(_):
    """Prints a table, two lines a net: what it costs, and what the smaller one costs."""
    from experiments import REGISTRY

    if wrong := [text for text in FLAGS.nets if not NET.fullmatch(text)]:
        raise flags.UserError(f"--nets={wrong[0]}: expected an experiment's ID and a share, such as 8000:0.7")
    print(f"{'net':28} {'weights':>11} {'MACs':>13} {'kB':>9}" + "".join(f" {f'ms ({batch})':>9}" for batch in BATCHES))
    for number, share in [text.split(":") for text in FLAGS.nets]:
        compare(REGISTRY[int(number)], float(share))


def compare(experiment, share):
    """Builds, masks, cuts, checks and measures one net."""
    from tfprune import magnitude_prune, shrink
    from tfprune.models import build_model
    from tfprune.pruning.costs import costs_of, latencies

    model = build_model(experiment)
    randomise(model)
    masked = magnitude_prune(model, share, by="unit")
    smaller = shrink(masked)
    difference = largest_difference(masked, smaller)
    name = f"{experiment.dnn.name} ({experiment.id}), {100 * share:g} %"
    before, after = costs_of(masked), costs_of(smaller)
    times = [latencies([masked, smaller], batch) for batch in BATCHES]
    for title, costs, own in ((name, before, 0), ("  cut", after, 1)):
        print(f"{title:28} {costs['parameters']:11,} {costs['multiply_adds']:13,} {costs['bytes'] / 1e3:9,.0f}"
              + "".join(f" {1e3 * pair[own]:9.2f}" for pair in times))
    print("  times fewer, or faster     " + "".join(
        f"{before[key] / after[key]:{width}.2f} " for key, width in (("parameters", 11), ("multiply_adds", 13), ("bytes", 9)))
          + " ".join(f"{pair[0] / pair[1]:9.2f}" for pair in times) + f"   outputs differ by {difference:.1e}", flush=True)


def randomise(model):
    """Draws the scales, shifts and averages of all normalisations."""
    import numpy as np

    from tfprune.pruning.passing_rules import NORMALISATIONS

    generator = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, NORMALISATIONS):
            for variable in layer.weights:
                low, high = (-0.2, 0.2) if "beta" in variable.name or "mean" in variable.name else (0.7, 1.3)
                variable.assign(generator.uniform(low, high, variable.shape))


def largest_difference(masked, smaller, count=16):
    """Between two nets' outputs for random images, as a share of the largest output; the benchmark ends where it is not below 1e-5."""
    import numpy as np

    images = np.random.default_rng(1).normal(size=[count, *masked.input_shape[1:]]).astype("float32")
    expected = masked(images).numpy()
    difference = np.abs(smaller(images).numpy() - expected).max() / np.abs(expected).max()
    if not difference < 1e-5:
        raise SystemExit(f"{masked.name}: the smaller net's outputs differ from the masked one's, by {difference:.1e} of the largest")
    return difference


if __name__ == "__main__":
    flags.flags.DEFINE_list("nets", ["8000:0.7", "4:0.5", "223:0.5", "7007:0.5"], "nets, each as experiment ID:share of units to take out")
    flags.run(main)
