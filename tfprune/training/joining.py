"""How the processes of one training find each other: --gpus and --strategy, and TF_CONFIG as TensorFlow has it.

    python train.py --experiment_id=3 --gpus=0,1                two processes here, each with one of these GPUs
    TF_CONFIG=... python train.py --experiment_id=3 --strategy=multiworker      on each of several machines, a process a GPU

With "mirrored" this process starts the others itself, on this machine; with "multiworker" they are started by whoever wants them, each with
the same command line and its own TF_CONFIG (EXAMPLE).
"""
import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass

from absl import flags

from tfprune.experiment import UserError
from tfprune.sweep.machine import gpus

FLAGS = flags.FLAGS
STARTED_BY = "TFPRUNE_STARTED_BY"  # in the environment of the processes that a mirrored training starts: whose they are
MOST = 64  # processes of a machine without GPUs
EXAMPLE = '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'


def define():
    """Defines the flags; a script that trains calls it once."""
    flags.DEFINE_string("gpus", None, "GPUs to use, by number: 0,1; more than one share every batch, a process each")
    flags.DEFINE_enum("strategy", None, ["mirrored", "multiworker"], "several processes share every batch: mirrored, on this machine; "
                      "multiworker, as TF_CONFIG says")
    flags.DEFINE_integer("replicas", None, "how many processes mirrored has; default: one for each GPU")


@dataclass(frozen=True)
class Plan:
    """What the flags ask for: this process's `index` among those that train, from 0, or None where it trains alone; `count` processes to
    start, this one counted, on these `devices`."""

    index: int | None = None
    count: int = 1
    devices: tuple = ()


def planned():
    """The `Plan` of the flags and TF_CONFIG. Before TensorFlow is imported: from then on this process sees only its own GPU.

    Raises:
      UserError: they are not accepted.
    """
    chosen = _chosen_gpus()
    if os.environ.get(STARTED_BY) == str(os.getppid()):
        return Plan(_task(_config()))
    if FLAGS.replicas is not None and FLAGS.strategy != "mirrored":
        how = "; with multiworker TF_CONFIG says how many there are" if FLAGS.strategy else ""
        raise UserError(f"--replicas={FLAGS.replicas}: is for --strategy=mirrored{how}")
    if FLAGS.strategy == "multiworker":
        if chosen and len(chosen) > 1:
            raise UserError(f"--gpus={FLAGS.gpus}: with --strategy=multiworker each process has one GPU; start one for each")
        plan = Plan(_task(_config()), devices=tuple(chosen or ()))
    elif FLAGS.strategy is None and len(chosen or ()) < 2:
        plan = Plan(devices=tuple(chosen or ()))
    else:
        plan = _of_this_machine(chosen or gpus())
    if plan.devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = plan.devices[0]
    return plan


def _of_this_machine(devices):
    count = len(devices) if FLAGS.replicas is None else FLAGS.replicas
    if not devices and FLAGS.replicas is None:
        raise UserError("--strategy=mirrored: there is no GPU here; --replicas=2 has two processes share the cores")
    if not 1 <= count <= (len(devices) or MOST):
        raise UserError(f"--replicas={count}: expected a whole number from 1 to {len(devices) or MOST}")
    return Plan(0 if count > 1 else None, count, tuple(devices))


@contextlib.contextmanager
def joined(plan, runs):
    """While the block trains these runs this process is one of those of the plan; yields whether it follows another, the chief.

    No operation of TensorFlow may have run before. Other processes are only started where a run is not trained yet.
    """
    idle = FLAGS.dry_run or plan.count > 1 and not FLAGS.overwrite and all(run.done("train") for run in runs)
    if plan.index is None or idle:
        yield False
        return
    if plan.count > 1:
        _start(plan)
    from tfprune.keras import quiet, tf
    from tfprune.training import replicas

    with quiet():
        here = replicas.join(plan.index)
    if here.count != len(_addresses(_config())):
        raise UserError("--strategy: each process needs one GPU of its own; --gpus=NUMBER gives it one")
    try:
        yield plan.index > 0
    except SystemExit:  # the chief was asked to leave, and has saved
        _let_go(here)
        raise
    except tf.errors.OpError as error:
        if "ollective" not in str(error):
            raise
        print("error: --strategy: another process of this training has ended; the same command goes on from the last checkpoint",
              file=sys.stderr, flush=True)
        os._exit(2)  # at once: as Python ends in order, what in TensorFlow still waits for the other complains of it
    _let_go(here)


def _let_go(here):
    """Tells the others that there is no more to do; for the chief."""
    if here.index == 0:
        from tfprune.training.replicas import LEAVE

        here.tell(LEAVE)


def _chosen_gpus():
    """The GPUs of --gpus, as CUDA_VISIBLE_DEVICES names them; None without that flag."""
    if FLAGS.gpus is None:
        return None
    there, numbers = gpus(), FLAGS.gpus.split(",")
    for number in numbers:
        if not number.isdecimal() or int(number) >= len(there) or numbers.count(number) > 1:
            accepted = f"numbers from 0 to {len(there) - 1}, each once, with commas between" if there else "there is no GPU here"
            raise UserError(f"--gpus={FLAGS.gpus}: {accepted}")
    return [there[int(number)] for number in numbers]


def _start(plan):
    """Starts the other processes of this machine, as the same command."""
    addresses = _free_addresses(plan.count)
    for index in range(plan.count):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        own = {"TF_CONFIG": json.dumps(task)} | ({"CUDA_VISIBLE_DEVICES": plan.devices[index]} if plan.devices else {})
        if index == 0:
            os.environ.update(own)
        else:
            atexit.register(_end, subprocess.Popen([sys.executable, *sys.argv], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                                   env=os.environ | own | {STARTED_BY: str(os.getpid())}))


def _end(process):
    """Waits a little for a process that has been told to leave, then ends it: it holds nothing that could be lost."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    process.kill()
    process.wait()


def _free_addresses(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def _config():
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        _task(config) if _addresses(config) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"TF_CONFIG={text[:200]}: --strategy=multiworker needs in the environment of each process, with its own index: "
                        f"TF_CONFIG='{EXAMPLE}'") from None
    return config


def _addresses(config):
    """All processes' addresses, the chief's first."""
    cluster = config["cluster"]
    addresses = [*cluster.get("chief", []), *cluster["worker"]]
    if set(cluster) - {"chief", "worker"} or not all(isinstance(address, str) and ":" in address for address in addresses):
        raise ValueError
    return addresses


def _task(config):
    """This process's number."""
    kind, index = config["task"]["type"], config["task"]["index"]
    if not isinstance(index, int) or not 0 <= index < len(config["cluster"][kind]):
        raise ValueError
    return index + (len(config["cluster"].get("chief", [])) if kind == "worker" else 0)
