"""A cluster of Ray's: reaching it, and what its nodes have room for."""
import contextlib
import os
import signal
import socket

from tfprune.experiment import UserError
from tfprune.sweep.machine import cores, gpus

# Ray reports usage unless told not to, warns of how it will set CUDA_VISIBLE_DEVICES, and begins a task that ran out of memory for ever.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_task_oom_retries": "3"}
LEAST_STORE = 80_000_000  # bytes; Ray takes a third of the memory otherwise, and our tasks return a number
SECONDS = 5.0  # for an answer
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # RFC 9113, 3.4: what a client of gRPC says first
SETTINGS = 4  # the type of the frame that every server answers with


@contextlib.contextmanager
def connected(address):
    """Ray, as a driver of the cluster at an address: host:port, "auto", or None for one that is started on this machine, for as long.

    Raises:
      UserError: Ray is not installed, or nothing there answers as a cluster does.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if address is not None:
        address = check_address(address)
    try:
        import ray
    except ImportError:
        raise UserError("--engine=ray: needs Ray: pip install 'tfprune[ray]'") from None
    own = {"num_cpus": cores(), "num_gpus": len(gpus()), "object_store_memory": LEAST_STORE, "include_dashboard": False}
    before = signal.getsignal(signal.SIGTERM)
    # Ray says much of workers and nodes that die, on whatever stdout is; its logs in /tmp/ray have it too.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        try:
            ray.init(address=address or "local", log_to_driver=False, logging_level="CRITICAL", **({} if address else own))
        except (OSError, RuntimeError, ValueError) as error:
            title = f"--address={address}" if address else "--engine=ray"
            raise UserError(f"{title}: no cluster to run on ({str(error).strip() or type(error).__name__})") from None
        signal.signal(signal.SIGTERM, before)  # Ray's own would end this process with the status 15
        try:
            yield ray
        finally:
            ray.shutdown()


def check_address(address):
    """The address to hand to Ray; UserError where there is no cluster. Ray itself tries for minutes."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    if address == "auto":
        return address
    host, colon, port = address.rpartition(":")
    if not host or not colon or not port.isdecimal() or not 0 < int(port) < 2**16 or "/" in host:
        raise UserError(f"--address={address}: expected host:port of a Ray cluster's head, such as 10.0.0.1:6379, or auto")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), SECONDS) as connection:
            connection.sendall(GREETING)
            answer = connection.recv(9)
    except OSError as error:
        raise UserError(f"--address={address}: no Ray cluster there ({error.strerror or error}); `ray start --head` starts one") from None
    if os.environ.get("RAY_USE_TLS", "0") != "1" and (len(answer) < 9 or answer[3] != SETTINGS):
        raise UserError(f"--address={address}: what answers there is no Ray cluster; expected the host:port that `ray start --head` names")
    return address


def resources(ray):
    """[(CPUs, GPUs)] of each node that is alive."""
    return [(int(node["Resources"].get("CPU", 0)), int(node["Resources"].get("GPU", 0))) for node in ray.nodes() if node["Alive"]]


def room(nodes, threads, devices):
    """How many tasks of so many threads and GPUs (0 or 1) nodes as of `resources` have room for."""
    return sum(min(cpus // threads, found) if devices else cpus // threads for cpus, found in nodes)


def share(nodes, jobs, devices):
    """Threads of each task: the most with which there is room for so many at once; at least 1."""
    return next((threads for threads in range(max(cpus for cpus, _ in nodes), 1, -1) if room(nodes, threads, devices) >= jobs), 1)
