"""CIFAR-10 and CIFAR-100 (A. Krizhevsky, 2009): the batches of the official "python version"."""
from dataclasses import dataclass

import numpy as np

from data import splits
from data.official import Official
from tfprune import pickles
from tfprune.datasets import DATASETS
from tfprune.experiment import UserError

COMMAND = "mkdir -p {data_dir} && curl -L {url} | tar -xz -C {data_dir}"


@dataclass(frozen=True)
class Batches(Official):
    """A set in pickled batches, of which the last one is to test."""

    labels: bytes = b"labels"  # the key of the labels

    def read(self, paths):
        """What the files hold: a `splits.Arrays`; UserError naming the file where it is damaged."""
        *train, test = (self.batch(path) for path in paths)
        images, labels = (np.concatenate(values) for values in zip(*train, strict=True))
        return splits.Arrays(images, labels, *test, num_classes=DATASETS[self.name].classes,
                             file_sizes=tuple(len(labels) for _, labels in train))

    def batch(self, path):
        """Images [n, 32, 32, 3] (a view of the file's planes) and labels of one batch file."""
        content = pickles.load(path, encoding="bytes")
        if not isinstance(content, dict) or not {b"data", self.labels} <= content.keys():
            raise UserError(f"{path}: not a {self.title} batch (no data, {self.labels.decode()}); unpack {self.url} again")
        try:
            pixels, labels = np.asarray(content[b"data"]), np.asarray(content[self.labels])
        except ValueError:  # lists of lists of different lengths
            pixels, labels = np.empty(0), np.empty(0)
        whole = pixels.shape == (labels.size, 3072) and pixels.dtype == np.uint8 and labels.size
        if not whole or not np.isin(labels, range(DATASETS[self.name].classes)).all():
            found = f"data {pixels.dtype} {pixels.shape}, {labels.size} labels"
            raise UserError(f"{path}: damaged {self.title} batch ({found}); unpack {self.url} again")
        return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels.astype(np.int64)


def source(name, title, folder, files, **options):
    """A set in the archive that unpacks to `folder`."""
    url = f"https://www.cs.toronto.edu/~kriz/{title.lower()}-python.tar.gz"
    return Batches(name, title, url, (name, folder, f"{name}/{folder}"), files, COMMAND, **options)


CIFAR10 = source("cifar10", "CIFAR-10", "cifar-10-batches-py", (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"))
CIFAR100 = source("cifar100", "CIFAR-100", "cifar-100-python", ("train", "test"), labels=b"fine_labels")
