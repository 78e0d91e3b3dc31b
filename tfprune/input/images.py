"""What one encoded image goes through before it enters the net, compiled: decoded, cropped, resized, scaled.

  preprocessing   with an augmentation seed                    without                               then
  resnet          random crop of 8-100 % of the area, flip     short side to 8/7 of the net's,       minus the mean colour
                                                               central crop
  inception       random crop of 5-100 % of the area, flip     the central 7/8 of both sides         to [-1, 1]
  torchvision     random crop of 8-100 % of the area, flip     short side to 8/7 of the net's,       `dataset.scaling`, to normalise by
                                                               central crop                          ImageNet's mean and deviation
  squash          flip, colours, stretch, turn, shear, shift,  the whole image to a square           as torchvision
                  random crop (tfprune/input/squash.py)

Without a seed these are the evaluations of the original (resnet/imagenet_preprocessing.py of the official TensorFlow models, and the
Inception one of TF-slim): 256 pixels and 224 for the ResNets, 87.5 % for Inception. Random crops have an aspect ratio of 3/4 to 4/3, and
are resized to the square that the net takes.

"torchvision" is what PyTorch's ImageNet nets are trained and evaluated with: like the first, but a resize to fewer pixels averages
over all of the image's (`dataset.resize` is not asked), as Pillow's does, and that of "squash".
"""
import functools
from dataclasses import dataclass

from tfprune.input import squash
from tfprune.input.normalise import IMAGENET
from tfprune.input.scaling import scaled
from tfprune.keras import tf

MEAN_COLOUR = (123.68, 116.78, 103.94)
ASPECT_RATIOS = (3 / 4, 4 / 3)
ATTEMPTS = 100


def prepare(encoded, dataset, hyper, augment_seed=None):
    """Makes one image ready for the net; may be called in a `tf.function`.

    Args:
      encoded: string scalar, a JPEG of any size.
      dataset: `Dataset`; its `preprocessing` (of RECIPES), `resize` and `scaling` are read.
      hyper: `Hyper`; its `image_size` is read.
      augment_seed: int32 [2]; the image is augmented where given. The same seed gives the same image.

    Returns float32 [image_size, image_size, 3].
    """
    recipe, size = RECIPES[dataset.preprocessing], hyper.image_size
    method = recipe.resize or dataset.resize
    if augment_seed is None:
        image = recipe.evaluated(tf.io.decode_jpeg(encoded, channels=3), size, method)
    else:
        image = recipe.augmented(encoded, size, method, augment_seed)
    return recipe.scaled(tf.ensure_shape(image, [size, size, 3]), dataset)


def resize(image, height, width, method):
    """Bilinear resize, float32; `method` as in `preprocess.resize`, or "antialias": as half_pixel, but averaging where it shrinks."""
    if method == "antialias":
        return tf.image.resize(image, [height, width], antialias=True)
    half_pixel = method == "half_pixel"
    return tf.raw_ops.ResizeBilinear(images=image[None], size=[height, width], align_corners=False, half_pixel_centers=half_pixel)[0]


def half_down(number):
    """A half, rounded down."""
    return number // 2


def half_to_even(number):
    """A half; between two numbers the even one, as Python rounds."""
    return (number + number // 2 % 2) // 2


def short_side_and_crop(image, size, method, halved=half_down):
    """The short side resized to 8/7 of `size` (256 for 224), the long one in proportion and rounded down; of that the centre."""
    height, width = tf.unstack(tf.shape(image)[:2])
    short, target = tf.minimum(height, width), round(size * 256 / 224)
    image = resize(image, height * target // short, width * target // short, method)
    top, left = (halved(side - size) for side in tf.unstack(tf.shape(image)[:2]))
    return image[top:top + size, left:left + size]


def central_share(image, size, method):
    """The central 87.5 % of both sides, resized to a square."""
    top, left = tf.shape(image)[0] // 16, tf.shape(image)[1] // 16
    return resize(image[top:tf.shape(image)[0] - top, left:tf.shape(image)[1] - left], size, size, method)


def random_crop(encoded, size, method, seed, least_area):
    """A random part of the image, resized to a square, and mirrored half of the time. Only that part is decoded."""
    where, mirror = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.io.extract_jpeg_shape(encoded), tf.constant([[[0.0, 0, 1, 1]]]), where, min_object_covered=0.0,
        aspect_ratio_range=ASPECT_RATIOS, area_range=(least_area, 1.0), max_attempts=ATTEMPTS)
    window = tf.concat([begin[:2], extent[:2]], axis=0)
    image = resize(tf.image.decode_and_crop_jpeg(encoded, window, channels=3), size, size, method)
    return tf.cond(tf.random.stateless_uniform([], mirror) < 0.5, lambda: image[:, ::-1], lambda: image)


def without_mean(image, dataset):
    """Minus the mean colour of the training set."""
    return image - tf.constant(MEAN_COLOUR)


def to_unit_range(image, dataset):
    """0..255 to [-1, 1]."""
    return (image / 255 - 0.5) * 2


@dataclass(frozen=True)
class Recipe:
    """How a family of nets sees images: in an evaluation, in training, the scaling of both, and any resize of its own."""

    evaluated: object  # (image [height, width, 3], size, method) -> [size, size, 3]
    augmented: object  # (JPEG, size, method, seed) -> [size, size, 3]
    scaled: object
    resize: str = ""


_crop_from_8_percent = functools.partial(random_crop, least_area=0.08)
_crop_from_5_percent = functools.partial(random_crop, least_area=0.05)
_by_imagenet = functools.partial(scaled, examples=IMAGENET)
RECIPES = {
    "resnet": Recipe(short_side_and_crop, _crop_from_8_percent, without_mean),
    "inception": Recipe(central_share, _crop_from_5_percent, to_unit_range),
    "torchvision": Recipe(functools.partial(short_side_and_crop, halved=half_to_even), _crop_from_8_percent, _by_imagenet, "antialias"),
    "squash": Recipe(squash.squashed, squash.augmented, _by_imagenet, "antialias"),
}
