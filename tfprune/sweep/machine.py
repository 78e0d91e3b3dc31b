"""What a machine has to share out among jobs: cores, and GPUs."""
import os
import subprocess


def cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def gpus():
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; TensorFlow is not asked, for it would take their memory."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number, line in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))]


def limits(threads):
    """The environment variables that hold a process to so many threads."""
    return dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), str(threads))


def environment(slot, threads, devices):
    """The environment of the job in a slot: its share of the cores, and one of the devices, in turn, where there are any."""
    device = {"CUDA_VISIBLE_DEVICES": devices[slot % len(devices)]} if devices else {}
    return os.environ | limits(threads) | device
