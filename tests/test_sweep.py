"""Sweeps: every task done once, whoever is at it; failures tried again, named, and counted in the exit status."""
import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from experiments import REGISTRY
from tests.conftest import ROOT, cli, ok, refused, script_environment, start
from tfprune import override
from tfprune.run import Run
from tfprune.sweep import machine
from tfprune.sweep.display import Display, duration, last_words, summary
from tfprune.sweep.engine import ELSEWHERE
from tfprune.sweep.local import Local
from tfprune.sweep.tasks import Stage, Task
from tfprune.training.metrics import read

TINY = ["--experiment_ids=9003", "--set=dataset.limit=150", "--set=hyper.max_num_epochs=2"]


def tasks_of(folder, number, done=lambda run, known: False):
    """Tasks of one stage, of as many seeds."""
    return [Task(Run(override(REGISTRY[9002], seed=seed), folder), (Stage("train", done),)) for seed in range(number)]


def python(code):
    """A command for any task: Python, with what the code calls `seed` and `folder`."""
    def command(task):
        known = f"seed, folder = {task.run.experiment.seed}, {str(task.run.results_dir)!r}"
        return [sys.executable, "-c", f"import os, sys, time\n{known}\n{code}"]
    return command


def swept(folder, number, code, done=lambda run, known: False, **options):
    """(words of the tasks' states, states) of a local sweep of such commands."""
    shown = []
    engine = Local(python(code), show=lambda states: shown.append([state.word for state in states]), **options)
    states = engine.run(tasks_of(folder, number, done))
    assert shown[-1] == [state.word for state in states]
    return shown[-1], states


def test_all_tasks_run_so_many_at_once(tmp_path):
    code = ("open(f'{folder}/{seed}.start', 'w').write(str(time.monotonic())); time.sleep(.3); "
            "open(f'{folder}/{seed}.end', 'w').write(str(time.monotonic()))")
    words, states = swept(tmp_path, 5, code, jobs=2)
    assert words == ["done"] * 5 and all(state.tries == 1 and state.seconds > .3 for state in states)
    times = [(float((tmp_path / f"{seed}.start").read_text()), float((tmp_path / f"{seed}.end").read_text())) for seed in range(5)]
    at_once = [sum(first <= moment < last for first, last in times) for moment, _ in times]
    assert max(at_once) == 2


def test_what_is_finished_is_skipped_unless_asked_for_again(tmp_path):
    def even(run, known):
        return run.experiment.seed % 2 == 0

    words, states = swept(tmp_path, 4, "", even, jobs=2)
    assert words == ["done"] * 4 and [state.skipped for state in states] == [True, False, True, False]
    assert last_words(states) == ["sweep: 4 of 4 done; 2 of them before"]
    assert [state.tries for state in swept(tmp_path, 4, "", even, again=True)[1]] == [1] * 4


@pytest.mark.parametrize(("retry", "word", "tries"), [(0, "failed", 1), (1, "failed", 2), (2, "done", 3), (5, "done", 3)])
def test_failed_tasks_are_tried_again(tmp_path, retry, word, tries):
    """The second task fails twice."""
    code = ("path = f'{folder}/{seed}'; open(path, 'a').write('x'); print('try'); "
            "sys.exit(3 if seed == 1 and os.path.getsize(path) < 3 else 0)")
    words, states = swept(tmp_path, 3, code, retry=retry)
    assert words == ["done", word, "done"] and states[1].tries == tries
    assert states[1].task.log.read_text() == "try\n" * tries


def test_what_is_refused_is_not_tried_again_and_named(tmp_path):
    words, states = swept(tmp_path, 2, "print('error: no such thing', file=sys.stderr); sys.exit(2)", retry=3)
    assert words == ["failed"] * 2 and states[0].tries == 1
    assert last_words(states)[0] == ("failed: ID 9002 seed 0, exit status 2, 1 time(s): error: no such thing "
                                     f"({states[0].task.log})")


def test_first_failure_can_end_all(tmp_path):
    code = "open(f'{folder}/{seed}.begun', 'w'); sys.exit(1) if seed == 0 else time.sleep(60)"
    started = time.monotonic()
    words, states = swept(tmp_path, 4, code, jobs=2, fail_fast=True)
    assert time.monotonic() - started < 30 and words == ["failed", "stopped", "waiting", "waiting"]
    assert states[1].status == -signal.SIGTERM and last_words(states)[1:3] == [
        "stopped: ID 9002 seed 1; the next sweep goes on with it", "not begun: ID 9002 seed 2; the next sweep goes on with it"]


def test_each_job_has_its_share_of_the_machine(tmp_path):
    code = ("print(os.environ['TF_NUM_INTRAOP_THREADS'], os.environ['OMP_NUM_THREADS'], os.environ['CUDA_VISIBLE_DEVICES'], flush=True); "
            "time.sleep(.3)")
    _, states = swept(tmp_path, 2, code, jobs=2, threads=3, devices=("5", "7"))
    assert sorted(state.task.log.read_text() for state in states) == ["3 3 5\n", "3 3 7\n"]


@pytest.mark.parametrize(("visible", "found"), [("", []), ("-1", []), ("2,0", ["2", "0"])])
def test_devices_are_those_that_are_visible(monkeypatch, visible, found):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.gpus() == found and machine.cores() == len(os.sched_getaffinity(0))


def test_devices_are_counted(monkeypatch, tmp_path):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: a (UUID: x)'\necho 'GPU 1: a (UUID: y)'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert machine.gpus() == ["0", "1"]
    monkeypatch.setenv("PATH", "")
    assert machine.gpus() == []


