"""The one-file example: its net, a run on files that the test makes, a short one on the real MNIST, and its refusals."""
import gzip
import importlib.util
import re
import struct

import numpy as np
import pytest

from tests.conftest import ROOT, ok, refused, shared
from tfprune.masks.layers import masked_layers

SCRIPT = "examples/supermask_mnist.py"
WEIGHTS = (288, 18_432, 1_179_648, 1_280)


@pytest.fixture(scope="module")
def example():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("supermask_mnist", ROOT / SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made_data(tmp_path_factory):
    """A data folder with a small MNIST of noisy bars, one place for each class, in compressed idx files."""
    folder, generator = tmp_path_factory.mktemp("data") / "mnist", np.random.default_rng(0)
    folder.mkdir()
    for split, count in (("train", 300), ("t10k", 100)):
        labels = generator.integers(10, size=count).astype(np.uint8)
        images = generator.integers(60, size=(count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 3:2 * label + 6, 4:24] = 250
        for name, values in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
            (folder / f"{split}-{name}-ubyte.gz").write_bytes(gzip.compress(header + values.tobytes()))
    return folder.parent


def accuracies(out):
    return [float(value) / 100 for value in re.findall(r"test accuracy ([\d.]+)%", out)]


def test_net(example):
    model = example.build(0.5, 1)
    layers = masked_layers(model)
    assert tuple(layer.scores.shape.num_elements() for layer in layers) == WEIGHTS
    assert [int(np.count_nonzero(layer.mask())) for layer in layers] == [size // 2 for size in WEIGHTS]
    assert [id(v) for v in model.trainable_variables] == [id(layer.scores) for layer in layers]
    assert model(np.zeros((1, 28, 28, 1), "float32")).shape == (1, 10)
    assert layers[2].kernel.numpy().std() == pytest.approx((2 / 9216) ** 0.5, rel=0.01)
    again, other = example.build(0.5, 1), example.build(0.5, 2)
    for one, same, different in zip(layers, masked_layers(again), masked_layers(other), strict=True):
        np.testing.assert_array_equal(one.kernel, same.kernel)
        assert not np.array_equal(one.kernel, different.kernel)


def test_runs(made_data):
    out = ok(SCRIPT, f"--data_dir={made_data}", "--epochs=3", "--limit=250", "--keep=0.3")
    assert re.findall(r"epoch (\d) of 3", out) == ["1", "2", "3"] and "3 epochs of 250 images" in out
    assert "all 1199648 weights are, bit for bit, as they were drawn" in out
    kept = sum(size - int(0.7 * size) for size in WEIGHTS)
    assert re.search(rf"total +1199648 +{kept} +0\.3", out)


def test_learns_the_real_digits():
    """Falls well below the 97 % of the full run (its docstring), being a fraction of it; by chance one in ten would be right."""
    shared("data/mnist/train-images-idx3-ubyte.gz")
    out = ok(SCRIPT, f"--data_dir={shared('data')}", "--epochs=3", "--limit=2000")
    assert max(accuracies(out)) > 0.85, out


def test_notices_a_weight_that_moves(example, made_data, monkeypatch):
    def train(model, *_):
        kernel = masked_layers(model)[0].kernel
        kernel.assign(kernel + 1e-7)

    monkeypatch.setattr(example, "train", train)
    with pytest.raises(AssertionError, match="a weight has moved"):
        example.main(data_dir=made_data, limit=10)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--keep=1.5"], "keep=1.5"), (["--epochs=0"], "--epochs=0: expected a whole number from 1"), (["--seed=-1"], "--seed=-1: expected"),
    (["--limit=-5"], "--limit=-5: expected"), (["--data_dir=nowhere"], "--data_dir=nowhere: no MNIST there; put train-images-idx3-ubyte")])
def test_refuses(arguments, message, made_data):
    assert message in refused(SCRIPT, f"--data_dir={made_data}", *arguments)
