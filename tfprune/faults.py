"""Errors of the system in one line: which file, what is wrong with it, what to do. Python's, and TensorFlow's under whatever type."""
import errno
import itertools
import os
import re

FULL = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)))
MEND = "make room there, then the same command goes on"
ABOUT_A_FILE = re.compile(r"(?:{{.*}} )?(?P<path>[^;]+); (?P<reason>" + "|".join(map(re.escape, map(os.strerror, errno.errorcode))) + ")")


def is_disk_full(error):
    """Does an error say that a disk, a quota or a limit of size is full? TensorFlow gives it the type that it has for memory, too."""
    return any(words in str(error) for words in FULL)


def of_system(error):
    """The line for an `OSError`."""
    return _with_advice(f"{error.filename or 'input/output'}: {error.strerror or error}")


def of_tensorflow(error):
    """The line for an error of TensorFlow's, or for a `MemoryError`."""
    line = _fault(str(error)) or "out of memory"
    _, ours, mistake = line.partition("UserError: ")
    if ours:
        return mistake
    if about := ABOUT_A_FILE.match(line):
        return _with_advice(f"{about['path'].partition('.tempstate')[0]}: {about['reason']}")
    return f"{type(error).__name__}: {line}"


def _with_advice(line):
    return f"{line}; {MEND}" if is_disk_full(line) else line


def _fault(text):
    """The line of TensorFlow's message that says what is wrong: the first, but for a graph's errors, which begin with where it was."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ours = [line for line in lines if "UserError: " in line]  # raised by what TensorFlow called: a damaged record read while training
    graphs = [line for line, following in itertools.pairwise(lines) if following.startswith("[[{{node ")]
    return next(iter([*ours, *(graphs if lines[:1] == ["Graph execution error:"] else []), *lines]), "")
