"""Writes a split of encoded images: TFRecord shards with the features of the Inception builder, and the index to read them by.

Every file is decoded before it is kept, on all cores. Those that cannot be are named and left out, or with `strict` end the build.
"""
import collections
import contextlib
import hashlib
import os
import stat
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from data.jpeg import Unreadable, normalised
from tfprune.experiment import UserError
from tfprune.input.shards import INDEX, index_file, shard_files
from tfprune.progress import say, track

HEADER, FOOTER = 12, 4  # bytes around a TFRecord: its length and their checksum; the checksum of the content
AHEAD = 8  # files a core may be ahead of the writer
MOST_BYTES = 2**28  # of a file; a photograph has a thousandth


def write_split(folder, split, part, meta, strict=False):
    """Writes the shards and the index of one split.

    Args:
      folder: where to.
      part: an `ImagePart` of `data.imagenet`.
      meta: holds `name` and `num_classes`.
      strict: refuse an unreadable file instead of leaving it out.

    Returns (summary for `meta.json`, which images were written, bool [count]).

    Raises:
      UserError: an unreadable file, with `strict`.
    """
    from tfprune.keras import tf

    index, skipped, sizes = np.zeros(part.count, INDEX), [], []
    names = shard_files(split, part.shards)
    bounds = np.linspace(0, part.count, part.shards + 1).astype(int)
    with contextlib.closing(_checked(part)) as images, track(None, total=part.count, label=f"{meta['name']} {split}") as bar:
        for number, name in enumerate(names):
            with tf.io.TFRecordWriter(str(folder / name)) as writer:
                shard = _Shard(number, writer)
                for place in range(bounds[number], bounds[number + 1]):
                    try:
                        content, height, width = next(images)()
                    except Unreadable as error:
                        _leave_out(part.path(place), error, strict)
                        skipped.append(part.name(place))
                    else:
                        record = _example(tf, part, place, content, height, width)
                        index[place] = shard.add(record, content, part.labels[place])
                    bar.update()
            sizes.append(shard.size)
    written = index["length"] > 0
    np.save(folder / index_file(split), index[written], allow_pickle=False)
    counts = np.bincount(part.labels[written], minlength=meta["num_classes"])
    return {"count": int(written.sum()), "epoch_size": int(written.sum()), "label_counts": counts.tolist(), "shard_bytes": sizes,
            "sha256": hashlib.sha256((folder / index_file(split)).read_bytes()).hexdigest(), "skipped": skipped}, written


class _Shard:
    """A file that is being written; `size` is where its next record begins, and in the end its bytes."""

    def __init__(self, number, writer):
        self._number, self._writer, self.size = number, writer, 0

    def add(self, record, content, label):
        """Writes a record; returns the row of INDEX for the image `content` in it."""
        self._writer.write(record)
        begin, self.size = self.size, self.size + HEADER + len(record) + FOOTER
        return self._number, begin, begin + HEADER + record.index(content), len(content), zlib.crc32(content), label


def _leave_out(path, error, strict):
    if strict:
        raise UserError(f"{path}: {error}; replace or remove it, or leave --strict out to build without it")
    say(f"{path}: {error}; left out", sys.stderr)


def _checked(part):
    """Yields a function for each image of a part, in order: it returns the image as a JPEG with its size, or raises `Unreadable`."""
    cores = os.cpu_count() or 1
    pending = collections.deque()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for place in range(part.count):
                pending.append(pool.submit(_read, part.path(place)))
                if len(pending) > AHEAD * cores:
                    yield pending.popleft().result
            while pending:
                yield pending.popleft().result
        finally:
            pool.shutdown(cancel_futures=True)


def _read(path):
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for, a device read without end
            raise Unreadable("not an ordinary file")
        if status.st_size > MOST_BYTES:
            raise Unreadable(f"{status.st_size} bytes are too many")
        content = path.read_bytes()
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror})") from None
    return normalised(content)


def _example(tf, part, place, content, height, width):
    """One record, serialised, the same bytes whenever it is built."""
    path, wnid, label = part.path(place), part.wnid(place), int(part.labels[place])
    boxes = part.boxes.get(path.name, ())
    texts = {"image/colorspace": "RGB", "image/format": "JPEG", "image/filename": path.name, "image/class/synset": wnid,
             "image/class/text": part.words.get(wnid, "")}
    integers = {"image/height": [height], "image/width": [width], "image/channels": [3], "image/class/label": [label],
                "image/object/bbox/label": [label] * len(boxes)}
    edges = zip(*boxes, strict=True) if boxes else [()] * 4
    floats = {f"image/object/bbox/{edge}": values for edge, values in zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True)}
    example = tf.train.Example()
    feature = example.features.feature
    for key, text in texts.items():
        feature[key].bytes_list.value.append(text.encode(errors="surrogateescape"))
    feature["image/encoded"].bytes_list.value.append(content)
    for key, values in integers.items():
        feature[key].int64_list.value.extend(values)
    for key, values in floats.items():
        feature[key].float_list.value.extend(values)
    return example.SerializeToString(deterministic=True)
