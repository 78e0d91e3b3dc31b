"""Archives of arrays (.npz) without pickle: written whole or not at all, and read without trust."""
import struct
import zipfile
import zlib

import numpy as np

from tfprune.experiment import UserError
from tfprune.files import atomic

# What a file that is cut, overwritten or made by somebody else makes NumPy, or the reader of its content, raise.
DAMAGED = (ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError, OverflowError, MemoryError,
           zipfile.BadZipFile, zlib.error, struct.error)


def write(path, arrays):
    """Writes {name: array}, compressed; UserError where that is not possible."""
    try:
        with atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from None


def read(path, names):
    """The arrays of these names in a file; UserError where it cannot be read, lacks one, or holds pickled objects."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    except DAMAGED:
        raise UserError(f"{path}: damaged, or no file of arrays with the names {', '.join(names)}") from None
