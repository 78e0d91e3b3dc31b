"""Records into memory, what a batch goes through, and the batches of an epoch, against NumPy."""
import dataclasses
import gc
import re
import shutil
import weakref

import numpy as np
import pytest

import data
from tests.conftest import shared
from tfprune.experiment import UserError
from tfprune.input import pipeline, plan, preprocess, records
from tfprune.keras import tf
from tfprune.settings import Dataset, Hyper

PLAIN = Dataset(preprocessing="none")


def some_images(count=6, size=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def numbered(count, **settings):
    """A split whose examples are their own row numbers."""
    rows = np.arange(count)
    return records.Split(rows.astype(np.float32).reshape(-1, 1), rows, num_classes=count, **settings)


def rows_of(batches):
    return [labels.tolist() for _, labels in batches.as_numpy_iterator()]


def epoch_of(split, dataset, hyper, seed, epoch, first_step=0):
    """One epoch's training batches, from a step on."""
    count = plan.updates_per_epoch(split, dataset, hyper) - first_step
    return pipeline.training_stream(split, dataset, hyper, seed, epoch, first_step).take(count)


# --- records in memory -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return data.ensure(Dataset("digits", limit=100), tmp_path_factory.mktemp("data"))


@pytest.fixture
def folder(built, tmp_path):
    return shutil.copytree(built, tmp_path / "tfrecords" / built.name)


def cut_the_end(path):
    path.write_bytes(path.read_bytes()[:-7])


def drop_a_record(path):
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 95 * 94])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def repeat_a_record(path):
    content = path.read_bytes()
    path.write_bytes(content + content[:len(content) // 95])


def empty(path):
    path.write_bytes(b"")


def hold_other_records(path):
    shutil.copy(path.with_name("val.tfrecords"), path)


def remove(path):
    path.unlink()


@pytest.mark.parametrize("damage", [cut_the_end, drop_a_record, flip_a_bit, repeat_a_record, empty, hold_other_records, remove])
def test_damaged_records_are_named_with_the_command_that_builds_them(folder, damage):
    assert len(records.load(folder, "train")) == 95
    damage(folder / "train.tfrecords")
    command = "python -m data.build --dataset=digits --set dataset.limit=100 --overwrite"
    with pytest.raises(UserError, match=rf"train\.tfrecords: .*{re.escape(command)}") as caught:
        records.load(folder, "train")
    assert "\n" not in str(caught.value) and f"--data_dir={folder.parent.parent}" in str(caught.value)
    assert len(records.load(folder, "test")) == 20


def hold_something_else(path):
    path.write_text("{}")


@pytest.mark.parametrize("damage", [cut_the_end, empty, remove, hold_something_else])
def test_damaged_meta_is_named(folder, damage):
    damage(folder / "meta.json")
    with pytest.raises(UserError, match=r"meta\.json: (missing|damaged); .*--dataset=digits"):
        records.load(folder, "train")


def test_loaded_split_is_shared_with_tensorflow_and_read_only(built):
    split = records.load(built, "train")
    images, labels = split.tensors
    assert np.shares_memory(np.from_dlpack(images), split.images)
    np.testing.assert_array_equal(labels, split.labels)
    assert not split.images.flags.writeable
    assert split.epoch_size == len(split) == 95


def test_unaligned_arrays_are_copied():
    images = np.frombuffer(bytes(range(256)) * 12 + b"\0", np.uint8)[1:].reshape(1, 32, 32, 3).copy()
    for array in (images, images[:, ::2], np.asfortranarray(images), images[:0]):
        np.testing.assert_array_equal(records.Split(array, np.zeros(len(array)), 1).tensors[0], array)


# --- preprocessing ---------------------------------------------------------------------------------------------------------------


def standardized(images):
    images = images.astype(np.float64)
    mean, std = (getattr(images, name)(axis=(1, 2, 3), keepdims=True) for name in ("mean", "std"))
    return (images - mean) / np.maximum(std, 1 / np.sqrt(images[0].size))


def resized(images, size, half_pixel):
    """Bilinear resize pixel by pixel."""
    old = images.shape[1]
    result = np.zeros((len(images), size, size, images.shape[3]))

    def source(i):
        position = max(0.0, (i + 0.5) * old / size - 0.5) if half_pixel else i * old / size
        low = min(int(position), old - 1)
        return low, min(low + 1, old - 1), position - low
    for i in range(size):
        top, bottom, v = source(i)
        for j in range(size):
            left, right, h = source(j)
            result[:, i, j] = ((images[:, top, left] * (1 - h) + images[:, top, right] * h) * (1 - v)
                               + (images[:, bottom, left] * (1 - h) + images[:, bottom, right] * h) * v)
    return result


def test_standardize_golden():
    """Values of the original's TensorFlow 1."""
    images = np.stack([np.arange(12), np.full(12, 7)]).reshape(2, 2, 2, 3).astype(np.uint8)
    result = preprocess.prepare(images, Dataset(), Hyper(image_size=2)).numpy()
    np.testing.assert_allclose(result[0, 0, 0], [-1.593255, -1.303572, -1.01389], atol=2e-6)
    assert not result[1].any()


def test_central_crop_golden():
    """The original's: the central 28 pixels of 32 start at (2, 2)."""
    images = some_images()
    np.testing.assert_array_equal(preprocess.central_crop(images, 28), images[:, 2:30, 2:30])
    np.testing.assert_array_equal(preprocess.central_crop(images, 32), images)
    np.testing.assert_array_equal(preprocess.central_crop(images, 40), images)


def test_resize_golden():
    """The original's legacy resize and today's, of a ramp of 0..27 along both axes."""
    ramp = np.arange(28, dtype=np.float32)
    for images in (np.tile(ramp[None, None, :, None], (1, 28, 1, 1)), np.tile(ramp[None, :, None, None], (1, 1, 28, 1))):
        axis = 1 if images[0, 1, 0, 0] else 2
        legacy, half = (np.moveaxis(preprocess.resize(tf.constant(images), 32, method).numpy()[0, :, :, 0], axis - 1, 0)[:, 3]
                        for method in ("tf1", "half_pixel"))
        np.testing.assert_allclose(legacy[:6], [0, 0.875, 1.75, 2.625, 3.5, 4.375], atol=1e-6)
        np.testing.assert_allclose(legacy[26:], [22.75, 23.625, 24.5, 25.375, 26.25, 27], atol=1e-5)
        np.testing.assert_allclose(half[:4], [0, 0.8125, 1.6875, 2.5625], atol=1e-6)


def test_the_originals_preprocessing():
    golden = np.load(shared("golden/frivolous_units/alexnet.npz"))
    images = golden["images_uint8"][:4]
    plain = preprocess.prepare(images, Dataset(), Hyper(image_size=28))
    np.testing.assert_allclose(plain, golden["standardized"], atol=1e-5)
    np.testing.assert_allclose(preprocess.prepare(images, Dataset(resize="tf1"), Hyper()), golden["resized"], atol=1e-5)


@pytest.mark.parametrize("method", ["tf1", "half_pixel"])
@pytest.mark.parametrize(("size", "crop", "new"), [(32, 28, 32), (8, 6, 8), (12, 12, 8), (8, 28, 8)])
def test_crop_without_augmentation(method, size, crop, new):
    images = some_images(size=size)
    result = preprocess.prepare(images, Dataset(resize=method), Hyper(crop_size=crop, image_size=new))
    margin = max(0, size - crop) // 2
    cropped = standardized(images[:, margin:size - margin, margin:size - margin])
    np.testing.assert_allclose(result, resized(cropped, new, method == "half_pixel"), atol=1e-5)
    assert result.dtype == tf.float32


def test_pad_without_augmentation_only_standardises():
    images = some_images()
    np.testing.assert_allclose(preprocess.prepare(images, Dataset(preprocessing="pad"), Hyper()), standardized(images), atol=1e-5)


def test_none_only_casts():
    vectors = np.random.default_rng(0).standard_normal((4, 10)).astype(np.float32)
    np.testing.assert_array_equal(preprocess.prepare(vectors, PLAIN, Hyper(), augment_seed=[1, 2]), vectors)
    assert preprocess.prepare(some_images(), PLAIN, Hyper()).dtype == tf.float32


def origins(image, crops):
    """(top, left, mirrored) of every crop, found by comparing with all there are."""
    size = crops.shape[1]
    spots = [(top, left) for top in range(image.shape[0] - size + 1) for left in range(image.shape[1] - size + 1)]
    known = {image[top:top + size, left:left + size].tobytes(): (top, left, False) for top, left in spots}
    known |= {image[top:top + size, left:left + size][:, ::-1].tobytes(): (top, left, True) for top, left in spots}
    return [known[crop.tobytes()] for crop in crops]


def test_crops_come_from_everywhere_and_half_are_mirrored():
    image = some_images(1)[0]
    draws = tf.random.stateless_uniform([500, 5], [3, 4])
    crops = preprocess.crop_and_flip(tf.constant(np.stack([image] * 500)), 28, draws).numpy()
    found = origins(image, crops)
    expected = [(int(top * 5), int(left * 5), mirrored < 0.5) for top, left, mirrored, *_ in draws.numpy()]
    assert found == expected
    assert len({spot[:2] for spot in found}) == 25
    assert 200 < sum(mirrored for *_, mirrored in found) < 300


def test_pad_and_crop_takes_the_old_size_out_of_a_black_frame():
    image = some_images(1)[0]
    crops = preprocess.pad_and_crop(tf.constant(np.stack([image] * 500)), [5, 6]).numpy()
    found = origins(np.pad(image, ((4, 4), (4, 4), (0, 0))), crops)
    assert crops.shape == (500, 32, 32, 3)
    assert {spot[0] for spot in found} == {spot[1] for spot in found} == set(range(9))


def test_brightness_and_contrast_are_tensorflows():
    images, seed = some_images(40), [7, 8]
    result = preprocess.crop_and_recolour(tf.constant(images), 28, seed)
    draws = tf.random.stateless_uniform([40, 5], seed)
    for index, crop in enumerate(tf.cast(preprocess.crop_and_flip(tf.constant(images), 28, draws), tf.float32)):
        brighter = tf.image.adjust_brightness(crop, (2 * draws[index, 3] - 1) * 63)
        expected = tf.image.adjust_contrast(brighter, 0.2 + 1.6 * draws[index, 4])
        np.testing.assert_allclose(result[index], expected, atol=1e-3)


@pytest.mark.parametrize("preprocessing", ["crop", "pad"])
@pytest.mark.parametrize(("size", "crop", "new"), [(32, 28, 16), (32, 64, 32), (32, 64, 48), (8, 28, 8), (32, 1, 1), (4, 28, 4)])
def test_whatever_the_sizes_images_come_out_as_asked(preprocessing, size, crop, new):
    images, dataset, hyper = some_images(size=size), Dataset(preprocessing=preprocessing), Hyper(crop_size=crop, image_size=new)
    for seed in (None, [1, 2]):
        result = preprocess.prepare(images, dataset, hyper, seed)
        assert result.shape == (6, new, new, 3) and np.isfinite(result).all()


@pytest.mark.parametrize("preprocessing", ["crop", "pad"])
def test_augmentation_follows_its_seed(preprocessing):
    images, dataset = some_images(), Dataset(preprocessing=preprocessing)
    first, again, other = (preprocess.prepare(images, dataset, Hyper(), seed).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=(1, 2, 3)).sum() >= 5
    assert first.shape == (6, 32, 32, 3) and first.dtype == np.float32
    np.testing.assert_allclose(preprocess.prepare(images[:0], dataset, Hyper(), [1, 2]).shape, (0, 32, 32, 3))


@pytest.mark.parametrize("preprocessing", ["crop", "pad"])
def test_prepare_compiles_for_any_batch_size(preprocessing):
    dataset, hyper = Dataset(preprocessing=preprocessing), Hyper()

    @tf.function(input_signature=[tf.TensorSpec([None, 32, 32, 3], tf.uint8), tf.TensorSpec([2], tf.int64)])
    def compiled(images, seed):
        return preprocess.prepare(images, dataset, hyper, seed)

    for count in (1, 5):
        images = some_images(count)
        result = compiled(images, [1, 2])
        np.testing.assert_allclose(result, preprocess.prepare(images, dataset, hyper, tf.constant([1, 2], tf.int64)), atol=1e-4)
        assert compiled.get_concrete_function().output_shapes.as_list() == [None, 32, 32, 3]


# --- the batches of an epoch -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "batch", "steps"), [(47_500, 128, 371), (47_500, 32, 1484), (47_500, 512, 92), (100, 128, 1)])
def test_steps_per_epoch(size, batch, steps):
    assert plan.steps_per_epoch(size, batch) == steps


def test_an_epoch_is_a_permutation_of_its_own():
    split, hyper = numbered(50), Hyper(batch_size=8)
    epochs = [rows_of(epoch_of(split, PLAIN, hyper, seed=3, epoch=epoch)) for epoch in (0, 0, 1)]
    assert [len(batch) for batch in epochs[0]] == [8] * 6
    assert len(set(sum(epochs[0], []))) == 48
    assert epochs[0] == epochs[1] != epochs[2]
    assert epochs[0] != rows_of(epoch_of(split, PLAIN, hyper, seed=4, epoch=0))


def test_images_and_labels_stay_together():
    for batches in (epoch_of(numbered(50), PLAIN, Hyper(batch_size=8), 0, 0),
                    pipeline.evaluation_batches(numbered(50), PLAIN, Hyper(batch_size=8))):
        for images, labels in batches:
            np.testing.assert_array_equal(images[:, 0], labels)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("count", [1, 5])
def test_fewer_examples_than_a_batch_make_one_batch(count, shuffle):
    split, dataset, hyper = numbered(count), dataclasses.replace(PLAIN, shuffle=shuffle), Hyper(batch_size=8)
    assert plan.updates_per_epoch(split, dataset, hyper) == 1
    for epoch in (0, 1):
        assert [sorted(rows) for rows in rows_of(epoch_of(split, dataset, hyper, 0, epoch))] == [list(range(count))]
    assert rows_of(pipeline.evaluation_batches(split, dataset, hyper)) == [list(range(count))]


def test_evaluation_over_no_validation_examples(tmp_path):
    dataset = Dataset("digits", limit=10, proportion_training_set=1.0)
    split = records.load(data.ensure(dataset, tmp_path), "val")
    assert list(pipeline.evaluation_batches(split, dataset, Hyper())) == []


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("preprocessing", ["crop", "pad"])
def test_a_resumed_epoch_goes_on_with_the_same_batches(shuffle, preprocessing):
    split = records.Split(some_images(40, size=12), np.arange(40), 40)
    dataset = Dataset(shuffle=shuffle, preprocessing=preprocessing)
    hyper = Hyper(batch_size=8, crop_size=10, image_size=12, augmentation=True)
    whole = list(epoch_of(split, dataset, hyper, 1, 2).as_numpy_iterator())
    rest = list(epoch_of(split, dataset, hyper, 1, 2, first_step=2).as_numpy_iterator())
    assert len(rest) == len(whole) - 2 > 0
    for (images, labels), (same_images, same_labels) in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(labels, same_labels)
    plain = dataclasses.replace(hyper, augmentation=False)
    unaugmented = next(iter(epoch_of(split, dataset, plain, 1, 2)))[0]
    assert (unaugmented.numpy() != whole[0][0]).any()


@pytest.mark.parametrize("shuffle", [True, False])
def test_the_stream_is_all_epochs_in_a_row(shuffle):
    split, dataset, hyper = numbered(20), dataclasses.replace(PLAIN, shuffle=shuffle), Hyper(batch_size=6)
    one_by_one = sum((rows_of(epoch_of(split, dataset, hyper, 5, epoch)) for epoch in (1, 2, 3)), [])
    stream = pipeline.training_stream(split, dataset, hyper, 5, epoch=1, first_step=1)
    assert rows_of(stream.take(len(one_by_one) - 1)) == one_by_one[1:]


def test_the_originals_stream_cycles_through_the_file_and_wastes_a_batch_an_epoch():
    split, dataset, hyper = numbered(23, epoch_size=16), dataclasses.replace(PLAIN, shuffle=False), Hyper(batch_size=4)
    consumed = np.arange(4 * 12).reshape(12, 4) % 23  # 16 / 4 = 4 batches an epoch, of which the first trains nothing
    for epoch in range(3):
        expected = consumed[4 * epoch:4 * epoch + 4][1:]
        assert rows_of(epoch_of(split, dataset, hyper, 0, epoch)) == expected.tolist()


def test_the_originals_epoch_has_370_updates():
    split = numbered(142_500, epoch_size=47_500)
    assert plan.updates_per_epoch(split, Dataset(shuffle=False), Hyper()) == 370
    assert plan.updates_per_epoch(split, Dataset(), Hyper()) == 371
    assert plan.stream_rows(142_500, 370, 128, epoch=2)[0, 0] == (2 * 371 + 1) * 128


def test_evaluation_sees_every_example_once_in_order():
    split = numbered(50)
    batches = rows_of(pipeline.evaluation_batches(split, PLAIN, Hyper(batch_size=8)))
    assert [len(batch) for batch in batches] == [8] * 6 + [2] and sum(batches, []) == list(range(50))
    assert len(rows_of(pipeline.evaluation_batches(split, PLAIN, Hyper(batch_size=8), batch_size=25))) == 2
    assert rows_of(pipeline.evaluation_batches(numbered(0), PLAIN, Hyper())) == []


def test_evaluation_never_augments():
    split = records.Split(some_images(), np.arange(6), 6)
    images, _ = next(iter(pipeline.evaluation_batches(split, Dataset(), Hyper(augmentation=True))))
    np.testing.assert_array_equal(images, preprocess.prepare(split.images, Dataset(), Hyper()))


def test_static_shapes_and_lengths():
    split, hyper = records.Split(some_images(40), np.arange(40), 40), Hyper(batch_size=8)
    training = epoch_of(split, Dataset(), hyper, 0, 0, first_step=1)
    assert training.element_spec[0].shape == (8, 32, 32, 3) and training.element_spec[1].shape == (8,)
    assert len(list(training)) == 4
    for batch, static in ((8, 8), (7, None)):
        spec, labels = pipeline.evaluation_batches(split, Dataset(), hyper, batch).element_spec
        assert spec.shape.as_list() == [static, 32, 32, 3] and labels.shape.as_list() == [static]
        assert spec.dtype == tf.float32


def test_the_same_seed_augments_the_same_whatever_else_runs():
    split, hyper = records.Split(some_images(40), np.arange(40), 40), Hyper(batch_size=8, augmentation=True)
    first = list(epoch_of(split, Dataset(), hyper, 0, 0).as_numpy_iterator())
    tf.random.set_seed(99)
    np.random.seed(99)
    for (images, _), (again, _) in zip(first, epoch_of(split, Dataset(), hyper, 0, 0), strict=True):
        np.testing.assert_array_equal(images, again)


def test_a_split_is_freed_with_all_that_was_compiled_for_it(built):
    split = records.load(built, "train")
    dataset, hyper = Dataset(), Hyper(batch_size=4, crop_size=8, image_size=8, augmentation=True)
    list(pipeline.training_stream(split, dataset, hyper, 0).take(3))
    list(pipeline.evaluation_batches(split, dataset, hyper))
    freed = weakref.ref(split), weakref.ref(split.images.base)
    del split
    gc.collect()
    assert [reference() is None for reference in freed] == [True, True]
