"""The local engine: a fresh process for each task, so many at once, each with its share of the machine."""
import subprocess
from dataclasses import dataclass

from tfprune.sweep.engine import Engine
from tfprune.sweep.machine import environment


@dataclass(kw_only=True)
class Local(Engine):
    """Runs tasks on this machine.

    Args:
      jobs: tasks at once. threads: of each. devices: as of `machine.gpus`. The others: as of `Engine`.
    """

    jobs: int = 1
    threads: int = 1
    devices: tuple = ()

    def slots(self):
        """How many tasks may run at once."""
        return self.jobs

    def begin(self, state, slot):
        """The process of a task."""
        with open(state.task.log, "ab") as log:
            return subprocess.Popen(self.command(state.task), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                    env=environment(slot, self.threads, self.devices), start_new_session=True)

    def outcome(self, begun):
        """The exit status of a process; None while it runs."""
        return begun.poll()

    def leave(self, begun):
        """Ends processes with SIGTERM, and waits for them."""
        for process in begun:
            process.terminate()
        return [process.wait() for process in begun]
