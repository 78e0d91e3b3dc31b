"""ImageNet's images squeezed to a square: evaluations against Pillow, the steps of an augmentation against NumPy, and nets on a folder."""
import dataclasses
import math

import numpy as np
import pytest

import data
from experiments import REGISTRY
from tests import ilsvrc
from tests.conftest import ok
from tests.test_imagenet_input import batches_of, same
from tests.test_normalised_input import normalised, pillow
from tfprune.experiment import UserError
from tfprune.input import images, pipeline, plan, squash
from tfprune.input.checks import check_dataset
from tfprune.input.records import load
from tfprune.keras import tf
from tfprune.settings import Dataset, Hyper

SQUASH = Dataset("imagenet", preprocessing="squash", background=False)
SMALL = Hyper(batch_size=8, image_size=32, augmentation=True)
AT_REST = {"stretch": [1.0, 1], "rotation": 0.0, "shear": 0.0, "shift": [0.0, 0]}


@pytest.mark.parametrize(("height", "width", "size"), [(80, 100, 56), (301, 150, 56), (131, 131, 47), (40, 61, 56), (500, 375, 224)])
def test_evaluation_is_pillows_resize_of_the_whole_image(height, width, size):
    content, decoded = ilsvrc.photograph(height, width)
    result = images.prepare(content, SQUASH, Hyper(image_size=size))
    assert result.dtype == tf.float32
    np.testing.assert_allclose(result, normalised(pillow(decoded, size, size), "imagenet"), atol=1e-3)


def test_other_scalings():
    content, decoded = ilsvrc.photograph(80, 100)
    result = images.prepare(content, dataclasses.replace(SQUASH, scaling="unit"), Hyper(image_size=56))
    np.testing.assert_allclose(result, pillow(decoded, 56, 56) / 255, atol=1e-4)
    check_dataset(dataclasses.replace(SQUASH, scaling="unit", resize="pil"))
    with pytest.raises(UserError, match="preprocessing=squash: cifar10 has images, which take"):
        check_dataset(dataclasses.replace(SQUASH, name="cifar10"))


# --- the steps of an augmentation ------------------------------------------------------------------------------------------------


def moved(image, stretch, rotation, shear, shift):
    """Pixel by pixel: the forward matrix inverted by NumPy, and four neighbours, black where there is none."""
    height, width = image.shape[:2]
    (sx, sy), r, s, centre = stretch, rotation, shear, np.array([width - 1, height - 1]) / 2
    forward = np.array([[sx * math.cos(r), -sy * math.sin(r + s)], [sx * math.sin(r), sy * math.cos(r + s)]])
    padded, result = np.pad(image, [(2, 2), (2, 2), (0, 0)]), np.zeros_like(image)
    for y in range(height):
        for x in range(width):
            source = np.linalg.inv(forward) @ ([x, y] - centre - np.array(shift) * [width, height]) + centre
            column, row = np.clip(source, -1.5, [width + 0.5, height + 0.5]) + 2
            left, top = int(column), int(row)
            a, b = column - left, row - top
            result[y, x] = ((1 - b) * ((1 - a) * padded[top, left] + a * padded[top, left + 1])
                            + b * ((1 - a) * padded[top + 1, left] + a * padded[top + 1, left + 1]))
    return result


@pytest.mark.parametrize("change", [{}, {"stretch": [1.2, 0.8]}, {"rotation": 0.4}, {"shear": -0.14}, {"shift": [0.2, -0.1]},
                                    {"stretch": [0.9, 1.1], "rotation": -0.3, "shear": 0.1, "shift": [-0.13, 0.07]}])
def test_moved(change):
    image = np.random.default_rng(0).uniform(0, 255, (17, 24, 3)).astype(np.float32)
    place = AT_REST | change
    result = squash.moved(tf.constant(image), *(tf.constant(value) for value in place.values())).numpy()
    np.testing.assert_allclose(result, moved(image.astype(float), **place), atol=0.05)
    if not change:
        np.testing.assert_array_equal(result, image)


def test_directions_of_a_move():
    """A white spot right of the centre goes down when turned clockwise, further right when stretched or shifted."""
    image = np.zeros((41, 41, 1), np.float32)
    image[20, 30] = 255

    def spot(**change):
        result = squash.moved(tf.constant(image), *(tf.constant(value) for value in (AT_REST | change).values()))
        return np.unravel_index(result.numpy().argmax(), (41, 41))
    assert spot() == (20, 30) and spot(rotation=math.pi / 2) == (30, 20)
    assert spot(stretch=[1.2, 1.0]) == (20, 32) and spot(shift=[4 / 41, -3 / 41]) == (17, 34)


def test_colours():
    image = tf.constant([[[0.0, 127, 255], [100, 200, 20]]])
    np.testing.assert_allclose(squash.with_contrast(image, 1.5), [[[0, 127, 255], [86.5, 236.5, 0]]])
    np.testing.assert_allclose(squash.with_contrast(image, 0.75), [[[31.75, 127, 223], [106.75, 181.75, 46.75]]])
    np.testing.assert_allclose(squash.lit(image, tf.constant([1.2, 0.8, 1.2])), [[[0, 101.6, 255], [120, 160, 24]]], rtol=1e-6)


