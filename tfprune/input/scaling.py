"""From grey levels to what the net takes: `dataset.scaling`, and the means and deviations by which it normalises.

  normalise   by the mean and the deviation of each channel, as torchvision's `Normalize`
  unit        from 0 to 1, as torchvision's `ToTensor` alone
  contrast    global contrast normalisation: each image minus its mean over all pixels and channels, by its deviation
"""
from dataclasses import replace

from tfprune.datasets import DATASETS
from tfprune.input.normalise import normalised
from tfprune.keras import tf

# Deviation of grey levels below which an image is taken for constant: float32 rounding leaves a twentieth of that, and one pixel of
# 224 x 224 x 3 that differs by one level makes 2.6 times as much.
LEAST_DEVIATION = 1e-3
# (mean, deviation) of the channels where they are not those of DATASETS: as "Rethinking Layer-wise Feature Amounts" publishes them, as
# CIFAR's published ResNets (akamaster/pytorch_resnet_cifar10) were trained, and as "Decomposing the Deep" measured these.
PUBLISHED = {
    "own": {},
    "feature_amounts": {
        "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        "cifar100": ((0.5071, 0.4866, 0.4409), (0.2009, 0.1984, 0.2023)),
        "fashion_mnist": ((0.1307,), (0.3081,)),  # MNIST's
        "kmnist": ((0.190362019974657,), (0.3474631837640068,)),
    },
    "imagenet": dict.fromkeys(("cifar10", "cifar100"), (DATASETS["imagenet"].mean, DATASETS["imagenet"].deviation)),
    "decomposing": {"cifar10": ((0.491, 0.482, 0.447), (0.247, 0.243, 0.261))},
}


def statistics(dataset):
    """The `Examples` of a `Dataset`, with the mean and the deviation that its `statistics` name."""
    examples = DATASETS[dataset.name]
    mean, deviation = PUBLISHED[dataset.statistics].get(dataset.name, (examples.mean, examples.deviation))
    return replace(examples, mean=mean, deviation=deviation)


def scaled(images, dataset, examples=None):
    """Grey levels as `dataset.scaling` has them; may be called in a `tf.function`.

    Args:
      images: uint8 or float [..., height, width, channels] with static width and channels.
      dataset: `Dataset`; its `scaling` is read.
      examples: an `Examples` whose `white`, `mean` and `deviation` count; those of `statistics(dataset)` by default.

    Returns float32 of the same shape.
    """
    return SCALINGS[dataset.scaling](images, examples or statistics(dataset))


def from_0_to_1(images, examples):
    """Black as 0, `examples.white` as 1."""
    return tf.cast(images, tf.float32) / examples.white


def contrast_normalised(images, regulariser=0.0):
    """Global contrast normalisation, image by image: x minus its mean, by sqrt(regulariser + variance).

    Args:
      images: uint8 or float [..., height, width, channels]; grey levels.
      regulariser: added to the variance (levels squared); the field takes 0 or 10.

    Returns float32 of the same shape; zeros for a constant image.
    """
    images = tf.cast(images, tf.float32)
    centred = images - images[..., :1, :1, :1]  # exactly 0 where the image is constant, whatever float32 makes of the mean of many
    centred -= tf.reduce_mean(centred, axis=(-3, -2, -1), keepdims=True)
    deviation = tf.sqrt(regulariser + tf.reduce_mean(tf.square(centred), axis=(-3, -2, -1), keepdims=True))
    return tf.where(deviation > LEAST_DEVIATION, centred / tf.maximum(deviation, LEAST_DEVIATION), 0.0)


SCALINGS = {"normalise": normalised, "unit": from_0_to_1, "contrast": lambda images, examples: contrast_normalised(images)}
