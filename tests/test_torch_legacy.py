"""Files that torch.save wrote before PyTorch 1.6, made here without it: sound ones, damaged ones, and ones that would run code."""
import io
import os
import pickle
import struct

import numpy as np
import pytest

from experiments import REGISTRY
from tests.conftest import refused
from tfprune.experiment import UserError
from tfprune.models import build_model
from tfprune.training import torch_legacy
from tfprune.training.torch_checkpoints import TorchCheckpoint

SYSTEM = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
NUMBERS = np.arange(12, dtype="<f4")


class Named:
    """A global of this name in a pickle."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Called:
    """A call of such a global."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments


class Stored:
    """A storage, by the tuple that names it."""

    def __init__(self, *pid):
        self.pid = pid


class Writer(pickle._Pickler):
    """Writes the three of them into protocol 2."""

    def persistent_id(self, thing):
        return thing.pid if isinstance(thing, Stored) else None

    def reducer_override(self, thing):
        if isinstance(thing, Called):
            return CALL, (thing,)
        return NotImplemented

    def save_reduce(self, function, arguments, *more, **options):
        if function is CALL:
            (called,) = arguments
            self.save(called.function)
            self.save(called.arguments)
            return self.write(pickle.REDUCE)
        return super().save_reduce(function, arguments, *more, **options)

    def save(self, thing, *more, **options):
        if isinstance(thing, Named):
            return self.write(pickle.GLOBAL + f"{thing.module}\n{thing.name}\n".encode())
        return super().save(thing, *more, **options)


def CALL(called):
    raise AssertionError(called)


def storage(key="1", size=12, kind="FloatStorage", views=None, word="storage"):
    return Stored(word, Named("torch", kind), key, "cuda:0", size, views)


def tensor(offset=0, sizes=(3, 4), strides=(4, 1), stored=None, function="_rebuild_tensor_v2", hooks=None):
    hooks = Called(Named("collections", "OrderedDict")) if hooks is None else hooks
    return Called(Named("torch._utils", function), storage() if stored is None else stored, offset, sizes, strides, False, hooks)


def dumped(content):
    file = io.BytesIO()
    Writer(file, protocol=2).dump(content)
    return file.getvalue()


def written(path, content, keys=("1",), blocks=(NUMBERS,), counts=None, magic=torch_legacy.MAGIC, version=1001, system=SYSTEM):
    """A file of that format."""
    counts = [block.size for block in blocks] if counts is None else counts
    raw = b"".join(struct.pack("<q", count) + block.tobytes() for count, block in zip(counts, blocks, strict=True))
    path.write_bytes(dumped(magic) + dumped(version) + dumped(system) + dumped(content) + dumped(list(keys)) + raw)
    return path


def test_reads_what_pytorch_wrote(tmp_path):
    content = {"state_dict": {"whole": tensor(), "turned": tensor(0, (4, 3), (1, 4)), "part": tensor(5, (2,), (3,)),
                              "one": tensor(7, (), ()), "none": tensor(0, (0, 3), (3, 1)), "old": tensor(function="_rebuild_tensor"),
                              "half": tensor(0, (2,), (1,), storage("2", 2, "BFloat16Storage")),
                              "parameter": Called(Named("torch._utils", "_rebuild_parameter"), tensor(), True, {})},
               "epoch": 3, "best": 91.78, "names": ["a", ("b", None)]}
    brain = np.array([1.5, -2], "<f4").view("<u2")[1::2].copy()
    found = torch_legacy.read(written(tmp_path / "a.th", content, ("1", "2"), (NUMBERS, brain)))
    state, whole = found["state_dict"], NUMBERS.reshape(3, 4)
    for name, expected in {"whole": whole, "turned": whole.T, "part": [5, 8], "one": 7, "none": np.empty((0, 3)), "old": whole,
                           "half": [1.5, -2], "parameter": whole}.items():
        np.testing.assert_array_equal(state[name].astype("float32"), expected, err_msg=name)
    assert (found["epoch"], found["best"], found["names"]) == (3, 91.78, ["a", ("b", None)])


