"""Training that runs out of memory: it goes on from its last checkpoint, with half as many examples in the net at once."""
from tfprune import faults
from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.progress import say

# What else than a ResourceExhaustedError says so: oneDNN on a CPU (its status 1), CUDA and its libraries on a GPU.
SIGNS = ("RESOURCE_EXHAUSTED", "OOM when allocating", "out of memory", "OUT_OF_MEMORY", "ALLOC_FAILED", "received an exception:Status: 1,")


def until_it_fits(trainer, keepers, work):
    """What `work()` returns, which trains from wherever the trainer stands; called again for as long as it runs out of memory.

    Before each call but the first, the state of training is that of the last checkpoint (of the start, where there is none yet), but for
    `trainer.micro_batch`, which is half of what was too much: just as where a run was killed, and goes on with less memory.

    Raises:
      UserError: a single example is too much.
    """
    while True:
        try:
            return work()
        except (tf.errors.OpError, MemoryError) as error:
            if trainer.replicas.count > 1 or not is_out_of_memory(error):  # of several processes none can go back alone
                raise
        # Past the handler, as an error keeps alive all that was in use where it was raised.
        _go_back(trainer, keepers)


def is_out_of_memory(error):
    """Whether an error says that there is not enough memory; that of a full disk has the same type."""
    if faults.is_disk_full(error):
        return False
    return isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError)) or any(sign in str(error) for sign in SIGNS)


def _go_back(trainer, keepers):
    label, too_many, epoch = trainer.experiment.label, int(trainer.micro_batch), int(trainer.epoch)
    if too_many == 1:
        raise UserError(f"{trainer.experiment.flag}: out of memory with one example in the net at a time; a narrower net (--set "
                        "dnn.neuron_multiplier), smaller images (hyper.image_size) or more memory is needed; what is trained is kept")
    keepers.last.restore()
    trainer.split_finer(too_many // 2)
    say(f"{label} train: out of memory after {epoch} epochs with {too_many} examples in the net at once; goes on with {too_many // 2} from "
        f"epoch {int(trainer.epoch)}, step {int(trainer.step)}, the last that was saved")
