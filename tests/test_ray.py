"""Sweeps on Ray clusters: tasks as everywhere, nodes that die under them, and nothing left running."""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from experiments import REGISTRY
from tests.conftest import ROOT, refused, script_environment, start
from tests.test_sweep import python, tasks_of
from tfprune.experiment import UserError
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.sweep import nodes
from tfprune.sweep.display import last_words
from tfprune.sweep.engine import ELSEWHERE
from tfprune.sweep.tasks import Task
from tfprune.training.metrics import read

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
NEEDED = "needs Ray: pip install 'tfprune[ray]'"


def children(pid):
    """{process: its command line} of all that descend from one."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return {child: said(child) for child in found[1:]}


def said(pid):
    """The command line of a process; empty where there is none."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def wait_for(condition, seconds=400):
    """What a condition gives once that is true."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(.05)
    return found


class Two:
    """A cluster of two nodes of one CPU each on this machine."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args=self.node())
        self.second = self.cluster.add_node(**self.node())
        self.address = self.cluster.address

    def node(self):
        return {"num_cpus": 1, "object_store_memory": nodes.LEAST_STORE, "include_dashboard": False}

    def running(self):
        """The processes of the tasks that run on the second node."""
        raylet = self.second.all_processes["raylet"][0].process.pid
        return {pid: words for pid, words in children(raylet).items() if "--engine=here" in words}

    def started(self):
        """The processes that its nodes began themselves."""
        return [each.process.pid for node in self.cluster.list_all_nodes() for kind in node.all_processes.values() for each in kind]

    def end(self):
        import ray

        begun = {pid: words for raylet in self.started() for pid, words in {raylet: said(raylet), **children(raylet)}.items()}
        ray.shutdown()
        self.cluster.shutdown()
        wait_for(lambda: not [pid for pid, words in begun.items() if words and said(pid) == words])


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("ray", reason=NEEDED)
    two = Two()
    yield two
    two.end()


def swept(cluster, folder, number, code, done=lambda run, known: False, **options):
    """(words of the tasks' states, states) of a sweep of such commands on a cluster."""
    from tfprune.sweep.ray_engine import Ray

    states = Ray(python(code), address=cluster.address, show=lambda states: None, **options).run(tasks_of(folder, number, done))
    return [state.word for state in states], states


def test_tasks_fail_are_tried_again_and_refused(cluster, tmp_path):
    """The first task fails once, the second always, the third says what the user has to mend; the fourth sees its share of the node."""
    code = ("path = f'{folder}/{seed}'; open(path, 'a').write('x'); print('try', os.environ['TF_NUM_INTRAOP_THREADS'], os.getcwd()); "
            "sys.exit([1 if os.path.getsize(path) == 1 else 0, 3, 2, 0][seed])")
    words, states = swept(cluster, tmp_path, 4, code, retry=1)
    assert words == ["done", "failed", "failed", "done"]
    assert [(state.status, state.tries) for state in states] == [(0, 2), (3, 2), (2, 1), (0, 1)]
    assert states[1].task.log.read_text() == f"try 1 {os.getcwd()}\n" * 2


def test_first_failure_ends_all_with_sigterm(cluster, tmp_path):
    """The other task takes a while to save: the sweep waits for it."""
    code = ("import signal\ndef leave(*_):\n    time.sleep(1.5)\n    open(f'{folder}/saved', 'w')\n    sys.exit(143)\n"
            "signal.signal(signal.SIGTERM, leave)\nopen(f'{folder}/{seed}.begun', 'w')\n"
            "while seed == 0 and not os.path.exists(f'{folder}/1.begun'): time.sleep(.05)\n"
            "sys.exit(1) if seed == 0 else time.sleep(60)")
    words, states = swept(cluster, tmp_path, 3, code, fail_fast=True)
    assert words == ["failed", "stopped", "waiting"] and (tmp_path / "saved").exists()


def test_what_another_sweep_is_at_is_waited_for(cluster, tmp_path):
    code = f"path = f'{{folder}}/{{seed}}'; open(path, 'a').write('x'); sys.exit({ELSEWHERE} if os.path.getsize(path) == 1 else 0)"
    words, states = swept(cluster, tmp_path, 2, code, lambda run, known: run.experiment.seed == 0 and (tmp_path / "0").exists())
    assert words == ["done", "done"] and [state.skipped for state in states] == [True, False]
    assert (tmp_path / "0").read_text() == "x" and (tmp_path / "1").read_text() == "xx"


def test_no_process_outlives_its_worker(cluster, tmp_path):
    """Its worker dies: the process is asked to end, and the task begun anew, which is no failure of its own."""
    code = ("import signal\ndef leave(*_):\n    open(f'{folder}/asked', 'w')\n    sys.exit(143)\nsignal.signal(signal.SIGTERM, leave)\n"
            "again = os.path.exists(f'{folder}/begun'); open(f'{folder}/begun', 'w')\n"
            "if not again:\n    os.kill(os.getppid(), signal.SIGKILL)\n    time.sleep(60)")
    words, states = swept(cluster, tmp_path, 1, code)
    assert words == ["done"] and states[0].tries == 1
    wait_for((tmp_path / "asked").exists)


