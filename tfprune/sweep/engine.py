"""What engines that run tasks from here have in common: who waits, who runs, what is tried again, and how all of it ends."""
import contextlib
import signal
import time
from dataclasses import KW_ONLY, dataclass, field

from tfprune.files import writable_folder

REFUSED = 2  # exit status of what the user has to mend: done again it would be refused again
ELSEWHERE = 75  # exit status of a process that finds its task claimed


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
class Engine:
    """Runs tasks; where and how says a class of its own, with `slots`, `begin`, `outcome` and `leave`.

    Args:
      command: function of a `Task`: the command that does it, a list of words.
      retry: how often a failed task is tried again. fail_fast: whether the first failure ends all.
      again: whether what is done is done again.
      show: called with the list of all `State`s, often.
    """

    command: object
    _: KW_ONLY
    retry: int = 0
    fail_fast: bool = False
    again: bool = False
    show: object = print
    _running: dict = field(default_factory=dict, init=False)  # slot: (what `begin` gave, `State`)
    poll = 0.1  # seconds between two looks at what runs; with thousands of tasks a look takes half a millisecond

    def slots(self):
        """How many tasks may run at once, now."""
        raise NotImplementedError

    def begin(self, state, slot):
        """Starts a task in a slot, a number below `slots`; returns whatever `outcome` and `leave` know it by."""
        raise NotImplementedError

    def outcome(self, begun):
        """The exit status of a task's command; None while it runs."""
        raise NotImplementedError

    def leave(self, begun):
        """Asks all tasks of a list to save and end, and waits until they have; returns their exit statuses."""
        raise NotImplementedError

    def run(self, tasks):
        """Does what of the tasks is not done; returns the `State` of each."""
        states = [State(task) for task in tasks]
        for state in states:
            self._skip_finished(state)
        with self._ending():
            while self._more(states):
                self._start(states)
                self.show(states)
                time.sleep(self.poll)
                self._collect()
        self.show(states)
        return states

    def _more(self, states):
        if self.fail_fast and any(state.word == "failed" for state in states):
            return False
        return any(state.word in ("waiting", "running", "elsewhere") for state in states)

    def _start(self, states):
        """Fills free slots: with waiting tasks first, then with those that another sweep has let go of."""
        for slot in set(range(self.slots())) - self._running.keys():
            state = next((state for state in states if state.word == "waiting" and not self._skip_finished(state)), None) or next(
                (state for state in states if state.word == "elsewhere" and self._let_go(state)), None)
            if state is None or state.word == "done":
                return
            state.word, state.tries, state.started = "running", state.tries + 1, time.monotonic()
            writable_folder(state.task.log.parent, "--results_dir")
            self._running[slot] = self.begin(state, slot), state

    def _let_go(self, state):
        """Is a task of another sweep free? One that was finished there is done."""
        if state.task.is_claimed():
            return False
        self._skip_finished(state)
        return True

    def _skip_finished(self, state):
        """Is a task done already, here before or by another sweep since? It is not begun then."""
        if not self.again and state.task.finished():
            state.word, state.skipped = "done", True
        return state.skipped

    def _collect(self):
        """Takes note of tasks whose command has ended."""
        for slot, (begun, state) in list(self._running.items()):
            status = self.outcome(begun)
            if status is None:
                continue
            del self._running[slot]
            state.status, state.seconds = status, time.monotonic() - state.started
            if status == 0:
                state.word = "done"
            elif status == ELSEWHERE:
                state.word, state.tries = "elsewhere", state.tries - 1
            elif state.tries <= self.retry and status != REFUSED:
                state.word = "waiting"
            else:
                state.word = "failed"

    @contextlib.contextmanager
    def _ending(self):
        """Lets no task outlive the engine: however it ends they are asked to save and leave, and waited for."""
        before = signal.signal(signal.SIGTERM, _leave)
        try:
            yield
        finally:
            begun = [begun for begun, _ in self._running.values()]
            for (_, state), status in zip(self._running.values(), self.leave(begun) if begun else [], strict=True):
                state.word, state.status = "stopped", status
            signal.signal(signal.SIGTERM, before)


def _leave(*_):
    raise SystemExit(143)
