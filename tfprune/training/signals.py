"""SIGTERM as a request: the step at hand ends, the state is saved, and the process leaves with status 143."""
import signal


class Termination:
    """While the block runs, SIGTERM only sets `asked`; outside the main thread signals are left alone."""

    def __enter__(self):
        self.asked = False
        try:
            self._before = signal.signal(signal.SIGTERM, self._ask)
        except ValueError:  # not the main thread
            self._before = None
        return self

    def _ask(self, *_):
        self.asked = True

    def __exit__(self, *_):
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
