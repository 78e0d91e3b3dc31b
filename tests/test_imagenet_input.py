"""Encoded images on their way into a net: what one goes through, against NumPy, and the batches of a generated ImageNet folder."""
import dataclasses
import gc
import io
import os
import weakref

import numpy as np
import pytest
from PIL import Image

import data
from tests import ilsvrc
from tests.test_input import resized
from tfprune.experiment import UserError
from tfprune.input import images, pipeline, plan
from tfprune.input.records import load
from tfprune.keras import tf
from tfprune.settings import ENCODED, Dataset, Hyper

PLAIN = Dataset("imagenet", preprocessing="resnet")
SMALL = Hyper(batch_size=8, image_size=32, augmentation=True)


# --- preparation of an image -----------------------------------------------------------------------------------------------------


def bilinear(image, height, width, half_pixel):
    """Resize of [h, w, c] pixel by pixel, a side at a time."""
    def matrix(old, new):
        weights = np.zeros((new, old))
        for i in range(new):
            position = max(0.0, (i + 0.5) * old / new - 0.5) if half_pixel else i * old / new
            low = min(int(position), old - 1)
            weights[i, low] += 1 - (position - low)
            weights[i, min(low + 1, old - 1)] += position - low
        return weights
    return np.einsum("ih,jw,hwc->ijc", matrix(image.shape[0], height), matrix(image.shape[1], width), image, optimize=True)


def test_the_oracle_is_the_one_of_the_other_data_sets():
    image = np.random.default_rng(0).random((9, 9, 3))
    for half_pixel in (True, False):
        np.testing.assert_allclose(bilinear(image, 7, 7, half_pixel), resized(image[None], 7, half_pixel)[0])


SIZES = [(60, 90), (90, 60), (75, 75), (41, 300), (300, 41), (20, 25), (500, 375), (31, 256)]


