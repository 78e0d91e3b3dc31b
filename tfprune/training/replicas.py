"""One training by several processes: each has a device of its own and the whole net, takes its part of every batch, and adds its gradients.

The first process, the chief, is the one that decides, evaluates and writes; it tells the others what to do next, and they follow
(`following`). At every epoch's beginning it gives them its state, so that a run goes on with any number of processes, and only the chief
ever reads a checkpoint. Sums over processes are those of tf.distribute (between GPUs: NCCL); what they are made of are plain variables.
"""
import contextlib
import hashlib

from tfprune.keras import tf

LEAVE, START, EPOCH, UPDATES, STOP = range(5)  # what the chief tells: the program's end, a training, an epoch, updates, a training's end
NUMBERS = 4  # in what the chief tells


class Alone:
    """The one process of a training."""

    index, count = 0, 1

    def tell(self, *numbers):
        """Nobody listens."""

    def share(self, trainer):
        """Nobody needs it."""

    @contextlib.contextmanager
    def leading(self, experiment, records, micro_batch):
        """Nobody follows."""
        yield


class Replicas:
    """This process's place among those of a training.

    Args:
      strategy: a tf.distribute.MultiWorkerMirroredStrategy, with one device a process.
      index: of this process, from 0; the chief's is 0.

    Attributes:
      index, count: of all processes. place: (first, number) of this process's examples in the batch at hand and of all of that, scalars.
    """

    def __init__(self, strategy, index):
        self._strategy, self.index, self.count, self.place = strategy, index, strategy.num_replicas_in_sync, None

    def total(self, tensors):
        """The sum over all processes of each of a list of tensors; all processes must ask for the same ones in the same order.

        The gradient of a sum is the sum of the processes' gradients.
        """
        @tf.custom_gradient
        def total(*tensors):
            return self._sums(tensors), lambda *upstream: self._sums(upstream)

        return total(*tensors)

    def _sums(self, tensors):
        def reduced(tensors):
            replica, sums = tf.distribute.get_replica_context(), {}
            tensors = [tf.identity(tensor) for tensor in tensors]  # on the process's device, by which the strategy finds its way
            for kind in dict.fromkeys(tensor.dtype for tensor in tensors):  # it sums only what is of one type
                sums[kind] = iter(replica.all_reduce(tf.distribute.ReduceOp.SUM, [tensor for tensor in tensors if tensor.dtype == kind]))
            return [next(sums[tensor.dtype]) for tensor in tensors]

        return self._strategy.run(reduced, args=(list(tensors),))

    def tell(self, kind, *numbers):
        """Tells the other processes what is next; for the chief."""
        self._sums([tf.constant([kind, *numbers, *[0] * (NUMBERS - 1 - len(numbers))], tf.int64)])

    def told(self):
        """What the chief tells next: [kind, ...], whole numbers; waits for it."""
        return self._sums([tf.zeros(NUMBERS, tf.int64)])[0].numpy().tolist()

    def share(self, trainer):
        """Gives all processes' trainers the state that the chief's has."""
        variables = trainer.state()
        sums = self._sums([variable if self.index == 0 else tf.zeros_like(variable) for variable in variables])
        if self.index:
            for variable, value in zip(variables, sums, strict=True):
                variable.assign(value)

    @contextlib.contextmanager
    def leading(self, experiment, records, micro_batch):
        """While the block trains an experiment on these records (name of their folder), the others follow; for the chief.

        An error leaves them in the midst of their work, where no word reaches them: they end when the chief's process does.
        """
        try:
            self.tell(START, number_of(experiment.name, experiment.trained_hash()), number_of(records), micro_batch)
            yield
        except SystemExit:
            self.tell(STOP)
            raise
        self.tell(STOP)


def number_of(*words):
    """A whole number of 62 bits for words: what are not the same words has another one."""
    return int.from_bytes(hashlib.sha256("\0".join(words).encode()).digest()[:8]) >> 2


_here = Alone()


def here():
    """This process's place: `Alone`, unless `join` was called."""
    return _here


def join(index):
    """Takes this process's place among those that TF_CONFIG names, once all of them are there; before anything else of TensorFlow.

    Args:
      index: of this process, from 0, the chief's.
    """
    global _here
    _here = Replicas(tf.distribute.MultiWorkerMirroredStrategy(), index)
    return _here
