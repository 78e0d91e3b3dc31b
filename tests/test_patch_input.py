"""Images as the feature-amounts study prepares them: resized to a patch, augmented, scaled; and every data set that can be so prepared."""
import dataclasses
import math
import pickle

import numpy as np
import pytest
from PIL import Image

import data
from tests.conftest import shared
from tests.test_idx_data import write
from tests.test_input import origins, resized
from tfprune.datasets import DATASETS, channels
from tfprune.experiment import UserError
from tfprune.input import images as encoded_images
from tfprune.input import pipeline, preprocess, records
from tfprune.input.checks import SCALED, check_dataset
from tfprune.input.resizing import resize
from tfprune.input.scaling import PUBLISHED, contrast_normalised, scaled, statistics
from tfprune.keras import tf
from tfprune.models import input_shape
from tfprune.settings import ENCODED, IN_MEMORY, Dataset, Hyper
from tfprune.studies import feature_amounts

UNIT = Dataset(preprocessing="patch", scaling="unit")
MNIST_28_TO_32 = [0, 7, 15, 23, 31, 39, 47, 55, 62, 70, 78, 86, 94, 102, 110, 118, 125, 133, 141, 149, 157, 165, 173, 181, 188, 196, 204,
                  212, 220, 228, 236, 243]


def random_images(shape, seed=0):
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


# --- resizing --------------------------------------------------------------------------------------------------------------------


def test_28_to_32_as_the_sheet_has_it():
    rows = np.tile(np.arange(28, dtype=np.uint8)[:, None] * 9, (1, 28))[None, ..., None]
    for image in (rows, rows.transpose(0, 2, 1, 3)):
        whole, exact = (resize(tf.constant(image), 32, method).numpy()[0, ..., 0] for method in ("pil", "half_pixel"))
        along = (whole[:, 5], exact[:, 5]) if image is rows else (whole[5], exact[5])
        assert along[0].tolist() == MNIST_28_TO_32
        np.testing.assert_allclose(along[1][[0, 1, 2, 30, 31]], [0, 7.3125, 15.1875, 235.6875, 243], rtol=0)
        np.testing.assert_array_equal(np.floor(along[1] + 0.5), MNIST_28_TO_32)
    corner = np.zeros((1, 28, 28, 1), np.uint8)
    corner[0, 0, 0] = 255
    assert resize(tf.constant(corner), 32, "pil").numpy()[0, :2, :2, 0].tolist() == [[255, 48], [48, 9]]


@pytest.mark.parametrize(("old", "new"), [(28, 32), (28, 64), (32, 64), (32, 50), (8, 32), (31, 77), (32, 20), (64, 33), (32, 224)])
@pytest.mark.parametrize("depth", [1, 3])
def test_pil_is_pillow_to_the_bit(old, new, depth):
    images = random_images((6, old, old, depth))
    expected = np.stack([np.asarray(Image.fromarray(image.squeeze()).resize((new, new), Image.BILINEAR)) for image in images])
    np.testing.assert_array_equal(resize(tf.constant(images), new, "pil"), expected.reshape(6, new, new, depth).astype("float32"))


def test_resizing_by_default_rounds_nothing():
    images = random_images((3, 28, 28, 1))
    mnist = dataclasses.replace(UNIT, name="mnist")
    np.testing.assert_allclose(preprocess.prepare(images, mnist, Hyper(image_size=64)), resized(images, 64, True) / 255, atol=1e-6)
    legacy = preprocess.prepare(images, dataclasses.replace(mnist, resize="tf1"), Hyper(image_size=64))
    np.testing.assert_allclose(legacy, resized(images, 64, False) / 255, atol=1e-6)
    same = random_images((3, 32, 32, 3))
    for method in ("half_pixel", "tf1", "pil"):
        assert resize(same, 32, method) is same


# --- augmentation ----------------------------------------------------------------------------------------------------------------


def test_padding_of_the_crop():
    assert [preprocess.tenth(side) for side in (32, 40, 50, 64)] == [4, 4, 5, 7]
    assert all(preprocess.tenth(side) == math.ceil(0.1 * side) for side in range(1, 1025))


