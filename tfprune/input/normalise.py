"""Colours as torchvision's `ToTensor` and `Normalize` leave them."""
import numpy as np

from tfprune.datasets import DATASETS
from tfprune.keras import tf

IMAGENET = DATASETS["imagenet"]


def normalised(images, examples):
    """(images / white - mean) / deviation, channel by channel; may be called in a `tf.function`.

    Args:
      images: uint8 or float [..., width, channels] with static width and channels.
      examples: an `Examples` of DATASETS with as many channels; its `white`, `mean` and `deviation` are read.

    Returns float32 of the same shape.
    """
    width, channels = images.shape[-2:]
    mean, deviation = (np.tile(values, width) for values in (examples.mean, examples.deviation))
    # by rows of pixels: to broadcast three numbers takes three times as long
    rows = tf.cast(tf.reshape(images, [-1, width * channels]), tf.float32)
    rows = rows * (1 / (examples.white * deviation)).astype("float32") - (mean / deviation).astype("float32")
    return tf.ensure_shape(tf.reshape(rows, tf.shape(images)), images.shape)
