"""One line on what the container has: versions and devices. What is wrong follows, a line each, and exit status 1.

    python docker/health.py                     asks the packages' metadata and nvidia-smi: a fraction of a second, without TensorFlow
    python docker/health.py --tensorflow        asks TensorFlow too, and has every GPU multiply two matrices
"""
import importlib.metadata
import os
import pathlib
import platform
import shutil
import subprocess
import sys

PACKAGES = ("tensorflow", "tf_keras")
FOLDERS = ("results", "datasets")
ROOT = pathlib.Path(__file__).resolve().parents[1]


def main(arguments):
    """Prints the line and what is wrong; returns the exit status."""
    if unknown := [text for text in arguments if text != "--tensorflow"]:
        print(f"error: argument {unknown[0]}: only --tensorflow is accepted", file=sys.stderr)
        return 2
    wrong = []
    commit = os.environ.get("TFPRUNE_COMMIT", "")[:12]
    versions = [f"{name} {_version(name, wrong) or 'missing'}" for name in PACKAGES]
    gpus = _gpus(wrong)
    line = [f"tfprune {commit}".rstrip(), f"Python {platform.python_version()}", *versions, f"devices: {_devices(gpus)}"]
    print("; ".join(line), flush=True)
    if "--tensorflow" in arguments and not wrong:
        _ask_tensorflow(gpus, wrong)
    for folder in FOLDERS:
        _check_folder(ROOT / folder, wrong)
    for line in wrong:
        print(f"health: {line}")
    return bool(wrong)


def _version(name, wrong=None):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        if wrong is not None:
            wrong.append(f"{name} is not installed")
        return None


def _gpus(wrong):
    """Names of the GPUs that the driver shows to the container."""
    if not shutil.which("nvidia-smi"):
        return []
    asked = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        wrong.append(f"nvidia-smi: {error}")
        return []
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode:  # a container can lose its GPUs while it runs
        wrong.append(f"nvidia-smi: {next(iter(lines), f'exit status {done.returncode}')}")
        return []
    return lines


def _devices(gpus):
    cuda = _version("nvidia-cudnn-cu12")
    cores = f"{len(os.sched_getaffinity(0))} CPU cores"
    if gpus:
        listed = ", ".join(f"GPU {number} {name}" for number, name in enumerate(gpus))
        return f"{cores}, {listed}" + ("" if cuda else " (unused: this is the CPU image)")
    return cores + (", no GPU (docker run --gpus all gives it yours)" if cuda else "")


def _ask_tensorflow(gpus, wrong):
    """Prints TensorFlow's devices; each GPU has to multiply."""
    from tfprune.keras import tf

    found = tf.config.list_physical_devices("GPU")
    print(f"TensorFlow's devices: {', '.join(device.name for device in tf.config.list_logical_devices())}", flush=True)
    if len(found) < len(gpus) and _version("nvidia-cudnn-cu12"):
        wrong.append(f"the driver shows {len(gpus)} GPUs, TensorFlow finds {len(found)}")
    for number in range(len(found)):
        with tf.device(f"/GPU:{number}"):
            product = float(tf.reduce_sum(tf.ones((256, 256)) @ tf.ones((256, 256))))
        if product != 256.0 ** 3:
            wrong.append(f"GPU {number} multiplies wrongly: {product} instead of {256.0 ** 3}")


def _check_folder(path, wrong):
    """A folder of the host that belongs to someone else cannot be written; one that is mounted read-only need not be."""
    if path.is_dir() and not os.access(path, os.W_OK | os.X_OK) and not os.statvfs(path).f_flag & os.ST_RDONLY:
        wrong.append(f"{path.name}/ cannot be written by user {os.getuid()}: make the folder before docker run, or add "
                     '--user "$(id -u):$(id -g)" (docker/README.md)')


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
