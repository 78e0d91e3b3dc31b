"""Pickles: nothing in a file is ever run, legacy files read back exactly, and what we write old Pythons read."""
import io
import os
import pathlib
import pickle
import pickletools
import struct

import numpy as np
import pytest

from tfprune import pickles
from tfprune.experiment import UserError

LEGACY = pathlib.Path(__file__).resolve().parents[1].parent / "shared" / "golden" / "frivolous_units" / "legacy_run"


@pytest.fixture
def load(tmp_path):
    def load(content, **options):
        path = tmp_path / "file.pkl"
        path.write_bytes(content)
        return pickles.load(path, **options)
    return load


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


class State(Call):
    """Pickles as a call and a state for its result."""

    def __init__(self, function, arguments, state):
        self.reduced = function, arguments, state


def same(a, b):
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and (a == b or a != a)


VALUES = [
    None, True, 0, 255, -1, 65536, 2**31, -(2**70), 1.5, float("nan"), 1 + 2j, "text \u20ac\n", b"", b"\x00\xff", [], (), {},
    [1, (2, {"a": [3]})], {1: "a", 2.5: b"b", None: 1}, [np.zeros((7, 3))] * 3,
    np.float64(0.1), np.float32(0.1), np.int64(-3), np.bool_(True), np.uint8(200),
    np.arange(6.0).reshape(2, 3), np.arange(6).reshape(2, 3).T, np.zeros((0, 3)), np.array(2.5), np.array([True, False]),
    np.arange(4, dtype=np.complex64), np.arange(300, dtype=np.uint16), np.array([1, 2], np.float16),
]


def label(value):
    return f"{type(value).__name__}-{str(value)[:12]!r}"


@pytest.mark.parametrize("value", VALUES, ids=label)
def test_what_dumps_writes_load_and_python_read_back(value, load):
    content = pickles.dumps(value)
    assert same(value, load(content)) and same(value, pickle.loads(content))
    opcodes = [(opcode, argument) for opcode, argument, _ in pickletools.genops(content)]
    assert max(opcode.proto for opcode, _ in opcodes) == 2
    assert not [argument for opcode, argument in opcodes if opcode.name == "GLOBAL" and argument.startswith("numpy._core")]


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("value", VALUES, ids=label)
def test_reads_what_python_writes(value, protocol, load):
    assert same(value, load(pickle.dumps(value, protocol=protocol)))


def test_equal_content_gives_equal_bytes():
    array = np.arange(12.0).reshape(3, 4)
    text = "".join(["lay", "er"])
    shared, apart = [array, array, text, text], [array.copy(), np.asfortranarray(array), "layer", "".join(["la", "yer"])]
    apart.insert(1, apart.pop(1).astype(">f8"))
    assert pickles.dumps(shared) == pickles.dumps(apart)


def test_arrays_are_writable_and_native(load):
    array = load(pickle.dumps(np.arange(3, dtype=">f8"), protocol=2))
    array[0] = 7
    assert array.dtype == np.float64 and array.tolist() == [7, 1, 2]


def test_containers_that_hold_themselves_or_are_shared(load):
    loop = [1]
    loop.append(loop)
    read = load(pickle.dumps(loop, protocol=2))
    assert read[1] is read
    array = np.arange(3)
    first, second = load(pickle.dumps([array, array], protocol=2))
    assert first is second


def test_sets_and_object_arrays(load):
    assert load(pickle.dumps({1, 2}, protocol=4)) == {1, 2} == load(pickle.dumps({1, 2}, protocol=2))
    assert load(pickle.dumps(frozenset("ab"), protocol=4)) == {"a", "b"} == load(pickle.dumps(frozenset("ab"), protocol=2))
    ragged = np.empty(3, object)
    ragged[:] = [np.zeros(2), [1, [2]], "x"]
    read = load(pickle.dumps(ragged, protocol=2))
    assert read.shape == (3,) and same(list(ragged), list(read))


@pytest.mark.parametrize("value", [
    object(), {1, 2}, np.array(["a"]), np.array([None]), np.datetime64("2020"), np.ma.array([1]), [lambda: 0]], ids=label)
def test_dumps_refuses_what_load_would_not_read_alike(value):
    with pytest.raises(TypeError):
        pickles.dumps([value])


