"""Files that are either whole or not there: written beside their place, flushed to disk, then renamed.

What is being written is locked, so that whoever writes into the same folder next can tell it from what a killed process left, and
removes the latter.
"""
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import tempfile

from tfprune.experiment import UserError

DAMAGE = (AttributeError, ArithmeticError, LookupError, TypeError, ValueError)  # what JSON and tables of another shape lead to

@contextlib.contextmanager
def atomic(path):
    """A temporary path beside `path`; renamed to it when the block ends well, removed otherwise."""
    path = pathlib.Path(path)
    with naming(path), _temporary(path, tempfile.mkstemp, ".part" + path.suffix) as temporary:
        try:
            yield str(temporary)
            sync_folder(temporary)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path):
    """A temporary folder beside `path`; renamed to it when the block ends well, removed otherwise. One that is there is replaced."""
    path = pathlib.Path(path)
    with naming(path), _temporary(path, tempfile.mkdtemp, ".part") as temporary:
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


@contextlib.contextmanager
def naming(path):
    """An `OSError` from the block says which file it is about: one from a write does not by itself, one about a temporary has its name."""
    try:
        yield
    except OSError as error:
        if error.filename is None or pathlib.Path(str(error.filename)).name.startswith(f".{pathlib.Path(path).name[:80]}."):
            error.filename = str(path)
        raise


@contextlib.contextmanager
def _temporary(path, make, suffix):
    """A new file or folder beside `path`, as `make` of `tempfile` makes them; locked within the block."""
    remove_unfinished(path.parent, below=False)
    while True:
        made = make(prefix=f".{path.name[:80]}.", suffix=suffix, dir=path.parent)
        descriptor, temporary = made if isinstance(made, tuple) else (os.open(made, os.O_RDONLY), made)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.exists(temporary):  # else another process has taken it for a leftover, before it was locked
                yield pathlib.Path(temporary)
                return
        finally:
            os.close(descriptor)


def remove_unfinished(folder, below=True):
    """Removes what processes that died in the midst of `atomic` or `atomic_folder` left in a folder, and `below` it; nothing that one
    alive is at."""
    for path in list(getattr(pathlib.Path(folder), "rglob" if below else "glob")(".*.part*")):
        with contextlib.suppress(OSError):  # another process is at it, or was faster, or it is not ours to remove
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            finally:
                os.close(descriptor)


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
        value = json.loads(content.decode())
        if b"\\ud" in content.lower():  # half of a pair, which JSON may hold and no text: "?" in its place
            value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
        return value
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
        with tempfile.TemporaryFile(prefix=".probe", dir=path):  # it has no name, so that a killed process leaves nothing
            pass
    except OSError as error:
        raise UserError(f"{flag}={path}: cannot write there ({error.strerror}); give a folder that you may write to") from None
    return pathlib.Path(path)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(path):
    """Makes a folder's entries, such as a rename just done, or a file's content survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
