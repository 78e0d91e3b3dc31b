"""What a sweep shows while it runs, and what it says in the end."""
import sys
import time
from collections import Counter

from tfprune.progress import say

WORDS = ("done", "failed", "stopped", "running", "elsewhere", "waiting")
SECONDS = 1.0  # between two pictures on a terminal


class Display:
    """A table that is drawn anew on a terminal; in a log a line for each task that ends."""

    def __init__(self, stream=None):
        self._stream = stream or sys.stdout
        self._live, self._lines, self._drawn, self._said, self._started = self._stream.isatty(), 0, 0.0, {}, time.monotonic()

    def __call__(self, states):
        now = time.monotonic()
        if self._live:
            if now - self._drawn >= SECONDS or not any(state.word == "running" for state in states):
                self._draw(states, now)
            return
        for number, state in enumerate(states):
            if state.word != self._said.get(number) and state.word in ("done", "failed", "running", "elsewhere") and not state.skipped:
                say(f"sweep: {state.task.label}: {state.word}{_how(state, now)}; {summary(states)}", self._stream)
            self._said[number] = state.word

    def _draw(self, states, now):
        running = [f"  {state.task.label}: running{_how(state, now)}" for state in states if state.word == "running"]
        lines = [f"{summary(states)}{self._left(states, now)}", *running]
        back = f"\x1b[{self._lines}F\x1b[J" if self._lines else ""
        self._stream.write(back + "\n".join(lines) + "\n")
        self._stream.flush()
        self._lines, self._drawn = len(lines), now

    def _left(self, states, now):
        """In words: how long the rest will take, at the pace so far."""
        ended = sum(state.word in ("done", "failed") and not state.skipped for state in states)
        rest = sum(state.word in ("waiting", "running", "elsewhere") for state in states)
        return f"; some {duration((now - self._started) / ended * rest)} left" if ended and rest else ""


def summary(states):
    """How many tasks are where, in words: `12 of 60 done, 1 failed, 2 running`."""
    counts = Counter(state.word for state in states)
    return ", ".join([f"{counts['done']} of {len(states)} done", *(f"{counts[word]} {word}" for word in WORDS[1:] if counts[word])])


def last_words(states):
    """The lines that a sweep ends with: what failed, with the last line of its log, and how it went as a whole."""
    lines = []
    for state in states:
        if state.word == "failed":
            lines.append(f"failed: {state.task.label}, exit status {state.status}, {state.tries} time(s): {_last_line(state.task.log)} "
                         f"({state.task.log})")
        elif state.word != "done":
            lines.append(f"{'stopped' if state.word == 'stopped' else 'not begun'}: {state.task.label}; the next sweep goes on with it")
    before = sum(state.skipped for state in states)
    return [*lines, f"sweep: {summary(states)}" + (f"; {before} of them before" if before else "")]


def duration(seconds):
    """`1:02:03`, or `2:03` below an hour."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _how(state, now):
    if state.word == "running":
        return f" for {duration(now - state.started)}" + (f", try {state.tries}" if state.tries > 1 else "")
    if not state.seconds:
        return ""
    return f" after {duration(state.seconds)}" + (f", exit status {state.status}" if state.word == "failed" else "")


def _last_line(path):
    try:
        with open(path, "rb") as log:
            log.seek(max(0, path.stat().st_size - 4000))
            lines = log.read().decode(errors="replace").split("\n")
    except OSError:
        return "no log"
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "nothing said")
