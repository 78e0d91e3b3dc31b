"""Raw data -> TFRecords, a file per source.

A source is a module with
  FIELDS                           the `Dataset` fields that decide its records
  fingerprint(dataset, data_dir)   text that names the raw content, without decoding it
  load(dataset, data_dir)          an object with shape, dtype, label_dtype, num_classes and parts(dataset), such as `splits.Arrays`
and a line below. Its records are built once for each content and settings, and shared by all experiments.
"""
import hashlib
import json
import pathlib

from data import cifar10, digits, linear, records
from tfprune.experiment import Dataset, UserError
from tfprune.files import writable_folder

SOURCES = {
    "cifar10": cifar10,
    "digits": digits,
    "linear": linear,
}


def ensure(dataset, data_dir, overwrite=False):
    """Builds the TFRecords of a data set unless they exist.

    Args:
      dataset: a `tfprune.experiment.Dataset`.
      data_dir: where the raw data is looked for, and the records go.
      overwrite: build them again.

    Returns the folder, `<data_dir>/tfrecords/<name>-<fingerprint>`: train, val and test.tfrecords, and meta.json.

    Raises:
      UserError: there is no such source, its raw files are missing or damaged, or the records cannot be written.
    """
    if dataset.name not in SOURCES:
        raise UserError(f"--set dataset.name={dataset.name}: no such data source; there are {', '.join(SOURCES)}")
    source = SOURCES[dataset.name]
    settings = {field: getattr(dataset, field) for field in source.FIELDS}
    identity = {"format": records.FORMAT, "name": dataset.name, "content": source.fingerprint(dataset, data_dir), "settings": settings}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    folder = pathlib.Path(data_dir) / "tfrecords" / f"{dataset.name}-{digest[:12]}"
    if overwrite or not records.complete(folder):
        _build(source, dataset, data_dir, folder, identity | {"rebuild": _command(dataset, settings)}, overwrite)
    return folder


def _build(source, dataset, data_dir, folder, meta, overwrite):
    raw = source.load(dataset, data_dir)
    parts = raw.parts(dataset)
    meta |= {"shape": list(raw.shape), "dtype": raw.dtype, "label_dtype": raw.label_dtype, "num_classes": raw.num_classes}
    writable_folder(folder.parent, "--data_dir")
    records.remove_stale(folder.parent)
    with records.locked(folder):
        if overwrite or not records.complete(folder):
            records.write(folder, parts, meta)


def _command(dataset, settings):
    """The command line that builds these records again (`--data_dir` aside)."""
    default = Dataset(dataset.name)
    changed = [f"--set dataset.{field}={value}" for field, value in settings.items() if value != getattr(default, field)]
    return " ".join(["python -m data.build", f"--dataset={dataset.name}", *changed, "--overwrite"])
