"""ImageNet (ILSVRC 2012), from the files of image-net.org or Kaggle, which need a registration there.

Labels are 1 to 1000 in the order of the class folders' names; 0 is the background, which no image shows. The official validation images
are the test split; `val` is held out of the official training images. As in the Inception builder that the original took over, but with
all images: the original keeps those with a bounding box whose label is at most 990.
"""
import dataclasses
from dataclasses import dataclass

import numpy as np

from data import annotations, image_folder, splits
from data.image_folder import ImageFolder, Images
from tfprune.experiment import UserError

FIELDS = ("seed", "limit", "proportion_training_set", "num_valid", "random_labels")
NUM_CLASSES = 1 + image_folder.MOST_CLASSES
SHARDS = {"train": (1024, 1250), "val": (1024, 1250), "test": (128, 390)}  # at most, and images in each


def fingerprint(dataset, data_dir):
    """Names and sizes of all images, and the content of the files with labels, words and boxes; opens no image."""
    return image_folder.read(data_dir).digest()


def load(dataset, data_dir):
    """The images of the folder, still encoded."""
    return ImageNet(image_folder.read(data_dir))


@dataclass(frozen=True)
class ImagePart:
    """One of train, val, test: which images, in the order of their records."""

    images: Images
    rows: np.ndarray  # int64 [count], into `images`
    labels: np.ndarray  # int64 [count], 1 to 1000
    wnids: list  # of all classes
    words: dict
    boxes: dict
    shards: int

    @property
    def count(self):
        """Images, readable or not."""
        return len(self.rows)

    def name(self, place):
        """The file of the image at a place of this part: its path below the folder that holds train and val."""
        return f"{self.images.folder.name}/{self.images.names[self.rows[place]]}"

    def path(self, place):
        """The whole path of that file."""
        return self.images.folder.parent / self.name(place)

    def wnid(self, place):
        """The class of the image at a place of this part, whatever its label."""
        return self.wnids[self.images.classes[self.rows[place]]]


@dataclass(frozen=True)
class ImageNet:
    """The source: encoded images of any size."""

    folder: ImageFolder
    encoding = "jpeg"
    label_dtype = "int64"
    num_classes = NUM_CLASSES

    def parts(self, dataset):
        """{"train": ImagePart, "val": ImagePart, "test": ImagePart}, each in a shuffled order of its own.

        `dataset.limit` takes as many of each class as of any other, as far as there are; `split` has no meaning here.

        Raises:
          UserError: nothing would be left to train on.
        """
        train, test = self.folder.train, self.folder.val
        count, test_count = splits.limited(dataset, len(train.names), len(test.names))
        chosen = spread(train.classes, count, splits.generator(dataset.seed, "train"))
        clean = dataclasses.replace(dataset, split="clean")  # the accumulated one is a quirk of how the original reads CIFAR-10
        train_rows, val_rows = (chosen[places] for places in splits.split_rows(clean, count))
        test_rows = splits.generator(dataset.seed, "test order").permutation(
            spread(test.classes, test_count, splits.generator(dataset.seed, "test")))
        labels = 1 + (splits.random_labels(len(train.names), len(self.folder.wnids), dataset.seed) if dataset.random_labels
                      else train.classes)
        words, boxes = self._annotations()

        def part(name, images, rows, labels):
            most, each = SHARDS[name]
            return ImagePart(images, rows, labels[rows], self.folder.wnids, words, boxes, max(1, min(most, len(rows) // each)))
        return {"train": part("train", train, train_rows, labels), "val": part("val", train, val_rows, labels),
                "test": part("test", test, test_rows, 1 + test.classes)}

    def _annotations(self):
        return annotations.words(self.folder.extras.get(annotations.METADATA)), annotations.boxes(self.folder.extras.get(annotations.BOXES))

    def check(self, parts, written):
        """Refuses where unreadable files have taken a whole class, or a split.

        Args:
          parts: what was to be written.
          written: {split: bool [count]}, what was.

        Raises:
          UserError: names the class folder.
        """
        for split, part in parts.items():
            if part.count and not written[split].any():
                raise UserError(f"{part.images.folder}: none of the {part.count} images of the {split} split can be read; replace them")
            if split == "val":
                continue
            classes = part.images.classes[part.rows]
            lost = np.setdiff1d(classes, classes[written[split]])
            if len(lost):
                first = np.flatnonzero(classes == lost[0])
                raise UserError(f"{part.path(first[0])}: unreadable, and so is every other of the {len(first)} images of class "
                                f"{self.folder.wnids[lost[0]]} ({len(lost)} such classes); replace them")


def spread(classes, count, rng):
    """`count` rows, as many of each class as of any other as far as there are; which ones is drawn. All rows where `count` is all."""
    order = rng.permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    starts = np.flatnonzero(np.diff(classes[order], prepend=-1))
    turn = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return order[np.argsort(turn, kind="stable")[:count]]
