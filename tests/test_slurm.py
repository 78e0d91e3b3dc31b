"""The Slurm engine: its script, run as a cluster would run it, by a stand-in for sbatch that does the array's elements here."""
import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from experiments import REGISTRY
from tests.conftest import cli, ok, refused, script_environment
from tfprune import override
from tfprune.experiment import UserError
from tfprune.run import Run
from tfprune.sweep.slurm import Request, run, script
from tfprune.sweep.tasks import Stage, Task

# As Slurm does: the first #SBATCH lines, an element after the other, from another folder, its words to the file of --output.
SBATCH = """#!{python}
import os, re, subprocess, sys
options = dict(re.findall(r"^#SBATCH --([^=\\n]+)=?(.*)$", open(sys.argv[1]).read().split("\\n\\n")[0], re.M))
first, last = map(int, re.match(r"(\\d+)-(\\d+)%\\d+$", options["array"]).groups())
print("Submitted batch job 7")
for number in range(first, last + 1):
    environment = os.environ | dict(SLURM_ARRAY_JOB_ID="7", SLURM_ARRAY_TASK_ID=str(number))
    output = options.get("output", "slurm-%A_%a.out").replace("%A", "7").replace("%a", str(number))
    with open(output, "a") as said:
        subprocess.run(["bash", os.path.abspath(sys.argv[1])], cwd="/", env=environment, stdout=said, stderr=said)
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A folder of commands that stand in for a cluster's; scontrol writes what it is asked, sleep does not wait."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in {"sbatch": SBATCH.format(python=sys.executable), "scontrol": f'#!/bin/sh\necho "$@" >> {folder}/asked\n',
                       "sleep": f"#!/bin/sh\necho slept >> {folder}/asked\n"}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    return folder


def tasks_of(folder, number):
    return [Task(Run(override(REGISTRY[9002], seed=seed), folder), (Stage("train", lambda run, known: False),)) for seed in range(number)]


def python(code):
    """A command for any task: Python, with what the code calls `seed`."""
    return lambda task: [sys.executable, "-c", f"import os, signal, sys, time\nseed = {task.run.experiment.seed}\n{code}", "after"]


def element(path, number=0, **more):
    """Starts an element of a script's array."""
    known = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": str(number)} | more
    return subprocess.Popen(["bash", path], env=script_environment() | known, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def written(tasks, code, **asked):
    """Path of the script for tasks of such a code."""
    words = run(tasks, python(code), Request(**asked), submit=False)
    return shlex.split(words.partition(": ")[2])[1]


def test_what_slurm_is_asked_for(tmp_path):
    tasks = tasks_of(tmp_path, 60)
    text = script(tasks, python("pass"), Request(gpus=2, threads=3, time_limit="1-02:00:00", lines=("--partition=gpu", "--mem=16G")))
    lines = text.split("\n")
    assert lines[:14] == ["#!/bin/bash", *(f"#SBATCH --{option}" for option in (
        "job-name=tfprune", "array=0-59%64", "nodes=1", "ntasks=1", "cpus-per-task=3", "gres=gpu:2", "time=1-02:00:00",
        "signal=B:USR1@120", "requeue", "open-mode=append", f"output={tmp_path}/sweep/slurm/%A_%a.out", "partition=gpu", "mem=16G"))]
    assert "export TF_NUM_INTRAOP_THREADS=3" in lines and "export CUDA_VISIBLE_DEVICES=" not in lines
    assert text.count(sys.executable) == 1, "the words that all tasks share are there once"
    assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).stderr == ""


def test_gpus_are_asked_for_once():
    tasks = tasks_of("results", 1)
    assert "gres" not in (text := script(tasks, python("pass"), Request(gpus=0))) and "export CUDA_VISIBLE_DEVICES=\n" in text
    for line in ("--gres=gpu:a100:1", "--gpus-per-node=1"):
        text = script(tasks, python("pass"), Request(lines=(line,)))
        assert re.findall("gres.*|gpus.*", text.split("\n\n")[0]) == [line[2:]] and "export CUDA_VISIBLE_DEVICES" not in text


def test_elements_share_out_more_tasks_than_an_array_holds(tmp_path, cluster):
    given = tasks_of("results", 5), python("open('order', 'a').write(f'{seed} ')"), Request(array_size=2, throttle=1)
    assert "#SBATCH --array=0-1%1\n" in script(*given)
    assert "Submitted batch job 7" in run(*given, submit=True)
    assert (tmp_path / "order").read_text() == "0 2 4 1 3 "


