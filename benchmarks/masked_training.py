"""What masks cost: a compiled training step under edge-popup against that of the dense net, on one batch that stays in memory.

    python benchmarks/masked_training.py
    python benchmarks/masked_training.py --nets=Conv4

Same net and same optimiser; the dense net trains its weights, the masked one its scores. Both are timed in turn, a step at a time; the
ratio is that of the medians.
"""
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfprune import flags  # noqa: E402
from tfprune.experiment import Experiment  # noqa: E402
from tfprune.settings import DNN, MASKS, Hyper, Training  # noqa: E402

FLAGS = flags.FLAGS


def main(_):
    """Prints a line for each net."""
    print("net        dense ms/step  masked ms/step  ratio")
    for net in FLAGS.nets:
        compare(net)


def compare(net):
    """Times `--steps` updates of both, in turn."""
    steps = {mask: compiled_step(net, mask) for mask in ("none", FLAGS.rule)}
    times = {mask: [] for mask in steps}
    for number in range(FLAGS.steps + 2):  # the first two trace and warm up, and are not counted
        for mask, step in steps.items():
            started = time.perf_counter()
            step().numpy()
            times[mask] += [time.perf_counter() - started] if number > 1 else []
    dense, masked = (1e3 * statistics.median(values) for values in times.values())
    print(f"{net:10} {dense:13.0f}  {masked:14.0f}  {masked / dense:5.3f}", flush=True)


def compiled_step(net, mask):
    """An update of the net's trainable variables, compiled; returns the loss."""
    import numpy as np

    from tfprune.keras import tf
    from tfprune.models import build_model
    from tfprune.training.losses import build_loss
    from tfprune.training.optimizers import build_optimizer

    experiment = Experiment(0, net, "benchmark", dnn=DNN(name=net, mask=mask, init="signed_constant", normalisation="plain"),
                            hyper=Hyper(batch_size=FLAGS.batch_size, learning_rate=0.1, keep=0.5),
                            training=Training(weight_decay_on="trainables", weight_decay_in="gradient"))
    model = build_model(experiment)
    loss_of, optimizer = build_loss(experiment, model), build_optimizer(experiment, tf.Variable(0.1))
    rng = np.random.default_rng(0)
    images = tf.constant(rng.normal(size=(FLAGS.batch_size, 32, 32, 3)).astype(np.float32))
    labels = tf.constant(rng.integers(10, size=FLAGS.batch_size))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = loss_of(model(images, training=True), labels)
        weights = model.trainable_weights
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    return step


if __name__ == "__main__":
    flags.flags.DEFINE_list("nets", ["Conv4", "cResNet18"], "nets of tfprune.models")
    flags.flags.DEFINE_enum("rule", "edge_popup", MASKS, "how kernels are masked: a rule of tfprune.masks.rules")
    flags.flags.DEFINE_integer("batch_size", 128, "images in a step", lower_bound=1)
    flags.flags.DEFINE_integer("steps", 15, "updates of each", lower_bound=1)
    flags.run(main)
