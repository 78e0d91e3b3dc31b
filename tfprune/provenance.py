"""Where a result comes from: code, versions, machine, command and times of a stage.

    python -m tfprune.provenance results/laptop/ID9004_Alexnet_digits_nmult=1_seed=0             says so of each stage of a run
    python -m tfprune.provenance --verify results/laptop/*                                       and whether its files are as they were

With --verify every file of a finished stage is read again and compared with the SHA-256 that its done marker has; exit status 1 where
one is missing or has changed, or where a stage was made from another one that has been done anew since.
"""
import datetime
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys

PACKAGES = ("tensorflow", "tf-keras", "numpy", "pandas", "scikit-learn")


def now():
    """The time in UTC, ISO 8601, whole seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def collect(started):
    """Provenance of a stage that ends now, JSON-ready."""
    return {"argv": sys.argv, "started": started, "finished": now(), "code": _code(), "python": platform.python_version(),
            "packages": _versions(), "machine": {"system": platform.platform(), "host": platform.node(), "devices": _devices()}}


def _versions():
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _devices():
    tensorflow = sys.modules.get("tensorflow")
    return [device.name for device in tensorflow.config.list_logical_devices()] if tensorflow else []


def _code():
    """Commit of the checkout that tfprune runs from, and whether it has uncommitted changes; None outside a checkout.

    An image has none; the commit that it was built from is said by TFPRUNE_COMMIT.
    """
    if commit := os.environ.get("TFPRUNE_COMMIT"):
        return {"commit": commit, "changed": None}

    def git(*arguments):
        folder = pathlib.Path(__file__).parent
        return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return {"commit": commit, "changed": bool(git("status", "--porcelain", "--untracked-files=no"))} if commit else None
    except (OSError, subprocess.SubprocessError):
        return None


if __name__ == "__main__":
    from tfprune import explain, flags

    flags.flags.DEFINE_bool("verify", False, "read all files again, and name those that are not what their stages wrote")
    flags.run(explain.main)
