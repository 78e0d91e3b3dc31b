"""What finding class filters costs beside as many plain forward passes, in time and in memory.

    python benchmarks/class_filters.py [--experiment_id=7000] [--counts=4096,1024,2048] [--repeats=5] [--top=5]

Time: `class_filters` over N random images against N plain forward passes of the same model, compiled and batched alike; both include
their compilation and take turns. Memory, for each count in a process of its own: the largest resident set while finding, minus the
resident set before; the images come from a generator, so that they take none themselves (Linux only).
Expected: a ratio of at most 1.1, and the same memory for any count. A share (--top=0.5) reads the images twice: about 2.
"""
import argparse
import pathlib
import subprocess
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import tfprune  # noqa: E402
from benchmarks.streaming_memory import resident  # noqa: E402
from experiments import REGISTRY  # noqa: E402
from tfprune import flags  # noqa: E402

BATCH = 128


def plain(model, images):
    """The classes that the model finds, from a compiled pass a batch."""
    from tfprune.keras import tf

    spec = tf.TensorSpec([None, *model.input_shape[1:]])
    function = tf.function(lambda batch: model(batch, training=False), input_signature=[spec])
    return np.concatenate([function(images[start:start + BATCH]).numpy().argmax(axis=1) for start in range(0, len(images), BATCH)])


def ratio(model, count, top, repeats):
    """(seconds of the plain passes, seconds of `class_filters`): medians of runs that take turns."""
    random = np.random.default_rng(0)
    images = random.standard_normal((count, *model.input_shape[1:]), np.float32)
    labels = np.arange(count) % model.output_shape[-1]
    functions = (lambda: plain(model, images), lambda: tfprune.class_filters(model, images, labels, top))
    times = [[], []]
    for _ in range(repeats + 1):
        for function, taken in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [float(np.median(taken[1:])) for taken in times]  # the first run of each warms up


def measure(model, count, top):
    """Prints the megabytes that `class_filters` takes over `count` images from a generator."""
    from tfprune.keras import tf

    shape, classes = model.input_shape[1:], model.output_shape[-1]

    def pairs():
        random = np.random.default_rng(0)
        for start in range(0, count, BATCH):
            size = min(BATCH, count - start)
            yield random.standard_normal((size, *shape), np.float32), np.arange(start, start + size) % classes

    dataset = tf.data.Dataset.from_generator(pairs, output_signature=(tf.TensorSpec([None, *shape]), tf.TensorSpec([None], tf.int64)))
    model(np.zeros((1, *shape), np.float32), training=False)
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew
    before = resident("VmRSS")
    tfprune.class_filters(model, dataset, top=top)
    print(f"{resident('VmHWM') - before:.1f}")


def main():
    parser = flags.Parser(__doc__)
    parser.add_argument("--experiment_id", type=int, default=7000, help="whose model to measure (default 7000: ResNet-20)")
    parser.add_argument("--counts", type=flags.whole_numbers, default="4096,1024,2048", 
                        help="comma-separated numbers of images; the time is that of the first")
    parser.add_argument("--repeats", type=int, default=5, help="median of how many runs (default 5)")
    parser.add_argument("--top", type=float, default=5, help="filters a class, or a share (default 5)")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    model, counts = tfprune.build_model(REGISTRY[args.experiment_id]), args.counts
    if args.measure is not None:
        return measure(model, args.measure, args.top)
    forward, found = ratio(model, counts[0], args.top, args.repeats)
    print(f"{counts[0]} images: plain passes {forward:.2f} s, class filters {found:.2f} s: ratio {found / forward:.3f}", flush=True)
    for count in counts:
        again = [f"--experiment_id={args.experiment_id}", f"--measure={count}", f"--top={args.top}"]
        result = subprocess.run([sys.executable, __file__, *again], stdout=subprocess.PIPE, text=True, check=True)
        print(f"{count:9} images: {float(result.stdout):7.1f} MB above the model", flush=True)
    return None


if __name__ == "__main__":
    with flags.in_one_line():
        main()
