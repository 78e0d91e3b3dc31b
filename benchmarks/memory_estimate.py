"""The memory that a training step is expected to take, and what it takes in a fresh process that never saw the estimate.

    python benchmarks/memory_estimate.py [--only=6999,6008]

Two batch sizes of nets of very different shape. Measured is the largest resident set while a `Trainer` trains a few steps on random images
through its input pipeline, minus the resident set before its net is built, TensorFlow loaded. Each in a process of its own; Linux only.
The estimate is made here, without a step, and should be 0.9 to 1.25 times that. Then the budget of the fixed part and half of the part that
grows with the batch: the largest micro-batch that is expected to fit must stay below it.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfprune import flags  # noqa: E402

MB = 2**20  # MiB
NETS = [  # what, ID, settings, two batches
    ("VGG7, all early", 6200, [], (16, 64)),
    ("VGG7, all late", 6245, [], (16, 64)),
    ("VGG16, all early", 6008, [], (4, 16)),
    ("VGG16, a bell", 6096, [], (16, 64)),
    ("VGG16, all late", 6192, [], (16, 64)),
    ("VGG16, plain", 6999, [], (16, 128)),
    ("VGG16, plain, without normalisation", 6999, ["dnn.norm_epsilon=0"], (16, 128)),
    ("VGG16, plain, residual", 6999, ["dnn.residual=true"], (16, 128)),
    ("VGG25, plain", 6999, ["dnn.depth=25"], (16, 64)),
    ("VGG25, all early", 6950, [], (8, 32)),
    ("VGG25, all late", 6984, [], (16, 64)),
    ("VGG7, an eighth of the features", 9210, [], (64, 256))]


def resident(field):
    """A line of the process's status in bytes: VmRSS, the resident set now, or VmHWM, its largest so far."""
    return int(re.search(rf"{field}:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text()).group(1)) * 1024


def variant(experiment_id, settings, batch):
    """An experiment with other settings and this batch size."""
    from experiments import REGISTRY
    from tfprune.overrides import override

    return override(REGISTRY[experiment_id], [f"hyper.batch_size={batch}", *settings])


def measure(experiment, micro_batch, steps=4):
    """Bytes that the training steps of a net take beyond the process as it was; for a process that does nothing else."""
    import numpy as np

    from tfprune.datasets import DATASETS
    from tfprune.input.records import Split
    from tfprune.training.trainer import Trainer

    of, random, count = DATASETS[experiment.dataset.name], np.random.default_rng(0), steps * experiment.hyper.batch_size
    images = random.integers(0, of.white + 1, (count, of.side, of.side, of.channels), np.uint8)
    split = Split(images, random.integers(0, of.classes, count), of.classes)
    split.tensors  # noqa: B018
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew
    before = resident("VmRSS")
    trainer = Trainer(experiment, split, micro_batch)
    trainer.train_epoch(save=lambda: None)
    return resident("VmHWM") - before


def measured(experiment_id, settings, batch, micro_batch):
    """The same, in a process of its own."""
    asked = json.dumps([experiment_id, settings, batch, micro_batch])
    done = subprocess.run([sys.executable, __file__, f"--measure={asked}"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return int(done.stdout.split()[-1])


def compare(name, experiment_id, settings, batches):
    """Prints a row for each batch size, and the one of the budget."""
    from tfprune.training.memory import estimate, fitting_micro_batch

    for batch in batches:
        started = time.perf_counter()
        memory = estimate(variant(experiment_id, settings, batch))
        seconds, found = time.perf_counter() - started, measured(experiment_id, settings, batch, batch)
        expected = memory.of(batch)
        print(f"{name:36} {batch:5} {expected / MB:9.0f} {found / MB:9.0f} {expected / found:6.2f} {seconds:11.1f} s", flush=True)
    budget = memory.fixed + memory.per_example * batch / 2
    micro_batch = fitting_micro_batch(memory, batch, budget)
    found = measured(experiment_id, settings, batch, micro_batch)
    print(f"{name:36} {micro_batch:2} of {batch} {budget / MB:8.0f} {found / MB:9.0f} {budget / found:6.2f}   "
          f"{'below' if found <= budget else 'ABOVE'} the budget", flush=True)


def main():
    parser = flags.Parser(__doc__)
    parser.add_argument("--only", default="", help="IDs of the nets to compare, comma-separated (default: all)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        experiment_id, settings, batch, micro_batch = json.loads(args.measure)
        return print(measure(variant(experiment_id, settings, batch), micro_batch))
    if args.only and not set(args.only.split(",")) <= {str(number) for _, number, *_ in NETS}:
        parser.error(f"--only={args.only}: expected some of {', '.join(sorted({str(number) for _, number, *_ in NETS}))}")
    print(f"{'net':36} {'batch':>5} {'estimate':>9} {'measured':>9} {'ratio':>6} {'estimated in':>13}    (MiB)")
    for name, experiment_id, settings, batches in NETS:
        if not args.only or str(experiment_id) in args.only.split(","):
            compare(name, experiment_id, settings, batches)
    return None


if __name__ == "__main__":
    with flags.in_one_line():
        main()
