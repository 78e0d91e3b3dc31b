"""Reading and writing pickles without ever running what they ask for.

The results of the width study are pickles, the original's (Python 3.7, numpy 1.16) as well as ours, and either's exporters read both.
`load` reads numbers, builtin containers and numpy arrays and refuses everything else by name (tfprune/unpickler.py); `dumps` writes
just these, as protocol 2 and under the module names that old numpy knows.
"""
import codecs
import io
import pickle
import struct

import numpy as np

from tfprune.experiment import UserError
from tfprune.unpickler import Refused, Unpickler, printable


def load(path, encoding="latin1"):
    """What the pickle file `path` holds, or a refusal; nothing in the file is ever executed.

    Args:
      path: the file, of protocol 0 to 4.
      encoding: how the 8-bit strings of Python 2 become text, as in `pickle.load`; "bytes" for the CIFAR batches.

    Raises:
      UserError: unreadable, truncated or damaged, or it asks for something other than numbers, containers and numpy arrays.
    """
    try:
        with open(path, "rb") as file:
            return Unpickler(file, encoding).load()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except Refused as error:
        raise UserError(f"{path}: refused: it asks for {error}; only numbers, containers and numpy arrays are read") from None
    except Exception as error:  # whatever a damaged stream makes of the reader, the file is at fault
        raise UserError(f"{path}: truncated or damaged pickle ({printable(error) or 'unexpected end'})") from None


def dumps(value):
    """The bytes of a protocol 2 pickle, which Python 2.7 to 3.x reads with any numpy; equal content gives equal bytes.

    Args:
      value: None, numbers, text, bytes, numpy scalars and arrays of numbers, and lists, tuples and dicts of these.

    Raises:
      TypeError: anything else, at any depth.
      UserError: an array that is too large for the format (about 3 GB).
    """
    file = io.BytesIO()
    try:
        _Writer(file).dump(value)
    except struct.error:
        raise UserError("an array of more than 3 GB does not fit a protocol 2 pickle: lower measure.max_rows") from None
    return file.getvalue()


_PLAIN = (type(None), bool, int, float, complex, str, bytes, list, tuple, dict)
_NAMES = {
    id(codecs.encode): ("_codecs", "encode"), id(bytes): ("__builtin__", "bytes"), id(complex): ("__builtin__", "complex"),
    id(np.ndarray): ("numpy", "ndarray"), id(np.dtype): ("numpy", "dtype"),
    id(np.empty(0).__reduce__()[0]): ("numpy.core.multiarray", "_reconstruct"),
    id(np.float64().__reduce__()[0]): ("numpy.core.multiarray", "scalar"),
}


class _Writer(pickle._Pickler):  # the one in Python, because the C pickler insists on today's module names
    def __init__(self, file):
        super().__init__(file, protocol=2)
        self.fast = True  # no memo: whether or not two places share an object must not show in the bytes

    def reducer_override(self, thing):
        if id(thing) in _NAMES:
            return _NAMES[id(thing)][1]
        if type(thing) is np.ndarray or isinstance(thing, np.generic):
            return _canonical(thing).__reduce__()
        if type(thing) in _PLAIN or isinstance(thing, np.dtype):
            return NotImplemented
        raise TypeError(f"cannot pickle {type(thing).__name__}: only numbers, text, containers and numpy arrays")

    def save_global(self, thing, name=None):
        self.write(pickle.GLOBAL + "{}\n{}\n".format(*_NAMES[id(thing)]).encode())


def _canonical(thing):
    """A numpy array or scalar in the one memory layout that we write: little-endian, C order."""
    if thing.dtype.kind not in "biufc" or thing.dtype.itemsize > 16:
        raise TypeError(f"cannot pickle numpy data of type {thing.dtype}")
    little = np.asarray(thing).astype(np.dtype(thing.dtype.str).newbyteorder("<"), order="C", copy=False)
    return little if isinstance(thing, np.ndarray) else little[()]
