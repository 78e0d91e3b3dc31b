"""Images a second of training Conv4, dense and under edge-popup, as train.py does it, against PyTorch eager loops.

    pip install torch        # 2.13.0 where the figures of docs/performance.md come from
    python benchmarks/supermask_training.py

Recipes conv4_sgd_baseline (experiment 5051) and conv4_usc_unsigned (5025, keep 0.5): batch 128, random images of CIFAR-10's size, crops and
flips, SGD with momentum and weight decay. Ours is `Trainer.train_epoch` with its input pipeline, running figures, progress bar, the check
for a lost loss and TensorBoard; theirs is `benchmarks/torch_loops.py`, whose edge-popup sorts |scores| in each step as
allenai/hidden-networks does. Both nets must first compute the same logits. The four take turns; rates are medians, and so are the ratios
of rates that were timed one after the other.
"""
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from experiments import REGISTRY  # noqa: E402
from tfprune import flags  # noqa: E402
from tfprune.datasets import DATASETS  # noqa: E402
from tfprune.experiment import UserError  # noqa: E402

FLAGS = flags.FLAGS
NETS = {"dense": (5051, 1.3), "edge-popup": (5025, 2.0)}  # experiment, and what the ratio should be at least


def main(_):
    """Prints a line for each net, and our edge-popup against our dense net."""
    try:
        import torch
    except ImportError:
        raise UserError("benchmarks/supermask_training.py: compares with PyTorch; pip install torch") from None
    if FLAGS.threads:
        torch.set_num_threads(FLAGS.threads)
    works = {(title, side): work for title, (experiment_id, _) in NETS.items() for side, work in pair(REGISTRY[experiment_id]).items()}
    rates = timed(works, FLAGS.steps * REGISTRY[5051].hyper.batch_size)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads\nnet         images/s torch  images/s ours  ratio  target")
    for title, (_, target) in NETS.items():
        ours, theirs = rates[title, "ours"], rates[title, "torch"]
        ratio = median_ratio(ours, theirs)
        print(f"{title:10}  {statistics.median(theirs):14.0f}  {statistics.median(ours):13.0f}  {ratio:5.2f}  {target:6}")
    print(f"a step of ours under edge-popup costs {median_ratio(rates['dense', 'ours'], rates['edge-popup', 'ours']):.3f} of a dense one")


def pair(experiment):
    """{"torch": work, "ours": work}: functions that train an epoch of `--steps` updates, of nets that compute the same."""
    import numpy as np

    from benchmarks.torch_loops import Conv4, Loop
    from tfprune.input.records import Split
    from tfprune.keras import tf
    from tfprune.training.board import Board
    from tfprune.training.trainer import Trainer

    rng, count = np.random.default_rng(0), FLAGS.steps * experiment.hyper.batch_size
    images, labels = rng.integers(256, size=(count, 32, 32, 3), dtype=np.uint8), rng.integers(10, size=count)
    trainer = Trainer(experiment, Split(images, labels, 10))
    net = Conv4(trainer.model, experiment.hyper.keep if experiment.dnn.mask != "none" else None)
    check_same(trainer, net)
    board = Board(tf.summary.create_file_writer(tempfile.mkdtemp()), trainer)
    loop = Loop(net, images, labels, DATASETS[experiment.dataset.name], experiment.hyper, FLAGS.channels_last)
    return {"torch": loop.epoch, "ours": lambda: trainer.train_epoch(lambda: None, board.batches)}


def check_same(trainer, net):
    """Both nets have the same logits for the same images, to a ten-thousandth of the largest."""
    import numpy as np

    from benchmarks.torch_loops import logits
    from tfprune.input import pipeline

    images, _ = next(iter(pipeline.evaluation_batches(trainer.split, trainer.experiment.dataset, trainer.experiment.hyper)))
    ours, theirs = trainer.model(images, training=False).numpy(), logits(net, images.numpy())
    difference = abs(ours - theirs).max() / abs(ours).max()
    if not difference < 1e-4 or not np.ptp(ours):
        raise UserError(f"the nets differ: by {difference:.2g} of the largest logit")


def timed(works, images):
    """{name: images a second, `--repeats` of them}: all works in turn; the first turn, which compiles, is not counted."""
    rates = {name: [] for name in works}
    for repeat in range(FLAGS.repeats + 1):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            rates[name] += [images / (time.perf_counter() - started)] if repeat else []
    return rates


def median_ratio(ours, theirs):
    """The median of the ratios of neighbouring timings, which a machine that is busy at times hardly moves."""
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


if __name__ == "__main__":
    flags.flags.DEFINE_integer("steps", 16, "updates in a timing", lower_bound=1)
    flags.flags.DEFINE_integer("repeats", 5, "timings of each", lower_bound=1)
    flags.flags.DEFINE_bool("channels_last", False, "PyTorch's images lie in memory pixel by pixel, which its loaders do not give")
    flags.flags.DEFINE_integer("threads", 0, "threads of PyTorch; 0: as it chooses", lower_bound=0)
    flags.run(main)
