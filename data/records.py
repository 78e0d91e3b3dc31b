"""TFRecord folders that are complete or not there.

A folder is written as `<name>.tmp` beside its place, flushed to disk, then renamed. The `.lock` file makes a second builder wait and find
the first one's work; the kernel frees the lock of a killed process, and what that one left is removed by the next build.
"""
import contextlib
import fcntl
import os
import shutil

import numpy as np

from data import shards
from tfprune import faults
from tfprune.experiment import UserError
from tfprune.files import naming, sha256, sync_folder, write_json
from tfprune.input import META, SPLITS, record_file
from tfprune.input.shards import whole
from tfprune.progress import say, track

FORMAT = 1


def complete(folder):
    """Whether a finished build is at `folder`."""
    names = {path.name for path in folder.iterdir() if path.is_file()} if folder.is_dir() else ()
    return META in names and all(record_file(split) in names or whole(split, names) for split in SPLITS)


@contextlib.contextmanager
def locked(folder, wait=True):
    """Holds the lock of one record folder; yields False, without holding it, where another process does and `wait` is off."""
    descriptor = os.open(folder.with_name(folder.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    with open(descriptor, "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if wait:
                say(f"{folder}: another process is building it; waiting")
                fcntl.flock(handle, fcntl.LOCK_EX)
            else:
                yield False
                return
        yield True


def remove_stale(root):
    """Removes what killed builds left: the temporary folders whose lock is free."""
    for temporary in root.glob("*.tmp"):
        with locked(temporary.with_suffix(""), wait=False) as ours:
            if ours:
                shutil.rmtree(temporary, ignore_errors=True)


def write(folder, meta, write_parts):
    """Writes all parts and `meta.json`, then puts them at `folder`, in place of what is there. The caller holds its lock.

    Args:
      folder: a path whose parent exists.
      meta: what to record beside a summary of each split.
      write_parts: called with a folder to write into; returns {"train": summary, "val": summary, "test": summary}.

    Raises:
      UserError: the records could not be written, a full disk for instance; nothing is left behind.
    """
    from tfprune.keras import tf

    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        with naming(folder):
            write_json(temporary / META, meta | {"format": FORMAT, "splits": write_parts(temporary)})
        for path in (*temporary.iterdir(), temporary):
            sync_folder(path)
        if folder.exists():  # asked to overwrite it, or it has lost a file
            shutil.rmtree(folder)
        os.rename(temporary, folder)
        sync_folder(folder.parent)
    except tf.errors.OpError as error:
        raise UserError(faults.of_tensorflow(error)) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_arrays(folder, parts, meta):
    """Writes a file for each of {"train": Part, "val": Part, "test": Part}; returns their summaries.

    `meta` holds at least `shape` (of one image), `num_classes` and `name`.
    """
    return {split: _write_split(folder / record_file(split), split, parts[split], meta) for split in SPLITS}


def write_images(folder, raw, parts, meta, strict):
    """Writes shards for each of {"train": ImagePart, ...}; returns their summaries.

    Raises:
      UserError: an unreadable file with `strict`; without it, so many that `raw.check` refuses.
    """
    done = {split: shards.write_split(folder, split, parts[split], meta, strict) for split in SPLITS}
    raw.check(parts, {split: written for split, (_, written) in done.items()})
    return {split: summary for split, (summary, _) in done.items()}


def _write_split(path, split, part, meta):
    """Writes one file; returns its summary for `meta.json`."""
    from tfprune.keras import tf

    counts = np.zeros(meta["num_classes"], np.int64)
    with tf.io.TFRecordWriter(str(path)) as writer, track(None, total=part.count, label=f"{meta['name']} {split}") as bar:
        for images, labels in part.chunks():
            for record in _serialized(tf, split, meta["shape"], images, labels):
                writer.write(record)
            if labels.dtype == np.int64:
                counts += np.bincount(labels, minlength=len(counts))
            bar.update(len(images))
    return {"count": part.count, "epoch_size": part.epoch_size, "label_counts": counts.tolist(), "sha256": sha256(path)}


def _serialized(tf, split, shape, images, labels):
    """Yields the records of a chunk. One Example serves them all, 3 times faster than one each; its memory goes with the chunk."""
    height, width, depth = shape if len(shape) == 3 else (1, *shape, 1)
    sizes = {"height": height, "width": width, "depth": depth}
    features = {f"{split}/{key}": tf.train.Feature(int64_list=tf.train.Int64List(value=[value])) for key, value in sizes.items()}
    example = tf.train.Example(features=tf.train.Features(feature=features))
    image, label = (example.features.feature[f"{split}/{key}"] for key in ("image", "label"))
    values = (label.int64_list if labels.dtype == np.int64 else label.float_list).value
    for row, target in zip(images, labels.tolist(), strict=True):
        image.bytes_list.value[:], values[:] = [row.tobytes()], [target]
        yield example.SerializeToString()
