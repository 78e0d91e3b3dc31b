"""Names and index of records that hold encoded images: a split is many files, and an index says where in them each image lies.

The files are TFRecords under the names that the Inception builder of ImageNet gave them (`validation` is the test split). The index
says where in its shard an image's record begins, and where its JPEG lies, with a CRC-32 of the latter.
"""
import numpy as np

PREFIXES = {"train": "train", "val": "val", "test": "validation"}
INDEX = np.dtype([("shard", "<i4"), ("record", "<i8"), ("offset", "<i8"), ("length", "<i4"), ("crc32", "<u4"), ("label", "<i4")])


def shard_files(split, count):
    """Names of a split's files, such as train-00000-of-01024, in order."""
    return [f"{PREFIXES[split]}-{number:05d}-of-{count:05d}" for number in range(count)]


def index_file(split):
    """Name of the index of a split: a NumPy array of INDEX, a row for each image in the order of the records."""
    return f"{split}.index.npy"


def whole(split, names):
    """Whether the names in a folder hold all files of a split and its index."""
    found = {name for name in names if name.startswith(f"{PREFIXES[split]}-")}
    counts = {name.rpartition("-of-")[2] for name in found}
    count = counts.pop() if len(counts) == 1 else ""
    return index_file(split) in names and count.isdecimal() and found == set(shard_files(split, int(count)))