@pytest.mark.parametrize(("size", "margin"), [(16, 2), (24, 3)])
def test_crops_come_from_everywhere_half_are_mirrored_and_the_padding_is_black_before_it_is_scaled(size, margin):
    image = 1 + random_images((1, size, size, 3)) % 255
    normalising, hyper = dataclasses.replace(UNIT, scaling="normalise"), Hyper(image_size=size)
    made = preprocess.prepare(np.repeat(image, 600, 0), normalising, hyper, [5, 6]).numpy()
    colours = DATASETS["cifar10"]
    crops = np.rint((made * np.array(colours.deviation) + np.array(colours.mean)) * 255).astype(np.uint8)
    found = origins(np.pad(image[0], ((margin, margin), (margin, margin), (0, 0))), crops)
    for axis in (0, 1):
        counts = np.bincount([spot[axis] for spot in found], minlength=2 * margin + 1)
        assert len(counts) == 2 * margin + 1 and counts.min() > 300 / len(counts)
    assert 240 < sum(mirrored for *_, mirrored in found) < 360


def test_augmentation_follows_its_seed_and_comes_after_the_resizing():
    images, hyper = random_images((4, 28, 28, 1)), Hyper(image_size=40)
    mnist = dataclasses.replace(UNIT, name="mnist", resize="pil")

    @tf.function(input_signature=[tf.TensorSpec([None, 28, 28, 1], tf.uint8), tf.TensorSpec([2], tf.int64)])
    def compiled(images, seed):
        return preprocess.prepare(images, mnist, hyper, seed)

    first, again, other = (compiled(images, seed).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any() and compiled.get_concrete_function().output_shapes.as_list() == [None, 40, 40, 1]
    larger = resize(tf.constant(images), 40, "pil")
    np.testing.assert_allclose(first, preprocess.pad_and_crop(larger, [1, 2], preprocess.tenth) / 255, atol=1e-6)


# --- scaling ---------------------------------------------------------------------------------------------------------------------


def pixels(name, depth):
    """A net's view of the grey levels 0, 128 and 255 in the study's own statistics: [3, channels]."""
    images = np.broadcast_to(np.array([0, 128, 255], np.uint8)[:, None, None, None], (3, 32, 32, depth))
    dataset = Dataset(name, preprocessing="patch", statistics="feature_amounts")
    return preprocess.prepare(tf.constant(images), dataset, Hyper(image_size=32)).numpy()[:, 3, 4]


@pytest.mark.parametrize(("name", "expected"), [
    ("cifar10", [(-2.429066, -2.418255, -2.221393), (.052204, .099101, .275924), (2.514088, 2.59679, 2.753731)]),
    ("mnist", [(-.424213,), (1.205001,), (2.821487,)]), ("fashion_mnist", [(-.424213,), (1.205001,), (2.821487,)]),
    ("kmnist", [(-.547862,), (.896782,), (2.33014,)])])
def test_pixels_of_the_sheet(name, expected):
    np.testing.assert_allclose(pixels(name, len(expected[0])), expected, atol=2e-6)


def test_statistics():
    hundred = statistics(Dataset("cifar100", statistics="feature_amounts"))
    assert (hundred.mean, hundred.deviation) == ((.5071, .4866, .4409), (.2009, .1984, .2023))
    for name in ("digits", "mnist", "imagenet"):
        assert statistics(Dataset(name, statistics="feature_amounts")) == DATASETS[name]
    assert all(statistics(Dataset(name)) == DATASETS[name] for name in DATASETS)
    assert PUBLISHED.keys() == set(Dataset.__dataclass_fields__["statistics"].metadata["choices"])


def test_kmnist_scaled_before_or_after_the_resizing():
    """The original interpolates scaled values; that commutes but for rounding."""
    images, dataset = random_images((5, 28, 28, 1)), Dataset("kmnist", preprocessing="patch", statistics="feature_amounts")
    before = resized((images / 255 - .190362019974657) / .3474631837640068, 32, True)
    np.testing.assert_allclose(preprocess.prepare(images, dataset, Hyper()), before, atol=2e-6)


def test_unit_is_to_tensor():
    images = random_images((2, 32, 32, 3))
    np.testing.assert_array_equal(preprocess.prepare(images, UNIT, Hyper()), images.astype("float32") / np.float32(255))
    digits = np.full((1, 8, 8, 1), 16, np.uint8)
    np.testing.assert_array_equal(preprocess.prepare(digits, dataclasses.replace(UNIT, name="digits"), Hyper(image_size=8)), 1)


def test_contrast_of_the_sheet():
    image = np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1)
    expected = {0: [-1.46385011, -.87831007, -.29277002], 10: [-.69560834, -.41736501, -.13912167]}
    for regulariser, half in expected.items():
        result = contrast_normalised(image, regulariser).numpy().ravel()
        np.testing.assert_allclose(result, [*half, *(-np.array(half[::-1]))], atol=1e-6)


