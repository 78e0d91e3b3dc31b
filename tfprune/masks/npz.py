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


def read(path, names, most):
    """The arrays of these names in a file; UserError where it cannot be read, lacks one, holds pickled objects or unpacks to more than
    `most` bytes: a few megabytes can hold zeros for all memory."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if (size := sum(entry.file_size for entry in file.zip.infolist())) > most:
                raise UserError(f"{path}: damaged, or of another architecture: it unpacks to {size} bytes, {most} are the most")
            return {name: file[name] for name in names}
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UserError:
        raise
    except DAMAGED:
        raise UserError(f"{path}: damaged, or no file of arrays with the names {', '.join(names)}") from None
