"""Gradual pruning by tensorflow-model-optimization (tfmot): the only module that imports it.

tfmot says when masks are found anew, what share is cut then, and which two of every four weights go. It is not wrapped around the net's
layers: its wrapper counts the calls of a layer, where a batch may go through the net in pieces, and gives layers and checkpoints other
names. Two things are done here, with the same answer: the largest weights are found without sorting all of them, and exactly as many
are kept where some are equal (tfmot keeps all of these); kernels of convolutions are pruned in blocks too, as matrices with a column
for each filter, and blocks at the edge that are not whole count with the mean of what they have.

"polynomial": Zhu & Gupta 2017, arXiv 1710.01878. "2_of_4": Mishra et al. 2021, arXiv 2104.08378; groups of four are input channels at one
position of one filter, and what a kernel has beyond whole groups loses what exceeds two.
"""
import tensorflow_model_optimization as tfmot
from tensorflow_model_optimization.python.core.sparsity.keras.pruning_impl import Pruning

from tfprune.keras import tf
from tfprune.masks.selection import select
from tfprune.training.pruned import prunes_at_once

ROUNDING = 1e-9


class Pruner(Pruning):
    """Function of the number of updates done (integer scalar): finds the masks anew where it is their turn; weights are left alone.

    Args:
      experiment: an `Experiment` with training.pruning.
      pairs: list of (kernel, mask), variables of one shape and type.
      updates: of the whole training.
    """

    def __init__(self, experiment, pairs, updates):
        training = experiment.training
        self._done, self._blocks = 0, training.prune_block if training.pruning == "block" else (1, 1)
        self._first = max(1, int(training.prune_from * updates + ROUNDING))
        two_of_four = (2, 4) if training.pruning == "2_of_4" else None
        threshold = tf.Variable(0.0, trainable=False)  # tfmot's record of the least weight kept, which nobody reads
        super().__init__(self._step, [(kernel, mask, threshold) for kernel, mask in pairs], schedule(experiment, updates), (1, 1), "AVG",
                         sparsity_m_by_n=two_of_four)

    def __call__(self, update):
        self._done = update
        self.conditional_mask_update()

    def _step(self):
        """The updates done, as tfmot counts them: those of "2_of_4" are found once, at its step 1."""
        return self._done - self._first + 1 if self._sparsity_m_by_n else self._done

    def _maybe_update_block_mask(self, weights):
        if self._sparsity_m_by_n or tuple(self._blocks) == (1, 1):
            return super()._maybe_update_block_mask(weights)
        matrix = tf.reshape(weights, [-1, weights.shape[-1]])
        threshold, mask = self._update_mask(block_means(tf.abs(matrix), self._blocks))
        for axis, side in enumerate(self._blocks):
            mask = tf.repeat(mask, side, axis)
        return threshold, tf.reshape(mask[:matrix.shape[0], :matrix.shape[1]], weights.shape)

    def _update_mask(self, weights):
        return 0.0, select(weights, kept_count(weights.shape.num_elements(), self._pruning_schedule(self._step_fn())[1]), "magnitude")


def kept_count(size, sparsity):
    """How many of `size` weights or blocks are kept, as tfmot rounds it: in 32 bits, to the nearest (of two the even one), at least one.

    `sparsity` is a scalar tensor; so is the answer, int32.
    """
    return tf.cast(tf.maximum(tf.round(tf.cast(size, tf.float32) * (1 - sparsity)), 1), tf.int32)


def block_means(matrix, block):
    """The mean of each block of a matrix, of `block` = (rows, columns) or what of it is inside: [blocks below, blocks beside]."""
    counts = [-(-side // size) for side, size in zip(matrix.shape, block, strict=True)]
    pads = [[0, count * size - side] for side, size, count in zip(matrix.shape, block, counts, strict=True)]

    def sums(values):
        return tf.reduce_sum(tf.reshape(tf.pad(values, pads), [counts[0], block[0], counts[1], block[1]]), [1, 3])

    return sums(matrix) / sums(tf.ones_like(matrix))


def schedule(experiment, updates):
    """tfmot's schedule for a training of so many updates; its last turn is where training.prune_until says, to the update.

    There the final share is reached: the first turn is late by what is left over from whole steps of training.prune_every.
    """
    training = experiment.training
    sparsity = 0.5 if training.pruning == "2_of_4" else experiment.hyper.sparsity
    begin, end = (int(share * updates + ROUNDING) for share in (training.prune_from, training.prune_until))
    if prunes_at_once(training):
        begin = max(1, begin)
        return tfmot.sparsity.keras.ConstantSparsity(sparsity, begin, max(begin, end), training.prune_every)
    end = max(1, end)
    begin = min(begin, end - 1)
    every = min(training.prune_every, end - begin)
    return tfmot.sparsity.keras.PolynomialDecay(0.0, sparsity, begin + (end - begin) % every, end, frequency=every)
