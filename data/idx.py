"""The idx format of MNIST's files (yann.lecun.com/exdb/mnist): big-endian, two zeros, the type, the number of dimensions, their sizes."""
import gzip
import math
import zlib

import numpy as np

from tfprune.experiment import UserError

UBYTE = 8
MOST_BYTES = 2**30  # of one file's values; MNIST's have a twentieth, and more would be a gzip bomb


def read(path, dimensions):
    """The unsigned bytes that an idx file holds, plain or compressed (`.gz`).

    Args:
      path: the file.
      dimensions: how many it must have: 3 of images, 1 of labels.

    Returns a uint8 array [count, ...], not to be written to.

    Raises:
      UserError: unreadable, damaged, truncated or longer than its header says, of another type or number of dimensions, or empty.
    """
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            return _values(path, file, dimensions)
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged gzip file ({error}); fetch it again") from None
    except EOFError:
        raise UserError(f"{path}: truncated gzip file; fetch it again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None


def _values(path, file, dimensions):
    header = file.read(4 + 4 * dimensions)
    if header[:4] != bytes([0, 0, UBYTE, dimensions]):
        raise UserError(f"{path}: begins with {header[:4].hex() or 'nothing'}, not with 0000{UBYTE:02x}{dimensions:02x} as an idx file of "
                        f"unsigned bytes with {dimensions} dimensions does; fetch it again")
    shape = np.frombuffer(header[4:len(header) // 4 * 4], ">u4").tolist()
    size = math.prod(shape)
    if len(shape) < dimensions or not 0 < size <= MOST_BYTES:
        raise UserError(f"{path}: has a damaged header, dimensions {shape}; fetch it again")
    content = file.read(size + 1)
    if len(content) != size:
        problem = "longer than its header says" if len(content) > size else f"truncated, {len(content)} of {size} bytes"
        raise UserError(f"{path}: {problem} (dimensions {shape}); fetch it again")
    return np.frombuffer(content, np.uint8).reshape(shape)
