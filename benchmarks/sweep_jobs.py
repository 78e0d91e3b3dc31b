"""How much sooner a sweep ends with two jobs than with one, what its engine costs, and how long 3,000 finished runs take to be skipped.

    python benchmarks/sweep_jobs.py [--repeats=3] [--runs=8] [--finished=3000] [--set=hyper.max_num_epochs=2 ...]

Eight equal runs, experiment 9003 with seeds 0 to 7, one thread each, into fresh folders: with --jobs=1 and --jobs=2 in turn; the ratio is
that of the medians. Each task is a process of its own, so that nothing in it waits for another; what the ratio has above a half is what
the two cores of a machine take from each other, which the CPU time of the tasks shows, and the end, where one may be idle. The engine's
CPU time is its own process's, without that of the tasks.

Before that as many finished runs as asked for are made up, of five stages and with as many files as real ones have, and `sweep.py` is
given all of them; its whole time counts, the start of Python included, the median of five.
Seen on two idle cores: ratio 0.54, the engine below 1 % of a core, 3,000 runs skipped in 0.99 seconds, 0.3 of which are
Python's and the registry's start.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from experiments import REGISTRY  # noqa: E402
from tfprune import flags  # noqa: E402
from tfprune.files import sha256  # noqa: E402
from tfprune.run import Run  # noqa: E402

EXPERIMENT, FIRST = 9003, 247  # of the sweep; of the runs that are made up
STAGES = "train,get_activations,get_redundancy,get_robustness,pkl2csv"
FILES = {"train": 6, "get_activations": 18, "get_redundancy": 15, "get_robustness": 6}  # of a run of three crosses
MADE_FROM = {"train": (), "get_activations": ("train",), "get_redundancy": ("get_activations",),
             "get_robustness": ("train", "get_redundancy")}
TICKS = os.sysconf("SC_CLK_TCK")


def start(*flags):
    """A sweep as a subprocess."""
    return subprocess.Popen([sys.executable, "sweep.py", *map(str, flags)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True)


def swept(folder, jobs, runs, settings):
    """(seconds, CPU seconds of the tasks, of the engine's process) of a sweep into an empty folder; exits where it does not end well."""
    started = time.perf_counter()
    process = start(f"--experiment_id={EXPERIMENT}", f"--seeds=0-{runs - 1}", f"--jobs={jobs}", "--threads=1",
                    f"--results_dir={folder / 'results'}", f"--data_dir={folder.parent / 'datasets'}", *settings)
    own = tasks = 0.0
    while process.poll() is None:
        own, tasks = cpu_seconds(process.pid) or (own, tasks)
        time.sleep(0.02)
    seconds = time.perf_counter() - started
    if process.returncode:
        sys.exit(f"the sweep ended with {process.returncode}: {process.stdout.read()}")
    return seconds, tasks, own


def cpu_seconds(pid):
    """CPU seconds of a process itself, and of its children that have ended; in the other order None where it has ended itself."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (sum(map(int, fields[11:13])) / TICKS, sum(map(int, fields[13:15])) / TICKS) if fields[0] != "Z" else None


def compare(folder, args):
    """Prints the ratio of the times with two jobs and with one."""
    settings, times = [f"--set={setting}" for setting in args.set], {1: [], 2: []}
    swept(folder / "first", 1, 1, settings)  # makes the records, and brings TensorFlow from the disk
    for repeat in range(args.repeats):
        for jobs in (1, 2) if repeat % 2 == 0 else (2, 1):
            times[jobs].append(swept(folder / f"{repeat}-{jobs}", jobs, args.runs, settings))
            seconds, tasks, own = times[jobs][-1]
            print(f"--jobs={jobs}: {seconds:.1f} s, CPU time of the tasks {tasks:.1f} s, of the engine {own:.2f} s "
                  f"({own / seconds:.2%} of a core)", flush=True)
    one, two = (statistics.median(seconds for seconds, _, _ in times[jobs]) for jobs in (1, 2))
    cpu = [statistics.median(tasks for _, tasks, _ in times[jobs]) for jobs in (1, 2)]
    print(f"{args.runs} runs: {one:.1f} s with one job, {two:.1f} s with two, ratio {two / one:.3f} "
          f"(of the CPU time of the tasks {cpu[1] / cpu[0]:.3f})")


def make_up(results, number):
    """Finished runs that nobody has trained: the markers, tables and as many files as real ones have, without content."""
    for run in (Run(REGISTRY[identity], results) for identity in range(FIRST, FIRST + number)):
        run.path.mkdir(parents=True)
        for stage, files in FILES.items():
            names = [f"{stage}{file}" for file in range(files)]
            for name in names:
                (run.path / name).touch()
            made_from = {run.marker(source).name: sha256(run.marker(source)) for source in MADE_FROM[stage]}
            run.marker(stage).write_text(json.dumps({
                "stage": stage, "settings": run._settings(stage), "result": {}, "records": None, "made_from": made_from,
                "files": dict.fromkeys(names, "0" * 64)}, indent=1))
        for kind in ("redundancy", "robustness"):
            run.csv(kind).parent.mkdir(parents=True, exist_ok=True)
            run.csv(kind).touch()


def skip(folder, number):
    """Prints how long a sweep takes that finds all done."""
    results, times = folder / "made_up", []
    make_up(results, number)
    ids = f"--experiment_ids={FIRST}-{FIRST + number - 1}"
    for _ in range(5):
        started = time.perf_counter()
        said, _ = start(ids, f"--stages={STAGES}", f"--results_dir={results}").communicate()
        times.append(time.perf_counter() - started)
        if f"{number} of them before" not in said:
            sys.exit(f"not all were skipped: {said}")
    print(f"{number} finished runs of 5 stages are skipped in {statistics.median(times):.2f} s, {min(times):.2f} s at least")


def main():
    parser = flags.Parser(__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="sweeps of each kind; 0 leaves them out (default 3)")
    parser.add_argument("--runs", type=int, default=8, help="of each sweep (default 8)")
    parser.add_argument("--finished", type=int, default=3000, help="finished runs to skip; 0 leaves that out (default 3000)")
    parser.add_argument("--set", action="append", default=[], help="as of sweep.py, for shorter runs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sweep_jobs") as folder:
        if args.finished:
            skip(pathlib.Path(folder), args.finished)
        if args.repeats:
            compare(pathlib.Path(folder), args)


if __name__ == "__main__":
    main()
