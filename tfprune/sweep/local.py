"""The local engine: a fresh process for each task, so many at once, each with its share of the machine."""
import contextlib
import signal
import subprocess
import time
from dataclasses import dataclass, field

from tfprune.files import writable_folder
from tfprune.sweep.machine import environment

REFUSED = 2  # exit status of what the user has to mend: done again it would be refused again
ELSEWHERE = 75  # exit status of a process that finds its task claimed
POLL = 0.05  # seconds


@dataclass
class State:
    """Where a task stands: "waiting", "running", "elsewhere" (another sweep has it), "done", "failed", "stopped" (with this sweep)."""

    task: object
    word: str = "waiting"
    tries: int = 0
    started: float = 0.0
    seconds: float = 0.0
    status: int = 0  # exit status of its last process
    skipped: bool = False  # it was done before


@dataclass
class Local:
    """Runs tasks.

    Args:
      command: function of a `Task`: the command that does it, a list of words.
      jobs: tasks at once. threads: of each. devices: as of `machine.gpus`. again: whether what is done is done again.
      retry: how often a failed task is tried again. fail_fast: whether the first failure ends all.
      show: called with the list of all `State`s, often.
    """

    command: object
    jobs: int = 1
    threads: int = 1
    devices: tuple = ()
    retry: int = 0
    fail_fast: bool = False
    again: bool = False
    show: object = print
    _running: dict = field(default_factory=dict)  # slot: (process, `State`)

    def run(self, tasks):
        """Does what of the tasks is not done; returns the `State` of each."""
        states = [State(task) for task in tasks]
        for state in states:
            if not self.again and state.task.finished():
                state.word, state.skipped = "done", True
        with self._ending():
            while self._more(states):
                self._start(states)
                self.show(states)
                time.sleep(POLL)
                self._collect()
        self.show(states)
        return states

    def _more(self, states):
        if self.fail_fast and any(state.word == "failed" for state in states):
            return False
        return any(state.word in ("waiting", "running", "elsewhere") for state in states)

    def _start(self, states):
        """Fills free slots: with waiting tasks first, then with those that another sweep has let go of."""
        for slot in set(range(self.jobs)) - self._running.keys():
            state = next((state for state in states if state.word == "waiting"), None) or next(
                (state for state in states if state.word == "elsewhere" and self._let_go(state)), None)
            if state is None or state.word == "done":
                return
            state.word, state.tries, state.started = "running", state.tries + 1, time.monotonic()
            writable_folder(state.task.log.parent, "--results_dir")
            with open(state.task.log, "ab") as log:
                process = subprocess.Popen(self.command(state.task), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                           env=environment(slot, self.threads, self.devices), start_new_session=True)
            self._running[slot] = process, state

    def _let_go(self, state):
        """Is a task of another sweep free? One that was finished there is done."""
        if state.task.is_claimed():
            return False
        if not self.again and state.task.finished():
            state.word, state.skipped = "done", True
        return True

    def _collect(self):
        """Takes note of processes that have ended."""
        for slot, (process, state) in list(self._running.items()):
            if process.poll() is None:
                continue
            del self._running[slot]
            state.status, state.seconds = process.returncode, time.monotonic() - state.started
            if state.status == 0:
                state.word = "done"
            elif state.status == ELSEWHERE:
                state.word, state.tries = "elsewhere", state.tries - 1
            elif state.tries <= self.retry and state.status != REFUSED:
                state.word = "waiting"
            else:
                state.word = "failed"

    @contextlib.contextmanager
    def _ending(self):
        """Lets no process outlive the engine: however it ends they are asked to save and leave, and waited for."""
        before = signal.signal(signal.SIGTERM, _leave)
        try:
            yield
        finally:
            for process, _ in self._running.values():
                process.terminate()
            for process, state in self._running.values():
                process.wait()
                state.word, state.status = "stopped", process.returncode
            signal.signal(signal.SIGTERM, before)


def _leave(*_):
    raise SystemExit(143)
