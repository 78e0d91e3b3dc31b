"""Images as users have them, in batches as nets take them."""
import numpy as np

from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.units.fidelity import is_original


def batches(images, labels, batch_size, spec):
    """Yields (images, labels or None), `batch_size` examples each; the last may be fewer.

    Args:
      images: array [examples, ...], or a `tf.data.Dataset` of images or of (image, label), batched or not.
      labels: [examples] or None.
      batch_size: of arrays and of datasets, however these were batched.
      spec: `tf.TensorSpec` of a batch of the net's inputs.

    Raises:
      UserError: the images do not fit the net or the labels, or there are none, or no end of them.
    """
    pairs = _of_dataset(images, labels, batch_size, spec) if isinstance(images, tf.data.Dataset) else _of_arrays(images, labels, batch_size)
    empty = True
    for batch_images, batch_labels in pairs:
        empty = False
        if not spec.shape.is_compatible_with(batch_images.shape):
            raise UserError(f"images: shape {tuple(batch_images.shape[1:])} does not fit the net, which takes {tuple(spec.shape[1:])}")
        yield batch_images, batch_labels
    if empty:
        raise UserError("images: there are none")


def count_examples(images, batch_size, spec):
    """How many examples `batches` yields; a Dataset is read once for that."""
    if not isinstance(images, tf.data.Dataset):
        return len(images)
    dataset = _rebatched(images, batch_size, spec)
    return int(dataset.reduce(np.int64(0), lambda count, batch: count + tf.shape(tf.nest.flatten(batch)[0], tf.int64)[0]))


def measured_batches(count, batch_size, fidelity="corrected"):
    """How many batches of a set of `count` examples are measured: all, the last partial one too; the original: the full ones but one.

    Raises:
      UserError: that leaves none.
    """
    number = count // batch_size - 1 if is_original(fidelity) else -(-count // batch_size)
    if number < 1:
        needed = 2 * batch_size if is_original(fidelity) else 1
        raise UserError(f"{count} examples leave no batch of {batch_size} to measure: fidelity={fidelity} needs at least {needed}")
    return number


def _of_arrays(images, labels, batch_size):
    if labels is not None and len(labels) != len(images):
        raise UserError(f"labels: there are {len(labels)} for {len(images)} images")
    for start in range(0, len(images), batch_size):
        yield images[start:start + batch_size], None if labels is None else labels[start:start + batch_size]


def _of_dataset(dataset, labels, batch_size, spec):
    if labels is not None:
        raise UserError("labels: a tf.data.Dataset brings its own, as (image, label)")
    for element in _rebatched(dataset, batch_size, spec):
        yield element[:2] if isinstance(element, tuple) else (element, None)


def _rebatched(dataset, batch_size, spec):
    """In batches of `batch_size`, whether it was batched or not."""
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise UserError("images: the tf.data.Dataset never ends; take() as many as are to be measured")
    image = dataset.element_spec[0] if isinstance(dataset.element_spec, tuple) else dataset.element_spec
    return dataset.rebatch(batch_size) if image.shape.rank == spec.shape.rank else dataset.batch(batch_size)
