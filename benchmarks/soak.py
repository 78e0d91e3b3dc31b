"""A soak test: two sweeps over the same runs, whose processes are killed at random moments. Nothing may be lost, doubled or left over.

    python benchmarks/soak.py --runs=60 --kills=30 [--seed=0] [--references=6] [--folder=...]

Each run is a supermask of one seed, trained and measured: stages train, get_activations, get_redundancy, get_robustness and pkl2csv, and a
row in the table that all runs of its study share. Two `sweep.py` of two jobs each work on all of them at once. SIGKILL meets, as drawn from
the seed, one task's process; a sweep, whose tasks then live on without it; or a sweep with its tasks. A killed sweep is started again. The
kills are spread over the work. In the end everything is checked (`soak_checks.py`); some seeds, those first whose runs were killed, are run
once more without any disturbance, to compare all files bit for bit. The exit status is 0 only if all of it holds.
Expected: `all of it holds`. Some 20 seconds of CPU time a run.
"""
import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import soak_checks  # noqa: E402
from experiments import REGISTRY  # noqa: E402
from tfprune import flags, override  # noqa: E402
from tfprune.run import Run  # noqa: E402

EXPERIMENT = 9012
SETTINGS = ("dataset.limit=100", "hyper.max_num_epochs=2", "measure.crosses=1", "measure.amounts=2")
MARKED = ("train", "get_activations", "get_redundancy", "get_robustness")  # stages with a done marker
POLL = 0.1  # seconds; no stage is done twice in less
DELAY = 5.0  # seconds at most, from the moment that a kill is due: stages end at all moments of each other's


def sweep(results, data, seeds, log, retry=0):
    """Starts a sweep over these seeds, in which a task may be killed so many times."""
    words = [sys.executable, "sweep.py", f"--experiment_ids={EXPERIMENT}", f"--seeds={','.join(map(str, seeds))}",
             "--jobs=2", "--threads=1", f"--stages={','.join(MARKED)},pkl2csv", f"--retry={retry}", f"--results_dir={results}",
             f"--data_dir={data}", *(f"--set={setting}" for setting in SETTINGS)]
    with open(log, "a") as file:
        return subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)


def processes(results):
    """{process: its command line} of the sweeps and tasks in a results folder."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0") if entry.name.isdecimal() else []
        except OSError:  # it has ended
            continue
        if f"--results_dir={results}" in words:
            found[int(entry.name)] = words
    return found


class Soak:
    """Two sweeps, who kills their processes, and who counts how often each stage of each run was finished."""

    def __init__(self, folder, runs, kills, seed):
        self.results, self.data, self.log = folder / "results", folder / "datasets", folder / "sweeps.log"
        self.draw, self.seeds, self.kills = random.Random(seed), range(runs), kills
        self.runs = [Run(override(REGISTRY[EXPERIMENT], SETTINGS, seed=number), self.results) for number in self.seeds]
        self.finished = {run.marker(stage): set() for run in self.runs for stage in MARKED}  # when: more than once where it was done twice
        # a kill is due when so many of the markers are there, and a while after that
        self.last = len(self.finished) - len(MARKED)
        self.due = sorted(self.draw.uniform(0, self.last) for _ in range(kills))
        self.faults, self.killed, self.restarts = Counter(), [], 0

    def run(self):
        """Works until both sweeps have ended well; a sweep that ends otherwise without having been killed ends the test."""
        sweeps = [self._start() for _ in range(2)]
        while any(process.poll() is None for process in sweeps):
            time.sleep(POLL)
            done = self._count()
            if self.due and done >= self.due[0]:
                del self.due[0]
                self._wait(self.draw.uniform(0, DELAY))
                self._kill(sweeps)
            for number, process in enumerate(sweeps):
                if process.poll() == -signal.SIGKILL:
                    sweeps[number], self.restarts = self._start(), self.restarts + 1
                elif process.poll():
                    sys.exit(f"a sweep ended with exit status {process.returncode}: see {self.log}")
        self._count()

    def _start(self):
        return sweep(self.results, self.data, self.seeds, self.log, self.kills)

    def _wait(self, seconds):
        """So long, but not until too little is left to be killed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._count() < self.last:
            time.sleep(POLL)

    def _count(self):
        """Notes which markers are there, and from when; returns how many."""
        for path, times in self.finished.items():
            try:
                times.add(path.stat().st_mtime_ns)
            except OSError:
                continue
        return sum(bool(times) for times in self.finished.values())

    def _kill(self, sweeps):
        """One fault, of a kind that is possible now."""
        alive = [process.pid for process in sweeps if process.poll() is None]
        tasks = {pid: words for pid, words in processes(self.results).items() if "--engine=here" in words}
        kinds = ["task"] * bool(tasks) + ["sweep", "sweep and its tasks"] * bool(alive)
        if not kinds:
            return
        kind = self.draw.choice(kinds)
        victims = [self.draw.choice(sorted(tasks) if kind == "task" else alive)]
        if kind == "sweep and its tasks":
            victims += [pid for pid in tasks if parent(pid) == victims[0]]
        for pid in victims:
            if pid in tasks:
                self.killed.append(int(next(word for word in tasks[pid] if word.startswith("--seed=")).removeprefix("--seed=")))
            kill(pid)
        self.faults[kind] += 1


