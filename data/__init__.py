"""Raw data -> TFRecords, a file per source.

A source is a module, or an object such as `cifar.CIFAR10`, with
  load(dataset, data_dir)          an object with shape, dtype, label_dtype, num_classes and parts(dataset), such as `splits.Arrays`; one
                                   of encoded images has encoding in place of shape and dtype, such as `imagenet.ImageNet`
and a line in DATASETS, tfprune/datasets.py, which says what its examples are. It may have
  FIELDS                           the `Dataset` fields that decide its records, where they are not those of `splits.Arrays`
  fingerprint(dataset, data_dir)   text that names the raw content, without decoding it; without it the arrays are loaded and summed up
It is the module of its name, unless SOURCES names an object. Its records are built once for each content and settings, and shared by all
experiments.
"""
import hashlib
import importlib
import json
import pathlib
import sys

from data import checks, cifar, mnist, records, splits
from tfprune.datasets import DATASETS
from tfprune.experiment import UserError
from tfprune.files import read_json, writable_folder
from tfprune.progress import say
from tfprune.settings import Dataset

SOURCES = {
    "cifar10": cifar.CIFAR10,
    "cifar100": cifar.CIFAR100,
    "mnist": mnist.MNIST,
    "fashion_mnist": mnist.FASHION_MNIST,
    "kmnist": mnist.KMNIST,
}


def ensure(dataset, data_dir, overwrite=False, strict=False):
    """Builds the TFRecords of a data set unless they exist.

    Args:
      dataset: a `tfprune.settings.Dataset`.
      data_dir: where the raw data is looked for, and the records go.
      overwrite: build them again.
      strict: refuse unreadable images, which are left out otherwise, and records that were built without them.

    Returns the folder, `<data_dir>/tfrecords/<name>-<fingerprint>`: train, val and test.tfrecords, or shards of encoded images, and
    meta.json.

    Raises:
      UserError: there is no such source, its raw files are missing or damaged, or the records cannot be written.
    """
    source = _source(dataset.name)
    settings = _settings(dataset, getattr(source, "FIELDS", splits.FIELDS))
    fingerprint = source.fingerprint(dataset, data_dir) if hasattr(source, "fingerprint") else source.load(dataset, data_dir).digest()
    identity = {"format": records.FORMAT, "name": dataset.name, "content": fingerprint, "settings": settings}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    folder = pathlib.Path(data_dir) / "tfrecords" / f"{dataset.name}-{digest[:12]}"
    if overwrite or not records.complete(folder):
        _build(source, dataset, data_dir, folder, identity | {"rebuild": _command(dataset, settings)}, overwrite, strict)
    elif strict:
        _refuse_incomplete(folder)
    return folder


def _source(name):
    """What reads the data set `name`."""
    if name in SOURCES:
        return SOURCES[name]
    if name not in DATASETS:
        raise UserError(f"--set dataset.name={name}: no such data set; there are {', '.join(DATASETS)}")
    return importlib.import_module(f"data.{name}")


def _settings(dataset, fields):
    """{field: value} of what decides the records of a source with these fields.

    Raises:
      UserError: a split is asked for that the source does not have.
    """
    if dataset.num_valid and "num_valid" not in fields:
        raise UserError(f"--set dataset.num_valid={dataset.num_valid}: {dataset.name} has validation examples of its own; 0 is accepted")
    if dataset.split == "first" and "split" not in fields:
        raise UserError(f"--set dataset.split=first: the examples of {dataset.name} are in no order of their own; clean is accepted")
    default = Dataset(dataset.name)
    return {field: getattr(dataset, field) for field in fields
            if field not in splits.LATER or getattr(dataset, field) != getattr(default, field)}


def _build(source, dataset, data_dir, folder, meta, overwrite, strict):
    raw = source.load(dataset, data_dir)
    if isinstance(raw, splits.Arrays):
        checks.check(raw, dataset.name)
    parts = raw.parts(dataset)
    meta |= {key: getattr(raw, key) for key in ("encoding", "shape", "dtype", "label_dtype", "num_classes") if hasattr(raw, key)}
    writable_folder(folder.parent, "--data_dir")
    records.remove_stale(folder.parent)
    with records.locked(folder):
        if overwrite or not records.complete(folder):
            if "encoding" in meta:
                records.write(folder, meta, lambda place: records.write_images(place, raw, parts, meta, strict))
                _say_what_is_left_out(folder)
            else:
                records.write(folder, meta, lambda place: records.write_arrays(place, parts, meta))
        elif strict:
            _refuse_incomplete(folder)


def left_out(folder):
    """Names of the unreadable images that the records of a folder were built without."""
    return [name for summary in read_json(folder / records.META)["splits"].values() for name in summary.get("skipped", ())]


def _say_what_is_left_out(folder):
    names = left_out(folder)
    if names:
        say(f"{folder}: {len(names)} unreadable images left out; --strict refuses them", sys.stderr)


def _refuse_incomplete(folder):
    names = left_out(folder)
    if names:
        raise UserError(f"--strict: {folder} was built without {len(names)} unreadable images, {names[0]} for instance; replace or remove "
                        "them and build again with --overwrite, or leave --strict out")


def _command(dataset, settings):
    """The command line that builds these records again (`--data_dir` aside)."""
    default = Dataset(dataset.name)
    changed = [f"--set dataset.{field}={value}" for field, value in settings.items() if value != getattr(default, field)]
    return " ".join(["python -m data.build", f"--dataset={dataset.name}", *changed, "--overwrite"])
