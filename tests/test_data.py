"""Data sources, splits and TFRecord folders. Nothing here needs a network or downloaded data."""
import collections
import dataclasses
import hashlib
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import data
from data import digits, download, linear, records, splits
from data.cifar import CIFAR10
from tests.conftest import ROOT, ok, refused, script_environment
from tfprune import experiment
from tfprune.experiment import UserError
from tfprune.overrides import override
from tfprune.settings import Dataset

SMALL = Dataset("linear", dimension=5, num_train=40, num_test=20)


@pytest.fixture
def batches(tmp_path):
    """A folder with CIFAR-10 batches of 20 images each, as Python 3 writes the official format; returns it and the test batch."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in CIFAR10.files:
        content = {b"data": rng.integers(0, 256, (20, 3072), dtype=np.uint8), b"labels": rng.integers(0, 10, 20).tolist()}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder


def read(folder, split):
    from tfprune.input.records import load

    return load(folder, split)


def one_line(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- splits, on row numbers -----------------------------------------------------------------------------------------------------


def test_clean_split_is_disjoint_complete_and_seeded():
    train, val = splits.clean(1000, 950, seed=0)
    assert (len(train), len(val)) == (950, 50)
    assert sorted([*train, *val]) == list(range(1000))
    assert list(train) != sorted(train)
    np.testing.assert_array_equal(train, splits.clean(1000, 950, seed=0)[0])
    assert (train != splits.clean(1000, 950, seed=1)[0]).any()


def test_accumulated_split_is_the_originals():
    """As in xboix/frivolous_dnns: 142,500 / 7,500 records; what is validated on has been trained on."""
    train, val = splits.split_rows(Dataset(split="accumulated"), 50_000, (10_000,) * 5)
    assert (len(train), len(val)) == (142_500, 7_500)
    times = collections.Counter(collections.Counter(train.tolist()).values())
    assert times == {5: 9_500, 4: 9_500, 3: 9_500, 2: 9_500, 1: 9_500}
    assert len(set(val)) == 7_500
    assert len(set(val) & set(train)) == 5_000
    assert set(val[:19 * 128]) <= set(train)
    assert len(set(train[:371 * 128])) == 19_000
    np.testing.assert_array_equal(train[:9_500], np.arange(9_500))


def test_accumulated_split_without_files_is_the_plain_one():
    train, val = splits.split_rows(Dataset(split="accumulated"), 100)
    np.testing.assert_array_equal(np.concatenate([train, val]), np.arange(100))
    assert len(train) == 95


def test_accumulated_epochs_are_as_long_as_if_the_split_were_right(batches, tmp_path):
    parts = CIFAR10.load(Dataset(), tmp_path).parts(Dataset(split="accumulated"))
    assert (parts["train"].count, parts["train"].epoch_size) == (19 + 38 + 57 + 76 + 95, 95)
    assert (parts["val"].count, parts["val"].epoch_size) == (15, 5)


@pytest.mark.parametrize(("limit", "sizes"), [(0, (100, 50)), (20, (20, 4)), (1, (1, 1)), (1000, (100, 50)), (400, (100, 50))])
def test_limit(limit, sizes):
    assert splits.limited(Dataset(limit=limit), 100, 50) == sizes


def test_limit_takes_the_first_training_images():
    train, val = splits.split_rows(Dataset(limit=10, proportion_training_set=0.8), 10)
    assert sorted([*train, *val]) == list(range(10))


def test_nothing_to_train_on_is_refused():
    with pytest.raises(UserError, match=r"proportion_training_set=0\.5"):
        splits.split_rows(Dataset(proportion_training_set=0.5), 1)


@pytest.mark.parametrize(("settings", "named"), [
    ({"proportion_training_set": 1e-4}, r"proportion_training_set=0\.0001: leaves none of 1437"),
    ({"limit": 1}, r"proportion_training_set=0\.95 with dataset\.limit=1: leaves none of 1 "),
    ({"limit": 1, "split": "accumulated"}, r"dataset\.limit=1: leaves none of 1 ")])
def test_too_few_to_train_on_is_refused_before_anything_is_written(tmp_path, settings, named):
    with pytest.raises(UserError, match=named) as caught:
        data.ensure(Dataset("digits", **settings), tmp_path)
    one_line(caught)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(("dataset", "sizes"), [
    (Dataset("digits", proportion_training_set=1.0), [1437, 0, 360]),
    (Dataset("digits", proportion_training_set=1.0, split="accumulated", limit=50), [50, 0, 10]),
    (Dataset("digits", proportion_training_set=1.0, limit=1), [1, 0, 1]),
    (Dataset("digits", limit=2), [1, 1, 1]),
    (Dataset("linear", limit=1), [1, 1, 1])])
def test_the_smallest_sets_and_those_without_validation(tmp_path, dataset, sizes):
    folder = data.ensure(dataset, tmp_path)
    parts = [read(folder, name) for name in records.SPLITS]
    assert [len(part) for part in parts] == [part.epoch_size for part in parts] == sizes
    assert data.ensure(dataset, tmp_path) == folder


def test_random_labels_touch_training_and_validation_only():
    images, labels = np.arange(4000).reshape(-1, 1), np.zeros(4000, np.int64)
    raw = splits.Arrays(images, labels, images, labels, num_classes=10)
    drawn = {}
    for seed in (0, 1):
        parts = raw.parts(Dataset(random_labels=True, seed=seed))
        drawn[seed] = {name: np.concatenate([labels for _, labels in part.chunks()]) for name, part in parts.items()}
    counts = np.bincount(np.concatenate([drawn[0]["train"], drawn[0]["val"]]), minlength=10)
    assert counts.min() > 300 and counts.max() < 500
    assert len(set(drawn[0]["val"])) > 1
    assert not drawn[0]["test"].any()
    assert (drawn[0]["train"] != drawn[1]["train"]).any()


# --- sources ---------------------------------------------------------------------------------------------------------------------


def test_digits(tmp_path):
    folder = data.ensure(Dataset("digits", proportion_training_set=0.85), tmp_path)
    parts = {name: read(folder, name) for name in records.SPLITS}
    assert [len(parts[name]) for name in records.SPLITS] == [1221, 216, 360]
    images = np.concatenate([part.images for part in parts.values()])
    labels = np.concatenate([part.labels for part in parts.values()])
    assert images.shape[1:] == (8, 8, 1) and images.dtype == np.uint8 and images.max() == 16
    from sklearn.datasets import load_digits

    bundled = load_digits()
    ours = sorted((image.tobytes(), label) for image, label in zip(images, labels, strict=True))
    assert ours == sorted((image.astype(np.uint8).tobytes(), label) for image, label in zip(bundled.images, bundled.target, strict=True))
    other = digits.load(Dataset("digits", seed=1), tmp_path)
    assert (other.test_images != digits.load(Dataset("digits"), tmp_path).test_images).any()


def test_cifar10_reads_the_official_format(batches, tmp_path):
    folder = data.ensure(Dataset(split="accumulated", limit=20), tmp_path)
    raw = pickle.loads((batches / "data_batch_1").read_bytes())
    planes = raw[b"data"].reshape(-1, 3, 32, 32)
    train = read(folder, "train")
    assert train.images.shape == (19, 32, 32, 3) and train.num_classes == 10
    for channel in range(3):
        np.testing.assert_array_equal(train.images[:, :, :, channel], planes[:19, channel])
    np.testing.assert_array_equal(train.labels, raw[b"labels"][:19])
    assert len(read(folder, "test")) == 4


def test_cifar10_is_found_in_all_three_places(batches, tmp_path):
    assert CIFAR10.paths(tmp_path)[0].parent == batches
    nested = tmp_path / "cifar10" / "cifar-10-batches-py"
    nested.parent.mkdir()
    batches.rename(nested)
    assert CIFAR10.paths(tmp_path)[0].parent == nested
    nested.rename(tmp_path / "moved")
    nested.parent.rmdir()
    (tmp_path / "moved").rename(tmp_path / "cifar10")
    assert CIFAR10.paths(tmp_path)[0].parent == tmp_path / "cifar10"


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1000])


def lose_a_label(path):
    content = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps(content | {b"labels": content[b"labels"][1:]}, protocol=2))


def wrong_class(path):
    content = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps(content | {b"labels": [10] * 20}, protocol=2))


class Malicious:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def turn_malicious(path):
    path.write_bytes(pickle.dumps({b"data": Malicious(), b"labels": []}, protocol=2))


def be_something_else(path):
    path.write_bytes(pickle.dumps([1, 2], protocol=2))


@pytest.mark.parametrize("damage", [os.unlink, truncate, lose_a_label, wrong_class, turn_malicious, be_something_else])
def test_cifar10_names_a_damaged_file_and_builds_nothing(batches, tmp_path, monkeypatch, damage):
    monkeypatch.chdir(tmp_path)
    damage(batches / "data_batch_3")
    with pytest.raises(UserError, match="data_batch_3") as caught:
        data.ensure(Dataset(), tmp_path)
    one_line(caught)
    assert os.listdir(tmp_path) == ["cifar-10-batches-py"]


def test_cifar10_offline_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "reachable", lambda url: False)
    with pytest.raises(UserError, match="curl -L https.*tar.gz") as caught:
        data.ensure(Dataset(), tmp_path)
    assert str(tmp_path / "cifar10") in one_line(caught)
    assert not os.listdir(tmp_path)


def test_cifar10_through_tensorflow_datasets(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(download, "reachable", lambda url: True)
    with tfds.testing.mock_data(num_examples=30):
        folder = data.ensure(Dataset(), tmp_path)
    assert read(folder, "train").images.shape == (28, 32, 32, 3)
    assert len(read(folder, "val")) == 2 and len(read(folder, "test")) == 30


def test_failed_download_is_one_line(tmp_path, monkeypatch):
    class Builder:
        def download_and_prepare(self):
            raise ConnectionError("cut off")

    monkeypatch.setattr(download, "reachable", lambda url: True)
    monkeypatch.setattr(download, "_builder", lambda name, data_dir: Builder())
    with pytest.raises(UserError, match=r"download failed \(ConnectionError: cut off\); put data_batch_1"):
        data.ensure(Dataset(), tmp_path)


def test_prepared_download_is_found_without_network(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "reachable", lambda url: pytest.fail("the network is not needed"))
    version = tmp_path / "tfds" / "cifar10" / "3.0.2"
    version.mkdir(parents=True)
    (version / "dataset_info.json").write_text("{}")
    assert download.ensure("cifar10", tmp_path, "https://nowhere", "advice") == [version / "dataset_info.json"]


def test_reachable(monkeypatch):
    for variable in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert download.reachable(f"https://{address}/file")
        monkeypatch.setenv("https_proxy", f"http://{address}")
        assert download.reachable("https://host.invalid/file")
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        assert not download.reachable(f"https://{address}/file")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert download.reachable(f"https://{address}/file")
    assert not download.reachable("https://host.invalid/file")


def test_reachable_does_not_wait_for_a_slow_name_server(monkeypatch):
    def slow(*args, **options):
        time.sleep(1)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", slow)
    started = time.monotonic()
    assert not download.reachable("https://host.invalid", seconds=0.2)
    assert time.monotonic() - started < 0.9


# --- the random teacher ----------------------------------------------------------------------------------------------------------


def drawn(dataset):
    parts = linear.load(dataset, None).parts(dataset)
    return {name: [np.concatenate(arrays) for arrays in zip(*part.chunks(), strict=True)] for name, part in parts.items()}


def test_linear_streams_are_independent_of_the_size():
    small, large = drawn(SMALL), drawn(dataclasses.replace(SMALL, num_train=2500))
    assert len(large["train"][1]) == len(large["val"][1]) == 2500
    for name, count in (("train", 40), ("val", 40), ("test", 20)):
        for few, many in zip(small[name], large[name], strict=True):
            np.testing.assert_array_equal(few, many[:count])
    assert not np.isin(small["train"][0], small["val"][0]).any()
    assert not np.isin(small["test"][0], large["train"][0]).any()
    other = drawn(dataclasses.replace(SMALL, seed=1))
    assert not np.isin(small["test"][0], other["test"][0]).any()


def test_linear_labels_are_the_teachers():
    dataset = dataclasses.replace(SMALL, num_test=2000)
    x, labels = drawn(dataset)["test"]
    assert x.dtype == np.float32 and labels.dtype == np.int64
    assert abs(x.mean()) < 0.05 and abs(x.std() - 1) < 0.05
    teacher = linear.Teacher.draw(dataset)
    assert teacher.hidden.shape == (5, 32) and teacher.output.shape == (32, 2)
    for vector, label in zip(x[:50], labels[:50], strict=True):
        scores = [sum(max(0.0, float(vector @ unit)) * weight for unit, weight in zip(teacher.hidden.T, column, strict=True))
                  for column in teacher.output.T]
        assert label == int(scores[1] > scores[0])
    assert 0.4 < labels.mean() < 0.6


def test_linear_regression_has_unit_variance():
    x, labels = drawn(dataclasses.replace(SMALL, num_test=20_000, regression=True))["test"]
    assert labels.dtype == np.float32 and labels.shape == (20_000,)
    assert abs(labels.std() - 1) < 0.03


def test_linear_weights_are_truncated():
    weights = linear.truncated_normal(np.random.default_rng(0), (200, 200))
    assert abs(weights).max() <= 0.02
    assert abs(weights.std() - 0.01 * 0.87962566) < 1e-4


def test_linear_is_drawn_in_chunks_and_no_more_than_asked():
    dataset = Dataset("linear", dimension=10_000, num_train=100_000, limit=1000)
    parts = linear.load(dataset, None).parts(dataset)
    assert [parts[name].count for name in records.SPLITS] == [1000, 1000, 200]
    first, _ = next(parts["train"].chunks())
    assert first.nbytes <= 2**24


def test_linear_random_labels_and_regression_exclude_each_other(tmp_path):
    with pytest.raises(UserError, match="random_labels=true"):
        data.ensure(dataclasses.replace(SMALL, regression=True, random_labels=True), tmp_path)


@pytest.mark.parametrize("regression", [False, True])
def test_linear_records_hold_what_was_drawn(tmp_path, regression):
    dataset = dataclasses.replace(SMALL, regression=regression)
    folder = data.ensure(dataset, tmp_path)
    for name, (x, labels) in drawn(dataset).items():
        split = read(folder, name)
        np.testing.assert_array_equal(split.images, x)
        np.testing.assert_array_equal(split.labels, labels)
        assert split.labels.dtype == labels.dtype and split.num_classes == (1 if regression else 2)


# --- record folders --------------------------------------------------------------------------------------------------------------


def test_records_are_built_once_for_a_content_and_its_settings(batches, tmp_path, monkeypatch):
    folder = data.ensure(Dataset(), tmp_path)
    assert folder.parent == tmp_path / "tfrecords" and folder.name.startswith("cifar10-") and len(folder.name) == len("cifar10-") + 12
    with monkeypatch.context() as patch:
        patch.setattr(records, "write", lambda *args: pytest.fail("built again"))
        assert data.ensure(Dataset(preprocessing="pad", resize="tf1", shuffle=False), tmp_path) == folder
    changes = ({"seed": 1}, {"limit": 50}, {"proportion_training_set": 0.9}, {"random_labels": True}, {"split": "accumulated"})
    folders = {data.ensure(Dataset(**change), tmp_path) for change in changes}
    assert len(folders | {folder}) == 6
    lose_a_label_and_an_image = pickle.loads((batches / "test_batch").read_bytes())
    changed = {key: value[1:] for key, value in lose_a_label_and_an_image.items()}
    (batches / "test_batch").write_bytes(pickle.dumps(changed, protocol=2))
    assert data.ensure(Dataset(), tmp_path) not in folders | {folder}


def test_record_keys(tmp_path):
    from tfprune.keras import tf

    folder = data.ensure(Dataset("digits", limit=20), tmp_path)
    for split in records.SPLITS:
        record = next(tf.data.TFRecordDataset(str(folder / f"{split}.tfrecords")).as_numpy_iterator())
        features = tf.train.Example.FromString(record).features.feature
        assert set(features) == {f"{split}/{key}" for key in ("label", "image", "width", "height", "depth")}
        assert [features[f"{split}/{key}"].int64_list.value[0] for key in ("height", "width", "depth")] == [8, 8, 1]
        assert len(features[f"{split}/image"].bytes_list.value[0]) == 64
    meta = json.loads((folder / "meta.json").read_text())
    assert [meta["splits"][split]["count"] for split in records.SPLITS] == [19, 1, 4]
    assert (meta["shape"], meta["dtype"], meta["label_dtype"], meta["num_classes"]) == ([8, 8, 1], "uint8", "int64", 10)
    assert sum(meta["splits"]["train"]["label_counts"]) == 19
    assert meta["splits"]["val"]["sha256"] == hashlib.sha256((folder / "val.tfrecords").read_bytes()).hexdigest()


def test_unknown_source(tmp_path):
    with pytest.raises(UserError, match="dataset.name=letters.*cifar10, digits, linear, imagenet"):
        data.ensure(Dataset("letters"), tmp_path)


def test_failed_build_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(records, "sync_folder", full)
        with pytest.raises(OSError, match="No space"):
            data.ensure(SMALL, tmp_path)
    assert [name for name in os.listdir(tmp_path / "tfrecords") if not name.endswith(".lock")] == []
    assert len(read(data.ensure(SMALL, tmp_path), "train")) == 40


KILLED = """
import os, signal, sys
from data import ensure, records
from tfprune.settings import Dataset
serialized = records._serialized
def dying(tf, split, *chunk):
    for record in serialized(tf, split, *chunk):
        if split == "val":
            os.kill(os.getpid(), signal.SIGKILL)
        yield record
