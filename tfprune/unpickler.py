"""The allow-list interpreter behind `tfprune.pickles.load`.

It knows the opcodes that numbers, builtin containers and numpy arrays need, and no other. Each of the few globals that those name is
replaced by a checking function below, and only these are ever called. It is Python's own interpreter written in Python, not the one in
C, because only there can BUILD be watched: numpy believes the dtype flags that a pickle forges, and reads bytes as pointers.
"""
import math
import os
import pickle
import re

import numpy as np

_OPCODES = (
    "MARK", "STOP", "POP", "POP_MARK", "PROTO", "FRAME", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG",
    "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
    "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "LIST",
    "APPEND", "APPENDS", "EMPTY_DICT", "EMPTY_SET", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GLOBAL", "STACK_GLOBAL",
)
_CHECKED_OPCODES = ("REDUCE", "BUILD", "SETITEM", "SETITEMS", "DICT", "ADDITEMS", "FROZENSET", "GET", "BINGET", "LONG_BINGET")
_KEYS = (str, bytes, int, float, complex, np.generic, type(None))  # hashing a tuple nested a million deep would overflow the stack
_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|c(8|16)|O8?")


class Refused(Exception):
    """The pickle asks for something that is not on the allow-list; the message names it."""


def printable(text):
    """Text out of a file, cut to one short line without control characters."""
    return re.sub(r"[^\w .,:'()\-]+", "?", str(text))[:120]


class _SizedFile:
    """A file that is never asked for more than it has left: a forged length allocates nothing."""

    def __init__(self, file):
        self._file, self.size = file, os.fstat(file.fileno()).st_size - file.tell()
        self._left = self.size

    def read(self, size):
        if not 0 <= size <= self._left:
            raise EOFError("unexpected end")
        self._left -= size
        return self._file.read(size)

    def readline(self):
        line = self._file.readline()
        self._left -= len(line)
        return line


class _Unbuilt:
    """An array or dtype between its REDUCE, which announces it, and its BUILD, which brings the content."""

    def __init__(self, build, value=None):
        self.build, self.value = build, value


def _encode(text, encoding):
    """For `_codecs.encode`, through which protocol 2 carries bytes."""
    if encoding != "latin1":
        raise Refused(f"_codecs.encode to {printable(encoding)}")
    return text.encode("latin1")


def _bytes():
    """For `bytes`, which protocol 2 calls without arguments for empty bytes; with one it could allocate at will."""
    return b""


def _complex(real, imaginary):
    return complex(float(real), float(imaginary))


def _set(items):
    return set(map(_key, items))


def _frozenset(items):
    return frozenset(map(_key, items))


def _key(value):
    if not isinstance(value, _KEYS):
        raise Refused(f"a key of type {type(value).__name__}")
    return value


def _text(value):
    return value.decode("latin1") if isinstance(value, bytes) else value


def _dtype(name, align=False, copy=False):
    """For `numpy.dtype`: plain numbers, or objects that the pickle itself holds."""
    name = _text(name)
    if not isinstance(name, str) or not _DTYPE.fullmatch(name):
        raise Refused(f"a numpy array of type {printable(name)}")
    return _Unbuilt(_ordered, np.dtype(name))


def _ordered(dtype, state):
    """`dtype` in the byte order that its pickled state tells; whatever else the state may say is not believed."""
    _, order, *rest = state
    if any(part is not None for part in rest[:3]) or _text(order) not in ("<", ">", "=", "|"):
        raise Refused("a structured numpy type")
    return dtype.newbyteorder(_text(order))


def _reconstruct(subtype, shape, code):
    """For numpy's `_reconstruct`: the array comes with its state."""
    if subtype is not np.ndarray:
        raise Refused("an array that is no numpy.ndarray")
    return _Unbuilt(lambda _, state: _array(*state))


def _array(version, shape, dtype, is_fortran, content):
    """The array that its pickled state tells; `content` is its bytes, or the list of its objects."""
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("array shape")
    if dtype.hasobject:
        if type(content) is not list:
            raise Refused("objects read from raw bytes")
        flat = np.fromiter(content, object, len(content))
    else:
        content = content.encode("latin1") if isinstance(content, str) else content  # a string of Python 2
        flat = np.frombuffer(content, dtype).astype(dtype.newbyteorder("="))  # a copy: frombuffer's arrays are read-only
    if len(flat) != math.prod(shape):
        raise ValueError("array size")
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _scalar(dtype, content):
    """For numpy's `scalar`."""
    if dtype.hasobject:
        raise Refused("a numpy scalar that is no number")
    return _array(1, (1,), dtype, False, content)[0]