def test_dumps_beyond_the_format(monkeypatch):
    monkeypatch.setattr(pickle._Pickler, "save_str", lambda self, text: struct.pack("<I", 2**32))
    monkeypatch.setitem(pickle._Pickler.dispatch, str, lambda self, text: struct.pack("<I", 2**32))
    with pytest.raises(UserError, match="3 GB"):
        pickles.dumps("text")


# Hostile files. Each would leave a mark if anything in it ran.

class _ObjectDtype(Call):
    """An object dtype whose state forges flags that say: raw bytes may be read as pointers."""

    def __init__(self):
        self.reduced = np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 0)


HOSTILE = {
    "os.system": lambda mark: pickle.dumps(Call(os.system, f"touch {mark}"), 2),
    "builtins.eval": lambda mark: pickle.dumps(Call(eval, f"open({str(mark)!r}, 'w')"), 4),
    "py2 eval": lambda mark: pickle.dumps(Call(eval, f"open({str(mark)!r}, 'w')"), 0),
    "nested": lambda mark: pickle.dumps([1, {"a": (np.zeros(3), Call(os.system, f"touch {mark}"))}], 2),
    "argument of a reduce": lambda mark: pickle.dumps(Call(complex, Call(os.system, f"touch {mark}"), 0.0), 2),
    "state of a reduce": lambda mark: pickle.dumps(State(np.dtype, ("f8", False, True), Call(os.system, f"touch {mark}")), 2),
    "object array": lambda mark: pickle.dumps(np.array([Call(os.system, f"touch {mark}")], object), 2),
    "open": lambda mark: pickle.dumps(Call(open, str(mark), "w"), 2),
    "numpy.load": lambda mark: pickle.dumps(Call(np.load, str(mark), None, True), 2),
    "numpy.fromfile": lambda mark: pickle.dumps(Call(np.fromfile, str(mark)), 2),
    "numpy.save": lambda mark: pickle.dumps(Call(np.save, str(mark), 1), 2),
    "getattr": lambda mark: pickle.dumps(Call(getattr, complex, "real"), 2),
    "attribute of ndarray": lambda mark: b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93)R.",
    "bytes of a size": lambda mark: b"c__builtin__\nbytes\n(I99999999999\ntR.",
    "call of an array": lambda mark: pickles.dumps(np.zeros(1))[:-1] + b")R.",
    "call of ndarray": lambda mark: b"cnumpy\nndarray\n((I9\nttR.",
    "instance": lambda mark: b"(S'touch " + str(mark).encode() + b"'\nios\nsystem\n.",
    "object": lambda mark: b"(cos\nsystem\nS'touch " + str(mark).encode() + b"'\no.",
    "new object": lambda mark: b"\x80\x02cnumpy\nndarray\n(I3\nt\x81.",
    "extension": lambda mark: b"\x80\x02\x82\x01.",
    "persistent": lambda mark: b"Pname\n.",
    "state of a list": lambda mark: b"]}b.",
    "state of a function": lambda mark: b"c_codecs\nencode\n(N}S'__name__'\nS'x'\nstb.",
    "forged dtype": lambda mark: pickle.dumps(State(np.dtype, ("O8", False, True), (3, "|", None, ("a",), {"a": 1}, 8, 8, 0)), 2),
    "raw bytes as objects": lambda mark: pickle.dumps(
        State(np.empty(0).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, (1,), _ObjectDtype(), False, b"\x01" * 8)), 2),
    "void type": lambda mark: pickle.dumps(np.zeros(2, "V8"), 2),
    "datetime": lambda mark: pickle.dumps(np.zeros(2, "M8[s]"), 2),
    "masked": lambda mark: pickle.dumps(np.ma.array([1, 2]), 2),
    "tuple key": lambda mark: b"}" + b")" + b"\x85" * 100_000 + b"I1\ns.",
    "tuple in a set": lambda mark: b"\x80\x04\x8f(" + b")" + b"\x85" * 100_000 + b"\x90.",
    "array that holds itself": lambda mark: (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntRp0\n(I1\n(I1\ntcnumpy\ndtype\n(S'O8'\nI0\nI1\ntR"
        b"(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\n(g0\nltb."),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_and_nothing_runs(name, load, tmp_path):
    mark = tmp_path / "mark"
    content = HOSTILE[name](mark)
    with pytest.raises(UserError) as error:
        load(content)
    assert not mark.exists()
    message = str(error.value)
    assert "\n" not in message and "file.pkl" in message and len(message) < 400


@pytest.mark.parametrize("function, named", [
    (os.system, "posix.system"), (eval, "eval"), (np.load, "numpy.load"), (np.fromfile, "fromfile")])
def test_the_refused_global_is_named(function, named, load):
    with pytest.raises(UserError, match=f"refused.*{named}"):
        load(pickle.dumps(Call(function, "x"), 2))


def test_a_name_cannot_break_the_line(load):
    with pytest.raises(UserError) as error:
        load(b"\x80\x04\x8c\x03o\ns\x8c\x07\x1b[31msy\x93.")
    assert "\n" not in str(error.value) and "\x1b" not in str(error.value)


def array_state(*state):
    return pickle.dumps(State(np.empty(0).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, *state)), 2)


BOMBS = {
    "huge string": b"\x80\x04\x8d" + struct.pack("<Q", 2**50) + b"x.",
    "huge bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**50) + b"x.",
    "huge frame": b"\x80\x04\x95" + struct.pack("<Q", 2**50) + b"N.",
    "huge long": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
    "negative long": b"\x80\x02\x8b" + struct.pack("<i", -5) + b"x.",
    "huge decimal": b"L" + b"9" * 100_000 + b"L\n.",
    "huge shape": array_state((10**15,), np.dtype("f8"), False, b"x" * 8),
    "repeating shape": array_state(("ab", 10**15), np.dtype("f8"), False, b""),
    "huge object shape": array_state((10**15,), np.dtype("O"), False, []),
    "one string, a thousand times": b"".join([
        b"\x80\x02c_codecs\nencode\nq\x00X", struct.pack("<I", 10**6), b"x" * 10**6, b"X\x06\x00\x00\x00latin1\x86q\x010]q\x03(",
        b"h\x00h\x01R" * 1000, b"e."]),
    "no content": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_forged_sizes_allocate_nothing(name, load):
    import tracemalloc
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="truncated or damaged"):
            load(BOMBS[name])
        assert tracemalloc.get_traced_memory()[1] < 64e6
    finally:
        tracemalloc.stop()


def test_a_huge_memo_index_is_harmless(load):
    assert load(b"\x80\x02Nr\xff\xff\xff\xff0j\xff\xff\xff\xff.") is None


def test_every_truncation_is_one_line(load):
    content = pickles.dumps([np.arange(3.0), {"a": [1, 2.5, "x", b"y"]}, np.float64(1)])
    for end in range(len(content)):
        with pytest.raises(UserError) as error:
            load(content[:end])
        assert "\n" not in str(error.value)


def test_every_damaged_byte_is_refused_or_harmless(load):
    content = bytearray(pickles.dumps([np.arange(3.0), {"a": [1, 2.5]}]))
    for place in range(len(content)):
        for value in (0, 0x52, 0x62, 0xff):
            damaged = bytes(content[:place]) + bytes([value]) + bytes(content[place + 1:])
            try:
                load(damaged)
            except UserError as error:
                assert "\n" not in str(error)


def test_missing_file_and_directory(tmp_path):
    for path in (tmp_path / "absent.pkl", tmp_path):
        with pytest.raises(UserError, match=str(path)):
            pickles.load(path)


def test_python_2_strings(load):
    batch = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05"
        b"(K\x01K\x01K\x03\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x03\x01\x80\xfftbU\x06labels](K\x06K\x09eu.")
    expected = pickle.load(io.BytesIO(batch), encoding="bytes")
    read = load(batch, encoding="bytes")
    assert list(read) == [b"data", b"labels"] and read[b"labels"] == [6, 9]
    assert read[b"data"].tolist() == [[1, 128, 255]] == expected[b"data"].tolist() and load(batch)["data"].tolist() == [[1, 128, 255]]


@pytest.mark.skipif(not LEGACY.is_dir(), reason=f"{LEGACY} is not here")
def test_legacy_files_read_exactly_and_write_back_alike(load):
    files = sorted(LEGACY.glob("*.pkl"))
    assert len(files) == 24
    for path in files:
        with open(path, "rb") as file:
            reference = pickle.load(file)
        value = pickles.load(path)
        assert same(value, reference), path.name
        assert same(value, load(pickles.dumps(value))) and same(value, pickle.loads(pickles.dumps(value)))
