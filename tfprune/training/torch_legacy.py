"""Reads what torch.save wrote before PyTorch 1.6 (.th, .pth), without PyTorch: arrays, numbers and containers of them, never code.

Such a file is five pickles in a row - a magic number, a version, the machine, the content, the names of its storages - and then the
storages themselves, each as a count (int64) and raw numbers. The content names tensors by storage, offset, sizes and strides. All of it
is read through the allow-list of `tfprune.unpickler`, and nothing is believed that would reach beyond a storage or the file.
"""
import os
import pickle
from dataclasses import dataclass

import numpy as np

from tfprune.keras import tf
from tfprune.unpickler import Refused, Unpickler

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {"Float": "<f4", "Double": "<f8", "Half": "<f2", "BFloat16": tf.bfloat16.as_numpy_dtype, "Long": "<i8", "Int": "<i4",
            "Short": "<i2", "Char": "<i1", "Byte": "<u1", "Bool": "<u1"}


@dataclass(frozen=True, eq=False)
class _Storage:
    """Numbers that tensors are views of; the file brings them last."""

    array: np.ndarray

    def view(self, offset, sizes, strides):
        """The tensor that begins at `offset`, counted in numbers as the strides are."""
        if not all(type(number) is int and number >= 0 for number in (offset, *sizes, *strides)) or len(sizes) != len(strides):
            raise ValueError("sizes of a tensor")
        if 0 in sizes:
            return np.empty(sizes, self.array.dtype)
        last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        tensor = np.lib.stride_tricks.as_strided(
            self.array[offset:], sizes, [stride * self.array.itemsize for stride in strides]) if last < self.array.size else None
        if tensor is None or tensor.size > self.array.size:
            raise ValueError("a tensor that reaches beyond its storage")
        return tensor

    def fill(self, file):
        """Reads the numbers."""
        count = int.from_bytes(file.read(8), "little", signed=True)
        if count != self.array.size or file.readinto(self.array.view(np.uint8)) != self.array.nbytes:
            raise EOFError("the numbers of a storage")


def _tensor(storage, offset, sizes, strides, *_):
    """For `_rebuild_tensor` and `_rebuild_tensor_v2`; what follows the strides is of gradients."""
    if not isinstance(storage, _Storage):
        raise Refused("a tensor without storage")
    return storage.view(offset, sizes, strides)


def _parameter(tensor, *_):
    """For `_rebuild_parameter`."""
    return tensor


def _dictionary():
    """For OrderedDict, whose items follow."""
    return {}


class _Content(Unpickler):
    """The allow-list with tensors; `storages` are those that it has met, by name."""

    dispatch = type(Unpickler.dispatch)(Unpickler.dispatch)
    functions = Unpickler.functions | {
        ("collections", "OrderedDict"): _dictionary, ("torch._utils", "_rebuild_tensor"): _tensor,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor, ("torch._utils", "_rebuild_parameter"): _parameter}
    constants = Unpickler.constants | {("torch", f"{name}Storage"): np.dtype(kind) for name, kind in STORAGES.items()}

    def __init__(self, file):
        super().__init__(file)
        self.storages, self.left = {}, os.fstat(file.fileno()).st_size - file.tell()  # bytes of the file, in which all of them must be

    def persistent_load(self, pid):
        """The storage of this name, type and size, whose numbers are yet to be read."""
        word, dtype, name, _, size, *views = pid
        known = word == "storage" and isinstance(dtype, np.dtype) and type(name) is str and type(size) is int
        if not known or any(view is not None for view in views):
            raise Refused("a storage of an unknown kind")
        if name not in self.storages:
            self.left -= size * dtype.itemsize
            if size < 0 or self.left < 0:
                raise EOFError("a storage of more numbers than the file has")
            self.storages[name] = _Storage(np.empty(size, dtype))
        storage = self.storages[name]
        if (storage.array.dtype, storage.array.size) != (dtype, size):
            raise ValueError("two storages of one name")
        return storage

    def load_build(self):
        if type(self.stack[-2]) is dict:  # an OrderedDict's attributes: versions of modules, which nobody needs
            self.stack.pop()
        else:
            super().load_build()


_Content.dispatch[pickle.BINPERSID[0]] = pickle._Unpickler.dispatch[pickle.BINPERSID[0]]
_Content.dispatch[pickle.BUILD[0]] = _Content.load_build


def read(path):
    """What such a file holds: numbers, text, containers, and its tensors as arrays (views of their storages).

    Raises:
      Refused: it asks for anything else.
      Exception: of any kind, where it is damaged or none.
    """
    with open(path, "rb") as file:
        if file.peek(1)[:1] != pickle.PROTO or Unpickler(file).load() != MAGIC or Unpickler(file).load() != VERSION:
            raise ValueError("no file of PyTorch's")
        if Unpickler(file).load()["little_endian"] is not True:
            raise Refused("numbers with their large ends first")
        reader = _Content(file)
        content = reader.load()
        names = Unpickler(file).load()
        if sorted(names) != sorted(reader.storages):
            raise ValueError("names of storages")
        for name in names:
            reader.storages[name].fill(file)
    return content
