"""`tf.data` batches of a `Split`: raw examples stay in memory once, a batch is gathered, prepared, and prefetched."""
from tfprune.input.compiled import made_once
from tfprune.input.preprocess import prepare
from tfprune.keras import tf

PREFETCH = 4  # batches


def training(plans, split, dataset, hyper, ragged):
    """The batches that `plans` (of `plan.plans`) ask for."""
    return _mapped(plans, _fetcher(split, dataset, hyper, ragged))


def evaluation(split, dataset, hyper, batch_size):
    """All examples in order."""
    starts = tf.data.Dataset.range(0, len(split), batch_size)
    return _mapped(starts, _slicer(split, dataset, hyper, batch_size))


def _mapped(elements, function):
    """Maps in parallel, in order, and prefetches."""
    return elements.map(function, num_parallel_calls=tf.data.AUTOTUNE).prefetch(PREFETCH)


def _fetcher(split, dataset, hyper, ragged):
    """Compiled: (rows [batch], augmentation seed [2]) -> (images, labels); if `ragged`, without the rows of -1 at the end."""
    def build():
        images, labels = split.tensors

        @tf.function
        def fetch(rows, seed):
            rows = rows[:tf.math.count_nonzero(rows >= 0)] if ragged else rows
            raw = tf.gather(images, rows)
            return prepare(raw, dataset, hyper, seed if hyper.augmentation else None), tf.gather(labels, rows)
        return fetch
    return made_once(split, ("fetch", dataset, hyper, ragged), build)


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
    return made_once(split, ("cut", dataset, hyper, batch_size), build)
