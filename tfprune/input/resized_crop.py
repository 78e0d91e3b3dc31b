"""Crops of a batch of images, resized: torchvision's `RandomResizedCrop`, `Resize` and `CenterCrop`, vectorised over the batch.

Resizing is linear along each side, so that a crop, its resizing and its mirroring are two small matrices for each image. The
weights are those of Pillow's bilinear resize, which torchvision calls: where it shrinks, its triangle widens, so that no pixel is lost.
"""
import math

from tfprune.keras import tf

AREAS = (0.08, 1.0)
ASPECT_RATIOS = (3 / 4, 4 / 3)
ATTEMPTS = 10


def random_resized_crop(images, size, seed):
    """A random part of each image, resized to a square, and mirrored half of the time.

    The part has 8 to 100 % of the area, and an aspect ratio of 3/4 to 4/3 (uniform in its logarithm); where ten draws exceed the image,
    it is the centre, as much as has such a ratio.

    Args:
      images: uint8 or float [batch, height, width, channels] with static height, width and channels.
      size: of the square.
      seed: int32 or int64 [2]. The same seed gives the same images.

    Returns float32 [batch, size, size, channels].
    """
    height, width = images.shape[1:3]
    draws = tf.random.stateless_uniform([tf.shape(images)[0], 2 * ATTEMPTS + 3], seed)
    rows, columns, inside = _extents(draws[:, 3:], height, width)
    top, left = (tf.where(inside, tf.floor(draws[:, axis] * (whole - part + 1)), tf.floor((whole - part) / 2))
                 for axis, (whole, part) in enumerate(((height, rows), (width, columns))))
    across = weights(left, columns, width, size)
    across = tf.where(draws[:, 2, None, None] < 0.5, across[:, ::-1], across)
    return resampled(images, weights(top, rows, height, size), across)


def short_side_and_centre(images, size):
    """The short side resized to 8/7 of `size` (256 for 224), the long one in proportion and rounded down; of that the centre."""
    target, short = round(size * 256 / 224), min(images.shape[1:3])
    down, across = (_central(length, length * target // short, size) for length in images.shape[1:3])
    return resampled(images, down, across)


def weights(begin, extent, length, size):
    """How much each pixel of a side weighs in each pixel of a resized part of it: float32 [batch, size, length].

    Args:
      begin, extent: float32 [batch], where along the side the part begins, and its pixels.
      length: of the side.
      size: of the part after resizing.
    """
    scale = extent[:, None, None] / size
    centre = begin[:, None, None] + (tf.range(size, dtype=tf.float32)[:, None] + 0.5) * scale
    pixel = tf.range(length, dtype=tf.float32) + 0.5
    triangle = tf.maximum(1 - tf.abs(pixel - centre) / tf.maximum(scale, 1), 0)
    inside = (pixel > begin[:, None, None]) & (pixel < (begin + extent)[:, None, None])
    triangle = tf.where(inside, triangle, 0)
    return triangle / tf.reduce_sum(triangle, -1, keepdims=True)


def resampled(images, down, across):
    """The images [batch, height, width, channels] under weights [batch or 1, size, height] and [batch or 1, size, width]."""
    batch, (height, width, channels) = tf.shape(images)[0], images.shape[1:]
    rows = tf.matmul(down, tf.reshape(tf.cast(images, tf.float32), [batch, height, width * channels]))
    rows = tf.reshape(rows, [batch, down.shape[1], width, channels])
    return tf.matmul(across[:, None], rows)


def _extents(draws, height, width):
    """Rows and columns of each image's part, float32 [batch], and whether they were drawn: the first of ten that the image holds."""
    share, ratio = tf.unstack(tf.reshape(draws, [-1, ATTEMPTS, 2]), axis=-1)
    area = height * width * (AREAS[0] + (AREAS[1] - AREAS[0]) * share)
    low, high = map(math.log, ASPECT_RATIOS)
    ratio = tf.exp(low + (high - low) * ratio)
    rows, columns = tf.round(tf.sqrt(area / ratio)), tf.round(tf.sqrt(area * ratio))
    fits = (rows > 0) & (rows <= height) & (columns > 0) & (columns <= width)
    first, inside = tf.argmax(fits, 1), tf.reduce_any(fits, 1)
    otherwise = _widest(height, width), _widest(width, height)
    return *(tf.where(inside, tf.gather(drawn, first, axis=1, batch_dims=1), whole)
             for drawn, whole in zip((rows, columns), map(float, otherwise), strict=True)), inside


def _widest(length, other):
    """The most pixels of one side that an aspect ratio allows, the other one being whole."""
    return min(length, round(other * ASPECT_RATIOS[1]))


def _central(length, resized, size):
    """Weights [1, size, length] of the centre of a side that was resized to `resized`."""
    first = round((resized - size) / 2)
    return weights(tf.zeros([1]), tf.constant([float(length)]), length, resized)[:, first:first + size]