def test_no_name_can_inject_anything(tmp_path, cluster):
    """Folders of odd names: all is done in them, and nothing that they say."""
    odd = "a 'b' \"c\" $(touch x) `touch x`; touch x & %A \\ #"
    (tmp_path / odd).mkdir()
    os.chdir(tmp_path / odd)
    tasks = tasks_of(odd, 2)
    run(tasks, lambda task: [*python("print('seed', seed, sys.argv[1:])")(task), odd, "$(touch x)", "a\nb"], Request(), submit=True)
    for seed, task in enumerate(tasks):
        assert task.log.read_text() == f"seed {seed} {['after', odd, '$(touch x)', chr(97) + chr(10) + 'b']}\n"
    assert not list(tmp_path.rglob("x")) and (tmp_path / odd / "slurm-7_0.out").read_text() == ""


# Goes on from its checkpoint; asked to leave it saves one.
RESUMABLE = """
def leave(*_):
    open(f'saved{seed}', 'w')
    sys.exit(143)
signal.signal(signal.SIGTERM, leave)
resumed = os.path.exists(f'saved{seed}')
print('resumed' if resumed else 'begun', flush=True)
if seed == 1 and not resumed:
    open('running', 'w')
    time.sleep(60)
"""


@pytest.mark.parametrize(("asked", "restarts", "requeued"), [
    (signal.SIGUSR1, "0", True), (signal.SIGTERM, "0", False), (signal.SIGUSR1, "100", False)],
    ids=["notice", "cancelled", "often"])
def test_what_slurm_interrupts_is_saved_and_requeued(tmp_path, cluster, asked, restarts, requeued):
    """The second of an element's three tasks is interrupted; requeued, the element does what is left."""
    tasks = tasks_of("results", 3)
    path = written(tasks, RESUMABLE, array_size=1)
    process = element(path, SLURM_RESTART_COUNT=restarts)
    while process.poll() is None and not (tmp_path / "running").exists():
        time.sleep(.02)
    process.send_signal(asked)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 143 and (tmp_path / "saved1").exists() and "ID 9002 seed 1: exit status 143" in said
    assert not tasks[2].log.exists(), "no task is begun when time is up"
    assert (cluster / "asked").exists() == requeued and (not requeued or (cluster / "asked").read_text() == "requeue 7_0\n")
    again = element(path, SLURM_RESTART_COUNT="1")
    assert again.communicate(timeout=60)[0] == "" and again.returncode == 0
    assert [task.log.read_text() for task in tasks] == ["begun\nbegun\n", "begun\nresumed\n", "begun\n"]


def test_notice_as_a_task_ends(tmp_path, cluster):
    """What is done when the notice comes is done: an element with nothing left is not requeued."""
    code = "signal.signal(signal.SIGTERM, lambda *_: None); os.kill(os.getppid(), signal.SIGUSR1); time.sleep(.2)"
    for number, requeued in ((1, False), (2, True)):
        process = element(written(tasks_of("results", number), code, array_size=1))
        process.communicate(timeout=60)
        assert (process.returncode, (cluster / "asked").exists()) == ((143, True) if requeued else (0, False))


@pytest.mark.parametrize(("code", "retry", "tries", "status"), [
    ("sys.exit(3)", 0, 1, 3), ("sys.exit(3)", 2, 3, 3), ("sys.exit(2)", 2, 1, 2), ("sys.exit(75)", 5, 4, 75),
    ("sys.exit(75 if os.path.getsize('tries0') < 3 else 0)", 0, 3, 0), ("os.kill(os.getpid(), 9)", 1, 2, 137)])
def test_failures_are_told_and_the_next_task_is_done(tmp_path, cluster, code, retry, tries, status):
    """The first task fails; 75 is a task that another process has, which is asked for again after a minute, three times."""
    tasks = tasks_of("results", 2)
    process = element(written(tasks, f"open(f'tries{{seed}}', 'a').write('x')\nif seed == 0:\n    {code}", array_size=1, retry=retry))
    said, _ = process.communicate(timeout=60)
    assert process.returncode == status and (tmp_path / "tries1").read_text() == "x"
    assert len((tmp_path / "tries0").read_text()) == tries
    assert (f"ID 9002 seed 0: exit status {status} ({tasks[0].log})" in said) == (status != 0)
    waits = (cluster / "asked").read_text().count("slept") if "75" in code else 0
    assert waits == (min(tries, 4) - 1 if "75" in code else 0)