@pytest.mark.parametrize("method", ["half_pixel", "tf1"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_resnets_evaluation(height, width, method):
    """Short side to 8/7 of 56, 64; the centre; minus the mean colour."""
    content, decoded = ilsvrc.photograph(height, width)
    short = min(height, width)
    big = bilinear(decoded, height * 64 // short, width * 64 // short, method == "half_pixel")
    assert min(big.shape[:2]) == 64
    top, left = (big.shape[0] - 56) // 2, (big.shape[1] - 56) // 2
    expected = big[top:top + 56, left:left + 56] - [123.68, 116.78, 103.94]
    result = images.prepare(content, Dataset("imagenet", preprocessing="resnet", resize=method), Hyper(image_size=56))
    assert result.dtype == tf.float32
    np.testing.assert_allclose(result, expected, atol=2e-2)


@pytest.mark.parametrize("method", ["half_pixel", "tf1"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_inceptions_evaluation(height, width, method):
    """The central 87.5 %, resized to a square, in [-1, 1]; the crop is TensorFlow's own."""
    content, decoded = ilsvrc.photograph(height, width)
    central = tf.image.central_crop(decoded / 255, 0.875).numpy()
    expected = (bilinear(central, 47, 47, method == "half_pixel") - 0.5) * 2
    result = images.prepare(content, Dataset("imagenet", preprocessing="inception", resize=method), Hyper(image_size=47))
    np.testing.assert_allclose(result, expected, atol=2e-4)
    assert abs(result.numpy()).max() <= 1.0001


def test_every_preprocessing_of_encoded_images_has_its_recipe():
    assert tuple(images.RECIPES) == ENCODED


def test_resnets_evaluation_at_its_own_size():
    content, decoded = ilsvrc.photograph(256, 341)
    result = images.prepare(content, PLAIN, Hyper(image_size=224))
    np.testing.assert_allclose(result, decoded[16:240, 58:282] - [123.68, 116.78, 103.94], atol=1e-2)


@pytest.mark.parametrize(("preprocessing", "least"), [("resnet", 0.08), ("inception", 0.05)])
def test_random_crops(preprocessing, least):
    """Of an image whose colours are its coordinates: where a crop was taken, how large, and whether it was mirrored."""
    rows, columns = np.mgrid[:200, :240]
    ramp = np.stack([rows, columns, np.full_like(rows, 128)], axis=-1).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(ramp).save(content, "JPEG", quality=100, subsampling=0)
    dataset, hyper = Dataset("imagenet", preprocessing=preprocessing), Hyper(image_size=32)
    crop = tf.function(lambda seed: images.prepare(content.getvalue(), dataset, hyper, seed))
    areas, ratios, mirrored, tops = [], [], [], []
    for seed in range(300):
        image = crop(tf.constant([seed, 5], tf.int32)).numpy()
        image = image + images.MEAN_COLOUR if preprocessing == "resnet" else (image / 2 + 0.5) * 255
        height, width = (image[-1, :, 0] - image[0, :, 0]).mean() * 32 / 31, (image[:, -1, 1] - image[:, 0, 1]).mean() * 32 / 31
        areas.append(height * abs(width) / (200 * 240))
        ratios.append(abs(width) / height)
        mirrored.append(width < 0)
        tops.append(image[0, :, 0].mean())
    assert least * 0.85 < min(areas) < least * 2 and 0.75 < max(areas) < 1.05
    assert 0.7 < min(ratios) < 0.8 and 1.25 < max(ratios) < 1.4
    assert 100 < sum(mirrored) < 200 and np.ptp(tops) > 80


def test_random_crop_is_the_part_of_the_decoded_image_that_it_says(monkeypatch):
    content, decoded = ilsvrc.photograph(80, 100)
    spot = (tf.constant([7, 12, 0]), tf.constant([40, 50, -1]), None)
    monkeypatch.setattr(tf.image, "stateless_sample_distorted_bounding_box", lambda *args, **options: spot)
    expected = decoded[7:47, 12:62] - images.MEAN_COLOUR
    expected = bilinear(expected, 32, 32, True)
    crops = [images.prepare(content, PLAIN, Hyper(image_size=32), tf.constant([seed, 1], tf.int32)).numpy() for seed in range(12)]
    as_is, mirrored = ([bool(np.allclose(crop[:, ::step], expected, atol=2)) for crop in crops] for step in (1, -1))
    assert 0 < sum(as_is) < 12 and mirrored == [not plain for plain in as_is]


# --- batches ---------------------------------------------------------------------------------------------------------------------


def batches_of(dataset):
    return [(images.numpy(), labels.numpy()) for images, labels in dataset]


def same(first, second):
    return len(first) == len(second) and all((a == c).all() and (b == d).all() for (a, b), (c, d) in zip(first, second, strict=True))


@pytest.mark.parametrize("preprocessing", ["resnet", "inception"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_resumed_epoch_goes_on_with_the_same_batches(small_imagenet, shuffle, preprocessing):
    split, dataset = load(small_imagenet[2], "train"), dataclasses.replace(PLAIN, shuffle=shuffle, preprocessing=preprocessing)
    count = plan.updates_per_epoch(split, dataset, SMALL)
    both = batches_of(pipeline.training_stream(split, dataset, SMALL, 1, epoch=1).take(2 * count))
    assert same(both[3:], batches_of(pipeline.training_stream(split, dataset, SMALL, 1, epoch=1, first_step=3).take(2 * count - 3)))
    assert same(both[count:], batches_of(pipeline.training_stream(split, dataset, SMALL, 1, epoch=2).take(count)))
    assert both[0][0].shape == (8, 32, 32, 3) and both[0][0].dtype == np.float32 and both[0][1].dtype == np.int64
    assert not same(both[:count], both[count:])


def test_seeds_and_the_plan_of_an_epoch(small_imagenet):
    split = load(small_imagenet[2], "train")
    count = plan.updates_per_epoch(split, PLAIN, SMALL)
    assert count == len(split) // 8
    runs = [batches_of(pipeline.training_stream(split, PLAIN, SMALL, seed).take(count)) for seed in (3, 3, 4)]
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])
    rows, _ = plan.epoch_plan(len(split), count, 8, True, 3, 0)
    np.testing.assert_array_equal([labels for _, labels in runs[0]], split.labels[rows])


def test_every_image_has_a_seed_of_its_own(small_imagenet):
    split = load(small_imagenet[2], "train")
    reader = dataclasses.replace(split.reader, index=split.reader.index[[20] * 8])
    alike = dataclasses.replace(split, reader=reader, labels=split.labels[[20] * 8])
    images, _ = next(iter(pipeline.training_stream(alike, PLAIN, SMALL, 0)))
    assert len({image.numpy().tobytes() for image in images}) == 8


def test_without_augmentation_training_images_are_prepared_as_in_evaluation(small_imagenet):
    split, plain = load(small_imagenet[2], "train"), dataclasses.replace(SMALL, augmentation=False)
    count = plan.updates_per_epoch(split, PLAIN, plain)
    rows, _ = plan.epoch_plan(len(split), count, 8, True, 0, 0)
    found = batches_of(pipeline.training_stream(split, PLAIN, plain, 0).take(count))
    for (some, _), chosen in zip(found, rows, strict=True):
        np.testing.assert_array_equal(some[0], images.prepare(split.reader.read(chosen[0]), PLAIN, plain))
    augmented = batches_of(pipeline.training_stream(split, PLAIN, SMALL, 0).take(count))
    assert not same(found, augmented)


def test_evaluation_sees_every_image_once_in_order_and_unaugmented(small_imagenet):
    split = load(small_imagenet[2], "test")
    for batch, sizes in ((8, [8, 8, 4]), (10, [10, 10]), (64, [20])):
        dataset = pipeline.evaluation_batches(split, PLAIN, SMALL, batch)
        found = batches_of(dataset)
        assert [len(labels) for _, labels in found] == sizes and len(dataset) == len(sizes)
        assert dataset.element_spec[0].shape.as_list() == [batch if 20 % batch == 0 else None, 32, 32, 3]
        np.testing.assert_array_equal(np.concatenate([labels for _, labels in found]), split.labels)
        expected = [images.prepare(split.reader.read(row), PLAIN, SMALL) for row in range(20)]
        np.testing.assert_array_equal(np.concatenate([some for some, _ in found]), expected)


def test_evaluation_over_no_validation_images(small_imagenet):
    split = load(data.ensure(dataclasses.replace(PLAIN, proportion_training_set=1.0), small_imagenet[0]), "val")
    assert len(split) == 0 and list(pipeline.evaluation_batches(split, PLAIN, SMALL)) == []


def test_fewer_images_than_a_batch_make_one_batch(small_imagenet):
    split, hyper = load(small_imagenet[2], "test"), dataclasses.replace(SMALL, batch_size=64)
    images, labels = next(iter(pipeline.training_stream(split, PLAIN, hyper, 0)))
    assert images.shape == (20, 32, 32, 3) and sorted(labels.numpy()) == sorted(split.labels)


def test_preprocessing_of_the_other_kind_is_refused(small_imagenet):
    split, digits = load(small_imagenet[2], "test"), data.ensure(Dataset("digits", limit=20), small_imagenet[0])
    with pytest.raises(UserError, match="preprocessing=crop: imagenet.* resnet or inception"):
        pipeline.evaluation_batches(split, Dataset("imagenet"), SMALL)
    with pytest.raises(UserError, match="preprocessing=none"):
        pipeline.training_stream(split, Dataset("imagenet", preprocessing="none"), SMALL, 0)
    with pytest.raises(UserError, match="preprocessing=resnet: digits.* crop or pad or none"):
        pipeline.evaluation_batches(load(digits, "test"), Dataset("digits", preprocessing="resnet"), SMALL)


def test_a_split_keeps_no_file_open_and_is_freed(small_imagenet):
    before = len(os.listdir("/proc/self/fd"))
    split = load(small_imagenet[2], "train")
    [split.reader.read(row) for row in range(len(split))]
    list(pipeline.training_stream(split, PLAIN, SMALL, 0).take(2))
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    freed = weakref.ref(split)
    del split
    gc.collect()
    assert freed() is None
