"""The engine of Ray clusters: a Ray task for each of the sweep's, which runs the same command as every engine on whatever node it lands on.

The nodes share a file system: each has the repository, the Python, the data and the results at the same paths.
"""
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

from tfprune.experiment import UserError
from tfprune.sweep import nodes, tied
from tfprune.sweep.engine import Engine
from tfprune.sweep.machine import environment

LOST = 3  # how often a task is begun anew where its node or its worker died; this is no failure of its own
POLL = 0.2  # seconds between two looks at a process


@dataclass
class Ray(Engine):
    """Runs tasks on the nodes of a Ray cluster, with a GPU each where it has any.

    Args:
      jobs: tasks at once; None: as many as the nodes that are alive have room for.
      threads: of each; None: its share of the cores.
      address: as of `nodes.connected`. The others: as of `Engine`.
    """

    jobs: int | None = None
    threads: int | None = None
    address: str | None = None
    poll = POLL
    _ray: object = field(default=None, init=False)
    _devices: int = field(default=0, init=False)  # of each task
    _begin: object = field(default=None, init=False)

    def run(self, tasks):
        """Does what of the tasks is not done; returns the `State` of each."""
        with nodes.connected(self.address) as self._ray:
            self._divide(nodes.resources(self._ray))
            return super().run(tasks)

    def _divide(self, found):
        """Settles what each task gets of the nodes; UserError where none has as much."""
        cpus, devices = (sum(column) for column in zip(*found, strict=True))
        self._devices = min(devices, 1)
        self.threads = self.threads or nodes.share(found, self.jobs or devices or cpus, self._devices)
        if not nodes.room(found, self.threads, self._devices):
            most = max(number for number, gpus in found if gpus or not devices)
            raise UserError(f"--threads={self.threads}: no node of the Ray cluster has as many CPUs; expected at most {most}")
        self._begin = self._ray.remote(num_cpus=self.threads, num_gpus=self._devices, max_calls=1, max_retries=LOST)(work)

    def slots(self):
        """How many tasks may run at once: nodes come and go."""
        return self.jobs or nodes.room(nodes.resources(self._ray), self.threads, self._devices)

    def begin(self, state, slot):
        """(Ray's reference to a task's exit status, path of its log)"""
        log = os.path.abspath(state.task.log)
        return self._begin.remote(self.command(state.task), os.getcwd(), log, self.threads), log

    def outcome(self, begun):
        """The exit status of a task's command; None while it runs, 1 where Ray could not run it, which the log says then."""
        reference, log = begun
        if not self._ray.wait([reference], timeout=0)[0]:
            return None
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            reason = str(getattr(error, "cause", None) or error).strip().partition("\n")[0]
            with open(log, "a") as file:
                file.write(f"Ray could not run it: {reason or type(error).__name__}\n")
            return 1

    def leave(self, begun):
        """Has tasks' commands ended with SIGTERM, and waits for them."""
        references = [reference for reference, _ in begun]
        for reference in references:
            self._ray.cancel(reference, force=False)
        self._ray.wait(references, num_returns=len(references))
        return [-signal.SIGTERM] * len(references)


def work(command, folder, log, threads):
    """Runs a command in a folder, on this node; returns its exit status.

    It must not outlive this process: where a node is lost its raylet and workers die, Ray begins the task anew elsewhere, and an orphan
    would still hold the task's claim and write into the same run.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Ray cancels with it; a cluster started in the background ignores it
    with open(log, "ab") as said:
        process = subprocess.Popen([sys.executable, "-I", tied.__file__, str(os.getpid()), *command], cwd=folder,
                                   stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, env=environment(0, threads, ()),
                                   start_new_session=True)
    try:
        while process.poll() is None:  # Ray's cancelling interrupts Python, not a system call
            time.sleep(POLL)
    finally:
        process.terminate()
        process.wait()
    return process.returncode