def test_what_is_drawn_covers_the_published_ranges():
    places = [[np.atleast_1d(part) for part in squash.drawn_place(tf.constant([seed, 1]))] for seed in range(600)]
    for part, (low, high) in zip(zip(*places, strict=True), [(0.8, 1.2), (-math.radians(25), math.radians(25)),
                                                             (-math.radians(8), math.radians(8)), (-0.2, 0.2)], strict=True):
        values, reach = np.stack(part), high - low
        assert (values.min(0) >= low).all() and (values.max(0) <= high).all()
        assert (values.min(0) < low + 0.02 * reach).all() and (values.max(0) > high - 0.02 * reach).all()
    assert abs(np.corrcoef([np.concatenate(place) for place in places], rowvar=False) - np.eye(6)).max() < 0.15


def test_reflected_crop_takes_every_place():
    image = np.arange(56.0 * 56 * 1, dtype=np.float32).reshape(56, 56, 1)
    padded = np.pad(image, [(1, 1), (1, 1), (0, 0)], "reflect")
    for top in range(3):
        for left in range(3):
            result = squash.reflected_crop(tf.constant(image), tf.constant([(top + 0.5) / 3, (left + 0.5) / 3]))
            np.testing.assert_array_equal(result, padded[top:top + 56, left:left + 56])
    assert squash.reflected_crop(tf.zeros([224, 224, 3]), tf.constant([0.999, 0.0])).shape == (224, 224, 3)


def test_an_augmentation_at_rest_is_the_evaluation(monkeypatch):
    """But for the mirror and the crop, where every range is closed at what changes nothing."""
    content, decoded = ilsvrc.photograph(80, 100)
    for name, value in {"CONTRAST": (1, 1), "BRIGHTNESS": (1, 1), "STRETCH": (1, 1), "ROTATION": 0.0, "SHEAR": 0.0, "SHIFT": 0.0}.items():
        monkeypatch.setattr(squash, name, value)
    whole = np.pad(pillow(decoded, 56, 56), [(1, 1), (1, 1), (0, 0)], "reflect")
    crops = [normalised(whole[top:top + 56, left:left + 56], "imagenet") for top in range(3) for left in range(3)]
    found = set()
    for seed in range(30):
        result = images.prepare(content, SQUASH, Hyper(image_size=56), tf.constant([seed, 1])).numpy()
        kinds = [(step, number) for step in (1, -1) for number, crop in enumerate(crops) if np.allclose(result[:, ::step], crop, atol=5e-3)]
        assert len(kinds) == 1
        found.update(kinds)
    assert {step for step, _ in found} == {1, -1} and len({number for _, number in found}) > 5


def test_the_order_of_steps_is_random(monkeypatch):
    """Moved away before it is lit, the image's border has the colours that contrast makes of black; after it, black."""
    monkeypatch.setattr(squash, "drawn_place", lambda seed: (tf.ones(2), tf.constant(0.0), tf.constant(0.0), tf.constant([0.5, 0.0])))
    monkeypatch.setattr(squash, "CONTRAST", (0.75, 0.75))
    content, _ = ilsvrc.photograph(60, 60)
    borders = [squash.augmented(content, 56, "antialias", tf.constant([seed, 2])).numpy()[20:30, 3:20].mean() for seed in range(60)]
    black = sum(border < 1e-3 for border in borders)
    assert 18 < black < 42  # half of the time the move comes after the contrast; of 60 draws within 3 deviations
    assert all(0.8 * 31.75 * 0.99 < border < 1.2 * 31.75 * 1.01 for border in borders if border >= 1e-3)


# --- batches and nets ------------------------------------------------------------------------------------------------------------


def test_batches_follow_from_the_seed_and_are_compiled(small_imagenet):
    split = load(small_imagenet[2], "train")
    count = plan.updates_per_epoch(split, SQUASH, SMALL)
    both = batches_of(pipeline.training_stream(split, SQUASH, SMALL, 1, epoch=1).take(2 * count))
    assert same(both[3:], batches_of(pipeline.training_stream(split, SQUASH, SMALL, 1, epoch=1, first_step=3).take(2 * count - 3)))
    assert not same(both[:count], batches_of(pipeline.training_stream(split, SQUASH, SMALL, 2, epoch=1).take(count)))
    assert both[0][0].shape == (8, 32, 32, 3) and np.isfinite(both[0][0]).all()
    found = batches_of(pipeline.evaluation_batches(load(small_imagenet[2], "test"), SQUASH, SMALL, 20))
    expected = [images.prepare(load(small_imagenet[2], "test").reader.read(row), SQUASH, SMALL) for row in range(20)]
    np.testing.assert_array_equal(found[0][0], expected)


def test_the_study_trains_on_the_originals_layout(tmp_path):
    """`imagenet/ILSVRC/{train,val}`, as the original has it: a ResNet-50 of an eighth of the width for an epoch."""
    folder = ilsvrc.make_folder(tmp_path / "made", classes=3, train_per_class=6, val_per_class=2)
    (tmp_path / "datasets" / "imagenet").mkdir(parents=True)
    folder.root.rename(tmp_path / "datasets" / "imagenet" / "ILSVRC")
    assert REGISTRY[7010].dataset == dataclasses.replace(SQUASH, proportion_training_set=0.99)
    records = data.ensure(REGISTRY[7010].dataset, tmp_path / "datasets")
    assert len(load(records, "test")) == 6
    settings = ["dnn.neuron_multiplier=0.125", "hyper.image_size=64", "hyper.batch_size=4", "hyper.max_num_epochs=1",
                "dataset.proportion_training_set=0.7"]
    out = ok("train.py", "--experiment_id=7010", f"--data_dir={tmp_path / 'datasets'}", f"--results_dir={tmp_path / 'results'}",
             *(f"--set={each}" for each in settings))
    assert "ID7010_ResNet50_k=all" in out and "done" in out