HOSTILE = {
    "code": ({"state_dict": {"a": Called(Named("os", "system"), "touch hacked")}}, {}, r"asks for os\.system; reading a file runs"),
    "builtin": ({"a": Called(Named("builtins", "eval"), "1")}, {}, r"asks for builtins\.eval"),
    "module": (Called(Named("torch.nn.modules.linear", "Linear")), {}, r"asks for torch\.nn\.modules\.linear\.Linear"),
    "called storage": ({"a": Called(Named("torch", "FloatStorage"), 5)}, {}, "asks for a call of a "),
    "no storage": ({"a": tensor(stored=[1, 2])}, {}, "asks for a tensor without storage"),
    "other kind": ({"a": tensor(stored=storage(word="module"))}, {}, "asks for a storage of an unknown kind"),
    "view": ({"a": tensor(stored=storage(views=("2", 0, 4)))}, {}, "asks for a storage of an unknown kind"),
    "unknown type": ({"a": tensor(stored=storage(kind="QUInt8Storage"))}, {}, r"asks for torch\.QUInt8Storage"),
    "beyond": ({"a": tensor(sizes=(3, 5), strides=(4, 1))}, {}, "damaged"),
    "offset": ({"a": tensor(offset=12, sizes=(1,), strides=(1,))}, {}, "damaged"),
    "before": ({"a": tensor(offset=-1, sizes=(1,), strides=(1,))}, {}, "damaged"),
    "backwards": ({"a": tensor(offset=4, sizes=(3,), strides=(-4,))}, {}, "damaged"),
    "repeated": ({"a": tensor(sizes=(2**40,), strides=(0,))}, {}, "damaged"),
    "uneven": ({"a": tensor(sizes=(3, 4), strides=(4,))}, {}, "damaged"),
    "fraction": ({"a": tensor(sizes=(1.0,), strides=(1,))}, {}, "damaged"),
    "dimensions": ({"a": tensor(sizes=(1,) * 99, strides=(1,) * 99)}, {}, "damaged"),
    "huge": ({"a": tensor(stored=storage(size=2**50))}, {}, "damaged"),
    "negative": ({"a": tensor(stored=storage(size=-1))}, {}, "damaged"),
    "two sizes": ({"a": tensor(), "b": tensor(stored=storage(size=3))}, {}, "damaged"),
    "count": ({"a": tensor()}, {"counts": [13]}, "damaged"),
    "keys": ({"a": tensor()}, {"keys": ("2",)}, "damaged"),
    "twice": ({"a": tensor()}, {"keys": ("1", "1"), "blocks": (NUMBERS, NUMBERS)}, "damaged"),
    "magic": ({"a": tensor()}, {"magic": 5}, "damaged"),
    "version": ({"a": tensor()}, {"version": 1002}, "damaged"),
    "large ends": ({"a": tensor()}, {"system": SYSTEM | {"little_endian": False}}, "asks for numbers with their large ends first"),
    "list": ([1], {"keys": (), "blocks": ()}, "holds a list, not the dictionary of a checkpoint"),
    "words": ({"state_dict": {"a": "b"}}, {"keys": (), "blocks": ()}, "has no state_dict of a net's tensors"),
    "other net": ({"a": tensor()}, {}, r"does not fit the net ResNet20 of experiment 9030, so nothing was loaded: it lacks bn1\.bias"),
    "decomposed": ({"final_weights": tensor()}, {}, "a head that is decomposed already does not say which filters it sees"),
}


@pytest.fixture(scope="module")
def model():
    return build_model(REGISTRY[9030])


@pytest.mark.parametrize("name", HOSTILE)
def test_refuses_in_one_line_and_runs_nothing(name, tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    content, options, says = HOSTILE[name]
    path = written(tmp_path / "a.th", content, **options)
    before = model.get_weights()
    with pytest.raises(UserError, match=says) as problem:
        TorchCheckpoint(path).load_into(model, REGISTRY[9030])
    assert str(problem.value).startswith(f"--pretrained={path}: ") and "\n" not in str(problem.value)
    assert os.listdir(tmp_path) == ["a.th"]
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_every_truncation_is_refused(tmp_path):
    whole = written(tmp_path / "a.th", {"a": tensor(), "n": 5}).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "b.th").write_bytes(whole[:length])
        with pytest.raises(UserError, match="cannot be read as a checkpoint of PyTorch, it is none or it is damaged|asks for"):
            TorchCheckpoint(tmp_path / "b.th").content  # noqa: B018


def test_nested_a_hundred_thousand_deep(tmp_path):
    deep = b"\x80\x02}U\x01a" + b"(" * 100_000 + b"t" * 100_000 + b"s."
    head = b"".join(dumped(part) for part in (torch_legacy.MAGIC, 1001, SYSTEM))
    (tmp_path / "a.th").write_bytes(head + deep + dumped([]))
    with pytest.raises(UserError, match="has no state_dict"):
        TorchCheckpoint(tmp_path / "a.th").tensors  # noqa: B018


def test_arrays_in_an_npz_are_read_and_objects_are_not(tmp_path, model):
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
    np.savez_compressed(tmp_path / "b.npz", a=np.zeros(10**8, np.int8))
    for name in "ab":
        with pytest.raises(UserError, match="cannot be read as a checkpoint"):
            TorchCheckpoint(tmp_path / f"{name}.npz").content  # noqa: B018
    np.savez(tmp_path / "c.npz", **{"module.a": NUMBERS, "module.b": NUMBERS})
    assert list(TorchCheckpoint(tmp_path / "c.npz").tensors) == ["a", "b"]
    with pytest.raises(UserError, match="does not fit the net ResNet20"):
        TorchCheckpoint(tmp_path / "c.npz").load_into(model, REGISTRY[9030])


def test_a_th_with_code_in_it_through_train_py(tmp_path):
    path = written(tmp_path / "a.th", HOSTILE["code"][0])
    assert "asks for os.system" in refused("train.py", "--experiment_id=9030", f"--pretrained={path}", f"--results_dir={tmp_path / 'r'}")
    assert os.listdir(tmp_path) == ["a.th"]
