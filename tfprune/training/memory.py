"""How much memory a training step will take, computed before any step runs; and how many examples may go through the net at once.

The step's tensors are followed on its graph (`liveness`). What TensorFlow adds on a CPU was measured once, on VGGs of many shapes
(benchmarks/memory_estimate.py): the traced graph and the compiled kernels, the gaps between tensors, and the copies of kernels in
oneDNN's own layout.
"""
import math
from dataclasses import dataclass

import numpy as np

from tfprune.experiment import UserError
from tfprune.input.gathering import PREFETCH
from tfprune.training.liveness import trace

GB = 1e9
SPARE = 0.05  # of a budget, which is not used: what a step takes differs from run to run
IN_WORK = 3  # batches of the input pipeline besides those that wait: two are being made, one is in the net


@dataclass(frozen=True)
class Costs:
    """What a device needs beyond tensors.

    Attributes:
      process: bytes; kernel: bytes for each convolution and each gradient of one.
      copies: of the kernel of the convolution at work. gaps: a factor of all tensors, for what lies unused between them.
      sums: times the trained weights whose gradients are summed, piece by piece.
    """

    process: float
    kernel: float
    copies: float
    gaps: float
    sums: float


CPU = Costs(process=51e6, kernel=0.8e6, copies=4, gaps=1.15, sums=1.45)
GPU = Costs(process=500e6, kernel=0, copies=2, gaps=1.15, sums=1.45)  # no GPU was there to measure: an allowance for cuDNN


@dataclass(frozen=True)
class StepMemory:
    """Bytes that a training step takes beyond the process as it was before the net was built, at its peak.

    Attributes:
      fixed: weights, slots of the optimiser, gradients, workspace: whatever goes through the net.
      per_example: for each example that goes through the net at once.
      sums: the part of `fixed` that only a batch in pieces needs: gradients of a piece beside their sums, and what others wait with.
    """

    fixed: float
    per_example: float
    sums: float = 0.0

    def of(self, batch):
        """Bytes of a step whose batch, of so many examples, goes through the net at once."""
        return self.of_pieces(batch) - self.sums

    def of_pieces(self, examples):
        """Bytes of a step whose batch goes through the net in pieces of so many examples (`accumulation`)."""
        return self.fixed + self.per_example * examples


def estimate(experiment, costs=CPU):
    """The `StepMemory` of an experiment, in a second or two; nothing is run, and no weight is allocated.

    Raises:
      UserError: as `build_model`.
    """
    step, batch = trace(experiment), experiment.hyper.batch_size
    one, most = step.peak(1, costs.copies), step.peak(max(batch, 2), costs.copies)
    per_example = (most - one) / (max(batch, 2) - 1)  # a chord of a convex function: in between it is too high, if anything
    waiting = (PREFETCH + IN_WORK) * batch * step.example
    tensors = costs.gaps * (step.weights + step.slots + step.trained + one - per_example + waiting)
    sums = costs.sums * (step.trained - step.deferred) + step.kept * batch
    fixed = costs.process + costs.kernel * np.count_nonzero(step.kernel) + tensors + sums
    return StepMemory(fixed, costs.gaps * per_example, sums)


def fitting_micro_batch(memory, batch, budget, name="the budget", most=None):
    """The most examples that may go through the net at once: the batch, or as many as cut it into the fewest pieces that fit.

    Args:
      memory: a `StepMemory`.
      batch: examples of an update; most: that may go through the net whatever fits (default: all of them).
      budget: bytes; name: what it is called where it is too small.

    Returns an int; a single example may take up the whole budget, more leave a little of it.

    Raises:
      UserError: a single example does not fit.
    """
    most, granted = min(most or batch, batch), (1 - SPARE) * budget
    if most == batch and memory.of(batch) <= granted:
        return batch
    needed = memory.of(1) if batch == 1 else memory.of_pieces(1)
    if needed > budget:
        raise UserError(f"{name}: too small for a training step with one example in the net at a time; {in_gb(needed)} or more is needed")
    most = max(1, min(most, batch - 1, int((granted - memory.fixed) // memory.per_example)))
    return math.ceil(batch / math.ceil(batch / most))


def in_gb(size):
    """Bytes in words, rounded up: `1.91 GB`."""
    return f"{math.ceil(size / GB * 100) / 100:g} GB"
