"""Images as users have them, in batches as nets take them."""
import math

import numpy as np

from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.units.fidelity import is_original
from tfprune.units.operations import Graph, trace

MEMORY = 2**30  # bytes that the largest tensor of a batch may take


def batches(images, labels, batch_size, spec):
    """Yields (images, labels or None), `batch_size` examples each; the last may be fewer.

    Args:
      images: array [examples, ...], or a `tf.data.Dataset` of images or of (image, label), batched or not.
      labels: [examples] or None.
      batch_size: of arrays and of datasets, however these were batched.
      spec: `tf.TensorSpec` of a batch of the net's inputs.

    Raises:
      UserError: the images or labels are no numbers, do not fit the net or each other, or there are none, or no end of them.
    """
    pairs = _of_dataset(images, labels, batch_size, spec) if isinstance(images, tf.data.Dataset) else _of_arrays(images, labels, batch_size)
    empty = True
    for batch_images, batch_labels in pairs:
        empty = False
        _check_images(batch_images, spec)
        if batch_labels is not None:
            _check_labels(batch_labels, len(batch_images))
        yield batch_images, batch_labels
    if empty:
        raise UserError("images: there are none")


def count_examples(images, batch_size, spec):
    """How many examples `batches` yields; a Dataset is read once for that."""
    if not isinstance(images, tf.data.Dataset):
        return len(_array(images, "images"))
    dataset = rebatched(images, batch_size, spec)
    return int(dataset.reduce(np.int64(0), lambda count, batch: count + tf.shape(tf.nest.flatten(batch)[0], tf.int64)[0]))


def fitting_batch(net, batch_size, budget=MEMORY):
    """The largest batch, `batch_size` or less and one or more, of which no tensor of the net takes more than `budget` bytes.

    A batch decides which rows of activations are drawn (`activations.samples`), so a net's figures follow from this one number and not
    from the memory of a machine. It is `batch_size` for all nets on small images.

    Args:
      net: a model, or its `Graph`.
    """
    graph = net if isinstance(net, Graph) else trace(net)
    return max(1, min(batch_size, budget // largest_tensor(graph)))


def largest_tensor(graph):
    """Bytes of an example's largest tensor."""
    return max(map(bytes_of_an_example, graph.specs.values()))


def bytes_of_an_example(spec):
    """Bytes of one example of a batch's `tf.TensorSpec`; dimensions that are not known count as one."""
    return math.prod(size or 1 for size in spec.shape[1:]) * spec.dtype.size


def measured_batches(count, batch_size, fidelity="corrected", wraps=False):
    """How many batches of a set of `count` examples are measured: all, the last partial one too.

    The original measures the full ones but one; or, where its batches go on (`wraps`) with the first examples after the last, the full
    ones and one more.

    Raises:
      UserError: that leaves none.
    """
    number = count // batch_size + (1 if wraps else -1) if is_original(fidelity) else -(-count // batch_size)
    if number < 1:
        needed = 2 * batch_size if is_original(fidelity) else 1
        raise UserError(f"{count} examples leave no batch of {batch_size} to measure: fidelity={fidelity} needs at least {needed}")
    return number


def without_labels(images):
    """A `tf.data.Dataset` of (image, label, ..) as one of images; anything else as it is."""
    if isinstance(images, tf.data.Dataset) and isinstance(images.element_spec, tuple):
        return images.map(lambda image, *_: image)
    return images


def _check_images(images, spec):
    if not spec.shape.is_compatible_with(images.shape):
        raise UserError(f"images: shape {tuple(images.shape[1:])} does not fit the net, which takes {tuple(spec.shape[1:])}")
    if not _numbers(images):
        raise UserError(f"images: numbers are needed, not {tf.as_dtype(images.dtype).name}")
    if tf.as_dtype(images.dtype).is_floating and not tf.reduce_all(tf.math.is_finite(images)):
        raise UserError("images: some values are NaN or infinite")


def _check_labels(labels, count):
    if not _numbers(labels):
        raise UserError(f"labels: numbers are needed (of classes, or values), not {tf.as_dtype(labels.dtype).name}")
    if (numbers := math.prod(labels.shape)) != count:
        raise UserError(f"labels: {numbers} numbers for {count} images; each has one (a class's number, not one-hot)")


def _numbers(array):
    kind = tf.as_dtype(array.dtype)
    return kind.is_floating or kind.is_integer or kind.is_bool


def _array(values, name):
    """Whatever can be sliced like an array as it is (a file that is mapped stays on disk), lists as arrays."""
    if hasattr(values, "shape") and hasattr(values, "__len__"):
        return values
    if not isinstance(values, (list, tuple)):
        raise UserError(f"{name}: an array or a tf.data.Dataset is needed, not {type(values).__name__}")
    try:
        return np.asarray(values)
    except ValueError:
        raise UserError(f"{name}: a list of things of different shapes is no array") from None


def _of_arrays(images, labels, batch_size):
    images, labels = _array(images, "images"), labels if labels is None else _array(labels, "labels")
    if labels is not None and len(labels) != len(images):
        raise UserError(f"labels: there are {len(labels)} for {len(images)} images")
    for start in range(0, len(images), batch_size):
        yield _slice(images, start, batch_size), None if labels is None else _slice(labels, start, batch_size)


def _slice(array, start, count):
    part = array[start:start + count]
    return part if tf.is_tensor(part) else np.asarray(part)


def _of_dataset(dataset, labels, batch_size, spec):
    if labels is not None:
        raise UserError("labels: a tf.data.Dataset brings its own, as (image, label)")
    for element in rebatched(dataset, batch_size, spec):
        yield element[:2] if isinstance(element, tuple) else (element, None)


def rebatched(dataset, batch_size, spec):
    """In batches of `batch_size`, whether it was batched or not."""
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise UserError("images: the tf.data.Dataset never ends; take() as many as are to be measured")
    image = dataset.element_spec[0] if isinstance(dataset.element_spec, tuple) else dataset.element_spec
    if not isinstance(image, tf.TensorSpec):
        raise UserError(f"images: a tf.data.Dataset of (image, label) is needed, not of {type(image).__name__}: map() it to that")
    return dataset.rebatch(batch_size) if image.shape.rank == spec.shape.rank else dataset.batch(batch_size)
