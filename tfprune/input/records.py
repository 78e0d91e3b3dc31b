"""One split of a record folder, in memory; or, of encoded images, in its files (`tfprune.input.encoded`).

The folder is what `python -m data.build` makes: {train,val,test}.tfrecords, or shards of encoded images, and meta.json, which says what
the records hold.
"""
import functools
import pathlib
from dataclasses import dataclass

import numpy as np

from tfprune.experiment import UserError
from tfprune.input import encoded, record_file
from tfprune.input import meta as description
from tfprune.keras import tf

ALIGNMENT = 64  # bytes; TensorFlow reads a NumPy array in place where its data start at such an address
CHUNK_BYTES = 2**24


@dataclass(frozen=True, eq=False)
class Split:
    """Examples and labels of one of train, val, test.

    Attributes:
      images: uint8 [n, height, width, channels], or float32 [n, dimension]. Not to be written to.
      labels: int64 [n], or float32 [n] for regression.
      num_classes: outputs of a net that learns them; 1 for regression.
      epoch_size: examples that make an epoch; 0 is made n. Smaller than n only in the original's accumulated split (docs/fidelity.md).
    """

    images: np.ndarray
    labels: np.ndarray
    num_classes: int
    epoch_size: int = 0

    def __post_init__(self):
        object.__setattr__(self, "epoch_size", self.epoch_size or len(self.labels))

    def __len__(self):
        return len(self.labels)

    @functools.cached_property
    def tensors(self):
        """(images, labels) as tensors in host memory; what `load` gave is not copied."""
        with tf.device("CPU:0"):
            return _tensor(self.images), tf.constant(self.labels)


def _tensor(array):
    if array.size and array.flags.writeable and array.flags.c_contiguous and array.ctypes.data % ALIGNMENT == 0:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.constant(array)


def load(folder, split):
    """Reads one split of a record folder.

    Args:
      folder: the folder of the records.
      split: "train", "val" or "test".

    Returns a `Split`, or an `encoded.EncodedSplit` where the records hold encoded images.

    Raises:
      UserError: the file is missing, truncated or corrupt; says which one and how to build it again.
    """
    folder = pathlib.Path(folder)
    meta = description.read(folder)
    if "encoding" in meta:
        return encoded.load(folder, split, meta)
    path, count, shape = folder / record_file(split), meta["splits"][split]["count"], meta["shape"]
    images = _aligned((count, *shape), np.dtype(meta["dtype"]))
    labels = np.empty(count, meta["label_dtype"])
    filled = 0
    try:
        for some_images, some_labels in _batches(path, split, images, labels.dtype):
            rows = slice(filled, filled + len(some_labels))
            images[rows], labels[rows] = some_images, some_labels
            filled = rows.stop
    except (tf.errors.OpError, ValueError) as error:  # ValueError: more records than meta.json says, or of another shape
        raise UserError(f"{path}: {_ailment(error)} after {filled} of {count} examples; {description.remedy(folder, meta)}") from None
    if filled != count:
        raise UserError(f"{path}: truncated, {filled} of {count} examples; {description.remedy(folder, meta)}")
    loaded = Split(images, labels, meta["num_classes"], meta["splits"][split]["epoch_size"])
    assert loaded.tensors  # made now, for NumPy shares only what may be written to with others
    images.setflags(write=False)
    labels.setflags(write=False)
    return loaded


def _batches(path, split, images, label_dtype):
    """Yields (images, labels) arrays of consecutive records."""
    shape, value_type = images.shape[1:], tf.as_dtype(images.dtype)
    features = {f"{split}/image": tf.io.FixedLenFeature([], tf.string), f"{split}/label": tf.io.FixedLenFeature([], label_dtype)}

    def parse(serialized):
        example = tf.io.parse_example(serialized, features)
        values = tf.io.decode_raw(example[f"{split}/image"], value_type)
        return tf.reshape(values, (-1, *shape)), example[f"{split}/label"]

    size = max(1, CHUNK_BYTES // (int(np.prod(shape)) * images.itemsize))
    records = tf.data.TFRecordDataset(str(path), buffer_size=2**23).batch(size)
    return records.map(parse, num_parallel_calls=2).prefetch(1).as_numpy_iterator()


def _aligned(shape, dtype):
    """An uninitialised array whose data TensorFlow can use in place."""
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start:start + size].view(dtype).reshape(shape)


def _ailment(error):
    return "missing" if isinstance(error, tf.errors.NotFoundError) else "corrupt or truncated"
