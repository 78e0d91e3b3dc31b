"""What all tests share: reference material, scripts started as a user would, a tiny experiment to run, and a small ImageNet."""
import functools
import gc
import os
import pathlib
import subprocess
import sys

import pytest

import data
from tests import ilsvrc
from tests.forked import Forks
from tfprune.settings import Dataset

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
# A net that trains in a second: the digits demo, few examples, few epochs.
TINY = ["--experiment_id=9002", "--set=dataset.limit=300", "--set=hyper.max_num_epochs=3"]


def pytest_collection_finish():
    """What was imported is no garbage: searches for some need not go through TensorFlow's half a million objects each time."""
    gc.freeze()


def shared(path):
    """A file of the reference material beside the project; skips the test, naming it, where it is absent."""
    if not (SHARED / path).exists():
        pytest.skip(f"needs ../shared/{path}")
    return SHARED / path


def script_environment():
    """The environment of a user's shell, with the repository importable and no leftovers of pytest."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")} | {"PYTHONDONTWRITEBYTECODE": "1"}


def start(script, *arguments, **options):
    """Starts a script of the repository as a subprocess."""
    return subprocess.Popen([sys.executable, script, *map(str, arguments)], cwd=ROOT, env=script_environment(), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


@functools.cache
def forks():
    """What runs scripts that a test waits for."""
    return Forks(script_environment())


def started(script, *arguments):
    """Runs a script to its end in a Python of its own, start and all; returns (exit status, stdout, stderr)."""
    process = start(script, *arguments)
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def cli(script, *arguments, root=ROOT):
    """Runs a script to its end, in a fork of a process that has imported TensorFlow; returns (exit status, stdout, stderr)."""
    return forks().run([script, *map(str, arguments)], script_environment(), root)


def ok(script, *arguments):
    """Runs a script that must succeed; returns its stdout."""
    status, out, err = cli(script, *arguments)
    assert status == 0, f"{script} {arguments}: exit {status}\n{out}\n{err}"
    return out


def refused(script, *arguments):
    """Runs a script that must refuse with exit status 2 and exactly one line on stderr, which is returned."""
    status, out, err = cli(script, *arguments)
    assert status == 2, f"exit {status}\n{out}\n{err}"
    assert err.startswith("error: ") and err.count("\n") == 1, err
    assert "Traceback" not in out
    return err


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """One data folder for all tests of a session: records are built once."""
    return tmp_path_factory.mktemp("datasets")


@pytest.fixture(scope="session")
def small_imagenet(tmp_path_factory):
    """A data folder with a generated ImageNet, unreadable files among its images; its description; and records of it."""
    path = tmp_path_factory.mktemp("imagenet")
    return path, ilsvrc.make_folder(path), data.ensure(Dataset("imagenet"), path)