def kill(pid):
    """SIGKILL, unless it has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def parent(pid):
    """The process that started this one; None where it has ended."""
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def main():
    parser = flags.Parser(__doc__)
    parser.add_argument("--runs", type=int, default=60, help="seeds 0 to so many (default 60)")
    parser.add_argument("--kills", type=int, default=30, help="faults (default 30)")
    parser.add_argument("--seed", type=int, default=0, help="of what is killed when (default 0)")
    parser.add_argument("--references", type=int, default=6, help="runs whose files are compared with undisturbed ones' (default 6)")
    parser.add_argument("--folder", help="a new one, which is kept (default: a temporary one)")
    args = parser.parse_args()
    if args.runs < 1 or min(args.kills, args.references) < 0:
        parser.error(f"--runs={args.runs} --kills={args.kills} --references={args.references}: expected one run or more, and none below 0")
    if args.folder and pathlib.Path(args.folder).exists():
        parser.error(f"--folder={args.folder}: is there; give a new one")
    with tempfile.TemporaryDirectory(prefix="soak") as temporary:
        folder = pathlib.Path(args.folder or temporary).resolve()
        folder.mkdir(exist_ok=True, parents=True)
        sys.exit(soak(folder, args))


def soak(folder, args):
    """The exit status."""
    test, started = Soak(folder, args.runs, args.kills, args.seed), time.monotonic()
    try:
        test.run()
        seconds = time.monotonic() - started
        sample = list(dict.fromkeys([*test.killed, *test.seeds]))[:args.references]
        sweep(folder / "reference", test.data, sample, folder / "reference.log").wait()
        again = folder / "again.log"
        sweep(test.results, test.data, test.seeds, again).wait()
        problems = soak_checks.problems(test, sample, folder / "reference", again, processes)
        problems["faults that were not tried, for all was done before"] = [""] * (args.kills - sum(test.faults.values()))
    finally:
        for pid in [*processes(test.results), *processes(folder / "reference")]:
            kill(pid)
    print(f"{args.runs} runs, {len(test.finished) + args.runs} stages, {sum(test.faults.values())} faults, {seconds:.0f} s\n")
    for kind, number in sorted(test.faults.items()):
        print(f"  {number:4}  times SIGKILL to a {kind}")
    print(f"  {len(test.killed):4}  tasks killed in all, of {len(set(test.killed))} runs\n  {test.restarts:4}  sweeps started again\n")
    for what, found in problems.items():
        print(f"  {len(found):4}  {what}" + "".join(f"\n        {each}" for each in found[:5]))
    print("\nall of it holds" if not any(problems.values()) else "\nNOT all of it holds")
    return int(any(problems.values()))


if __name__ == "__main__":
    main()
