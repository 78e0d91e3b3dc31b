"""What a written net is worth beside the one in memory: what it answers, and how large its files are."""
import zlib

import numpy as np

from tfprune.experiment import UserError
from tfprune.progress import track
from tfprune.units.batches import batches


def outputs(function, images, labels, batch_size, spec, what):
    """(outputs [examples, classes], labels [examples] or None) of a function of batches; images as of `export`."""
    collected = [(function(_as(spec, own)), classes) for own, classes in
                 track(batches(images, labels, batch_size, spec), label=what)]
    logits, classes = zip(*collected, strict=True)
    return np.concatenate(logits), None if classes[0] is None else np.concatenate([np.asarray(own).reshape(-1) for own in classes])


def first_images(images, spec, most):
    """The first images of some, as an array."""
    found, count = [], 0
    for own, _ in batches(images, None, most, spec):
        found.append(_as(spec, own)[:most - count])
        count += len(found[-1])
        if count == most:
            break
    return np.concatenate(found)


def figures(logits, expected, classes):
    """How the outputs [examples, classes] of a written net compare with those of the net in memory; NaN where there are no classes."""
    several = expected.shape[-1] > 1
    answers = logits.argmax(-1)
    return {"accuracy": float(np.mean(answers == classes)) if several and classes is not None else np.nan,
            "agreement": float(np.mean(answers == expected.argmax(-1))) if several else np.nan,
            "difference": float(np.abs(logits - expected).max()), "scale": float(np.abs(expected).max())}


def check_finite(logits, name):
    """UserError where a model's outputs are no numbers, so that nothing can be compared with them."""
    if not np.isfinite(logits).all():
        raise UserError(f"the model '{name}' gives outputs that are NaN or infinite; there is nothing to export")


def sizes(path):
    """{"bytes", "gzip_bytes"} of a file, or of all files of a folder together."""
    parts = [part.read_bytes() for part in ([path] if path.is_file() else sorted(path.rglob("*"))) if part.is_file()]
    return sizes_of(parts)


def sizes_of(parts):
    """The same of some bytes; gzip adds about 20 of its own."""
    return {"bytes": sum(map(len, parts)), "gzip_bytes": sum(len(zlib.compress(part)) for part in parts)}


def _as(spec, images):
    return np.asarray(images, spec.dtype.as_numpy_dtype)