def test_what_ray_cannot_run_is_named(cluster, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    monkeypatch.setattr(os, "getcwd", lambda: str(gone))
    words, states = swept(cluster, tmp_path, 1, "")
    assert words == ["failed"] and f"Ray could not run it: [Errno 2] No such file or directory: '{gone}'" in last_words(states)[0]


def test_more_threads_than_any_node_has(cluster, tmp_path):
    with pytest.raises(UserError, match="--threads=2: no node of the Ray cluster has as many CPUs; expected at most 1"):
        swept(cluster, tmp_path, 1, "", threads=2)


@pytest.mark.parametrize(("found", "jobs", "devices", "threads"), [
    ([(8, 0), (8, 0)], 16, 0, 1), ([(8, 0), (8, 0)], 3, 0, 4), ([(8, 0), (4, 0)], 1, 0, 8), ([(2, 0)], 5, 0, 1),
    ([(16, 4), (64, 0)], 4, 1, 4)])
def test_shares(found, jobs, devices, threads):
    assert nodes.share(found, jobs, devices) == threads
    assert threads == 1 or nodes.room(found, threads, devices) >= jobs > nodes.room(found, threads + 1, devices)


def test_a_node_dies_and_nothing_is_lost(tmp_path, data_dir):
    """It dies while a task runs on it and others are done or wait; every run is done once."""
    pytest.importorskip("ray", reason=NEEDED)
    two = Two()
    process = start("sweep.py", "--engine=ray", f"--address={two.address}", "--experiment_ids=9002", "--seeds=0-3",
                    "--set=dataset.limit=200", "--set=hyper.max_num_epochs=1", f"--results_dir={tmp_path}", f"--data_dir={data_dir}")
    try:
        wait_for(lambda: process.poll() is not None or list(tmp_path.glob("laptop/*/train.done.json")))
        (pid, words), *_ = wait_for(two.running).items()
        two.cluster.remove_node(two.second, allow_graceful=False)
        wait_for(lambda: said(pid) != words)
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
        two.end()
    assert process.returncode == 0, out + err
    assert "sweep: 4 of 4 done\n" in out and "raylet" not in out + err
    runs = sorted(tmp_path.glob("laptop/*"))
    assert len(runs) == 4
    for run in runs:
        assert [line["epoch"] for line in read(run / "metrics.jsonl")] == [0, 1] and (run / "train.done.json").exists()
        assert (tmp_path / "sweep" / "laptop" / f"{run.name}.log").read_text().count("train: all 1 epochs done") == 1


def test_sigterm_ends_the_tasks_and_a_ray_of_ones_own(tmp_path, data_dir):
    """Also where it was started in the background of a script, which then ignores SIGINT."""
    pytest.importorskip("ray", reason=NEEDED)
    endless = ["hyper.max_num_epochs=5000", "training.patience=5000"]  # however late the signal comes
    process = start("sweep.py", "--engine=ray", "--experiment_ids=9003", *(f"--set={text}" for text in endless),
                    f"--results_dir={tmp_path}", f"--data_dir={data_dir}", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    wait_for(lambda: process.poll() is not None or list(tmp_path.glob("laptop/*/metrics.jsonl")))
    begun = children(process.pid)
    process.terminate()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 143 and not list(tmp_path.glob("laptop/*/train.done.json")), err
    assert any("--engine=here" in words for words in begun.values())
    wait_for(lambda: not [pid for pid, words in begun.items() if said(pid) == words])
    assert not Task(Run(override(REGISTRY[9003], endless), tmp_path), ()).is_claimed()


@pytest.fixture
def silent():
    """host:port where connections are taken, and nothing is said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_bad_addresses_are_one_line(tmp_path, silent):
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"127.0.0.1:{server.getsockname()[1]}"
    for address, says in (("somewhere", "expected host:port"), ("ray://head:10001", "expected host:port"), (":6379", "expected host:port"),
                          ("head:0", "expected host:port"), (closed, "no Ray cluster there (Connection refused)"),
                          (silent, "no Ray cluster there (timed out)")):
        err = refused("sweep.py", "--engine=ray", f"--address={address}", "--experiment_id=9002", f"--results_dir={tmp_path / 'none'}")
        assert err.startswith(f"error: --address={address}: ") and says in err
    assert not (tmp_path / "none").exists()


def test_without_ray_it_says_what_to_install(tmp_path):
    code = (f"import runpy, sys; sys.modules['ray'] = None; sys.argv = ['sweep.py', '--engine=ray', '--experiment_id=9002', "
            f"'--results_dir={tmp_path / 'none'}']; runpy.run_path('sweep.py', run_name='__main__')")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=script_environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "error: --engine=ray: needs Ray: pip install 'tfprune[ray]'\n")
    assert not (tmp_path / "none").exists()


def test_the_script_is_light():
    code = "import sys, sweep, tfprune.sweep.ray_engine; assert not {'ray', 'tensorflow'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=script_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_tied_command_ends_with_its_parent(tmp_path):
    """The one in between starts it and is killed; without Ray."""
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    between = ("import os, subprocess, sys, time; from tfprune.sweep import tied; command = [sys.executable, '-c', " + repr(child) + "]; "
               "subprocess.Popen([sys.executable, '-I', tied.__file__, str(os.getpid()), *command]); time.sleep(60)")
    process = subprocess.Popen([sys.executable, "-c", between], cwd=ROOT)
    pid = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    words = said(pid)
    assert "time.sleep(60)" in words
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: said(pid) != words)
