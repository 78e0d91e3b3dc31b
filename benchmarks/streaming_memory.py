"""How much memory streaming redundancy takes, beyond the process with its model, for more and more examples.

    python benchmarks/streaming_memory.py [--experiment_id=4] [--counts=256,1024,2048] [--batch_size=128]

Each count is measured in a process of its own: the largest resident set while streaming, minus the resident set before (model built,
one image passed through it). The examples come from a generator, so that they take no memory themselves. Linux only.
Expected: below 200 MB for Alexnet at width 1 (experiment 4) and batch 128, and the same for any count.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfprune import flags  # noqa: E402


def resident(field):
    """A line of the process's status in MB: VmRSS, the resident set now, or VmHWM, its largest so far."""
    return int(re.search(rf"{field}:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text()).group(1)) / 1024


def measure(experiment_id, count, batch_size):
    """Prints the megabytes and seconds that streaming `count` random images takes."""
    import numpy as np

    import tfprune
    from experiments import REGISTRY
    from tfprune.keras import tf

    model = tfprune.build_model(REGISTRY[experiment_id])
    shape = model.input_shape[1:]

    def images():
        random = np.random.default_rng(0)
        for start in range(0, count, batch_size):
            yield random.standard_normal((min(batch_size, count - start), *shape), np.float32)

    dataset = tf.data.Dataset.from_generator(images, output_signature=tf.TensorSpec([None, *shape]))
    model(np.zeros((1, *shape), np.float32), training=False)
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew
    before, start = resident("VmRSS"), time.perf_counter()
    layers = tfprune.redundancy(model, dataset, batch_size=batch_size)
    print(f"{resident('VmHWM') - before:.1f} {time.perf_counter() - start:.1f} {before:.0f} {len(layers)}")


def main():
    parser = flags.Parser(__doc__)
    parser.add_argument("--experiment_id", type=int, default=4, help="whose model to measure (default 4: Alexnet, width 1)")
    parser.add_argument("--counts", type=flags.whole_numbers, default="256,1024,2048", help="comma-separated numbers of examples")
    parser.add_argument("--batch_size", type=int, default=128, help="images a batch (default 128)")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure is not None:
        return measure(args.experiment_id, args.measure, args.batch_size)
    print(f"{'examples':>9} {'above the model':>16} {'time':>9}")
    for count in args.counts:
        again = [f"--experiment_id={args.experiment_id}", f"--measure={count}", f"--batch_size={args.batch_size}"]
        result = subprocess.run([sys.executable, __file__, *again], stdout=subprocess.PIPE, text=True, check=True)
        megabytes, seconds, model, layers = result.stdout.split()
        print(f"{count:9} {float(megabytes):13.1f} MB {float(seconds):7.1f} s   ({layers} layers; the process with its model: {model} MB)",
              flush=True)
    return None


if __name__ == "__main__":
    with flags.in_one_line():
        main()
