"""How many examples of a batch may go through the net at once for a training step to fit into memory: a GPU's, or what the user grants."""
import math

from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.progress import say
from tfprune.training.accumulation import check_pieces
from tfprune.training.memory import CPU, GB, GPU, estimate, fitting_micro_batch, in_gb


def within_memory(experiment, budget_gb=None):
    """The micro-batch of an experiment's training, or None where no budget asks for one; says so in a line where it is not a whole batch.

    Args:
      experiment: an `Experiment`; a training.micro_batch of its own is never exceeded.
      budget_gb: what --memory_budget_gb says (GB) or None; then, on a GPU, it is the memory that TensorFlow may take there.

    Raises:
      UserError: the budget is no positive number, or too small for one example; or batches cannot be cut (`check_pieces`).
    """
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    if budget_gb is None and not on_gpu:
        return None
    if budget_gb is not None and not (budget_gb > 0 and math.isfinite(budget_gb)):
        raise UserError(f"--memory_budget_gb={budget_gb:g}: a number of GB above 0 is accepted")
    budget = gpu_memory() if budget_gb is None else budget_gb * GB
    name = f"the GPU's {in_gb(budget)}" if budget_gb is None else f"--memory_budget_gb={budget_gb:g}"
    batch = experiment.hyper.batch_size
    memory = estimate(experiment, GPU if on_gpu else CPU)
    chosen = fitting_micro_batch(memory, batch, budget, name, most=experiment.training.micro_batch or batch)
    if chosen < batch:
        check_pieces(experiment, chosen)
        say(f"{experiment.label} train: micro-batches of {chosen} of {batch}: {in_gb(memory.of_pieces(chosen))} of {name}")
    return chosen


def gpu_memory():
    """Bytes that TensorFlow may take of the first GPU."""
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        return next(device.memory_limit_bytes for device in session.list_devices() if device.device_type == "GPU")
