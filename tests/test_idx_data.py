"""The sets in the idx format (MNIST and its kin) and CIFAR-100: official files, damaged ones, downloads. Nothing here needs a network."""
import gzip
import os
import pickle
import struct

import numpy as np
import pytest

import data
from data import cifar, download, idx, mnist
from tests.conftest import refused, shared
from tests.test_data import one_line, read
from tfprune.datasets import DATASETS
from tfprune.experiment import UserError
from tfprune.settings import Dataset

NAMES = ("mnist", "fashion_mnist", "kmnist")
FILES = [names.split()[0] for names in mnist.FILES]


def content(array):
    """The bytes of an idx file."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def arrays(train=40, test=20, classes=10):
    """What the four files hold, in their order."""
    rng = np.random.default_rng(0)
    return [values for count in (train, test) for values in (rng.integers(256, size=(count, 28, 28), dtype=np.uint8),
                                                             rng.integers(classes, size=count, dtype=np.uint8))]


def write(folder, values, end=".gz", dotted=False):
    """Writes the four files; returns their paths."""
    folder.mkdir(parents=True)
    paths = [folder / ((name.replace("-idx", ".idx") if dotted else name) + end) for name in FILES]
    for path, array in zip(paths, values, strict=True):
        path.write_bytes(gzip.compress(content(array)) if end else content(array))
    return paths


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("end", "dotted"), [("", False), (".gz", False), ("", True), (".gz", True)])
def test_official_files_as_they_come(tmp_path, name, end, dotted):
    images, labels, test_images, test_labels = arrays()
    write(tmp_path / name, [images, labels, test_images, test_labels], end, dotted)
    dataset = Dataset(name, split="accumulated", proportion_training_set=0.9)
    raw = data.SOURCES[name].load(dataset, tmp_path)
    np.testing.assert_array_equal(raw.train_images, images[..., None])
    np.testing.assert_array_equal(raw.test_labels, test_labels)
    folder = data.ensure(dataset, tmp_path)
    train, val, test = (read(folder, split) for split in ("train", "val", "test"))
    np.testing.assert_array_equal(train.images, images[:36, :, :, None])
    np.testing.assert_array_equal(np.concatenate([train.labels, val.labels]), labels)
    np.testing.assert_array_equal(test.images[..., 0], test_images)
    assert train.labels.dtype == np.int64 and train.num_classes == 10 and data.ensure(dataset, tmp_path) == folder


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST/raw"), ("fashion_mnist", "FashionMNIST/raw"), ("kmnist", "KMNIST/raw"),
                                              ("mnist", "mnist/raw"), ("mnist", "mnist/MNIST/raw")])
def test_torchvisions_folders_are_found(tmp_path, name, folder):
    write(tmp_path / folder, arrays())
    plain = write(tmp_path / "elsewhere", arrays(), "")
    assert data.SOURCES[name].paths(tmp_path) == [tmp_path / folder / f"{path.name}.gz" for path in plain]
    for path in plain:  # torchvision unpacks the archives beside them
        path.rename(tmp_path / folder / path.name)
    assert data.SOURCES[name].paths(tmp_path) == [tmp_path / folder / path.name for path in plain]


def test_other_content_is_another_set_of_records(tmp_path):
    values = arrays()
    paths = write(tmp_path / "mnist", values)
    first = data.ensure(Dataset("mnist"), tmp_path)
    values[1][0] = (values[1][0] + 1) % 10
    paths[1].write_bytes(gzip.compress(content(values[1])))
    assert data.ensure(Dataset("mnist"), tmp_path) != first


def rewritten(change):
    """A damage that changes what the compressed file holds."""
    def damage(path):
        path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))
    return damage


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def flip(path):
    whole = bytearray(path.read_bytes())
    whole[-6] ^= 1  # of the checksum
    path.write_bytes(whole)


def garble(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2] + b"\xff" * (len(whole) // 2))


def bomb(path):
    """Goes on for gigabytes after what its header says."""
    path.write_bytes(gzip.compress(content(arrays()[0]), 1) + gzip.compress(bytes(2**24), 9) * 200)


def huge(path):
    header = path.name.startswith("train-images") and struct.pack(">III", 2**32 - 1, 28, 28) or struct.pack(">I", 2**32 - 1)
    path.write_bytes(gzip.compress(bytes([0, 0, 8, len(header) // 4]) + header))


DAMAGES = {
    "missing": (os.unlink, "missing"),
    "empty": (rewritten(lambda whole: b""), "begins with nothing, not with 0000080"),
    "half a header": (rewritten(lambda whole: whole[:7]), "damaged header"),
    "wrong magic": (rewritten(lambda whole: b"\0\0\x0d" + whole[3:]), "begins with 00000d0"),
    "truncated": (rewritten(lambda whole: whole[:-9]), "truncated, "),
    "too long": (rewritten(lambda whole: whole + b"\0"), "longer than its header says"),
    "no items": (rewritten(lambda whole: whole[:4] + bytes(4) + whole[8:]), "damaged header"),
    "cut gzip": (cut, "truncated gzip file"), "corrupt gzip": (garble, "gzip file|header"), "checksum": (flip, "damaged gzip file"),
    "not gzip": (lambda path: path.write_bytes(b"<html>404</html>"), "damaged gzip file"),
    "bomb": (bomb, "header says|begins with|truncated"), "huge": (huge, "damaged header|truncated"),
}


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_and_nothing_built(tmp_path, damage, name):
    write(tmp_path / "mnist", arrays())
    spoil, said = DAMAGES[damage]
    spoil(tmp_path / "mnist" / name)
    with pytest.raises(UserError, match=rf"mnist/{name.removesuffix('.gz')}.*({said})") as caught:
        data.ensure(Dataset("mnist"), tmp_path)
    one_line(caught)
    assert os.listdir(tmp_path) == ["mnist"]


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    """No more is read than the header asks for, and no header may ask for more than a gigabyte."""
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(content(arrays()[0])[:4] + struct.pack(">III", 2**21, 28, 28)) + gzip.compress(bytes(2**24), 9))
    with pytest.raises(UserError, match="damaged header"):
        idx.read(path, 3)


@pytest.mark.parametrize(("values", "said"), [
    ([*arrays()[:1], arrays(39)[1], *arrays()[2:]], r"train-labels.*: 39 labels for the 40 images of train-images"),
    ([*arrays()[:3], arrays(test=21)[3]], r"t10k-labels.*: 21 labels for the 20 images of t10k-images"),
    ([*arrays()[:3], np.full(20, 10, np.uint8)], r"t10k-labels.*has label 10; KMNIST's are 0 to 9"),
    ([np.zeros((40, 27, 28), np.uint8), *arrays()[1:]], r"train-images.*images of 27 x 28 pixels; KMNIST's have 28 x 28")])
def test_files_that_do_not_go_together(tmp_path, values, said):
    write(tmp_path / "kmnist", values)
    with pytest.raises(UserError, match=said) as caught:
        data.ensure(Dataset("kmnist"), tmp_path)
    one_line(caught)
    assert os.listdir(tmp_path) == ["kmnist"]


def test_real_mnist(tmp_path):
    """The first 14,262 training images and all 10,000 to test; counts, a label and sums of pixels are known from the files."""
    (tmp_path / "mnist").symlink_to(shared("data/mnist"))
    raw = mnist.MNIST.load(Dataset("mnist"), tmp_path)
    assert raw.train_images.shape == (14_262, 28, 28, 1) and raw.test_images.shape == (10_000, 28, 28, 1)
    assert raw.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4] and raw.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert raw.train_images[0].sum() == 27_525 and raw.test_images[0].sum() == 18_454
    assert np.bincount(raw.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    examples = DATASETS["mnist"]
    np.testing.assert_allclose(raw.train_images.mean() / 255, examples.mean[0], atol=3e-3)
    np.testing.assert_allclose(raw.train_images.std() / 255, examples.deviation[0], atol=3e-3)


# --- CIFAR-100 -------------------------------------------------------------------------------------------------------------------


def write_cifar100(folder, changes=(), count=30):
    rng = np.random.default_rng(1)
    folder.mkdir(parents=True)
    for name in ("train", "test"):
        batch = {b"data": rng.integers(256, size=(count, 3072), dtype=np.uint8), b"fine_labels": rng.integers(100, size=count).tolist(),
                 b"coarse_labels": [0] * count}
        (folder / name).write_bytes(pickle.dumps(batch | dict(changes), protocol=2))
    return folder


@pytest.mark.parametrize("folder", ["cifar100", "cifar-100-python", "cifar100/cifar-100-python"])
def test_cifar100_has_its_fine_labels(tmp_path, folder):
    path = write_cifar100(tmp_path / folder)
    raw, batch = cifar.CIFAR100.load(Dataset("cifar100"), tmp_path), pickle.loads((path / "train").read_bytes())
    assert raw.train_labels.tolist() == batch[b"fine_labels"] and max(raw.train_labels) > 9
    np.testing.assert_array_equal(raw.train_images[:, :, :, 1], batch[b"data"].reshape(-1, 3, 32, 32)[:, 1])
    assert read(data.ensure(Dataset("cifar100"), tmp_path), "test").num_classes == 100


@pytest.mark.parametrize(("changes", "said"), [({b"fine_labels": [100] * 30}, "damaged CIFAR-100 batch"),
                                               ({b"fine_labels": [1] * 29}, "damaged CIFAR-100 batch"),
                                               ({b"data": [[1], [2, 3]]}, "damaged CIFAR-100 batch")])
def test_damaged_cifar100(tmp_path, changes, said):
    write_cifar100(tmp_path / "cifar100", changes)
    with pytest.raises(UserError, match=f"cifar100/train: {said}") as caught:
        data.ensure(Dataset("cifar100"), tmp_path)
    one_line(caught)


def test_cifar100_of_coarse_labels_only_is_refused(tmp_path):
    for path in write_cifar100(tmp_path / "cifar100").iterdir():
        path.write_bytes(pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [1]}, protocol=2))
    with pytest.raises(UserError, match=r"train: not a CIFAR-100 batch \(no data, fine_labels\)"):
        data.ensure(Dataset("cifar100"), tmp_path)


# --- downloads -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, "cifar100"])
def test_through_tensorflow_datasets(tmp_path, monkeypatch, name):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(download, "reachable", lambda url: True)
    with tfds.testing.mock_data(num_examples=30):
        folder = data.ensure(Dataset(name), tmp_path)
    side, channels = DATASETS[name].side, DATASETS[name].channels
    train = read(folder, "train")
    assert train.images.shape == (28, side, side, channels) and train.images.dtype == np.uint8
    assert train.num_classes == DATASETS[name].classes and len(read(folder, "test")) == 30


@pytest.mark.parametrize("name", [*NAMES, "cifar100"])
def test_offline_says_what_to_put_where(tmp_path, monkeypatch, name):
    monkeypatch.setattr(download, "reachable", lambda url: False)
    with pytest.raises(UserError, match=f"no {name} there, and .* cannot be reached .*put t.* into {tmp_path}/{name}, .*curl -L") as caught:
        data.ensure(Dataset(name), tmp_path)
    assert "{" not in one_line(caught).replace("{train,t10k}-{images-idx3,labels-idx1}", "")
    assert not os.listdir(tmp_path)


def test_the_command_line_names_the_damaged_file(tmp_path):
    cut(write(tmp_path / "mnist", arrays())[2])
    assert "t10k-images-idx3-ubyte.gz: truncated gzip file" in refused("-m", "data.build", "--dataset=mnist", f"--data_dir={tmp_path}")
    assert os.listdir(tmp_path) == ["mnist"]