def test_a_claim_is_of_one_process_and_ends_with_it(tmp_path):
    task, = tasks_of(tmp_path, 1)
    with task.claimed() as mine:
        assert mine
    path = tmp_path / "sweep" / "laptop" / f"{task.run.experiment.name}.claim"
    other = subprocess.Popen([sys.executable, "-c", f"import fcntl, time; f = open({str(path)!r}); fcntl.flock(f, {fcntl.LOCK_EX}); "
                              "print('has it', flush=True); time.sleep(60)"], stdout=subprocess.PIPE)
    other.stdout.readline()
    assert task.is_claimed()
    other.kill()
    other.communicate()
    assert not task.is_claimed()


def test_what_another_sweep_is_at_is_waited_for(tmp_path):
    """The first task is claimed elsewhere, and done there after a while; the second is let go of undone."""
    code = f"path = f'{{folder}}/{{seed}}'; open(path, 'a').write('x'); sys.exit({ELSEWHERE} if os.path.getsize(path) == 1 else 0)"
    words, states = swept(tmp_path, 2, code, lambda run, known: run.experiment.seed == 0 and (tmp_path / "0").exists(), retry=0)
    assert words == ["done", "done"] and [state.skipped for state in states] == [True, False]
    assert (tmp_path / "0").read_text() == "x" and (tmp_path / "1").read_text() == "xx"


class Stream:
    """A stream that is a terminal, or none."""

    def __init__(self, terminal):
        self.terminal, self.text = terminal, ""

    def isatty(self):
        return self.terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass


@pytest.mark.parametrize("terminal", [True, False])
def test_display(tmp_path, terminal):
    stream = Stream(terminal)
    engine = Local(python("sys.exit(seed == 1)"), show=Display(stream))
    states = engine.run(tasks_of(tmp_path, 3))
    assert summary(states) == "2 of 3 done, 1 failed"
    assert "2 of 3 done, 1 failed" in stream.text and ("\x1b[" in stream.text) == terminal
    if not terminal:
        assert stream.text.count("failed after 0:0") == 1 and ", exit status 1; " in stream.text
    assert duration(3723.9) == "1:02:03" and duration(59) == "0:59"


@pytest.mark.parametrize(("flags", "says"), [
    (["--stages=train,frobnicate"], "--stages=train,frobnicate: expected some of train,"), (["--stages="], "--stages=: expected"),
    (["--stages=train,train"], "each once"), (["--jobs=0"], "--jobs=0: expected a whole number from 1"), (["--retry=-1"], "--retry=-1"),
    (["--seeds=2-1"], "--seeds=2-1: expected whole numbers"), (["--seeds=a"], "--seeds=a"), (["--seeds=0-99999"], "are too many"),
    (["--seeds=0", "--seed=1"], "give one of the two"), (["--engine=frob"], "--engine"),
    (["--set=hyper.batch_size=0"], "hyper.batch_size")])
def test_mistakes_are_one_line(tmp_path, flags, says):
    assert says in refused("sweep.py", "--experiment_ids=9002", f"--results_dir={tmp_path / 'none'}", *flags)
    assert not (tmp_path / "none").exists()


def test_without_experiments_and_dry(tmp_path):
    assert "--experiment_ids" in refused("sweep.py")
    out = ok("sweep.py", "--experiment_ids=9002-9003", "--seeds=0,2", "--stages=train,prune", "--dry_run", f"--results_dir={tmp_path}")
    assert "ID 9003 seed 2: would run train, prune" in out and "4 of 4 tasks to do" in out and not list(tmp_path.iterdir())


def test_two_sweeps_share_the_work_and_one_is_killed(tmp_path, data_dir):
    """Every stage is done once; a third sweep finds nothing to do."""
    given = [*TINY, "--seeds=0-2", "--stages=train,prune", f"--results_dir={tmp_path}", f"--data_dir={data_dir}"]
    killed, other = (start("sweep.py", *given) for _ in range(2))
    while killed.poll() is None and not list(tmp_path.glob("laptop/*/train.done.json")):
        time.sleep(.05)
    killed.kill()
    killed.communicate()
    out, err = other.communicate(timeout=300)
    assert other.returncode == 0, out + err
    runs = sorted(tmp_path.glob("laptop/*"))
    assert len(runs) == 3
    for run in runs:
        assert [line["epoch"] for line in read(run / "metrics.jsonl")] == [0, 1, 2] and (run / "prune.done.json").exists()
        log = (tmp_path / "sweep" / "laptop" / f"{run.name}.log").read_text()
        assert log.count("train: all 2 epochs done") == 1 and log.count("prune: done") == 1
    assert "sweep: 3 of 3 done; 3 of them before" in ok("sweep.py", *given)


def test_sigterm_ends_the_tasks_too(tmp_path, data_dir):
    given = ["--experiment_ids=9003", "--seeds=0", f"--results_dir={tmp_path}", f"--data_dir={data_dir}"]
    process = start("sweep.py", *given)
    while process.poll() is None and not list(tmp_path.glob("laptop/*/metrics.jsonl")):
        time.sleep(.05)
    process.terminate()
    process.communicate(timeout=120)
    assert process.returncode == 143 and not list(tmp_path.glob("laptop/*/train.done.json"))
    task = Task(Run(REGISTRY[9003], tmp_path), ())
    assert not task.is_claimed(), "its process has ended"


def test_failures_count_in_the_exit_status(tmp_path, data_dir):
    status, out, _ = cli("sweep.py", *TINY, "--stages=prune,get_robustness", f"--results_dir={tmp_path}", f"--data_dir={data_dir}")
    assert status == 1 and "get_robustness needs get_redundancy first" in out and "sweep: 0 of 1 done, 1 failed" in out


def test_the_script_is_light():
    done = subprocess.run([sys.executable, "-c", "import sys, sweep; assert not {'tensorflow', 'pandas'} & set(sys.modules)"], cwd=ROOT,
                          env=script_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
