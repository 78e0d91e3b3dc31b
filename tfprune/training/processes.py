"""The other processes of a training on one machine: started as the same command as this one, and ended with it."""
import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time

from tfprune.sweep import tied

STARTED_BY = "TFPRUNE_STARTED_BY"  # in the environment of these processes: whose they are
leaving = threading.Event()  # they have been told to leave


def start(count, devices):
    """Starts so many processes less this one, as the same command; they end with this one. Returns them.

    `devices`: of each the GPU, as CUDA_VISIBLE_DEVICES names it; none where there are none. This one's environment changes too.
    """
    addresses, others = _free_addresses(count), []
    alike = [sys.executable, "-I", tied.__file__, str(os.getpid()), sys.executable, *sys.argv]
    for index in range(count):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        own = {"TF_CONFIG": json.dumps(task)} | ({"CUDA_VISIBLE_DEVICES": devices[index]} if devices else {})
        if index == 0:
            os.environ.update(own)
        else:
            others.append(subprocess.Popen(alike, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                           env=os.environ | own | {STARTED_BY: str(os.getpid())}))
    atexit.register(end, others)
    return others


def watch(others, there):
    """Ends this process where one of the others ends before all are there: the wait for it would have no end."""
    while not there.wait(0.2):
        if any(process.poll() is not None for process in others):
            print("error: --strategy: a process of this training ended before it began", file=sys.stderr, flush=True)
            end(others)
            os._exit(1)


def end(others):
    """Waits a little for processes that have been told to leave, and ends all that are left: they hold nothing that could be lost."""
    deadline = time.monotonic() + 10
    while leaving.is_set() and time.monotonic() < deadline and any(process.poll() is None for process in others):
        time.sleep(0.05)
    for process in others:
        process.kill()
    for process in others:
        process.wait()


def _free_addresses(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
