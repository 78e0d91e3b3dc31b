"""Which examples train, which validate, which test, and with which labels: index arrays, so that no image is needed to check them."""
import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfprune.experiment import UserError

# What decides the parts of an `Arrays` source.
FIELDS = ("seed", "limit", "proportion_training_set", "num_valid", "random_labels", "split")
LATER = ("num_valid",)  # of these and other sources' fields: at its default such a one is no part of what names records, older than it
CHUNK = 1000  # examples that pass through memory at a time


@dataclass(frozen=True)
class Part:
    """One of train, val, test, not yet in memory.

    `chunks()` yields (images, labels) arrays that together hold `count` examples. `epoch_size` examples make an epoch: it differs
    from `count` only in the accumulated split, whose epochs are as long as if the split were right.
    """

    count: int
    chunks: Callable
    epoch_size: int


@dataclass(frozen=True)
class Arrays:
    """A source that fits in memory: the official sets, and the sizes of the files that the training set came in."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    num_classes: int
    file_sizes: tuple = ()

    @property
    def shape(self):
        """Shape of one image."""
        return self.train_images.shape[1:]

    @property
    def dtype(self):
        """Type of the images' values, by name."""
        return self.train_images.dtype.name

    @property
    def label_dtype(self):
        """Type of the labels, by name."""
        return self.train_labels.dtype.name

    def digest(self):
        """SHA-256 of the arrays: their shapes, types and values."""
        total = hashlib.sha256()
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            total.update(f"{array.shape} {array.dtype} ".encode() + np.ascontiguousarray(array).tobytes())
        return total.hexdigest()

    def parts(self, dataset):
        """{"train": Part, "val": Part, "test": Part} as a `Dataset` asks for them."""
        count, test_count = limited(dataset, len(self.train_labels), len(self.test_labels))
        labels = self.train_labels
        if dataset.random_labels:
            labels = random_labels(len(labels), self.num_classes, dataset.seed)
        train, val = split_rows(dataset, count, self.file_sizes)
        train_size = training_size(dataset, count)
        return {"train": chosen(self.train_images, labels, train, train_size),
                "val": chosen(self.train_images, labels, val, count - train_size),
                "test": chosen(self.test_images, self.test_labels, np.arange(test_count), test_count)}


def limited(dataset, count, test_count):
    """How many training and test examples `dataset.limit` leaves: the first N and the first N/5."""
    if not dataset.limit:
        return count, test_count
    return min(count, dataset.limit), min(test_count, max(1, dataset.limit // 5))


def split_rows(dataset, count, file_sizes=()):
    """Row numbers of the training and of the validation part among the first `count` examples, in the order of their records.

    Raises:
      UserError: nothing would be left to train on, or `num_valid` does not go with the split.
    """
    if dataset.split == "accumulated":
        if dataset.num_valid:
            raise UserError(f"--set dataset.num_valid={dataset.num_valid}: the accumulated split holds out a share of every file "
                            "(dataset.proportion_training_set); 0 is accepted, or dataset.split=clean or first")
        training_size(dataset, count)
        return accumulated(file_sizes or (count,), dataset.proportion_training_set, count)
    split = {"clean": clean, "first": first}[dataset.split]
    return split(count, training_size(dataset, count), dataset.seed)


def training_size(dataset, count):
    """How many of `count` examples are to train on: all but `num_valid`, or by their proportion. UserError where that is none."""
    limit = f" with dataset.limit={dataset.limit}" if dataset.limit else ""
    if dataset.num_valid:
        if dataset.num_valid >= count:
            raise UserError(f"--set dataset.num_valid={dataset.num_valid}{limit}: there are {count} training examples; less than {count} "
                            "of them can be held out")
        return count - dataset.num_valid
    proportion = dataset.proportion_training_set
    if int(proportion * count) == 0:
        raise UserError(f"--set dataset.proportion_training_set={proportion}{limit}: leaves none of {count} examples to train on; "
                        "raise it (1 validates on none) or dataset.limit")
    return int(proportion * count)


def clean(count, size, seed):
    """Disjoint parts of a seeded shuffle: `size` rows to train on, the others to validate."""
    rows = generator(seed, "split").permutation(count)
    return np.split(rows, [size])


def first(count, size, seed=None):
    """The first rows validate, the last `size` train, in the order of the files (justincosentino/network-pruning); nothing is drawn."""
    return np.split(np.arange(count), [count - size])[::-1]


def accumulated(file_sizes, proportion, count):
    """The original's split: taken anew, unshuffled, of all files read so far whenever another one has been read.

    Early images are written several times, and most validation images are training images too: 142,500 and 7,500 records of
    CIFAR-10's 50,000 images (create_dataset in xboix/frivolous_dnns). Files beyond the first `count` examples are not read.
    """
    read = dict.fromkeys(min(total, count) for total in itertools.accumulate(file_sizes))
    pairs = [np.split(np.arange(total), [int(proportion * total)]) for total in read]
    return [np.concatenate(part) for part in zip(*pairs, strict=True)]


def random_labels(count, num_classes, seed):
    """Labels drawn uniformly over the classes, int64; an image that is recorded twice has one label."""
    return generator(seed, "labels").integers(num_classes, size=count)


def chosen(images, labels, rows, epoch_size):
    """The part that holds these rows of arrays."""
    def chunks():
        for start in range(0, len(rows), CHUNK):
            picked = rows[start:start + CHUNK]
            yield images[picked], labels[picked]
    return Part(len(rows), chunks, epoch_size)


def generator(seed, purpose):
    """A NumPy generator for one purpose: what one stream draws moves no other."""
    return np.random.default_rng([seed, *purpose.encode()])
