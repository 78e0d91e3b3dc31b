"""Whether what a source loads is what the `Examples` of its set say: found out before any record is written."""
import numpy as np

from tfprune.datasets import DATASETS
from tfprune.experiment import UserError


def check(arrays, name):
    """UserError, in one line, where `splits.Arrays` are not images and labels of the data set `name`."""
    examples = DATASETS[name]
    if examples.side is None:  # vectors, whose length is a setting
        return
    halves = {"training": (arrays.train_images, arrays.train_labels), "test": (arrays.test_images, arrays.test_labels)}
    for half, (images, labels) in halves.items():
        if problem := _of_images(images, examples) or _of_labels(labels, len(images), arrays.num_classes, examples):
            raise UserError(f"--set dataset.name={name}: its {half} {problem}")


def _of_images(images, examples):
    shape = (examples.side, examples.side, examples.channels)
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        return f"images are {images.dtype}, each {images.shape[1:]}; DATASETS says uint8, {shape}"
    return None if len(images) else "images are none"


def _of_labels(labels, count, classes, examples):
    if labels.dtype != np.int64 or labels.shape != (count,):
        return f"labels are {labels.dtype} {labels.shape}; int64 {(count,)} is needed"
    if classes != examples.classes or not 0 <= labels.min() <= labels.max() < classes:
        return f"labels are {labels.min()} to {labels.max()}, of {classes} classes; DATASETS says 0 to {examples.classes - 1}"
    return None
