"""Preprocessing as torchvision has it (normalise, resized_crop, torchvision), against NumPy and Pillow; and labels without a background."""
import dataclasses
import math

import numpy as np
import pytest
from PIL import Image

import data
from experiments import REGISTRY
from tests import ilsvrc
from tests.conftest import shared
from tests.test_input import origins, resized, some_images
from tfprune import stages
from tfprune.datasets import DATASETS, classes
from tfprune.experiment import UserError
from tfprune.input import images as encoded_images
from tfprune.input import pipeline, preprocess, records, resized_crop
from tfprune.keras import tf
from tfprune.models import build_model
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.settings import IN_MEMORY, Dataset, Hyper

NORMALISE, RESIZED_CROP = Dataset(preprocessing="normalise"), Dataset(preprocessing="resized_crop")
TORCHVISION = Dataset("imagenet", preprocessing="torchvision")


def normalised(images, name):
    examples = DATASETS[name]
    return (images / examples.white - np.array(examples.mean)) / np.array(examples.deviation)


def pillow(image, rows, columns):
    """Pillow's bilinear resize, which torchvision calls, channel by channel in float32."""
    planes = [Image.fromarray(np.ascontiguousarray(plane, np.float32)).resize((columns, rows), Image.BILINEAR)
              for plane in np.moveaxis(image, -1, 0)]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def test_every_preprocessing_in_memory_is_there():
    assert sorted(preprocess.PREPARED) == sorted(IN_MEMORY)


# --- normalise -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, examples in DATASETS.items() if examples.side and not examples.encoded])
def test_normalised_by_the_data_sets_colours(name):
    examples = DATASETS[name]
    shape = (5, examples.side, examples.side, examples.channels)
    images = np.random.default_rng(0).integers(examples.white + 1, size=shape, dtype=np.uint8)
    result = preprocess.prepare(images, Dataset(name, preprocessing="normalise"), Hyper(image_size=examples.side))
    assert result.dtype == tf.float32
    np.testing.assert_allclose(result, normalised(images, name), atol=1e-5)


