"""What `soak.py` checks in the end: that the results are those of sweeps which nothing had disturbed."""
import csv
import json
import re
import time
from collections import Counter

from tfprune.experiment import UserError

KINDS = ("redundancy", "robustness")
TEMPORARY = re.compile(r"\.part|_temp$|\.probe|\.tmp|\.before$|\.tempstate|~$")
WITH_TIMES = ("provenance.json", "checkpoint")  # `checkpoint` is TensorFlow's own list, with times
PATIENCE = 60  # seconds, for a task that outlived its sweep and has nothing left to do


def problems(test, sample, reference, again, processes):
    """{what must not be: a list of what is so} of a `Soak` that has ended.

    Args:
      test: the `Soak`. sample: seeds that were run without disturbance too, below `reference`.
      again: log of one more sweep, after the end.
      processes: as `soak.processes`.
    """
    return {"runs lost: a stage not done": [run.path.name for run in test.runs if not complete(run)],
            "stages done more than once": [f"{path}: {len(times)} times" for path, times in test.finished.items() if len(times) != 1]
            + [line for run in test.runs for line in said_twice(run)],
            "rows of tables missing or doubled": rows_amiss(test),
            "temporary files left": temporary(test.results) + temporary(test.data),
            "files that undisturbed runs have not, or have and these not": foreign(test.runs, named_files(reference, sample)),
            f"files other than those of an undisturbed run, of {len(sample)} runs": different(test, sample, reference),
            "processes left": left(test.results, processes),
            "tasks that one more sweep finds to do": unfinished(again, len(test.runs))}


def complete(run):
    """Do all of a run's stages stand, and its tables?"""
    try:
        return all(run.done(stage) for stage in ("train", "get_activations", "get_redundancy", "get_robustness")) and all(
            map(run.exported, KINDS))
    except UserError:
        return False


def log(run):
    """What the processes of a run's task have said."""
    return (run.results_dir / "sweep" / run.experiment.family / f"{run.experiment.name}.log").read_text()


def said_twice(run):
    """Stages of which the log of a run says more than once that they were done."""
    said = Counter(re.findall(r" (\w+): done \(", log(run)))
    return [f"{run.path.name}: {stage} said {number} times" for stage, number in said.items() if number > 1]


def rows_amiss(test):
    """Tables whose rows are not each there once: the table that all runs share, and each run's own."""
    path = test.results / "csv" / "hidden_networks" / "results.csv"
    named = Counter(row[2] for row in csv.reader(path.open(), skipinitialspace=True))
    found = [f"{path}: {named[run.experiment.name]} rows of {run.experiment.name}" for run in test.runs if named[run.experiment.name] != 1]
    found += [f"{path}: {sum(named.values())} lines"] * (sum(named.values()) != len(test.runs) + 1)
    for kind in KINDS:
        lengths = Counter()
        for run in test.runs:
            rows = run.csv(kind).read_text().splitlines() if run.csv(kind).exists() else []
            lengths[len(rows)] += 1
            if len(rows) < 2 or len(set(rows)) != len(rows):
                found.append(f"{run.csv(kind)}: {len(rows)} rows, {len(set(rows))} different ones")
        found += [f"{kind} tables have {sorted(lengths)} rows"] * (len(lengths) > 1)
    return found


def temporary(folder):
    """What is there only while something is written."""
    return [str(path) for path in folder.rglob("*") if TEMPORARY.search(path.name)]


def names(folder):
    """Names of a run's files in it, TensorBoard's aside: each start of a process begins one of these."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != "tb"}


def named_files(reference, sample):
    """The `names` of any undisturbed run: they are the same for all, the numbers of the best epochs aside."""
    return {without_numbers(name) for path in reference.glob("laptop/*") for name in names(path)}


def without_numbers(name):
    """A file's name without the number of its checkpoint."""
    return re.sub(r"(best|last)-\d+", r"\1", name)


def foreign(runs, expected):
    """Files that only one side has."""
    return [f"{run.path.name}: {name}" for run in runs for name in sorted({without_numbers(name) for name in names(run.path)} ^ expected)]


def different(test, sample, reference):
    """Files of the sampled runs, their tables included, whose content is not that of the undisturbed run."""
    found = []
    for run in (test.runs[seed] for seed in sample):
        files = [run.path / name for name in names(run.path) if not name.endswith(WITH_TIMES)] + [run.csv(kind) for kind in KINDS]
        for path in files:
            other = reference / path.relative_to(test.results)
            if not (path.exists() and other.exists() and timeless(path) == timeless(other)):
                found.append(str(path))
    return found


def timeless(path):
    """The content of a file without times."""
    if path.name != "metrics.jsonl":
        return path.read_bytes()
    return [{key: value for key, value in json.loads(line).items() if key not in ("seconds", "images_per_second")}
            for line in path.read_text().splitlines()]


def left(results, processes):
    """Command lines of processes that still work there, a while after the end."""
    end = time.monotonic() + PATIENCE
    while processes(results) and time.monotonic() < end:
        time.sleep(0.2)
    return [" ".join(words) for words in processes(results).values()]


def unfinished(log, runs):
    """Anything but that all was done before."""
    text = log.read_text()
    return [] if f"sweep: {runs} of {runs} done; {runs} of them before" in text else [text[-300:]]
