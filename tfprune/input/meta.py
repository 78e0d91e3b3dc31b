"""What `meta.json` of a record folder says, and what to do where something in the folder is damaged."""
import pathlib

from tfprune.experiment import UserError
from tfprune.files import read_json
from tfprune.input import META, SPLITS

KEYS = ("splits", "label_dtype", "num_classes", "rebuild")
RAW_KEYS = (*KEYS, "shape", "dtype")  # of records that hold arrays; others say their "encoding"
SUMMARY, ENCODED_SUMMARY = {"count", "epoch_size"}, {"count", "epoch_size", "shard_bytes", "sha256"}  # of each split


def read(folder):
    """The description of a record folder; UserError where it is missing or damaged."""
    path = pathlib.Path(folder) / META
    try:
        meta = read_json(path)
        keys, summary = (RAW_KEYS, SUMMARY) if meta.get("encoding") is None else ((*KEYS, "encoding"), ENCODED_SUMMARY)
        if any(summary - set(meta["splits"][split]) for split in SPLITS):
            raise KeyError("splits")
        return {key: meta[key] for key in keys}
    except FileNotFoundError:
        raise UserError(f"{path}: missing; {remedy(folder)}") from None
    except (UserError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path}: damaged; {remedy(folder)}") from None


def remedy(folder, meta=None):
    """The command that builds the records of a folder again."""
    folder = pathlib.Path(folder)
    name, _, _ = folder.name.rpartition("-")
    command = (meta or {}).get("rebuild", f"python -m data.build --dataset={name or 'NAME'} --overwrite")
    return f"build it again: {command} --data_dir={folder.parent.parent}"