@pytest.mark.parametrize("side", [32, 224])
def test_contrast_is_of_each_image_by_itself(side):
    images = random_images((4, side, side, 3))
    images[1], images[2] = images[1] // 8 + 200, 255
    images[3] = 254
    images[3, 7, 9, 1] = 255  # the least that 8 bits can show
    result = preprocess.prepare(tf.constant(images), dataclasses.replace(UNIT, scaling="contrast"), Hyper(image_size=side)).numpy()
    assert result.dtype == np.float32
    for image, ours in zip(images[[0, 1, 3]].astype(float), result[[0, 1, 3]], strict=True):
        np.testing.assert_allclose(ours, (image - image.mean()) / image.std(), rtol=1e-4, atol=1e-4)
    assert not result[2].any()


@pytest.mark.parametrize("level", [1, 100, 129, 255])
def test_constant_images_have_no_contrast_however_they_are_resized(level):
    images, dataset = np.full((1, 32, 32, 3), level, np.uint8), dataclasses.replace(UNIT, scaling="contrast")
    for changed in (dataset, dataclasses.replace(dataset, resize="pil"), dataclasses.replace(dataset, preprocessing="resized_crop")):
        for size in (224, 57):
            assert not preprocess.prepare(tf.constant(images), changed, Hyper(image_size=size)).numpy().any()
            if changed.preprocessing == "resized_crop":
                assert not preprocess.prepare(tf.constant(images), changed, Hyper(image_size=size), [1, 2]).numpy().any()


# --- three channels --------------------------------------------------------------------------------------------------------------


def test_grey_images_in_three_equal_channels():
    grey, hyper = random_images((3, 28, 28, 1)), Hyper(image_size=32)
    for dataset in (dataclasses.replace(UNIT, name="mnist"), Dataset("mnist", preprocessing="normalise"), Dataset("mnist")):
        three = dataclasses.replace(dataset, three_channels=True)
        one, all_three = (preprocess.prepare(tf.constant(grey), each, hyper) for each in (dataset, three))
        assert all_three.shape == (3, 32, 32, 3) and (channels(dataset), channels(three)) == (1, 3)
        np.testing.assert_array_equal(all_three, np.repeat(one, 3, -1))
    experiment = dataclasses.replace(feature_amounts.experiment(0, 16, ""), dataset=three)
    assert input_shape(experiment) == (32, 32, 3)
    colour = dataclasses.replace(UNIT, three_channels=True)
    np.testing.assert_array_equal(*(preprocess.prepare(random_images((2, 32, 32, 3)), each, hyper) for each in (UNIT, colour)))
    assert channels(colour) == 3 and channels(Dataset("linear", preprocessing="none")) is None


# --- what is refused -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preprocessing", IN_MEMORY + ENCODED)
@pytest.mark.parametrize("scaling", ["unit", "contrast"])
def test_scaling_is_taken_or_refused_but_never_ignored(preprocessing, scaling, small_imagenet):
    encoded = preprocessing in ENCODED
    dataset = Dataset("imagenet" if encoded else "cifar10", preprocessing=preprocessing, scaling=scaling)
    split = records.load(small_imagenet[2], "test") if encoded else records.Split(random_images((4, 32, 32, 3)), np.arange(4), 10)
    if preprocessing not in SCALED:
        with pytest.raises(UserError, match=f"dataset.scaling={scaling}: is of dataset.preprocessing=patch or .*{preprocessing}, where"):
            pipeline.evaluation_batches(split, dataset, Hyper())
        return
    ours, plain = (next(iter(pipeline.evaluation_batches(split, each, Hyper(), 2)))[0].numpy()
                   for each in (dataset, dataclasses.replace(dataset, scaling="normalise")))
    grey = plain * np.array(DATASETS["imagenet" if preprocessing != "patch" else "cifar10"].deviation, "float32")
    grey += np.array(DATASETS["imagenet" if preprocessing != "patch" else "cifar10"].mean, "float32")
    means, deviations = (getattr(grey, of)(axis=(1, 2, 3), keepdims=True) for of in ("mean", "std"))
    np.testing.assert_allclose(ours, grey if scaling == "unit" else (grey - means) / deviations, atol=1e-4)


