"""The folder of ILSVRC 2012, as image-net.org's archives unpack or as Kaggle has it: which images there are, and of which class."""
import hashlib
import os
import pathlib
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from data import annotations
from data.annotations import VAL_LABELS, VAL_SOLUTION
from tfprune.experiment import UserError

ROOTS = ("imagenet", "imagenet/ILSVRC", "imagenet/ILSVRC/Data/CLS-LOC")
WNID = re.compile(r"n\d{8}")
SUFFIXES = (".jpeg", ".jpg", ".png")
MOST_CLASSES = 1000
SOURCE = "ILSVRC 2012 comes from https://image-net.org/download-images after registration, and is not downloaded"


@dataclass(frozen=True)
class Images:
    """The images of a folder in the order of their names, and the class of each.

    Attributes:
      folder: path that the names are relative to.
      names: paths, strings; [n].
      sizes: bytes of each file, int64 [n]; -1 where it cannot be looked at.
      classes: index of each image's class among the sorted classes of the training set, int64 [n].
    """

    folder: pathlib.Path
    names: list
    sizes: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class ImageFolder:
    """Training and validation images, the class names in order, and the optional files beside them that exist."""

    train: Images
    val: Images
    wnids: list
    extras: dict  # file name -> path

    def digest(self):
        """SHA-256 over names and sizes of the images, and over the content of the files beside them; reads no image."""
        total = hashlib.sha256()
        for name, images in (("train", self.train), ("val", self.val)):
            total.update(f"{name}\n".encode())
            total.update("\n".join(images.names).encode(errors="surrogateescape"))
            total.update(images.sizes.tobytes())
        for name, path in sorted(self.extras.items()):
            total.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
        return total.hexdigest()


def read(data_dir):
    """The images below `<data_dir>/imagenet`, without opening any.

    Raises:
      UserError: they are not there, or not in this layout; says what to put where.
    """
    root = find(data_dir)
    extras = annotations.find(root, pathlib.Path(data_dir, ROOTS[0]))
    wnids = _class_folders(root / "train")
    if not wnids:
        archives = any(name.endswith(".tar") for name in os.listdir(root / "train"))
        what = "unpack each nXXXXXXXX.tar there into a folder of its name" if archives else _advice(data_dir)
        raise UserError(f"{root / 'train'}: no class folders such as n01440764; {what}")
    if len(wnids) > MOST_CLASSES:
        raise UserError(f"{root / 'train'}: {len(wnids)} class folders; ILSVRC 2012 has {MOST_CLASSES}, and there are no more labels")
    return ImageFolder(_by_class(root / "train", wnids, wnids), _validation(root / "val", wnids, extras), wnids, extras)


def find(data_dir):
    """The folder that holds `train` and `val`; UserError where there is none."""
    halves = []
    for root in (pathlib.Path(data_dir, name) for name in ROOTS):
        there = [name for name in ("train", "val") if (root / name).is_dir()]
        if len(there) == 2:
            return root
        halves += [root / name for name in ("train", "val") if there and name not in there]
    missing = halves[0] if halves else pathlib.Path(data_dir, ROOTS[0])
    raise UserError(f"{missing}: missing; {_advice(data_dir)}")


def _advice(data_dir):
    root = pathlib.Path(data_dir, ROOTS[0])
    return (f"put the training images into {root}/train/<wnid>/ and the validation images into {root}/val/<wnid>/, or flat into "
            f"{root}/val/ with {VAL_LABELS} or {VAL_SOLUTION} beside it (below {root}/ILSVRC/Data/CLS-LOC works too); {SOURCE}")


def _class_folders(folder):
    """Names of the class folders in order; UserError for a folder that is none, for it would move the labels of all after it."""
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    strange = [name for name in names if not WNID.fullmatch(name)]
    if strange:
        raise UserError(f"{folder / strange[0]}: not a class folder, whose names are such as n01440764; move it elsewhere")
    return names


def _files(folder):
    """(name, bytes) of the images right in a folder, by name; other files, hidden ones and folders are left alone."""
    with os.scandir(folder) as entries:
        found = [(entry.name, _size(entry)) for entry in entries if entry.name[-5:].lower().endswith(SUFFIXES) and entry.name[0] != "."]
    return sorted((name, size) for name, size in found if size is not None)


def _size(entry):
    """Bytes of a file, None of a folder, -1 of a link that leads nowhere: reading it will fail, and be reported."""
    try:
        status = entry.stat()
    except OSError:
        return -1
    return None if stat.S_ISDIR(status.st_mode) else status.st_size


def _by_class(folder, present, wnids):
    """The images of a folder that has a folder for each class in `present`."""
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(_files, [folder / wnid for wnid in present]))
    for wnid, files in zip(present, found, strict=True):
        if not files:
            raise UserError(f"{folder / wnid}: no images ({', '.join(SUFFIXES)}) in this folder; fill it, or remove it from train and val")
    number = {wnid: index for index, wnid in enumerate(wnids)}
    names = [f"{wnid}/{name}" for wnid, files in zip(present, found, strict=True) for name, _ in files]
    classes = np.repeat([number[wnid] for wnid in present], [len(files) for files in found])
    return Images(folder, names, np.array([size for files in found for _, size in files], np.int64), classes.astype(np.int64))


def _validation(folder, wnids, extras):
    present, loose = _class_folders(folder), _files(folder)
    if present and loose:
        raise UserError(f"{folder / loose[0][0]}: beside class folders; have all validation images in class folders, or all flat in val")
    if not present and not loose:
        raise UserError(f"{folder}: no validation images; put them into {folder}/<wnid>/, or flat with {VAL_LABELS} beside; {SOURCE}")
    if present:
        _known(present, wnids, folder)
        return _by_class(folder, present, wnids)
    labels, path = annotations.validation_labels(folder, [name for name, _ in loose], extras)
    _known(labels, wnids, path)
    number = {wnid: index for index, wnid in enumerate(wnids)}
    return Images(folder, [name for name, _ in loose], np.array([size for _, size in loose], np.int64),
                  np.array([number[label] for label in labels], np.int64))


def _known(labels, wnids, where):
    strange = sorted(set(labels) - set(wnids))
    if strange:
        raise UserError(f"{where}: class {strange[0]} ({len(strange)} in all) is in val but has no folder in train; complete train, or "
                        "remove the class from val")
