"""What an image of a training step costs where its batch goes through the net in two or four pieces, against the whole batch at once.

    python benchmarks/accumulation.py
    python benchmarks/accumulation.py --experiment_ids=6999 --batch_size=64 --pieces=2,4,8

Compiled updates as train.py runs them (pre-processing, running figures, optimiser), on random images, the variants in turn in one process,
several times; ratios are medians of those of one turn. Of one net there are as many trainers as variants: memory for that is needed.
A further column, `whole`, is the whole batch against itself, timed again: how far the machine can be believed.
"""
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from experiments import REGISTRY  # noqa: E402
from tfprune import flags  # noqa: E402
from tfprune.overrides import override  # noqa: E402

FLAGS = flags.FLAGS
AT_MOST = 1.10  # times the whole batch's time an image


def main(_):
    """Prints a line for each net: time an image of the whole batch, ratios of the split ones, and one of the whole batch timed again."""
    pieces = flags.whole_numbers(FLAGS.pieces)
    print("experiment  batch  ms/image  " + "  ".join(f"{number} pieces" for number in pieces) + f"  whole  (at most {AT_MOST:.2f})")
    for experiment in REGISTRY.select(FLAGS.experiment_ids):
        changes = [f"hyper.batch_size={FLAGS.batch_size}"] if FLAGS.batch_size else []
        compare(override(experiment, changes), pieces)


def compare(experiment, pieces):
    """Times an update of the whole batch, of each split, and of the whole batch again, in turn, `--repeats` times."""
    batch = experiment.hyper.batch_size
    whole = update_of(experiment, batch)
    updates = [whole, *(update_of(experiment, -(-batch // number)) for number in pieces), whole]
    first = [update() for update in updates][0] and timed(whole, 1)  # traced; and the first untraced one
    count = max(1, round(FLAGS.seconds / first))
    turns = [[timed(update, count) for update in updates] for _ in range(FLAGS.repeats)]
    ratios = [statistics.median(turn[place] / turn[0] for turn in turns) for place in range(1, len(updates))]
    *split, again = ratios
    print(f"{experiment.id:10}  {batch:5}  {1000 * statistics.median(turn[0] for turn in turns) / count / batch:8.3f}  "
          + "  ".join(f"{ratio:8.3f}" for ratio in split) + f"  {again:5.3f}", flush=True)


def update_of(experiment, micro_batch):
    """A function that makes so many updates with this micro-batch, and returns True when they are made."""
    import numpy as np

    from tfprune.datasets import DATASETS
    from tfprune.input import pipeline
    from tfprune.input.records import Split
    from tfprune.keras import tf
    from tfprune.training.trainer import Trainer

    rng, examples = np.random.default_rng(0), DATASETS[experiment.dataset.name]
    images = rng.integers(256, size=(4 * experiment.hyper.batch_size, examples.side, examples.side, examples.channels), dtype=np.uint8)
    trainer = Trainer(experiment, Split(images, rng.integers(examples.classes, size=len(images)), examples.classes), micro_batch)
    batches = iter(pipeline.training_stream(trainer.split, experiment.dataset, experiment.hyper, experiment.seed))

    def update(count=1):
        trainer.update(batches, tf.fill([count], 1e-4))
        return int(trainer.step) > 0

    return update


def timed(update, count):
    """Seconds of so many updates."""
    started = time.perf_counter()
    update(count)
    return time.perf_counter() - started


if __name__ == "__main__":
    flags.flags.DEFINE_string("experiment_ids", "6999,6200,9200,9290", "the nets")
    flags.flags.DEFINE_string("pieces", "2,4", "into how many pieces a batch is cut")
    flags.flags.DEFINE_integer("batch_size", None, "examples in a batch; default: the experiment's", lower_bound=1)
    flags.flags.DEFINE_integer("repeats", 7, "turns", lower_bound=1)
    flags.flags.DEFINE_float("seconds", 2.0, "of each timing, or of one update where that takes longer", lower_bound=0.0)
    flags.run(main)
