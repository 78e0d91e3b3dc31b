"""Records of ImageNet from a generated folder in its layout: labels, features, odd and broken files, shards, damage."""
import dataclasses
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import data
from data import annotations, image_folder, imagenet, jpeg, records
from tests import ilsvrc
from tests.conftest import ROOT, cli, ok, refused, script_environment
from tfprune.experiment import UserError
from tfprune.input import pipeline, shards
from tfprune.input.records import load
from tfprune.keras import tf
from tfprune.settings import Dataset, Hyper

PLAIN = Dataset("imagenet", preprocessing="resnet")
SMALL = Hyper(batch_size=8, image_size=32, augmentation=True)


@pytest.fixture
def raw(tmp_path):
    """A fresh data folder of 3 classes, without unreadable files."""
    return ilsvrc.make_folder(tmp_path, classes=3, train_per_class=4, val_per_class=2, bad=False)


@pytest.fixture
def folder(small_imagenet, tmp_path):
    """A copy of the records that may be damaged."""
    return shutil.copytree(small_imagenet[2], tmp_path / "tfrecords" / small_imagenet[2].name)


def examples(folder, split):
    """Parsed records of a split, in order: {feature: value}."""
    lists = ("image/object/bbox/xmin", "image/object/bbox/xmax", "image/object/bbox/ymin", "image/object/bbox/ymax")
    strings = ("image/colorspace", "image/format", "image/filename", "image/encoded", "image/class/synset", "image/class/text")
    integers = ("image/height", "image/width", "image/channels", "image/class/label")
    features = {key: tf.io.VarLenFeature(tf.float32) for key in lists} | {"image/object/bbox/label": tf.io.VarLenFeature(tf.int64)}
    features |= {key: tf.io.FixedLenFeature([], tf.string) for key in strings}
    features |= {key: tf.io.FixedLenFeature([], tf.int64) for key in integers}
    paths = sorted(str(path) for path in folder.glob(f"{shards.PREFIXES[split]}-*-of-*"))
    for record in tf.data.TFRecordDataset(paths):
        parsed = tf.io.parse_single_example(record, features)
        yield {key: (tf.sparse.to_dense(value) if isinstance(value, tf.SparseTensor) else value).numpy() for key, value in parsed.items()}