_FUNCTIONS = {("numpy", "dtype"): _dtype, ("_codecs", "encode"): _encode}
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):
    _FUNCTIONS |= {(_module, "_reconstruct"): _reconstruct, (_module, "scalar"): _scalar}
for _module in ("__builtin__", "builtins"):
    _FUNCTIONS |= {(_module, "bytes"): _bytes, (_module, "complex"): _complex, (_module, "set"): _set, (_module, "frozenset"): _frozenset}
_CONSTANTS = {("numpy", "ndarray"): np.ndarray}


class _Opcodes(dict):
    def __missing__(self, code):
        raise Refused(f"the pickle opcode {bytes([code])!r}")


class Unpickler(pickle._Unpickler):
    """`pickle.Unpickler` for numbers, builtin containers and numpy arrays; `load` raises `Refused` for anything else."""

    dispatch = _Opcodes({getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _OPCODES})
    functions, constants = _FUNCTIONS, _CONSTANTS  # the globals that may be called, and the others, by (module, name)

    def __init__(self, file, encoding="latin1"):
        file = _SizedFile(file)
        super().__init__(file, encoding=encoding)
        self.unbuilt = 0
        self.allowance = 16 * file.size  # bytes; one long string, referred to a thousand times, must not become a thousand arrays

    def load(self):
        value = super().load()
        if self.unbuilt:
            raise ValueError("an array without content")
        return value

    def find_class(self, module, name):
        allowed = self.functions | self.constants
        if (module, name) not in allowed:
            raise Refused(printable(f"{module}.{name}"))
        return allowed[module, name]

    def load_reduce(self):
        arguments, function = self.stack.pop(), self.stack.pop()
        if not any(function is allowed for allowed in self.functions.values()):
            raise Refused(f"a call of a {type(function).__name__}")
        result = function(*arguments)
        self.unbuilt += isinstance(result, _Unbuilt)
        self._push(result)

    def load_build(self):
        state, announced = self.stack.pop(), self.stack.pop()
        if not isinstance(announced, _Unbuilt):
            raise Refused(f"a state for a {type(announced).__name__}")
        announced.value = announced.build(announced.value, state)  # the memo still holds `announced`
        self.unbuilt -= 1
        self._push(announced.value)

    def _push(self, made):
        if isinstance(made, (bytes, set, frozenset, np.ndarray)):
            self.allowance -= made.nbytes if isinstance(made, np.ndarray) else len(made)
            if self.allowance < 0:
                raise ValueError("far more content than the file has bytes")
        self.append(made)

    def load_get(self):
        super().load_get()
        self._resolve()

    def load_binget(self):
        super().load_binget()
        self._resolve()

    def load_long_binget(self):
        super().load_long_binget()
        self._resolve()

    def _resolve(self):
        remembered = self.stack[-1]
        if isinstance(remembered, _Unbuilt):
            if remembered.value is None:
                raise Refused("an array that holds itself")
            self.stack[-1] = remembered.value

    def load_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key], [value])

    def load_setitems(self):
        items = self.pop_mark()
        self._set_items(items[::2], items[1::2])

    def load_dict(self):
        items = self.pop_mark()
        self.append({})
        self._set_items(items[::2], items[1::2])

    def _set_items(self, keys, values):
        if type(self.stack[-1]) is not dict:
            raise Refused(f"items of a {type(self.stack[-1]).__name__}")
        self.stack[-1].update(zip(map(_key, keys), values, strict=True))

    def load_additems(self):
        items = self.pop_mark()
        self.stack[-1].update(map(_key, items))

    def load_frozenset(self):
        items = self.pop_mark()  # it also changes what `self.append` appends to
        self.append(_frozenset(items))


for _name in _CHECKED_OPCODES:
    Unpickler.dispatch[getattr(pickle, _name)[0]] = getattr(Unpickler, f"load_{_name.lower()}")
