"""MNIST (Y. LeCun, C. Cortes, C. Burges), and the sets that came in its format to take its place: a line each."""
from dataclasses import dataclass

import numpy as np

from data import idx, splits
from data.official import Official
from tfprune.datasets import DATASETS
from tfprune.experiment import UserError

FILES = tuple(f"{split}-{kind}-{end} {split}-{kind}-{end}.gz {split}-{kind}.{end} {split}-{kind}.{end}.gz"  # some mirrors have a dot
              for split in ("train", "t10k") for kind, end in (("images", "idx3-ubyte"), ("labels", "idx1-ubyte")))
COMMAND = "curl -L --create-dirs --output-dir {data_dir}/{name} -O '{url}{{train,t10k}}-{{images-idx3,labels-idx1}}-ubyte.gz'"


@dataclass(frozen=True)
class Idx(Official):
    """A set in four idx files: images and labels to train on, and to test."""

    def read(self, paths):
        """What the files hold: a `splits.Arrays`; UserError naming the file where it is damaged or does not go with the others."""
        return splits.Arrays(*self._pair(*paths[:2]), *self._pair(*paths[2:]), num_classes=DATASETS[self.name].classes)

    def _pair(self, images_path, labels_path):
        images, labels = idx.read(images_path, 3), idx.read(labels_path, 1)
        side, classes = DATASETS[self.name].side, DATASETS[self.name].classes
        if images.shape[1:] != (side, side):
            height, width = images.shape[1:]
            raise UserError(f"{images_path}: images of {height} x {width} pixels; {self.title}'s have {side} x {side}")
        if len(labels) != len(images):
            raise UserError(f"{labels_path}: {len(labels)} labels for the {len(images)} images of {images_path.name}; fetch both again")
        if labels.max() >= classes:
            raise UserError(f"{labels_path}: has label {labels.max()}; {self.title}'s are 0 to {classes - 1}; fetch it again")
        return images[..., None], labels.astype(np.int64)


def source(name, title, url):
    """A set whose files lie at `url`. torchvision names its folder by the title, and leaves the files in raw/."""
    return Idx(name, title, url, (name, f"{name}/raw", f"{title}/raw", f"{name}/{title}/raw"), FILES, COMMAND)


MNIST = source("mnist", "MNIST", "https://storage.googleapis.com/cvdf-datasets/mnist/")
FASHION_MNIST = source("fashion_mnist", "FashionMNIST", "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/")
KMNIST = source("kmnist", "KMNIST", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/")