@pytest.mark.parametrize(("settings", "says"), [
    ({"preprocessing": "normalise", "resize": "pil"}, "resize=pil: rounds to whole grey levels, and dataset.preprocessing=normalise"),
    ({"name": "imagenet", "preprocessing": "resnet", "resize": "pil"}, "dataset.resize=pil"),
    ({"name": "linear", "preprocessing": "none", "three_channels": True}, "dataset.three_channels=true: linear has vectors"),
    ({"name": "linear", "preprocessing": "none", "scaling": "contrast"}, "dataset.scaling=contrast"),
    ({"name": "linear", "preprocessing": "patch"}, "linear has vectors, which take none")])
def test_settings_without_a_meaning_are_refused(settings, says):
    with pytest.raises(UserError) as refusal:
        check_dataset(Dataset(**settings))
    assert says in str(refusal.value) and "\n" not in str(refusal.value)


# --- every data set --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data folder with small sets in the official formats."""
    path, rng = tmp_path_factory.mktemp("made"), np.random.default_rng(0)
    for name in ("fashion_mnist", "kmnist"):
        write(path / name, [rng.integers(256, size=(40, 28, 28), dtype=np.uint8), rng.integers(10, size=40, dtype=np.uint8)] * 2)
    for folder, key, files in (("cifar10", b"labels", [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]),
                               ("cifar100", b"fine_labels", ["train", "test"])):
        (path / folder).mkdir()
        for name in files:
            content = {b"data": rng.integers(256, size=(20, 3072), dtype=np.uint8), key: rng.integers(10, size=20).tolist()}
            (path / folder / name).write_bytes(pickle.dumps(content))
    return path


@pytest.mark.parametrize("scaling", ["normalise", "unit", "contrast"])
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist", "cifar10", "cifar100", "digits", "imagenet"])
def test_every_data_set_at_patches_of_32_and_64(name, scaling, made, small_imagenet):
    folder = {"mnist": lambda: shared("data/mnist").parent, "imagenet": lambda: small_imagenet[0]}.get(name, lambda: made)()
    dataset = Dataset(name, preprocessing="torchvision" if name == "imagenet" else "patch", scaling=scaling, background=name != "imagenet",
                      limit=0 if name == "imagenet" else 60, resize="half_pixel" if name == "imagenet" else "pil")
    if name == "mnist":  # the real files, read where they lie
        (made / name).mkdir(exist_ok=True)
        for file in folder.joinpath("mnist").iterdir():
            if not (made / name / file.name).exists():
                (made / name / file.name).symlink_to(file.resolve())
        folder = made
    train, test = (records.load(data.ensure(dataset, folder), split) for split in ("train", "test"))
    depth = DATASETS[name].channels
    for size in (32, 64):
        hyper = Hyper(batch_size=8, image_size=size, augmentation=depth == 3)
        batches = [*pipeline.evaluation_batches(test, dataset, hyper), *pipeline.training_stream(train, dataset, hyper, 0).take(2)]
        for images, labels in batches:
            assert images.shape[1:] == (size, size, depth) and labels.dtype == tf.int64 and np.isfinite(images).all()
        images = np.concatenate([images for images, _ in batches])
        low, high = images.min(), images.max()
        assert (0 <= low < .2 and .8 < high <= 1 + 1e-6) if scaling == "unit" else (low < -.2 and high > 1)
        if scaling == "contrast":
            np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), 0, atol=1e-4)
            np.testing.assert_allclose(images.std(axis=(1, 2, 3)), 1, atol=1e-4)


def test_torchvisions_default_scaling_keeps_its_bits(small_imagenet):
    split, dataset = records.load(small_imagenet[2], "test"), Dataset("imagenet", preprocessing="torchvision")
    content = split.reader.read(0)
    levels = encoded_images.RECIPES["torchvision"].evaluated(tf.io.decode_jpeg(content, channels=3), 64, "antialias")
    multiplied = levels.numpy().reshape(64, -1) * np.tile(1 / (255 * np.array(DATASETS["imagenet"].deviation)), 64).astype("float32")
    offset = np.tile(np.array(DATASETS["imagenet"].mean) / np.array(DATASETS["imagenet"].deviation), 64).astype("float32")
    np.testing.assert_array_equal(encoded_images.prepare(content, dataset, Hyper(image_size=64)), (multiplied - offset).reshape(64, 64, 3))
    np.testing.assert_array_equal(scaled(levels, dataset, DATASETS["imagenet"]), (multiplied - offset).reshape(64, 64, 3))
