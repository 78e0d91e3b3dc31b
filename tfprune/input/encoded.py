"""One split of a record folder whose images are JPEGs: they stay in their files, and any of them is read when it is asked for."""
import hashlib
import os
import pathlib
import zlib
from dataclasses import dataclass

import numpy as np

from tfprune.experiment import UserError
from tfprune.input.meta import remedy
from tfprune.input.shards import INDEX, index_file, shard_files


@dataclass(frozen=True, eq=False)
class ImageReader:
    """Reads images by row; keeps no file open, for there are more of them than a process may hold."""

    files: tuple  # paths of the shards
    index: np.ndarray  # INDEX [n]
    remedy: str

    def read(self, row):
        """The JPEG of one row; UserError naming its file where that is missing or damaged."""
        shard, _, offset, length, checksum, _ = self.index[row].item()
        path = self.files[shard]
        try:
            with open(path, "rb", buffering=0) as handle:
                content = os.pread(handle.fileno(), length, offset)
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); {self.remedy}") from None
        if len(content) != length or zlib.crc32(content) != checksum:
            raise UserError(f"{path}: corrupt or truncated at byte {offset}; {self.remedy}")
        return content


@dataclass(frozen=True, eq=False)
class EncodedSplit:
    """Images and labels of one of train, val, test.

    Attributes:
      reader: `reader.read(row)` is the JPEG of a row, bytes.
      labels: int64 [n]. Not to be written to.
      num_classes: outputs of a net that learns them; of ImageNet 1001, where 0 is the background that no image shows.
    """

    reader: ImageReader
    labels: np.ndarray
    num_classes: int

    def __len__(self):
        return len(self.labels)

    @property
    def epoch_size(self):
        """Examples that make an epoch: all of them."""
        return len(self.labels)


def load(folder, split, meta):
    """Opens one split of a record folder whose `meta.json` says `meta`.

    Reads the index (32 bytes an image), no image, and looks at the sizes of the files. An image is checked when it is read.

    Raises:
      UserError: a file is missing, truncated or corrupt; says which one and how to build it again.
    """
    folder, summary, advice = pathlib.Path(folder), meta["splits"][split], remedy(folder, meta)
    files = tuple(folder / name for name in shard_files(split, len(summary["shard_bytes"])))
    for path, size in zip(files, summary["shard_bytes"], strict=True):
        found = path.stat().st_size if path.is_file() else None
        if found != size:
            raise UserError(f"{path}: {'missing' if found is None else f'truncated, {found} of {size} bytes'}; {advice}")
    index = _index(folder / index_file(split), summary, meta["num_classes"], advice)
    labels = index["label"].astype(np.int64)
    labels.setflags(write=False)
    return EncodedSplit(ImageReader(files, index, advice), labels, meta["num_classes"])


def _index(path, summary, num_classes, advice):
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {advice}") from None
    if hashlib.sha256(content).hexdigest() != summary["sha256"]:
        raise UserError(f"{path}: corrupt or truncated; {advice}")
    index = np.load(path, allow_pickle=False)
    if index.dtype != INDEX or index.shape != (summary["count"],) or not _within(index, len(summary["shard_bytes"]), num_classes):
        raise UserError(f"{path}: is of other records than its meta.json; {advice}")
    return index


def _within(index, shards, num_classes):
    limits = {"shard": shards, "label": num_classes}
    return all((index[name] >= 0).all() and (index[name] < limit).all() for name, limit in limits.items())
