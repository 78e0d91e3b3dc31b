"""The gradients of an update: of the whole batch at once, or, where that takes too much memory, of one piece of it after the other.

The pieces' gradients are summed, and the sum is the whole batch's gradient. Two things do differ: batch normalisation sees a piece where
it saw the batch, and what a net draws at random (dropout, sampled masks) it draws for each piece. Of processes that train together
(`replicas`) each takes its part of the batch, as a whole or in pieces, and what is a sum over the batch is one over all of them; for its
pieces each draws the same numbers.
"""
from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.training.deferred import Deferred
from tfprune.training.shared_batch import shared


class Gradients:
    """Function (images [n, ...], labels [n]) -> (loss of the batch, gradients of the weights: None for one that the loss does not reach).

    Each call adds the batch to the running score. A batch is cut into pieces of `trainer.micro_batch` examples or less, all of one size or
    of two that differ by one. With `training.last_batch=scale` an example counts for a `hyper.batch_size`-th in the gradients, however few
    the batch has.

    Args:
      trainer: a `Trainer`.
      weights: the variables that are trained.
      phase: of the regime.
    """

    def __init__(self, trainer, weights, phase=0):
        self.model, self.loss, self.regime, self.score = trainer.training_model, trainer.loss, trainer.regime, trainer.score
        self.weights, self.phase, self.micro_batch, self.replicas = weights, phase, int(trainer.micro_batch), trainer.replicas
        self._zero = tf.Variable(0.0, trainable=False)  # of a constant zeros would be constants, which a graph keeps
        together, part = self.replicas.count > 1, -(-trainer.batch // self.replicas.count)
        split = self.micro_batch < part
        self._of = self._summed if split else self._whole
        self._deferred = Deferred(self.model, weights, part) if split else None
        if together and not split:
            self.model = shared(self.model, self.replicas)
        self._averages = running_averages(self.model) if together and split else []
        self._full = float(trainer.experiment.hyper.batch_size) if trainer.experiment.training.last_batch == "scale" else None

    def __call__(self, images, labels):
        return self._of(images, labels, _count(labels)) if self.replicas.count == 1 else self._together(images, labels)

    def _together(self, images, labels):
        """The same by this process's part of the batch, and sums over all processes."""
        replicas, number = self.replicas, tf.shape(labels)[0]
        replicas.place = replicas.index * number // replicas.count, number
        own, before = Pieces(images, labels, replicas.count).piece(replicas.index), tf.identity(self.score.sums)
        loss, gradients = self._of(*own, _count(labels))
        found = [gradient for gradient in gradients if gradient is not None]
        loss, noted, *others = replicas.total([loss, self.score.sums - before, *found, *self._averages])
        self.score.sums.assign(before + noted)
        for average, total in zip(self._averages, others[len(found):], strict=True):
            average.assign(total / replicas.count)
        found = iter(others)
        return loss, [None if gradient is None else next(found) for gradient in gradients]

    def _whole(self, images, labels, whole):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.weights)
            with self._path(labels):
                outputs = self.model(images, training=True)
            data, penalty = self._data(outputs, labels), self._penalty()
            aim = _count(labels) / (self._full or whole) * data + penalty
        self._note(data, penalty, outputs, labels)
        return _count(labels) / whole * data + penalty, tape.gradient(aim, self.weights)

    def _summed(self, images, labels, whole):
        pieces, late = Pieces(images, labels, -(-_size(labels) // self.micro_batch)), self._deferred
        weights = [*late.others, *late.kernels]
        with tf.GradientTape(watch_accessed_variables=False, persistent=True) as penalised:
            penalised.watch(weights)
            penalty = tf.convert_to_tensor(self._penalty())  # once, not with every piece
        first = penalised.gradient(penalty, weights)
        reached = [gradient is not None for gradient in first]
        first = [tf.fill(weight.shape, self._zero) if gradient is None else gradient
                 for weight, gradient in zip(late.others, first[:len(late.others)], strict=True)]

        def add(number, loss, sums, kept):
            own_images, own_labels = pieces.piece(number)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch([own_images, *late.others])  # the images, for an output has no gradient that follows from nothing watched
                with self._path(own_labels):
                    outputs, inputs, linear = late.model(own_images, training=True)
                data = self._data(outputs, own_labels)
            self._note(data, penalty, outputs, own_labels)
            share = _count(own_labels) / whole
            own = tape.gradient(data, [*late.others, *linear], _count(own_labels) / self._full if self._full else share)
            reached[:] = [found or gradient is not None for found, gradient in zip(reached, own, strict=True)]
            own, arriving = own[:len(sums)], own[len(sums):]
            sums = [total if gradient is None else total + gradient for total, gradient in zip(sums, own, strict=True)]
            return number + 1, loss + share * data, sums, late.keep(kept, number, inputs, linear, arriving)

        # One piece at a time: the activations of the next take the place of the last one's.
        start = (0, penalty, first, late.nothing(pieces.number))
        _, loss, sums, kept = tf.while_loop(lambda number, *_: number < pieces.number, add, start, parallel_iterations=1)
        sums = [*sums, *late.gradients(kept, lambda kernel: penalised.gradient(penalty, kernel))]
        by_weight = {weight.ref(): total if found else None for weight, total, found in zip(weights, sums, reached, strict=True)}
        return loss, [by_weight[weight.ref()] for weight in self.weights]

    def _path(self, labels):
        return self.regime.path(self.phase, labels)

    def _data(self, outputs, labels):
        """What the loss has of examples with these labels."""
        return self.regime.weight(self.phase) * self.loss.data(outputs, labels)

    def _penalty(self):
        """What the loss has besides; of several processes each adds its part."""
        return (self.loss.penalty() + self.regime.penalty(self.phase)) / self.replicas.count

    def _note(self, data, penalty, outputs, labels):
        loss = data + penalty * self.replicas.count
        self.score.update(loss, outputs[0] if isinstance(outputs, list) else outputs, labels)


class Pieces:
    """A batch cut into pieces; as even as can be, since a last one of a single example, say, would count as much as the others in the
    running averages of batch normalisation.

    Args:
      images, labels: the batch.
      number: of pieces; int, or scalar where the size of the batch is not known before it comes.
    """

    def __init__(self, images, labels, number):
        self._batch, self._count, self.number, known = (images, labels), _size(labels), number, labels.shape[0]
        self._even = known // number if known and known % number == 0 else None

    def piece(self, number):
        """(images, labels) of a piece, by its number (scalar) from 0."""
        begin, end = number * self._count // self.number, (number + 1) * self._count // self.number
        with tf.device("CPU:0"):  # where batches come from: a GPU need not hold more than a piece
            return tuple(_sized(part[begin:end], self._even) for part in self._batch)


def _sized(tensor, size):
    tensor.set_shape([size, *tensor.shape[1:]])
    return tensor


def _size(labels):
    """int, or scalar where it is not known before the batch comes"""
    return labels.shape[0] or tf.shape(labels)[0]


def running_averages(model):
    """The variables of a net's batch normalisations that follow the batches."""
    layers = [layer for layer in model.submodules if isinstance(layer, keras.layers.BatchNormalization)]
    return [average for layer in layers for average in (layer.moving_mean, layer.moving_variance)]


def _count(labels):
    """float32"""
    return tf.cast(tf.shape(labels)[0], tf.float32)


def check_pieces(experiment, micro_batch):
    """UserError where a batch may not go through the net in pieces of so many examples."""
    if micro_batch < experiment.hyper.batch_size and experiment.hyper.mse and experiment.training.mse == "broadcast":
        raise UserError(f"{experiment.flag}: training.micro_batch={micro_batch} cuts batches of {experiment.hyper.batch_size}, of which "
                        "training.mse=broadcast compares every label with every output; whole batches are accepted, or mse=per_example")