@pytest.mark.parametrize("text", ["4h", "4", "04:00", "0:04:59", "00:60:00", "1:00:00\n", "-1:00:00", "1-2", "²:00:00", ""])
def test_time_limits_are_checked(text):
    with pytest.raises(UserError, match="(?s)--time_limit=.*: expected HH:MM:SS"):
        Request(time_limit=text).check()
    for good in ("00:05:00", "72:00:00", "3-00:00:00", "4:00:00"):
        Request(time_limit=good).check()


@pytest.mark.parametrize(("line", "says"), [
    ("-p gpu", "expected one"), ("partition=gpu", "expected one"), ("--", "expected one"), ("--mem=1G\nrm -r x", "expected one"),
    ("--mem=1G --array=0-5", "expected one"), ("--mem=1G\t-a0-5", "expected one"), ("--array=0-5", "give --throttle and --array_size"),
    ("--time=1:0:0", "give --time_limit"), ("--signal=TERM", "sets this itself"), ("--chdir /", "sets this itself")])
def test_lines_for_sbatch_are_checked(line, says):
    with pytest.raises(UserError, match=f"(?s)--sbatch=.*{says}"):
        Request(lines=("--partition=gpu", line)).check()
    Request(lines=("--comment='two words'", "--exclusive", "--mail-type=END")).check()


@pytest.mark.parametrize(("flags", "says"), [
    (["--time_limit=9"], "--time_limit=9: expected HH:MM:SS"), (["--sbatch=-p gpu", "--dry_run"], "--sbatch=-p gpu: expected"),
    (["--jobs=2"], "--jobs: is for --engine=local"), (["--overwrite"], "--overwrite: a requeued task"),
    (["--throttle=0"], "--throttle=0: expected a whole number from 1"), (["--engine=local", "--submit"], "--submit: is for --engine=slurm"),
    (["--engine=local", "--throttle=2", "--dry_run"], "--throttle: is for --engine=slurm")])
def test_mistakes_are_one_line(tmp_path, flags, says):
    assert says in refused("sweep.py", "--experiment_ids=9002", "--engine=slurm", f"--results_dir={tmp_path / 'none'}", *flags)
    assert not (tmp_path / "none").exists()


def test_nothing_is_written_dry_or_where_there_is_no_sbatch(tmp_path, monkeypatch):
    given = ["--experiment_ids=9002-9003", "--engine=slurm", "--submit", f"--results_dir={tmp_path / 'none'}"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "2 of 2 tasks to do" in ok("sweep.py", *given, "--dry_run")
    assert "--submit: there is no sbatch here" in refused("sweep.py", *given)
    assert not list(tmp_path.iterdir())
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho 'sbatch: error: invalid\npartition' >&2\nexit 1\n")
    (tmp_path / "sbatch").chmod(0o755)
    assert "sbatch failed with exit status 1: sbatch: error: invalid partition (" in refused("sweep.py", *given)


def test_a_sweep_on_a_cluster(tmp_path, cluster, data_dir):
    """Submitted, done, and then nothing is left to submit."""
    given = ["--experiment_ids=9002", "--seeds=0,1", "--set=dataset.limit=200", "--set=hyper.max_num_epochs=1", "--engine=slurm",
             "--threads=1", f"--results_dir={tmp_path / 'results'}", f"--data_dir={data_dir}"]
    out = ok("sweep.py", *given)
    path, = (tmp_path / "results" / "sweep" / "slurm").iterdir()
    assert f"2 of 2 tasks to do\nsubmit the script with: sbatch {path}\n" == out
    status, out, err = cli("sweep.py", *given, "--submit")
    assert status == 0 and err == "" and f"{path}\nSubmitted batch job 7\n" in out
    logs = sorted((tmp_path / "results" / "sweep" / "laptop").glob("*.log"))
    assert len(logs) == 2 and all("train: all 1 epochs done" in log.read_text() for log in logs), [log.read_text() for log in logs]
    assert [said.read_text() for said in sorted(path.parent.glob("*.out"))] == ["", ""]
    assert ok("sweep.py", *given, "--submit") == "0 of 2 tasks to do\n"
