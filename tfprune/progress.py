"""Progress of long work: a bar with the remaining time on a terminal, silence in a log (stages print a line of their own)."""
import sys


def track(iterable, total=None, label=""):
    """Yields from `iterable`; on a terminal a bar with ETA shows after half a second and vanishes at the end."""
    from tqdm import tqdm  # here, as it takes longer to import than --help to answer

    return tqdm(iterable, total=total, desc=label, file=sys.stderr, disable=not sys.stderr.isatty(), delay=0.5, leave=False)


def say(text, stream=None):
    """One line for people, at once, on stdout or another stream (tqdm keeps a running bar intact)."""
    from tqdm import tqdm

    tqdm.write(text, file=stream or sys.stdout)
    (stream or sys.stdout).flush()
