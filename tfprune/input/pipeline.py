"""`tf.data` batches of a `Split`: raw examples stay in memory once, a batch is gathered, prepared, and prefetched.

Those of an `EncodedSplit` are decoded image by image (`tfprune.input.decoding`), by the same plan.

What an epoch's batches hold follows from the seed and the epoch alone, so that a run resumed in its midst sees the same ones.
"""
import functools
import weakref

import numpy as np

from tfprune.experiment import UserError
from tfprune.input import decoding
from tfprune.input.encoded import EncodedSplit
from tfprune.input.images import RECIPES
from tfprune.input.preprocess import prepare
from tfprune.keras import tf

PREFETCH = 4  # batches
_FETCHERS = weakref.WeakKeyDictionary()  # Split -> {settings: compiled function}: tracing anew would cost each epoch 0.1 s


def steps_per_epoch(split_size, batch_size):
    """Full batches in `split_size` examples, and one where there are fewer examples than a batch asks for."""
    return max(1, split_size // batch_size)


def updates_per_epoch(split, dataset, hyper):
    """How many batches of `training_stream` make an epoch.

    In the original's stream (`dataset.shuffle` False) one of an epoch's batches trains nothing: 370 updates in 371 batches of CIFAR-10.
    """
    steps = steps_per_epoch(split.epoch_size, hyper.batch_size)
    return steps if dataset.shuffle else max(1, steps - 1)


def training_stream(split, dataset, hyper, seed, epoch=0, first_step=0):
    """The batches to train on, epoch after epoch without end, augmented where `hyper.augmentation` says so.

    One iterator over it serves a whole training: a new one for each epoch costs 20 to 50 ms, which small nets feel.

    Args:
      split: what to train on, a `records.Split` or an `EncodedSplit`.
      dataset, hyper: settings of the experiment.
      seed: of the order and of the augmentation.
      epoch: the one to begin with, from 0.
      first_step: updates of that epoch that are done already; their batches are left out, the others stay the same.

    Returns an endless `tf.data.Dataset` of pairs: images float32 [batch, ...], labels [batch]; `updates_per_epoch` make an epoch.

    Raises:
      UserError: `dataset.preprocessing` is none for this kind of split.
    """
    _check(split, dataset)
    # of plain numbers: TensorFlow keeps the functions that it calls, and the images with them if they held the split
    steps, batch = updates_per_epoch(split, dataset, hyper), min(hyper.batch_size, len(split))
    planner = functools.partial(epoch_plan, len(split), steps, batch, dataset.shuffle, seed)
    shapes = [array.shape for array in planner(epoch)]

    def plan(epoch):
        arrays = tf.numpy_function(planner, [epoch], (tf.int64, tf.int32))
        return tf.data.Dataset.from_tensor_slices(tuple(tf.ensure_shape(*pair) for pair in zip(arrays, shapes, strict=True)))

    plans = tf.data.Dataset.range(epoch, tf.int64.max).flat_map(plan).skip(first_step)
    if isinstance(split, EncodedSplit):
        images = plans.flat_map(_image_plan)
        return _options(decoding.batches(images, batch, True, _preparer(split, dataset, hyper, hyper.augmentation), hyper, PREFETCH))
    return _mapped(plans, _fetcher(split, dataset, hyper))


def epoch_plan(count, steps, batch, shuffle, seed, epoch):
    """What an epoch's updates are made with: rows int64 [steps, batch] below `count`, and augmentation seeds int32 [steps, 2]."""
    rng = np.random.default_rng([seed, int(epoch)])
    rows = rng.permutation(count)[:steps * batch].reshape(steps, batch) if shuffle else stream_rows(count, steps, batch, epoch)
    return rows, rng.integers(2**31, size=(steps, 2), dtype=np.int32)


def stream_rows(count, steps, batch, epoch):
    """Rows [steps, batch] of an epoch in the original's stream, which runs through the records in file order over and over.

    Batches straddle the end of the file. Each epoch takes a batch more than it has updates, the first one, and does not train on it.
    """
    first = int(epoch) * (steps + 1) + 1
    return np.arange(first * batch, (first + steps) * batch).reshape(steps, batch) % count


def evaluation_batches(split, dataset, hyper, batch_size=None):
    """All examples in order, never augmented, the last batch as small as it comes.

    Returns a `tf.data.Dataset` of pairs: images float32 [batch, ...], labels [batch]; `batch_size` defaults to `hyper.batch_size`.
    """
    _check(split, dataset)
    batch_size = batch_size or hyper.batch_size
    if isinstance(split, EncodedSplit):
        rows = tf.data.Dataset.range(len(split)).map(lambda row: (row, tf.zeros([2], tf.int32)))
        even = len(split) % batch_size == 0
        return _options(decoding.batches(rows, batch_size, even, _preparer(split, dataset, hyper, False), hyper, PREFETCH))
    starts = tf.data.Dataset.range(0, len(split), batch_size)
    return _mapped(starts, _slicer(split, dataset, hyper, batch_size))


def _check(split, dataset):
    """UserError where the settings cannot prepare the images of this split."""
    if isinstance(split, EncodedSplit):
        decoding.check(dataset)
    elif dataset.preprocessing in RECIPES:
        raise UserError(f"--set dataset.preprocessing={dataset.preprocessing}: {dataset.name}'s images are decoded already; "
                        "they take crop, pad or none")


def _image_plan(rows, seed):
    """The plan of a batch, image by image: (row, augmentation seed [2]), the seeds drawn from the batch's."""
    everything = tf.int32.min, tf.int32.max
    seeds = tf.random.stateless_uniform([rows.shape[0], 2], seed, *everything, tf.int32)
    return tf.data.Dataset.from_tensor_slices((rows, seeds))


def _preparer(split, *settings):
    """`decoding.preparer`, compiled once for a split and its settings."""
    return _cached(split, ("image", *settings), lambda: decoding.preparer(split, *settings))


def _mapped(elements, function):
    """Maps in parallel, in order, and prefetches."""
    return _options(elements.map(function, num_parallel_calls=tf.data.AUTOTUNE).prefetch(PREFETCH))


def _options(batches):
    options = tf.data.Options()
    # These rewrites gain nothing here, and to apply them TensorFlow serialises the pipeline with a copy of the images in it.
    options.experimental_optimization.apply_default_optimizations = False
    return batches.with_options(options)


def _fetcher(split, dataset, hyper):
    """Compiled: (rows [batch], augmentation seed [2]) -> (images, labels)."""
    def build():
        images, labels = split.tensors

        @tf.function
        def fetch(rows, seed):
            raw = tf.gather(images, rows)
            return prepare(raw, dataset, hyper, seed if hyper.augmentation else None), tf.gather(labels, rows)
        return fetch
    return _cached(split, ("fetch", dataset, hyper), build)


def _slicer(split, dataset, hyper, batch_size):
    """Compiled: first row -> (images, labels) of up to `batch_size` rows from there."""
    def build():
        images, labels = split.tensors
        static = [batch_size if len(labels) % batch_size == 0 else None]

        @tf.function
        def cut(start):
            raw = tf.ensure_shape(images[start:start + batch_size], static + images.shape[1:])
            return prepare(raw, dataset, hyper), tf.ensure_shape(labels[start:start + batch_size], static)
        return cut
    return _cached(split, ("cut", dataset, hyper, batch_size), build)


def _cached(split, key, build):
    """What `build()` gives, made once for a split and the settings in `key`; it goes when the split goes."""
    functions = _FETCHERS.setdefault(split, {})
    if key not in functions:
        functions[key] = build()
    return functions[key]
