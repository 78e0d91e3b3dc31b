"""Bilinear resizing of a batch of images to a square: as TensorFlow has it today, as TensorFlow 1 had it, and as Pillow has it."""
import numpy as np

from tfprune.keras import tf

BITS = 22  # of the fraction in Pillow's weights


def resize(images, size, method):
    """Bilinear resize to `size` x `size`; nothing where they have that size.

    Args:
      images: uint8 or float [batch, height, width, channels] with static height, width and channels; whole grey levels for "pil".
      size: pixels a side.
      method: "half_pixel" is `tf.image.resize`'s; "tf1" TensorFlow 1's legacy one, whose pixel i comes from i * old / new; "pil" what
        Pillow, and so torchvision, makes of 8-bit images: half_pixel, rounded to whole grey levels, and averaging where it shrinks.

    Returns float32 [batch, size, size, channels], or the images themselves.
    """
    if list(images.shape[1:3]) == [size, size]:
        return images
    if method == "pil":
        return _as_pillow(images, size)
    return tf.raw_ops.ResizeBilinear(images=images, size=[size, size], align_corners=False, half_pixel_centers=method == "half_pixel")


def _as_pillow(images, size):
    """Along the rows, then down the columns, as Pillow does it: a side that keeps its length is left out, and rounded is each time."""
    height, width, channels = images.shape[1:]
    images = tf.cast(images, tf.float64)
    if width != size:
        images = _rounded(tf.matmul(_weights(width, size), images))
    if height != size:
        rows = tf.reshape(images, [-1, height, size * channels])
        images = tf.reshape(_rounded(tf.matmul(_weights(height, size), rows)), [-1, size, size, channels])
    return tf.cast(images, tf.float32)


def _rounded(sums):
    """Sums under whole weights, back to grey levels: halves are rounded up."""
    return tf.floor((sums + 2 ** (BITS - 1)) / 2**BITS)


def _weights(length, size):
    """Pillow's weights [size, length] of the pixels of a side: whole numbers, 2**22 standing for 1. float64 sums them without error."""
    scale = length / size
    reach = max(scale, 1.0)
    centre = (np.arange(size)[:, None] + 0.5) * scale
    pixel = np.arange(length)
    first, end = (np.clip((centre + side * reach + 0.5).astype(int), 0, length) for side in (-1, 1))
    triangle = np.maximum(1 - np.abs(pixel + 0.5 - centre) / reach, 0) * ((pixel >= first) & (pixel < end))
    return np.floor(triangle / triangle.sum(1, keepdims=True) * 2**BITS + 0.5)
