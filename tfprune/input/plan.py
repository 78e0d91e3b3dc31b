"""What an epoch's batches hold: it follows from the seed and the epoch alone, so that a run resumed in its midst sees the same ones."""
import functools

import numpy as np

from tfprune.keras import tf


def steps_per_epoch(split_size, batch_size):
    """Full batches in `split_size` examples, and one where there are fewer examples than a batch asks for."""
    return max(1, split_size // batch_size)


def updates_per_epoch(split, dataset, hyper, ragged=False):
    """How many batches of `training_stream` make an epoch; if `ragged`, the last one is as small as it comes.

    In the original's stream (`dataset.shuffle` False) one of an epoch's batches trains nothing: 370 updates in 371 batches of CIFAR-10.
    """
    steps = steps_per_epoch(split.epoch_size, hyper.batch_size)
    if ragged:
        return max(1, -(-split.epoch_size // hyper.batch_size))
    return steps if dataset.shuffle else max(1, steps - 1)


def plans(split, dataset, hyper, seed, epoch, ragged=False):
    """An endless `tf.data.Dataset` of (rows [batch], augmentation seed [2]), from `epoch` on: `updates_per_epoch` make an epoch.

    The last batch of an epoch, if `ragged`, ends in rows of -1, which ask for nothing.
    """
    # of plain numbers: TensorFlow keeps the functions that it calls, and the images with them if they held the split
    steps, batch = updates_per_epoch(split, dataset, hyper, ragged), min(hyper.batch_size, len(split))
    most = split.epoch_size if ragged else None
    planner = functools.partial(epoch_plan, len(split), steps, batch, dataset.shuffle, seed, most=most)
    shapes = [array.shape for array in planner(epoch)]

    def plan(epoch):
        arrays = tf.numpy_function(planner, [epoch], (tf.int64, tf.int32))
        return tf.data.Dataset.from_tensor_slices(tuple(tf.ensure_shape(*pair) for pair in zip(arrays, shapes, strict=True)))

    return tf.data.Dataset.range(epoch, tf.int64.max).flat_map(plan)


def epoch_plan(count, steps, batch, shuffle, seed, epoch, most=None):
    """What an epoch's updates are made with: rows int64 [steps, batch] below `count`, and augmentation seeds int32 [steps, 2].

    At `most` so many rows are wanted; in the last batch -1 stands in the places that are left.
    """
    rng = np.random.default_rng([seed, int(epoch)])
    rows = _shuffled(rng, count, most or steps * batch, steps, batch) if shuffle else stream_rows(count, steps, batch, epoch)
    return rows, rng.integers(2**31, size=(steps, 2), dtype=np.int32)


def _shuffled(rng, count, most, steps, batch):
    rows = rng.permutation(count)[:most]
    return np.pad(rows, (0, steps * batch - len(rows)), constant_values=-1).reshape(steps, batch)


def stream_rows(count, steps, batch, epoch):
    """Rows [steps, batch] of an epoch in the original's stream, which runs through the records in file order over and over.

    Batches straddle the end of the file. Each epoch takes a batch more than it has updates, the first one, and does not train on it.
    """
    first = int(epoch) * (steps + 1) + 1
    return np.arange(first * batch, (first + steps) * batch).reshape(steps, batch) % count
