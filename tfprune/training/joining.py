"""How the processes of one training find each other: --gpus and --strategy, and TF_CONFIG as TensorFlow has it.

    python train.py --experiment_id=3 --gpus=0,1                two processes here, each with one of these GPUs
    TF_CONFIG=... python train.py --experiment_id=3 --strategy=multiworker      on each of several machines, a process a GPU

With "mirrored" this process starts the others itself, on this machine; with "multiworker" they are started by whoever wants them, each with
the same command line and its own TF_CONFIG (tf_config.EXAMPLE).
"""
import contextlib
import os
import signal
import sys
import threading
from dataclasses import dataclass

from absl import flags

from tfprune.experiment import UserError
from tfprune.progress import say
from tfprune.sweep.machine import gpus
from tfprune.training import processes, tf_config

FLAGS = flags.FLAGS
MOST = 64  # processes of a machine without GPUs


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
    if owner := os.environ.get(processes.STARTED_BY):
        if owner != str(os.getppid()):  # it has died
            sys.exit(143)
        return Plan(tf_config.index())
    chosen = _chosen_gpus()
    if FLAGS.replicas is not None and FLAGS.strategy != "mirrored":
        how = "; with multiworker TF_CONFIG says how many there are" if FLAGS.strategy else ""
        raise UserError(f"--replicas={FLAGS.replicas}: is for --strategy=mirrored{how}")
    if FLAGS.strategy == "multiworker":
        if chosen and len(chosen) > 1:
            raise UserError(f"--gpus={FLAGS.gpus}: with --strategy=multiworker each process has one GPU; start one for each")
        plan = Plan(tf_config.index(), devices=tuple(chosen or ()))
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
def joined(plan, runs, again=False):
    """While the block trains these runs this process is one of those of the plan; yields whether it follows another, the chief.

    No operation of TensorFlow may have run before. Other processes are only started where a run is not trained yet, or trained `again`.
    """
    idle = FLAGS.dry_run or plan.count > 1 and not again and all(run.done("train") for run in runs)
    if plan.index is None or idle:
        yield False
        return
    from tfprune.keras import tf
    from tfprune.training.out_of_memory import is_out_of_memory

    here = _join(plan)
    if here.count != tf_config.count():
        raise UserError("--strategy: each process needs one GPU of its own; --gpus=NUMBER gives it one")
    try:
        yield plan.index > 0
    except SystemExit:  # the chief was asked to leave, and has saved
        _let_go(here)
        raise
    except tf.errors.OpError as error:
        if is_out_of_memory(error) or "ollective" not in str(error):
            raise
        print("error: --strategy: another process of this training has ended; the same command goes on from the last checkpoint",
              file=sys.stderr, flush=True)
        os._exit(1)  # at once: as Python ends in order, what in TensorFlow still waits for the other complains of it
    _let_go(here)


def _join(plan):
    """This process's place, once all are there. Until then it does not hear Python's signal handlers, and there is nothing to save."""
    from tfprune.keras import quiet
    from tfprune.training import replicas

    there = threading.Event()
    if plan.count > 1:
        threading.Thread(target=processes.watch, args=(processes.start(plan.count, plan.devices), there), daemon=True).start()
    elif plan.index == 0:
        say(f"waits until all {tf_config.count()} processes are there that TF_CONFIG names")
    before = {name: signal.signal(name, signal.SIG_DFL) for name in (signal.SIGTERM, signal.SIGINT)}
    with quiet():
        here = replicas.join(plan.index)
    there.set()
    for name, handler in before.items():
        signal.signal(name, handler)
    return here


def _let_go(here):
    """Tells the others that there is no more to do; for the chief."""
    if here.index == 0:
        from tfprune.training.replicas import LEAVE

        here.tell(LEAVE)
        processes.leaving.set()


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
