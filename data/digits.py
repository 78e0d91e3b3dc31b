"""The bundled handwritten digits: 1,797 real 8x8 images of scikit-learn (UCI "Optical Recognition of Handwritten Digits").

They come without an official test set; a seeded shuffle sets 360 aside.
"""
import numpy as np

from data import splits

FIELDS = splits.FIELDS
NUM_TEST = 360


def fingerprint(dataset, data_dir):
    """Names the content; the images are part of scikit-learn and never change."""
    return "sklearn.datasets.load_digits"


def load(dataset, data_dir):
    """All digits: images uint8 [n, 8, 8, 1] with values 0..16, labels int64; 1,437 to train and validate, 360 to test."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = splits.generator(dataset.seed, "digits").permutation(len(digits.target))
    images = digits.images.astype(np.uint8)[order, :, :, None]
    labels = digits.target.astype(np.int64)[order]
    return splits.Arrays(images[:-NUM_TEST], labels[:-NUM_TEST], images[-NUM_TEST:], labels[-NUM_TEST:], num_classes=10)
