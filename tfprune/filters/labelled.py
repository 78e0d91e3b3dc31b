"""Images with their classes, a batch at a time, as every pass of this package reads them."""
import numpy as np

from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.progress import track
from tfprune.units.batches import batches, fitting_batch


class LabelledBatches:
    """Batches of (images, labels int64) of a set, checked; may be read more than once.

    Args:
      function: a `feature_function`, or another with its `graph`, `images` and `classes`.
      images, labels, batch_size: as of `class_filters`.
      what: is done with them, for the progress bar.

    Raises, while it is read:
      UserError: there are no labels, or some that are no class of the model's; or see `units.batches`.
    """

    def __init__(self, function, images, labels, batch_size, what="class filters"):
        self.function, self.images, self.labels, self.what = function, images, labels, what
        self.batch_size = fitting_batch(function.graph, batch_size)

    def __iter__(self):
        spec = self.function.images
        for images, labels in track(batches(self.images, self.labels, self.batch_size, spec), label=self.what):
            yield tf.cast(images, spec.dtype), class_numbers(labels, self.function.classes)


def class_numbers(labels, classes):
    """The labels of a batch as int64, checked."""
    if labels is None:
        raise UserError("labels: the class of each image is needed, as labels=[..] or in a tf.data.Dataset of (image, label)")
    labels = np.asarray(labels).reshape(-1)
    wrong = labels[~((labels >= 0) & (labels < classes) & (labels == np.floor(labels)))]
    if len(wrong):
        raise UserError(f"labels: {wrong[0]} is no class of the model; whole numbers from 0 to {classes - 1} are needed")
    return tf.constant(labels.astype(np.int64))