records._serialized = dying
ensure(Dataset("linear", dimension=5, num_train=40, num_test=20), sys.argv[1])
"""


def test_kill_while_writing_leaves_no_half_folder(tmp_path):
    process = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, env=script_environment(), capture_output=True)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    left = [path for path in (tmp_path / "tfrecords").iterdir() if path.is_dir()]
    assert [path.suffix for path in left] == [".tmp"] and (left[0] / "train.tfrecords").exists()
    data.ensure(dataclasses.replace(SMALL, seed=7), tmp_path)  # another set's build removes it too
    assert not left[0].exists()
    folder = data.ensure(SMALL, tmp_path)
    assert records.complete(folder) and folder.name == left[0].stem
    np.testing.assert_array_equal(read(folder, "test").images, drawn(SMALL)["test"][0])


def test_folder_that_lost_a_file_is_built_again(tmp_path):
    folder = data.ensure(SMALL, tmp_path)
    (folder / "val.tfrecords").unlink()
    assert len(read(data.ensure(SMALL, tmp_path), "val")) == 40


def test_second_builder_waits_and_finds_the_firsts_work(tmp_path, monkeypatch):
    folder = data.ensure(SMALL, tmp_path)
    away = folder.with_name("away")
    folder.rename(away)
    monkeypatch.setattr(records, "write", lambda *args: pytest.fail("built a second time"))
    with records.locked(folder):
        second = threading.Thread(target=data.ensure, args=(SMALL, tmp_path))
        second.start()
        time.sleep(0.3)
        assert second.is_alive()
        away.rename(folder)
    second.join(5)
    assert not second.is_alive() and records.complete(folder)


def test_temporary_folder_of_a_living_builder_stays(tmp_path):
    folder = tmp_path / "linear-abc"
    folder.with_name("linear-abc.tmp").mkdir()
    with records.locked(folder):
        records.remove_stale(tmp_path)
        assert folder.with_name("linear-abc.tmp").exists()
    records.remove_stale(tmp_path)
    assert not folder.with_name("linear-abc.tmp").exists()


def test_overwrite_builds_again(tmp_path):
    folder = data.ensure(SMALL, tmp_path)
    (folder / "train.tfrecords").write_bytes(b"")
    with pytest.raises(UserError, match="--overwrite"):
        read(folder, "train")
    assert data.ensure(SMALL, tmp_path, overwrite=True) == folder
    assert len(read(folder, "train")) == 40


def test_rebuild_command_is_the_one_that_made_the_records(tmp_path):
    dataset = Dataset("digits", limit=50, random_labels=True, split="accumulated")
    meta = json.loads((data.ensure(dataset, tmp_path) / "meta.json").read_text())
    words = meta["rebuild"].split()
    assert words[:4] == ["python", "-m", "data.build", "--dataset=digits"] and words[-1] == "--overwrite"
    assignments = [word for word in words[4:-1] if word != "--set"]
    asked = experiment.Experiment(0, "", "", dataset=Dataset("digits"))
    assert override(asked, assignments).dataset == dataset


# --- scripts ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "said"), [
    (("create_linear_dataset.py", "10"), "argument 10"),
    (("create_linear_dataset.py", "--dimension=0"), "--dimension=0"),
    (("create_linear_dataset.py", "--num_train=many"), "--num_train=many"),
    (("-m", "data.build", "--dataset=letters"), "--dataset=letters"),
    (("-m", "data.build", "--set", "hyper.batch_size=3"), "hyper.batch_size=3"),
    (("-m", "data.build", "--set", "dataset.limit=-1"), "dataset.limit=-1"),
])
def test_scripts_refuse_in_one_line(arguments, said):
    assert said in refused(*arguments)


def test_command_line_does_not_load_tensorflow():
    check = "import sys, data.build; assert not {'tensorflow', 'sklearn', 'pandas'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, env=script_environment(), check=True)


def test_script_means_the_records_of_the_experiments(tmp_path):
    folder = data.ensure(SMALL, tmp_path)
    sizes = ("--dimension=5", "--num_train=40", "--num_test=20")
    assert str(folder) in ok("create_linear_dataset.py", *sizes, f"--data_dir={tmp_path}")
    assert len([path for path in (tmp_path / "tfrecords").iterdir() if path.is_dir()]) == 1
