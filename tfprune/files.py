"""Files that are either whole or not there: written beside their place, flushed to disk, then renamed."""
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import tempfile

from tfprune.experiment import UserError


@contextlib.contextmanager
def atomic(path):
    """A temporary path beside `path`; renamed to it when the block ends well, removed otherwise."""
    path = pathlib.Path(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:80]}.", suffix=".part" + path.suffix, dir=path.parent)
    os.close(handle)
    try:
        yield temporary
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


@contextlib.contextmanager
def atomic_folder(path):
    """A temporary folder beside `path`; renamed to it when the block ends well, removed otherwise. One that is there is replaced."""
    path = pathlib.Path(path)
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name[:80]}.", suffix=".part", dir=path.parent))
    before = temporary.with_name(temporary.name + ".before")
    try:
        yield temporary
        for written in temporary.rglob("*"):
            sync_folder(written)
        os.chmod(temporary, 0o777 & ~_umask())
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, before)  # nothing can be renamed to a folder with files in it
        os.rename(temporary, path)
        sync_folder(path.parent)
    finally:
        if before.exists() and not path.exists():
            os.rename(before, path)
        for left in (temporary, before):
            shutil.rmtree(left, ignore_errors=True)


def remove_unfinished(folder):
    """Removes what processes that died in the midst of `atomic` or `atomic_folder` left in a folder and below it; for who has the folder
    to itself."""
    for path in list(pathlib.Path(folder).rglob(".*.part*")):
        if path.is_file() and not path.is_symlink():
            path.unlink()
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)


def write(path, content):
    """Writes bytes or text atomically."""
    with atomic(path) as temporary, open(temporary, "wb") as handle:
        handle.write(content.encode() if isinstance(content, str) else content)


def write_json(path, value):
    """Writes a value as indented JSON with sorted keys, atomically."""
    write(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def read_json(path):
    """The value in a JSON file; UserError naming the file where it is damaged."""
    return parsed_json(pathlib.Path(path).read_bytes(), path)


def parsed_json(content, path):
    """The value that the bytes of a JSON file hold; UserError naming the file where it is damaged."""
    try:
        return json.loads(content.decode())
    except (ValueError, RecursionError):  # also of bytes that are no text, and of lists in lists in lists
        raise UserError(f"{path}: damaged (not JSON); remove it and run the stage again") from None


def sha256(path):
    """SHA-256 (hex) of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def writable_folder(path, flag):
    """Creates the folder where it is missing; UserError naming the flag where nothing can be written in it."""
    try:
        os.makedirs(path, exist_ok=True)
        handle, probe = tempfile.mkstemp(prefix=".probe", dir=path)
        os.close(handle)
        os.unlink(probe)
    except OSError as error:
        raise UserError(f"{flag}={path}: cannot write there ({error.strerror}); give a folder that you may write to") from None
    return pathlib.Path(path)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(path):
    """Makes a folder's entries, such as a rename just done, survive a power cut; of a file, its content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
