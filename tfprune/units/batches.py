"""Images as users have them, in batches as nets take them."""
from tfprune.experiment import UserError
from tfprune.keras import tf


def batches(images, labels, batch_size, spec):
    """Yields (images, labels or None).

    Args:
      images: array [examples, ...], or a `tf.data.Dataset` of images or of (image, label), batched or not.
      labels: [examples] or None.
      batch_size: of arrays and of datasets that are not batched.
      spec: `tf.TensorSpec` of a batch of the net's inputs.

    Raises:
      UserError: the images do not fit the net or the labels, or there are none.
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


def _of_arrays(images, labels, batch_size):
    if labels is not None and len(labels) != len(images):
        raise UserError(f"labels: there are {len(labels)} for {len(images)} images")
    for start in range(0, len(images), batch_size):
        yield images[start:start + batch_size], None if labels is None else labels[start:start + batch_size]


def _of_dataset(dataset, labels, batch_size, spec):
    if labels is not None:
        raise UserError("labels: a tf.data.Dataset brings its own, as (image, label)")
    has_labels = isinstance(dataset.element_spec, tuple)
    image = dataset.element_spec[0] if has_labels else dataset.element_spec
    for element in dataset if image.shape.rank == spec.shape.rank else dataset.batch(batch_size):
        yield element[:2] if has_labels else (element, None)
