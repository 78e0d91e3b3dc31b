"""What all tests share: reference material, scripts started as a user would, a tiny experiment to run, and a small ImageNet."""
import os
import pathlib
import subprocess
import sys

import pytest

import data
from tests import ilsvrc
from tfprune.settings import Dataset

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
# A net that trains in a second: the digits demo, few examples, few epochs.
TINY = ["--experiment_id=9002", "--set=dataset.limit=300", "--set=hyper.max_num_epochs=3"]


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


def cli(script, *arguments):
    """Runs a script to its end; returns (exit status, stdout, stderr)."""
    process = start(script, *arguments)
    out, err = process.communicate(timeout=600)
    return process.returncode, out, err


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