def test_cifars_golden_values():
    """Black, white and grey under the means .491, .482, .447 and deviations .247, .243, .262."""
    images = np.array([0, 255, 128], np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    result = preprocess.prepare(images, NORMALISE, Hyper(image_size=2)).numpy()[:, 0, 0]
    np.testing.assert_allclose(result, [[-1.98785425, -1.98353909, -1.70610687], [2.06072874, 2.13168724, 2.11068702],
                                        [0.04437564, 0.08214316, 0.20977390]], atol=1e-6)


def test_colours_are_those_of_the_data():
    """Normalised training images have mean 0 and deviation 1 in each channel."""
    from sklearn.datasets import load_digits

    x = np.load(shared("data/cifar10_lossless_train.npz"))["x"]
    for images, name, tolerance in ((x, "cifar10", 0.02), (load_digits().images[..., None].astype(np.uint8), "digits", 0.001)):
        result = preprocess.prepare(images, Dataset(name, preprocessing="normalise"), Hyper(image_size=images.shape[1])).numpy()
        np.testing.assert_allclose(result.mean(axis=(0, 1, 2)), 0, atol=tolerance)
        np.testing.assert_allclose(result.std(axis=(0, 1, 2)), 1, atol=tolerance)


@pytest.mark.parametrize("method", ["half_pixel", "tf1"])
def test_resized_after_normalising(method):
    images = some_images(size=12)
    result = preprocess.prepare(images, dataclasses.replace(NORMALISE, resize=method), Hyper(image_size=20))
    np.testing.assert_allclose(result, resized(normalised(images, "cifar10"), 20, method == "half_pixel"), atol=1e-5)


def test_training_crops_come_out_of_a_black_frame_and_half_are_mirrored():
    """Shifts of -4 to 4, each as likely; black is black before colours are normalised."""
    image = some_images(1)[0]
    many = tf.constant(np.stack([image] * 900))
    result = preprocess.prepare(many, NORMALISE, Hyper(), [5, 6]).numpy()
    colours = DATASETS["cifar10"]
    crops = np.rint((result * np.array(colours.deviation) + np.array(colours.mean)) * 255).astype(np.uint8)
    found = origins(np.pad(image, ((4, 4), (4, 4), (0, 0))), crops)
    for axis in (0, 1):
        counts = np.bincount([spot[axis] for spot in found], minlength=9)
        assert len(counts) == 9 and counts.min() > 60 and counts.max() < 145
    assert 390 < sum(mirrored for *_, mirrored in found) < 510


@pytest.mark.parametrize(("dataset", "size"), [(NORMALISE, 32), (RESIZED_CROP, 48)])
def test_augmentation_follows_its_seed_and_compiles_for_any_batch(dataset, size):
    hyper = Hyper(image_size=size)

    @tf.function(input_signature=[tf.TensorSpec([None, 32, 32, 3], tf.uint8), tf.TensorSpec([2], tf.int64)])
    def compiled(images, seed):
        return preprocess.prepare(images, dataset, hyper, seed)

    images = some_images()
    first, again, other = (compiled(images, seed).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any(axis=(1, 2, 3)).sum() >= 5 and first.dtype == np.float32
    np.testing.assert_allclose(preprocess.prepare(images, dataset, hyper, tf.constant([1, 2], tf.int64)), first, atol=1e-4)
    assert compiled(images[:0], [1, 2]).shape == (0, size, size, 3)
    assert compiled.get_concrete_function().output_shapes.as_list() == [None, size, size, 3]


# --- resized_crop ----------------------------------------------------------------------------------------------------------------


def drawn_crops(count, height, width, seed):
    """(top, left, rows, columns, mirrored) of each image: `RandomResizedCrop`, one image after the other, by the same draws."""
    for draws in tf.random.stateless_uniform([count, 23], seed).numpy().tolist():
        for share, ratio in zip(draws[3::2], draws[4::2], strict=True):
            area, ratio = height * width * (0.08 + 0.92 * share), math.exp(math.log(3 / 4) + math.log(16 / 9) * ratio)
            rows, columns = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < rows <= height and 0 < columns <= width:
                yield int(draws[0] * (height - rows + 1)), int(draws[1] * (width - columns + 1)), rows, columns, draws[2] < 0.5
                break
        else:
            rows, columns = min(height, round(width * 4 / 3)), min(width, round(height * 4 / 3))
            yield (height - rows) // 2, (width - columns) // 2, rows, columns, draws[2] < 0.5


@pytest.mark.parametrize(("height", "width", "size"), [(32, 32, 128), (32, 32, 12), (40, 24, 30), (8, 90, 16)])
def test_random_resized_crops_are_pillows(height, width, size):
    images = np.random.default_rng(0).integers(256, size=(60, height, width, 3), dtype=np.uint8)
    result = resized_crop.random_resized_crop(tf.constant(images), size, [3, 4]).numpy()
    crops = list(drawn_crops(60, height, width, [3, 4]))
    for image, ours, (top, left, rows, columns, mirrored) in zip(images, result, crops, strict=True):
        expected = pillow(image[top:top + rows, left:left + columns], size, size)
        np.testing.assert_allclose(ours, expected[:, ::-1] if mirrored else expected, atol=2e-3)
    if width > 2 * height:  # no draw fits but by chance: the centre
        assert sum(crop[2:4] == (height, round(height * 4 / 3)) for crop in crops) > 5


def test_random_resized_crops_have_the_areas_and_ratios_of_torchvision():
    areas, ratios = zip(*((rows * columns / 64**2, columns / rows) for _, _, rows, columns, _ in drawn_crops(2000, 64, 64, [1, 2])),
                        strict=True)
    assert 0.07 < min(areas) < 0.1 and max(areas) > 0.97 and 0.45 < np.mean(areas) < 0.54  # large ones fit with few ratios
    assert 0.72 < min(ratios) < 0.78 and 1.28 < max(ratios) < 1.38 and abs(np.mean(np.log(ratios))) < 0.02


@pytest.mark.parametrize(("height", "width", "size"), [(32, 32, 128), (32, 32, 13), (40, 24, 30), (24, 41, 21)])
def test_evaluation_takes_the_centre_of_a_larger_one(height, width, size):
    images = np.random.default_rng(0).integers(256, size=(3, height, width, 3), dtype=np.uint8)
    target = round(size * 256 / 224)
    rows, columns = height * target // min(height, width), width * target // min(height, width)
    top, left = round((rows - size) / 2), round((columns - size) / 2)
    expected = np.stack([pillow(image, rows, columns)[top:top + size, left:left + size] for image in images])
    result = preprocess.prepare(images, RESIZED_CROP, Hyper(image_size=size))
    np.testing.assert_allclose(result, normalised(expected, "imagenet"), atol=1e-4)


def test_grey_images_keep_their_own_colours():
    images = np.full((2, 28, 28, 1), 100, np.uint8)
    result = preprocess.prepare(images, Dataset("mnist", preprocessing="resized_crop"), Hyper(image_size=28))
    np.testing.assert_allclose(result, np.full((2, 28, 28, 1), (100 / 255 - 0.1307) / 0.3081), atol=1e-5)


# --- encoded images --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width", "size"), [(80, 100, 56), (301, 150, 56), (131, 131, 47), (40, 61, 56)])
def test_torchvisions_evaluation(height, width, size):
    content, decoded = ilsvrc.photograph(height, width)
    target = round(size * 256 / 224)
    rows, columns = height * target // min(height, width), width * target // min(height, width)
    top, left = round((rows - size) / 2), round((columns - size) / 2)
    expected = normalised(pillow(decoded, rows, columns)[top:top + size, left:left + size], "imagenet")
    result = encoded_images.prepare(content, TORCHVISION, Hyper(image_size=size))
    assert result.dtype == tf.float32
    np.testing.assert_allclose(result, expected, atol=1e-3)


def test_torchvisions_training_crop(monkeypatch):
    content, decoded = ilsvrc.photograph(80, 100)
    spot = (tf.constant([7, 12, 0]), tf.constant([60, 50, -1]), None)
    monkeypatch.setattr(tf.image, "stateless_sample_distorted_bounding_box", lambda *args, **options: spot)
    expected = normalised(pillow(decoded[7:67, 12:62], 32, 32), "imagenet")
    hyper, seeds = Hyper(image_size=32), [tf.constant([seed, 1], tf.int32) for seed in range(12)]
    crops = [encoded_images.prepare(content, TORCHVISION, hyper, seed).numpy() for seed in seeds]
    as_is, mirrored = ([bool(np.allclose(crop[:, ::step], expected, atol=0.05)) for crop in crops] for step in (1, -1))
    assert 0 < sum(as_is) < 12 and mirrored == [not plain for plain in as_is]


def test_halves_round_as_pythons():
    numbers = range(12)
    assert [encoded_images.half_to_even(number) for number in numbers] == [round(number / 2) for number in numbers]


# --- labels without a background -------------------------------------------------------------------------------------------------


def test_labels_start_at_0_without_a_background(small_imagenet):
    split, hyper = records.load(small_imagenet[2], "train"), Hyper(batch_size=8, image_size=32)
    without = dataclasses.replace(TORCHVISION, background=False)
    assert (classes(TORCHVISION), classes(without)) == (1001, 1000) and data.ensure(without, small_imagenet[0]) == small_imagenet[2]
    for make in (lambda dataset: pipeline.evaluation_batches(split, dataset, hyper),
                 lambda dataset: pipeline.training_stream(split, dataset, hyper, 0).take(3)):
        for (images, labels), (same, shifted) in zip(make(TORCHVISION), make(without), strict=True):
            np.testing.assert_array_equal(images, same)
            np.testing.assert_array_equal(labels - 1, shifted)
    assert sorted(set(np.concatenate([labels for _, labels in pipeline.evaluation_batches(split, without, hyper)]))) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("background", [True, False])
def test_measures_know_the_classes(small_imagenet, tmp_path, monkeypatch, background):
    run = Run(override(REGISTRY[4000], ["hyper.image_size=33", "hyper.batch_size=8", "measure.crosses=1",
                                        f"dataset.background={str(background).lower()}"]), tmp_path)
    run.path.mkdir(parents=True)
    model, seen = build_model(run.experiment), {}

    def streamed(*_, classes, **__):
        seen["classes"] = classes
        raise InterruptedError

    assert model.output_shape == (None, 1000 + background)
    monkeypatch.setattr(stages, "trained_model", lambda *_: model)
    monkeypatch.setattr(stages, "streamed", streamed)
    monkeypatch.setattr(stages, "_write", lambda run, stage, stem, value: seen.update({stem: value}))
    stages.get_activations(run, small_imagenet[2])
    assert set(np.unique(seen["labels0"][-1])) == {number + background for number in range(5)}
    with pytest.raises(InterruptedError):
        stages.stream_redundancy(run, small_imagenet[2])
    assert seen["classes"] == range(1000 + background)


@pytest.mark.parametrize("name", ["cifar10", "mnist", "digits"])
def test_other_sets_have_no_background(name):
    split = records.Split(some_images(), np.arange(6), 6)
    with pytest.raises(UserError, match=f"background=false: {name} has no class for the background"):
        pipeline.evaluation_batches(split, Dataset(name, background=False), Hyper())
    with pytest.raises(UserError, match="background=false: digits"):
        build_model(override(REGISTRY[9002], ["dataset.background=false"]))


@pytest.mark.parametrize(("name", "preprocessing"), [("digits", "torchvision"), ("imagenet", "normalise"), ("linear", "normalise"),
                                                     ("imagenet", "resized_crop"), ("mnist", "resnet")])
def test_preprocessing_of_another_kind_is_refused(name, preprocessing):
    with pytest.raises(UserError, match=f"preprocessing={preprocessing}: {name} has .*, which take ") as caught:
        pipeline.training_stream(None, Dataset(name, preprocessing=preprocessing), Hyper(), 0)
    assert "\n" not in str(caught.value)
