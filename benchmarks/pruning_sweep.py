"""What a sweep over sparsities costs beyond the evaluations themselves.

    python benchmarks/pruning_sweep.py [--images=10000] [--runs=3] [--id=8000]

The net of an experiment, pruned by weight and by unit to 20 sparsities each, against 40 runs of the same compiled evaluation and nothing
else, half of them before and half after; the sweep ranks, prunes, counts what is left and compiles anew each time. Before that the
figures of some sparsities are compared with those of nets that are rebuilt, compiled and evaluated by Keras for each sparsity, as the
original study does.
Expected: `ratio` at most 1.3 on two idle cores.
"""
import pathlib
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from experiments import REGISTRY  # noqa: E402
from tfprune import build_model, flags, magnitude_prune, pruning_sweep  # noqa: E402
from tfprune.keras import keras  # noqa: E402
from tfprune.pruning.evaluation import Evaluation  # noqa: E402

SPARSITIES = tuple(np.linspace(0, 0.95, 20).round(2))


def check(model, images, labels):
    """Exits where a figure of the sweep is not that of a net made for its sparsity alone; returns the largest difference of losses."""
    table, largest = pruning_sweep(model, images, labels, SPARSITIES[::5]), 0.0
    for row in table.itertuples():
        pruned = magnitude_prune(model, row.sparsity, row.by)
        pruned.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        loss, accuracy = pruned.evaluate(images, labels, verbose=0)
        largest = max(largest, abs(loss - row.loss))
        if largest > 1e-4 or abs(accuracy - row.accuracy) > 1.5 / len(images):  # equal logits but for rounding: one image may turn
            sys.exit(f"the figures differ: {row.by} {row.sparsity}: loss {row.loss} and {loss}, accuracy {row.accuracy} and {accuracy}")
    return largest


def seconds(function):
    """How long a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main():
    parser = flags.Parser(__doc__)
    parser.add_argument("--images", type=int, default=10_000, help="random test images (default 10000)")
    parser.add_argument("--runs", type=int, default=3, help="median of how many (default 3)")
    parser.add_argument("--id", type=int, default=8000, help="experiment whose net is pruned (default 8000)")
    args = parser.parse_args()
    model = build_model(REGISTRY[args.id])
    generator = np.random.default_rng(0)
    images = generator.random((args.images, *model.input_shape[1:]), np.float32)
    labels = generator.integers(0, model.output_shape[-1], args.images)
    print(f"figures as of {len(SPARSITIES[::5]) * 2} rebuilt nets: losses differ by {check(model, images, labels):.1e} at most", flush=True)
    evaluation = Evaluation(model, images, labels)
    evaluation()  # compiled

    def half():
        return [evaluation() for _ in SPARSITIES]

    times = []
    for _ in range(args.runs):
        before, whole, after = (seconds(run) for run in (half, lambda: pruning_sweep(model, images, labels, SPARSITIES), half))
        times.append((whole, before + after))
        print(f"sweep {whole:.2f} s, 40 evaluations {before + after:.2f} s: {whole / (before + after):.3f}", flush=True)
    print(f"{args.images} images: sweep {np.median([whole for whole, _ in times]):.2f} s, 40 evaluations "
          f"{np.median([bare for _, bare in times]):.2f} s, ratio {np.median([whole / bare for whole, bare in times]):.3f}")


if __name__ == "__main__":
    with flags.in_one_line():
        main()
