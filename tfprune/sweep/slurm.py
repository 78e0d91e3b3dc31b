"""The Slurm engine: a script for sbatch, an array whose elements run the tasks that are not done."""
import hashlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass

from tfprune.experiment import UserError
from tfprune.files import writable_folder, write
from tfprune.sweep.machine import limits

NOTICE = 120  # seconds before the time limit; Slurm may be 60 earlier
LEAST_MINUTES = 5
TIME = re.compile(r"(?:(\d{1,3})-)?(\d{1,3}):([0-5]\d):([0-5]\d)", re.ASCII)
THREADS = 4
PLAIN = re.compile(r"[\w./+=@:,-]+", re.ASCII)  # what needs no quotes in a line for sbatch, where a % stands for something
OURS = {"array": "--throttle and --array_size", "signal": "", "requeue": "", "no-requeue": "", "chdir": "", "wrap": "",
        "time": "--time_limit", "cpus-per-task": "--threads"}
BODY = pathlib.Path(__file__).with_name("slurm.sh")


@dataclass(frozen=True)
class Request:
    """What is asked of Slurm.

    Attributes:
      throttle: elements of the array that run at once. array_size: its most elements; with more tasks each does several in turn.
      gpus: of each element. threads: of each. time_limit: of each, as HH:MM:SS or D-HH:MM:SS, or None for the cluster's.
      lines: further options for sbatch. retry: how often a failed task is tried again.
    """

    throttle: int = 64
    array_size: int = 1000
    gpus: int = 1
    threads: int = THREADS
    time_limit: str | None = None
    lines: tuple = ()
    retry: int = 0

    def check(self, overwrite=False):
        """UserError, naming the flag, where the time limit or an option for sbatch cannot be, or what is done should be done again."""
        if overwrite:
            raise UserError("--overwrite: a requeued task would begin anew each time; remove its folder, or give another --results_dir")
        if self.time_limit is not None:
            found = TIME.fullmatch(self.time_limit)
            days, hours, minutes, _ = map(int, found.groups("0")) if found else (0, 0, 0, 0)
            if (days * 24 + hours) * 60 + minutes < LEAST_MINUTES:
                raise UserError(f"--time_limit={self.time_limit}: expected HH:MM:SS or D-HH:MM:SS, from 00:0{LEAST_MINUTES}:00 "
                                "(2 to 3 minutes of it are for saving)")
        for line in self.lines:
            if not re.fullmatch(r"--[a-z].*", line) or not line.isprintable() or re.search(r"\s-", line):  # Slurm reads many in a line
                raise UserError(f"--sbatch={line}: expected one of sbatch's long options, such as --sbatch=--partition=gpu")
            if _option(line) in OURS:
                instead = OURS[_option(line)]
                raise UserError(f"--sbatch={line}: the sweep sets this itself" + (f"; give {instead}" if instead else ""))


def script(tasks, command, request):
    """The text of the script that does tasks; paths in it are as seen from the folder where it was made."""
    words = [command(task) for task in tasks]
    first = os.path.commonprefix(words)
    words = [each[len(first):] for each in words]
    last = os.path.commonprefix([each[::-1] for each in words])[::-1]
    elements = min(len(tasks), request.array_size)
    return "\n".join([
        "#!/bin/bash", *(f"#SBATCH {option}" for option in _options(tasks, elements, request)), "",
        f"cd -- {shlex.quote(os.getcwd())} || exit 1",
        *(f"export {name}={value}" for name, value in limits(request.threads).items()),
        *(["export CUDA_VISIBLE_DEVICES="] if not _wants_gpus(request) else []),
        f"tasks={len(tasks)} elements={elements} retry={request.retry}",
        "# The command of every task; what is its own stands between the two.",
        f"first=({shlex.join(first)})", f"last=({shlex.join(last)})", "",
        "task_number() {", "    case $1 in",
        *(f"        {number}) task {shlex.join([task.label, str(task.log), *each[:len(each) - len(last)]])} ;;"
          for number, (task, each) in enumerate(zip(tasks, words, strict=True))),
        "    esac", "}", "", BODY.read_text()])


def run(tasks, command, request, submit):
    """Writes the script to `<results_dir>/sweep/slurm/<hash8>.sbatch`; returns words on what to do with it, or what sbatch said of it.

    UserError where the script cannot be written, there is no sbatch, or it fails.
    """
    if submit and shutil.which("sbatch") is None:
        raise UserError("--submit: there is no sbatch here; run this where jobs are submitted, or leave --submit out for the script alone")
    text = script(tasks, command, request)
    folder = _folder(tasks)
    for needed in {folder, *(task.log.parent for task in tasks)}:
        writable_folder(needed, "--results_dir")
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:8]}.sbatch"
    write(path, text)
    words = ["sbatch", str(path)]
    if not submit:
        return f"submit the script with: {shlex.join(words)}"
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        raise UserError(f"--submit: sbatch failed with exit status {done.returncode}: {done.stderr or done.stdout} ({path})")
    return f"{path}\n{done.stdout.strip()}"


def _options(tasks, elements, request):
    output = f"{_folder(tasks)}/%A_%a.out"
    return [
        "--job-name=tfprune", f"--array=0-{elements - 1}%{request.throttle}", "--nodes=1", "--ntasks=1",
        f"--cpus-per-task={request.threads}",
        *([f"--gres=gpu:{request.gpus}"] if request.gpus and not _asks_for_gpus(request.lines) else []),
        *([f"--time={request.time_limit}"] if request.time_limit else []),
        f"--signal=B:USR1@{NOTICE}", "--requeue", "--open-mode=append",
        *([f"--output={output}"] if PLAIN.fullmatch(str(_folder(tasks))) else []),  # else sbatch's own: slurm-*.out where it is called
        *request.lines]


def _wants_gpus(request):
    return request.gpus > 0 or _asks_for_gpus(request.lines)


def _asks_for_gpus(lines):
    return any(_option(line) == "gres" or _option(line).startswith("gpus") for line in lines)


def _folder(tasks):
    return pathlib.Path(os.path.abspath(tasks[0].run.results_dir)) / "sweep" / "slurm"


def _option(line):
    """The name of an option: `gres` of `--gres=gpu:a100:1`."""
    return re.split(r"[=\s]", line[2:], maxsplit=1)[0]
