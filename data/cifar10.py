"""CIFAR-10 (A. Krizhevsky, 2009): the official "python version" batches, or tensorflow-datasets' copy where those are absent.

The counts come from the files, so that a smaller set in the same format works too.
"""
import pathlib

import numpy as np

from data import download, splits
from tfprune import pickles
from tfprune.experiment import UserError

FIELDS = splits.FIELDS
FOLDERS = ("cifar10", "cifar-10-batches-py", "cifar10/cifar-10-batches-py")
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = "test_batch"
ARCHIVE = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"


def fingerprint(dataset, data_dir):
    """SHA-256 of the raw files; downloads them where there are none."""
    folder = official_folder(data_dir)
    if folder is not None:
        return download.digest([folder / name for name in (*TRAIN, TEST)])
    advice = (f"put {TRAIN[0]} ... {TRAIN[-1]} and {TEST} into {pathlib.Path(data_dir) / FOLDERS[0]}, for instance with: "
              f"mkdir -p {data_dir} && curl -L {ARCHIVE} | tar -xz -C {data_dir}")
    return download.digest(download.ensure("cifar10", data_dir, ARCHIVE, advice))


def load(dataset, data_dir):
    """All images uint8 [n, 32, 32, 3] and labels int64, in the order of the files.

    Raises:
      UserError: a batch file is missing, truncated, or not what its name says.
    """
    folder = official_folder(data_dir)
    if folder is None:
        arrays = download.load("cifar10", data_dir)
        return splits.Arrays(*arrays["train"], *arrays["test"], num_classes=10)
    batches = [read(folder / name) for name in TRAIN]
    images, labels = (np.concatenate(values) for values in zip(*batches, strict=True))
    return splits.Arrays(images, labels, *read(folder / TEST), num_classes=10, file_sizes=tuple(len(labels) for _, labels in batches))


def official_folder(data_dir):
    """The folder of the official files, or None; UserError naming the file where one of them is missing."""
    for folder in (pathlib.Path(data_dir) / name for name in FOLDERS):
        missing = [name for name in (*TRAIN, TEST) if not (folder / name).is_file()]
        if len(missing) == len(TRAIN) + 1:
            continue
        if missing:
            raise UserError(f"{folder / missing[0]}: missing; unpack {ARCHIVE} again, or remove {folder} to have the data downloaded")
        return folder
    return None


def read(path):
    """Images [n, 32, 32, 3] (a view of the file's planes) and labels of one batch file."""
    batch = pickles.load(path, encoding="bytes")
    if not isinstance(batch, dict) or not {b"data", b"labels"} <= batch.keys():
        raise UserError(f"{path}: not a CIFAR-10 batch (no data, labels); unpack {ARCHIVE} again")
    try:
        pixels, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"])
    except ValueError:  # lists of lists of different lengths
        pixels, labels = np.empty(0), np.empty(0)
    whole = pixels.shape == (labels.size, 3072) and pixels.dtype == np.uint8 and labels.size and np.isin(labels, range(10)).all()
    if not whole:
        found = f"data {pixels.dtype} {pixels.shape}, {labels.size} labels"
        raise UserError(f"{path}: damaged CIFAR-10 batch ({found}); unpack {ARCHIVE} again")
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels.astype(np.int64)
