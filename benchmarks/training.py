"""Images a second of training as train.py does it, against a bare compiled step on one batch that is already prepared in memory.

    python benchmarks/training.py

Same net, same optimiser, same update; ours adds what a user needs: shuffled batches from uint8 images, pre-processing, running loss
and accuracy, the check for a lost loss, the progress bar. Both are timed in turn, several times; the ratio is that of the medians.
"Whole epoch" also counts what an epoch of CIFAR-10 (47,500 images) ends with: validation on 2,500 images and two checkpoints.
"""
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from experiments import REGISTRY  # noqa: E402
from tfprune import flags  # noqa: E402

FLAGS = flags.FLAGS


def main(_):
    """Prints a line for each width."""
    print("width  images/s bare  images/s ours  ratio  whole epoch")
    for experiment_id, steps in ((2, FLAGS.steps), (4, max(2, FLAGS.steps // 8))):
        compare(REGISTRY[experiment_id], steps)


def compare(experiment, steps):
    """Times `steps` updates of both, in turn, `--repeats` times."""
    import numpy as np

    from tfprune.input.records import Split
    from tfprune.training.trainer import Trainer

    batch, rng = experiment.hyper.batch_size, np.random.default_rng(0)
    images = rng.integers(256, size=(steps * batch, 32, 32, 3), dtype=np.uint8)
    trainer = Trainer(experiment, Split(images, rng.integers(10, size=len(images)), 10))
    bare = bare_step(trainer, experiment)
    save, validation = whole_epoch_extras(trainer, experiment)
    times = {"bare": [], "ours": []}
    for repeat in range(FLAGS.repeats + 1):  # the first one traces, and is not counted
        for name, work in (("bare", lambda: [bare() for _ in range(steps)][-1].numpy()),
                           ("ours", lambda: trainer.train_epoch(lambda: None))):
            started = time.perf_counter()
            work()
            times[name] += [time.perf_counter() - started] if repeat else []
    rate = {name: steps * batch / statistics.median(values) for name, values in times.items()}
    extras = save() + validation()
    epoch = 47_500 / rate["ours"] + extras
    print(f"{experiment.dnn.neuron_multiplier:5}  {rate['bare']:13.0f}  {rate['ours']:13.0f}  {rate['ours'] / rate['bare']:5.3f}  "
          f"{47_500 / epoch / rate['bare']:5.3f}")


def bare_step(trainer, experiment):
    """A compiled update on one prepared batch that stays in memory, and nothing else."""
    from tfprune.input import pipeline
    from tfprune.keras import tf
    from tfprune.training.optimizers import build_optimizer

    images, labels = next(iter(pipeline.evaluation_batches(trainer.split, experiment.dataset, experiment.hyper)))
    optimizer = build_optimizer(experiment, tf.Variable(1e-4))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = trainer.loss(trainer.model(images, training=True), labels)
        weights = trainer.model.trainable_weights
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    return step


def whole_epoch_extras(trainer, experiment):
    """Two functions that return the seconds of an epoch's two checkpoints, and of validating 2,500 images."""
    import numpy as np

    from tfprune.input.records import Split
    from tfprune.keras import tf

    folder = tempfile.mkdtemp()
    checkpoint = tf.train.Checkpoint(**trainer.tracked())
    images = np.random.default_rng(1).integers(256, size=(2_500, 32, 32, 3), dtype=np.uint8)
    split = Split(images, np.zeros(len(images), np.int64), 10)
    trainer.evaluate(split)

    def timed(work):
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    return (lambda: 2 * timed(lambda: checkpoint.write(f"{folder}/c"))), (lambda: timed(lambda: trainer.evaluate(split)))


if __name__ == "__main__":
    flags.flags.DEFINE_integer("steps", 64, "updates in a timing of the narrow net; the wide one does an eighth", lower_bound=1)
    flags.flags.DEFINE_integer("repeats", 5, "timings of each", lower_bound=1)
    flags.run(main)