def one_line(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


def written(path):
    """Record folders below a data folder."""
    return [entry for entry in (path / "tfrecords").glob("*") if entry.is_dir()]


# --- records ---------------------------------------------------------------------------------------------------------------------


def test_records_hold_every_readable_image_with_the_originals_features(small_imagenet):
    path, raw, folder = small_imagenet
    good = sorted(str(name.relative_to(raw.root)) for name in raw.root.glob("*/*/*") if name not in raw.corrupt)
    found = {split: list(examples(folder, split)) for split in records.SPLITS}
    names = [f"{'val' if split == 'test' else 'train'}/{example['image/class/synset'].decode()}/{example['image/filename'].decode()}"
             for split in records.SPLITS for example in found[split]]
    assert sorted(names) == good and len(found["test"]) == 20 and len(found["train"]) + len(found["val"]) == 60
    for name, example in zip(names, sum(found.values(), []), strict=True):
        assert example["image/class/label"] == 1 + raw.wnids.index(name.split("/")[1])
        assert (example["image/colorspace"], example["image/format"], example["image/channels"]) == (b"RGB", b"JPEG", 3)
        assert example["image/class/text"] == b"" and not example["image/object/bbox/label"].size
        original, content = (raw.root / name).read_bytes(), example["image/encoded"]
        with Image.open(io.BytesIO(original)) as before, Image.open(io.BytesIO(content)) as after:
            assert (after.format, after.mode) == ("JPEG", "RGB")
            assert after.size == before.size == (example["image/width"], example["image/height"])
            if (before.format, before.mode) == ("JPEG", "RGB"):
                assert content == original
            else:
                difference = np.asarray(before.convert("RGB"), float) - np.asarray(after, float)
                assert abs(difference).mean() < 8, name


def test_split_gives_what_the_records_hold(small_imagenet):
    folder = small_imagenet[2]
    for split in records.SPLITS:
        opened, stored = load(folder, split), list(examples(folder, split))
        assert [opened.reader.read(row) for row in range(len(opened))] == [example["image/encoded"] for example in stored]
        np.testing.assert_array_equal(opened.labels, [example["image/class/label"] for example in stored])
        assert opened.labels.dtype == np.int64 and not opened.labels.flags.writeable
        assert opened.num_classes == 1001 and opened.epoch_size == len(opened) == len(stored)
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["encoding"] == "jpeg" and meta["num_classes"] == 1001
    for split in records.SPLITS:
        counts = np.bincount(load(folder, split).labels, minlength=1001)
        assert meta["splits"][split]["label_counts"] == counts.tolist() and meta["splits"][split]["count"] == counts.sum()


def test_order_is_shuffled_seeded_and_val_is_held_out_of_train(small_imagenet):
    path, raw, folder = small_imagenet
    folders = {seed: data.ensure(dataclasses.replace(PLAIN, seed=seed), path) for seed in (0, 1)}
    rows = {seed: {split: [example["image/filename"] for example in examples(folders[seed], split)] for split in records.SPLITS}
            for seed in folders}
    assert rows[0]["test"] != sorted(rows[0]["test"]) and rows[0]["test"] != rows[1]["test"]
    assert set(rows[0]["val"]) != set(rows[1]["val"])
    for seed in (0, 1):
        assert not set(rows[seed]["val"]) & set(rows[seed]["train"])
        assert sorted(rows[seed]["val"] + rows[seed]["train"]) == sorted(rows[0]["val"] + rows[0]["train"])
    again = data.ensure(PLAIN, path, overwrite=True)
    assert again == folder and [example["image/filename"] for example in examples(again, "train")] == rows[0]["train"]


def test_building_again_gives_the_same_bytes(raw, tmp_path):
    contents = [{path.name: path.read_bytes() for path in data.ensure(PLAIN, tmp_path, overwrite=True).iterdir()} for _ in range(2)]
    assert contents[0] == contents[1]


def test_words_and_boxes(raw, tmp_path):
    wnid = raw.wnids[1]
    (raw.root / annotations.METADATA).write_text(f"{raw.wnids[0]}\ttench, Tinca tinca\n{wnid}\tgoldfish\n")
    (raw.root / annotations.BOXES).write_text(f"{wnid}_0.JPEG,0.1,0.2,0.8,0.9\n{wnid}_0.JPEG,0.0,0.25,1.0,0.5\nother.JPEG,0,0,1,1\n")
    folder = data.ensure(dataclasses.replace(PLAIN, proportion_training_set=1), tmp_path)
    found = {example["image/filename"].decode(): example for example in examples(folder, "train")}
    boxed = found[f"{wnid}_0.JPEG"]
    assert boxed["image/class/text"] == b"goldfish" and found[f"{raw.wnids[2]}_0.JPEG"]["image/class/text"] == b""
    for edge, values in {"xmin": [0.1, 0], "ymin": [0.2, 0.25], "xmax": [0.8, 1], "ymax": [0.9, 0.5], "label": [2, 2]}.items():
        np.testing.assert_allclose(boxed[f"image/object/bbox/{edge}"], values)
    assert not found[f"{wnid}_1.JPEG"]["image/object/bbox/xmin"].size
    assert load(folder, "val").labels.size == 0


def test_damaged_boxes_are_named(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("a.JPEG,0,0,1,1\nb.JPEG,0,0,1\n")
    with pytest.raises(UserError, match=r"boxes\.csv: line 2"):
        annotations.boxes(path)


@pytest.mark.parametrize(("count", "split", "files"), [
    (1_281_167, "train", 1024), (50_000, "test", 128), (64_059, "val", 51), (60, "train", 1), (2500, "train", 2), (0, "val", 1),
    (780, "test", 2)])
def test_number_of_shards(count, split, files):
    """The original's 1024 and 128 for the whole of ImageNet."""
    most, each = imagenet.SHARDS[split]
    part = max(1, min(most, count // each))
    assert part == files
    assert len(set(shards.shard_files(split, part))) == files


def test_many_shards(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(imagenet, "SHARDS", {"train": (3, 2), "val": (1024, 2), "test": (128, 2)})
    folder = data.ensure(dataclasses.replace(PLAIN, proportion_training_set=0.75), tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == sorted([
        "meta.json", "train.index.npy", "val.index.npy", "test.index.npy", *(f"train-{number:05d}-of-00003" for number in range(3)),
        "val-00000-of-00001", *(f"validation-{number:05d}-of-00003" for number in range(3))])
    for split in records.SPLITS:
        opened = load(folder, split)
        assert [opened.reader.read(row) for row in range(len(opened))] == [example["image/encoded"] for example in examples(folder, split)]
    assert records.complete(folder)
    (folder / "validation-00001-of-00003").unlink()
    assert not records.complete(folder)
    assert len(load(data.ensure(dataclasses.replace(PLAIN, proportion_training_set=0.75), tmp_path), "test")) == 6


# --- settings --------------------------------------------------------------------------------------------------------------------


def test_limit_takes_evenly_of_all_classes(small_imagenet):
    path, raw, _ = small_imagenet
    folder = data.ensure(dataclasses.replace(PLAIN, limit=25, proportion_training_set=1.0), path)
    assert np.bincount(load(folder, "train").labels).tolist()[1:] in ([5] * 5, [4, 5, 5, 5, 5], [5, 5, 5, 5, 4], [4, 5, 5, 5, 4])
    assert len(load(folder, "test")) in (4, 5) and len(set(load(folder, "test").labels)) >= 4


@pytest.mark.parametrize(("sizes", "count", "taken"), [((3, 3, 3), 6, (2, 2, 2)), ((1, 5, 5), 7, (1, 3, 3)), ((2, 2), 9, (2, 2)),
                                                       ((4, 4, 4), 2, (1, 1, 0)), ((3, 0, 3), 4, (2, 0, 2))])
def test_spread(sizes, count, taken):
    classes = np.repeat(np.arange(len(sizes)), sizes)
    chosen = imagenet.spread(classes, count, np.random.default_rng(0))
    assert len(set(chosen)) == len(chosen) and np.bincount(classes[chosen], minlength=len(sizes)).tolist() == list(taken)
    drawn = {tuple(sorted(imagenet.spread(classes, 2, np.random.default_rng(seed)))) for seed in range(20)}
    assert len(drawn) > 1


def test_random_labels_are_of_the_classes_there_are_and_spare_the_test_set(small_imagenet):
    path, raw, folder = small_imagenet
    drawn = data.ensure(dataclasses.replace(PLAIN, random_labels=True), path)
    assert drawn != folder
    for split in ("train", "val"):
        assert set(load(drawn, split).labels) <= set(range(1, 6))
    assert (load(drawn, "train").labels != load(folder, "train").labels).mean() > 0.5
    np.testing.assert_array_equal(load(drawn, "test").labels, load(folder, "test").labels)


def test_what_decides_the_records(small_imagenet):
    path, _, folder = small_imagenet
    same = dataclasses.replace(PLAIN, preprocessing="inception", resize="tf1", shuffle=False, split="accumulated")
    assert data.ensure(same, path) == folder
    with pytest.raises(UserError, match="leaves none of 1 "):
        data.ensure(dataclasses.replace(PLAIN, limit=1), path)


# --- unreadable files ------------------------------------------------------------------------------------------------------------


def test_unreadable_files_are_named_counted_and_left_out(tmp_path):
    raw = ilsvrc.make_folder(tmp_path, classes=3, train_per_class=20, val_per_class=2)
    status, out, err = cli("-m", "data.build", "--dataset=imagenet", f"--data_dir={tmp_path}")
    *named, counted = err.splitlines()
    assert status == 0 and sorted(line.partition(": ")[0] for line in named) == sorted(map(str, raw.corrupt)) and len(named) == 3
    assert counted == f"{written(tmp_path)[0]}: 3 unreadable images left out; --strict refuses them"
    assert "left out: 3 unreadable images" in out and str(written(tmp_path)[0]) in out
    meta = json.loads((written(tmp_path)[0] / "meta.json").read_text())
    skipped = [name for split in records.SPLITS for name in meta["splits"][split]["skipped"]]
    assert sorted(skipped) == sorted(str(path.relative_to(raw.root)) for path in raw.corrupt)
    assert "3 unreadable" in refused("-m", "data.build", "--dataset=imagenet", f"--data_dir={tmp_path}", "--strict")


def test_strict_refuses_and_leaves_nothing(tmp_path):
    raw = ilsvrc.make_folder(tmp_path, classes=2, train_per_class=20, val_per_class=2)
    said = refused("-m", "data.build", "--dataset=imagenet", f"--data_dir={tmp_path}", "--strict")
    assert any(str(path) in said for path in raw.corrupt)
    assert not written(tmp_path)
    for path in raw.corrupt:
        path.unlink()
    assert len(load(data.ensure(PLAIN, tmp_path, strict=True), "test")) == 4
    assert data.ensure(PLAIN, tmp_path, strict=True) == written(tmp_path)[0]


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def empty(path):
    path.write_bytes(b"")


def be_text(path):
    path.write_text("<html>not found</html>")


def lead_nowhere(path):
    path.unlink()
    path.symlink_to("nowhere")


def end_in_its_header(path):
    path.write_bytes(path.read_bytes()[:300])


def be_half_a_png(path):
    content = ilsvrc.encoded(np.zeros((50, 50, 3), np.uint8), "PNG")
    path.write_bytes(content[:len(content) // 2])


def be_half_a_cmyk(path):
    content = ilsvrc.encoded(np.random.default_rng(0).integers(0, 255, (50, 50, 3), np.uint8), "CMYK")
    path.write_bytes(content[:len(content) // 2])


def be_a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def lead_to_a_device(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def be_a_huge_file(path):
    with open(path, "wb") as handle:
        handle.truncate(2**40)


def be_a_thread(path):
    path.write_bytes(ilsvrc.encoded(np.zeros((1, 5000, 3), np.uint8)))


@pytest.mark.parametrize("damage", [cut, empty, be_text, lead_nowhere, end_in_its_header, be_half_a_png, be_half_a_cmyk, be_a_pipe,
                                    lead_to_a_device, be_a_huge_file, be_a_thread])
def test_each_kind_of_unreadable_file(raw, tmp_path, capfd, damage):
    path = sorted((raw.root / "val" / raw.wnids[2]).iterdir())[1]
    damage(path)
    folder = data.ensure(PLAIN, tmp_path)
    named, counted = capfd.readouterr().err.splitlines()
    assert named.startswith(f"{path}: ") and f"{folder}: 1 unreadable images left out" in counted and len(load(folder, "test")) == 5
    assert data.left_out(folder) == [str(path.relative_to(raw.root))]
    with pytest.raises(UserError, match=re.escape(str(path))) as caught:
        data.ensure(PLAIN, tmp_path, overwrite=True, strict=True)
    one_line(caught)
    assert len(load(folder, "test")) == 5  # the records there were stay


@pytest.mark.parametrize(("split", "names"), [("train", 1), ("val", 1), ("val", 3), ("train", 3)])
def test_a_lost_class_or_split_is_refused(raw, tmp_path, split, names):
    for wnid in raw.wnids[:names]:
        for path in (raw.root / split / wnid).iterdir():
            be_text(path)
    with pytest.raises(UserError, match=str(raw.root / split)) as caught:
        data.ensure(PLAIN, tmp_path)
    one_line(caught)
    assert not written(tmp_path)


def test_a_lost_validation_split_is_refused(raw, tmp_path):
    parts = imagenet.load(PLAIN, tmp_path).parts(PLAIN)
    for place in range(parts["val"].count):
        be_text(parts["val"].path(place))
        path = parts["val"].path(place)
        path.write_text("x" * path.stat().st_size)
    with pytest.raises(UserError, match="images of the val split"):
        data.ensure(PLAIN, tmp_path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "CMYK", "L"])
def test_normalised(kind):
    picture = ilsvrc.picture(np.random.default_rng(1), 1, 3)
    content = ilsvrc.encoded(picture, kind)
    result, height, width = jpeg.normalised(content)
    assert (height, width) == picture.shape[:2]
    assert (result == content) == (kind == "JPEG")
    assert jpeg.normalised(result)[0] == result
    if kind == "PNG":
        assert abs(np.asarray(Image.open(io.BytesIO(result)), float) - picture).mean() < 4


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"comment": b"x" * 300}, {"restart_marker_blocks": 4}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_header(options, mode):
    content = io.BytesIO()
    Image.fromarray(ilsvrc.picture(np.random.default_rng(1), 1, 3)).convert(mode).save(content, "JPEG", **options)
    content = content.getvalue()
    assert list(jpeg.header(content)) == tf.io.extract_jpeg_shape(content).numpy().tolist()
    for length in (2, 3, 20, 60, content.index(b"\xff\xda"), content.index(b"\xff\xda") + 3):
        with pytest.raises(jpeg.Unreadable):
            jpeg.header(content[:length])


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(("size", "says"), [((15_000, 15_000), "too many"), ((60_000, 2), "100 times the other"), ((3, 301), "100 times"),
                                            ((3, 300), None), ((1, 1), None)])
def test_sizes_that_no_batch_can_hold(kind, size, says, monkeypatch):
    """Decoded, the first is larger than TensorFlow decodes a JPEG; with short sides of 256 the next would be gigabytes long."""
    content = io.BytesIO()
    Image.new("RGB", size).save(content, kind)
    if says is None:
        assert jpeg.normalised(content.getvalue())[1:] == size[::-1]
        return
    monkeypatch.setattr(jpeg, "_encoded", None)
    with pytest.raises(jpeg.Unreadable, match=says):
        jpeg.normalised(content.getvalue())


def test_the_quick_check_finds_what_a_full_decoding_would():
    content, _ = ilsvrc.photograph(90, 120)
    rng = np.random.default_rng(0)
    outcomes = set()
    for end in (*range(40, len(content), 61), *range(len(content) - 20, len(content) + 1)):
        damaged = bytearray(content[:end])
        damaged[rng.integers(2, end)] ^= int(rng.integers(2) * 16)
        try:
            tf.io.decode_jpeg(bytes(damaged), channels=3)
            readable = True
        except tf.errors.OpError:
            readable = False
        try:
            jpeg.normalised(bytes(damaged))
            outcomes.add((readable, True))
        except jpeg.Unreadable:
            outcomes.add((readable, False))
    assert outcomes == {(True, True), (False, False)}


# --- careless folders ------------------------------------------------------------------------------------------------------------


def refusal(tmp_path):
    """What is said of a folder, before anything is written."""
    with pytest.raises(UserError) as caught:
        data.ensure(PLAIN, tmp_path)
    assert not (tmp_path / "tfrecords").exists()
    return one_line(caught)


def test_missing_folder_says_what_to_put_where(tmp_path):
    said = refusal(tmp_path)
    for part in (f"{tmp_path}/imagenet: missing", f"{tmp_path}/imagenet/train/<wnid>", "image-net.org", "registration", "LOC_val_solution"):
        assert part in said


@pytest.mark.parametrize("split", ["train", "val"])
def test_missing_half(raw, tmp_path, split):
    shutil.rmtree(raw.root / split)
    assert refusal(tmp_path).startswith(f"{raw.root / split}: missing")


@pytest.mark.parametrize("split", ["train", "val"])
def test_empty_class_folder(raw, tmp_path, split):
    shutil.rmtree(raw.root / split / raw.wnids[1])
    (raw.root / split / raw.wnids[1] / "images").mkdir(parents=True)
    (raw.root / split / raw.wnids[1] / "urls.txt").write_text("")
    assert refusal(tmp_path).startswith(f"{raw.root / split / raw.wnids[1]}: no images")


def test_archives_that_were_not_unpacked(tmp_path):
    for name in ("train", "val"):
        (tmp_path / "imagenet" / name).mkdir(parents=True)
    assert "no class folders" in refusal(tmp_path)
    (tmp_path / "imagenet" / "train" / "n01440764.tar").write_bytes(b"")
    assert "unpack each" in refusal(tmp_path)


def test_class_that_train_lacks(raw, tmp_path):
    shutil.rmtree(raw.root / "train" / raw.wnids[1])
    assert f"class {raw.wnids[1]}" in refusal(tmp_path)


def test_strange_class_folder(raw, tmp_path):
    (raw.root / "train" / "__MACOSX").mkdir()
    assert f"{raw.root}/train/__MACOSX: not a class folder" in refusal(tmp_path)


def test_too_many_classes(raw, tmp_path):
    for number in range(998):
        (raw.root / "train" / f"n{number:08d}").mkdir()
    assert "1001 class folders" in refusal(tmp_path)


def test_odd_files_are_left_alone(raw, tmp_path):
    before = imagenet.fingerprint(PLAIN, tmp_path)
    for name in (".DS_Store", "._n01.JPEG", "readme.txt", "Thumbs.db"):
        for place in (raw.root, raw.root / "train", raw.root / "train" / raw.wnids[0], raw.root / "val", raw.root / "val" / raw.wnids[0]):
            (place / name).write_text("x")
    (raw.root / "train" / ".ipynb_checkpoints").mkdir()
    assert imagenet.fingerprint(PLAIN, tmp_path) == before


def test_fingerprint_follows_names_and_sizes_and_needs_no_content(raw, tmp_path, monkeypatch):
    before = imagenet.fingerprint(PLAIN, tmp_path)
    path = next((raw.root / "train" / raw.wnids[0]).iterdir())
    os.utime(path, (1, 1))
    monkeypatch.setattr(pathlib.Path, "read_bytes", lambda path: pytest.fail("opened"))
    assert imagenet.fingerprint(PLAIN, tmp_path) == before
    path.rename(path.with_name("other.JPEG"))
    renamed = imagenet.fingerprint(PLAIN, tmp_path)
    with open(path.with_name("other.JPEG"), "ab") as handle:
        handle.write(b"x")
    assert len({before, renamed, imagenet.fingerprint(PLAIN, tmp_path)}) == 3


@pytest.mark.parametrize("place", image_folder.ROOTS[1:])
def test_layouts_are_the_same_data(raw, tmp_path, place):
    before = imagenet.fingerprint(PLAIN, tmp_path)
    other = tmp_path / "other"
    (other / place).mkdir(parents=True)
    for name in ("train", "val"):
        (raw.root / name).rename(other / place / name)
    assert image_folder.find(other) == other / place and imagenet.fingerprint(PLAIN, other) == before


def test_links_are_followed(raw, tmp_path):
    before = imagenet.fingerprint(PLAIN, tmp_path)
    elsewhere = tmp_path / "elsewhere"
    raw.root.rename(elsewhere)
    raw.root.mkdir()
    (raw.root / "val").symlink_to(elsewhere / "val")
    (raw.root / "train").mkdir()
    for wnid in raw.wnids:
        (raw.root / "train" / wnid).symlink_to(elsewhere / "train" / wnid)
    assert imagenet.fingerprint(PLAIN, tmp_path) == before
    assert len(load(data.ensure(PLAIN, tmp_path), "test")) == 6


def flatten(raw):
    """Moves the validation images right into val; returns {name: wnid} in the order of the names."""
    found = {path.name: path.parent.name for path in (raw.root / "val").glob("*/*")}
    for name, wnid in found.items():
        (raw.root / "val" / wnid / name).rename(raw.root / "val" / name)
    for wnid in raw.wnids:
        (raw.root / "val" / wnid).rmdir()
    return dict(sorted(found.items()))


@pytest.mark.parametrize("place", [".", "val"])
@pytest.mark.parametrize("kind", ["labels", "solution"])
def test_flat_validation_images(raw, tmp_path, place, kind):
    wnids = flatten(raw)
    if kind == "labels":
        (raw.root / place / annotations.VAL_LABELS).write_text("".join(f"{wnid}\n" for wnid in wnids.values()))
    else:
        lines = [f"{name[:-5]},{wnid} 1 2 3 4 {wnid} 5 6 7 8 \n" for name, wnid in reversed(wnids.items())]
        (raw.root / place / annotations.VAL_SOLUTION).write_text("ImageId,PredictionString\n" + "".join(lines))
    folder = data.ensure(PLAIN, tmp_path)
    found = {example["image/filename"].decode(): example["image/class/synset"].decode() for example in examples(folder, "test")}
    assert found == wnids
    for example in examples(folder, "test"):
        assert example["image/class/label"] == 1 + raw.wnids.index(example["image/class/synset"].decode())


def test_kaggles_layout(raw, tmp_path):
    wnids = flatten(raw)
    deep = raw.root / "ILSVRC" / "Data" / "CLS-LOC"
    deep.mkdir(parents=True)
    for name in ("train", "val"):
        (raw.root / name).rename(deep / name)
    (raw.root / annotations.VAL_SOLUTION).write_text("".join(f"{name[:-5]},{wnid} 1 2 3 4\n" for name, wnid in wnids.items()))
    assert len(load(data.ensure(PLAIN, tmp_path), "test")) == 6


def test_flat_validation_images_without_or_with_wrong_labels(raw, tmp_path):
    wnids = flatten(raw)
    assert annotations.VAL_LABELS in refusal(tmp_path)
    labels, solution = raw.root / annotations.VAL_LABELS, raw.root / annotations.VAL_SOLUTION
    labels.write_text("n01440764\n")
    assert "1 labels for 6 images" in refusal(tmp_path)
    labels.write_text("n99999999\n" * 6)
    assert "class n99999999" in refusal(tmp_path)
    labels.unlink()
    solution.write_text("ImageId,PredictionString\n")
    assert f"no line for {next(iter(wnids))}" in refusal(tmp_path)


def test_changed_labels_are_other_data(raw, tmp_path):
    wnids = list(flatten(raw).values())
    labels = raw.root / annotations.VAL_LABELS
    labels.write_text("\n".join(wnids))
    before = imagenet.fingerprint(PLAIN, tmp_path)
    labels.write_text("\n".join(reversed(wnids)))
    assert imagenet.fingerprint(PLAIN, tmp_path) != before


def test_loose_images_beside_class_folders(raw, tmp_path):
    shutil.copy(next((raw.root / "val" / raw.wnids[0]).iterdir()), raw.root / "val" / "loose.JPEG")
    assert "loose.JPEG" in refusal(tmp_path)


def test_no_validation_images(raw, tmp_path):
    for wnid in raw.wnids:
        shutil.rmtree(raw.root / "val" / wnid)
    assert "no validation images" in refusal(tmp_path)


def test_build_summarises(small_imagenet):
    out = ok("-m", "data.build", "--dataset=imagenet", f"--data_dir={small_imagenet[0]}")
    assert len(out.splitlines()) == 5 and max(map(len, out.splitlines())) < 300
    assert "test: 20 examples of 5 classes, of each 4 to 4, files: 1" in out


# --- damaged records -------------------------------------------------------------------------------------------------------------


def cut_the_end(path):
    path.write_bytes(path.read_bytes()[:-7])


def remove(path):
    path.unlink()


def hold_zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(("name", "damage"), [
    ("train-00000-of-00001", cut_the_end), ("train-00000-of-00001", remove), ("train-00000-of-00001", empty),
    *(("train.index.npy", damage) for damage in (cut_the_end, remove, empty, hold_zeros, flip_a_bit))])
def test_damaged_files_are_found_when_a_split_is_opened(folder, name, damage):
    damage(folder / name)
    with pytest.raises(UserError, match=rf"{re.escape(name)}: .*python -m data\.build --dataset=imagenet --overwrite") as caught:
        load(folder, "train")
    assert f"--data_dir={folder.parent.parent}" in one_line(caught)
    assert len(load(folder, "test")) == 20


def test_damaged_images_are_found_when_they_are_read(folder):
    split, shard = load(folder, "train"), folder / "train-00000-of-00001"
    flip_a_bit(shard)
    bad = []
    for row in range(len(split)):
        try:
            split.reader.read(row)
        except UserError as error:
            bad.append(str(error))
    assert len(bad) == 1 and "train-00000-of-00001: corrupt" in bad[0] and "--overwrite" in bad[0]
    with pytest.raises(tf.errors.OpError, match="UserError: .*train-00000-of-00001: corrupt"):
        list(pipeline.evaluation_batches(split, PLAIN, SMALL))
    shard.unlink()
    with pytest.raises(UserError, match="train-00000-of-00001: cannot be read"):
        split.reader.read(0)


@pytest.mark.parametrize("reading", [
    "list(pipeline.evaluation_batches(split, experiment.dataset, experiment.hyper))",
    "Evaluator(experiment, build_model(experiment), lambda outputs, labels: 0.0)(split)"])
def test_damaged_images_are_one_line_for_the_user(folder, reading):
    """Read in a loop, and in a compiled one, as in training, where TensorFlow's message begins with other lines."""
    flip_a_bit(folder / "validation-00000-of-00001")
    script = ("import sys; from experiments import REGISTRY; from tfprune import flags; from tfprune.input import pipeline, records\n"
              "from tfprune.models import build_model; from tfprune.training.evaluate import Evaluator\n"
              "def main(positional):\n"
              "    experiment = REGISTRY[4000]\n"
              f"    split = records.load({str(folder)!r}, 'test')\n"
              f"    {reading}\n"
              "sys.argv = ['script']; flags.run(main)")
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=script_environment(), capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {folder}/validation-00000-of-00001: corrupt") and "--overwrite" in done.stderr


@pytest.mark.parametrize("damage", [cut_the_end, empty, remove])
def test_damaged_meta_is_named(folder, damage):
    damage(folder / "meta.json")
    with pytest.raises(UserError, match=r"meta\.json: (missing|damaged); .*--dataset=imagenet"):
        load(folder, "train")


@pytest.mark.parametrize("key", ["shard_bytes", "sha256", "count"])
def test_meta_of_encoded_images_that_lacks_something_is_damaged(folder, key):
    meta = json.loads((folder / "meta.json").read_text())
    del meta["splits"]["train"][key]
    (folder / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(UserError, match=r"meta\.json: damaged; .*--dataset=imagenet"):
        load(folder, "train")


@pytest.mark.parametrize("change", [lambda index: index[:-1], lambda index: index["label"], lambda index: set_to(index, "shard", 1),
                                    lambda index: set_to(index, "shard", -1), lambda index: set_to(index, "label", 1001)])
def test_an_index_that_does_not_fit_its_records_is_refused(folder, change):
    path, meta = folder / "train.index.npy", json.loads((folder / "meta.json").read_text())
    np.save(path, change(np.load(path)))
    meta["splits"]["train"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(UserError, match=r"train\.index\.npy: is of other records than its meta\.json; .*--overwrite") as caught:
        load(folder, "train")
    one_line(caught)


def set_to(index, name, value):
    index[name][3] = value
    return index


KILLED = """
import os, signal, sys
from data import ensure, shards
from tfprune.settings import Dataset
example = shards._example
def dying(tf, part, place, *rest):
    if place == 2 and part.images.folder.name == "val":
        os.kill(os.getpid(), signal.SIGKILL)
    return example(tf, part, place, *rest)
shards._example = dying
ensure(Dataset("imagenet"), sys.argv[1])
"""


def test_kill_while_writing_leaves_no_half_folder(raw, tmp_path):
    process = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, env=script_environment(), capture_output=True)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    assert [path.suffix for path in written(tmp_path)] == [".tmp"]
    folder = data.ensure(PLAIN, tmp_path)
    assert written(tmp_path) == [folder] and len(load(folder, "test")) == 6


def test_generated_folder_is_the_same_each_time(tmp_path):
    made = [ilsvrc.make_folder(tmp_path / name, classes=2, train_per_class=2, val_per_class=1) for name in "ab"]
    contents = [{str(path.relative_to(folder.root)): path.read_bytes() for path in folder.root.glob("*/*/*")} for folder in made]
    assert contents[0] == contents[1] and len(contents[0]) == 2 * 3 + 3
