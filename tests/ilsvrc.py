"""A small generated folder in the layout of ILSVRC 2012, with the kinds of odd files that the real one has."""
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

SHORT, LONG = 60, 120  # pixels a side


@dataclass(frozen=True)
class Folder:
    """What was made: `<root>/{train,val}/<wnid>/*`, and which files no decoder reads."""

    root: object  # pathlib.Path
    wnids: tuple
    corrupt: tuple  # paths


def make_folder(path, classes=5, train_per_class=12, val_per_class=4, bad=True):
    """Makes `<path>/imagenet/{train,val}/<wnid>/*.JPEG`, the same files for the same arguments.

    Each class has a colour and a direction of stripes; sizes vary, portrait and landscape. Among the images are a PNG, a CMYK and a
    greyscale JPEG under the name of an ordinary one (in train and in val); these are good. With `bad`, three more files are not: one cut
    short and one of noise in train, one cut short in val; they come on top of the good `classes * train_per_class` and `val_per_class`.

    Args:
      path: the `--data_dir`.
      classes: how many, 1 to 1000.

    Returns a `Folder`.
    """
    root = path / "imagenet"
    wnids = tuple(f"n{1440764 + 3000 * number:08d}" for number in range(classes))
    rng = np.random.default_rng(0)
    serial = 0
    for number, wnid in enumerate(wnids):
        for split, count in (("train", train_per_class), ("val", val_per_class)):
            (root / split / wnid).mkdir(parents=True)
            for index in range(count):
                serial += split == "val"
                name = f"{wnid}_{index}.JPEG" if split == "train" else f"ILSVRC2012_val_{serial:08d}.JPEG"
                kind = (("PNG", "CMYK", "L")[number % 3] if index == 0 and number < 3 else "JPEG")
                (root / split / wnid / name).write_bytes(encoded(picture(rng, number, classes), kind))
    return Folder(root, wnids, tuple(_spoil(root, wnids, rng)) if bad else ())


def picture(rng, number, classes):
    """uint8 [height, width, 3]: stripes in the colour of a class, with noise."""
    height, width = rng.integers(SHORT, LONG + 1, size=2)
    angle = np.pi * number / classes
    rows, columns = np.mgrid[:height, :width]
    stripes = np.sin((rows * np.cos(angle) + columns * np.sin(angle)) / 4 + rng.uniform(0, 6))
    phase = 2 * np.pi * number / classes
    colour = 128 + 80 * np.cos(phase + np.array([0, 2, 4]) * np.pi / 3)
    image = colour + 40 * stripes[..., None] + rng.normal(0, 6, (height, width, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


def encoded(image, kind="JPEG"):
    """The bytes of an image file: an ordinary JPEG, a "PNG", or a JPEG in "CMYK" or "L" (greyscale)."""
    content = io.BytesIO()
    picture = Image.fromarray(image)
    if kind in ("CMYK", "L"):
        picture = picture.convert(kind)
    picture.save(content, "PNG" if kind == "PNG" else "JPEG", **({} if kind == "PNG" else {"quality": 90}))
    return content.getvalue()


def photograph(height, width, seed=0):
    """A JPEG with smooth and sharp parts, and what TensorFlow decodes of it, float64 [height, width, 3]."""
    from tfprune.keras import tf

    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows * 2 % 256, columns * 3 % 256, (rows + columns) % 256], axis=-1) + rng.integers(0, 20, (height, width, 3))
    content = encoded(np.clip(image, 0, 255).astype(np.uint8))
    return content, tf.io.decode_jpeg(content, channels=3).numpy().astype(np.float64)


def _spoil(root, wnids, rng):
    """Adds files that no decoder reads; yields their paths."""
    whole = encoded(picture(rng, 0, len(wnids)))
    for path, content in ((root / "train" / wnids[0] / f"{wnids[0]}_9998.JPEG", whole[:len(whole) // 2]),
                          (root / "train" / wnids[-1] / f"{wnids[-1]}_9999.JPEG", rng.bytes(2000)),
                          (root / "val" / wnids[0] / "ILSVRC2012_val_00049999.JPEG", whole[:len(whole) // 2])):
        path.write_bytes(content)
        yield path
