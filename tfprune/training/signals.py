"""SIGTERM as a request: the step at hand ends, the state is saved, and the process leaves with status 143."""
import signal


class Termination:
    """While the block runs, SIGTERM only asks to leave, which the work does at its next `leave_if_asked()`.

    Where it has come too late for that, the process leaves at the block's end, whose state is saved. Outside the main thread signals are
    left alone.

    Args:
      save: function that saves the state.
    """

    def __init__(self, save):
        self._save, self._asked, self._before = save, False, None

    def __enter__(self):
        try:
            self._before = signal.signal(signal.SIGTERM, self._ask)
        except ValueError:  # not the main thread
            self._before = None
        return self

    def leave_if_asked(self):
        """Saves and leaves with status 143, if SIGTERM has come."""
        if self._asked:
            self._save()
            raise SystemExit(143)

    def _ask(self, *_):
        self._asked = True

    def __exit__(self, kind, *_):
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
        if self._asked and kind is None:
            raise SystemExit(143)
