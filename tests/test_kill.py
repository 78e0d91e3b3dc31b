"""SIGKILL at any moment of any stage, then the same command again: the files of an uninterrupted run. SIGTERM: saved, exit 143.

TFPRUNE_KILLS=5 python -m pytest tests/test_kill.py       more kills a stage than the default of 1
"""
import os
import random
import shutil
import signal
import time

import pytest

from tests.conftest import TINY, cli, ok, start, started
from tests.test_training import assert_same_files

KILLS = int(os.environ.get("TFPRUNE_KILLS", "1"))
STAGES = ("train.py", "get_activations.py", "get_redundancy.py", "get_robustness.py")
LONGER = [*TINY, "--set=hyper.max_num_epochs=40", "--set=hyper.drop_train=0.9"]


@pytest.fixture(scope="module")
def reference(tmp_path_factory, data_dir):
    """Results after each stage of an uninterrupted run, and how many seconds each stage takes."""
    root, seconds = tmp_path_factory.mktemp("reference"), {}
    for number, script in enumerate(STAGES):
        results = root / str(number)
        if number:
            shutil.copytree(root / str(number - 1), results)
        before = time.monotonic()
        status, _, err = started(script, *LONGER, f"--results_dir={results}", f"--data_dir={data_dir}")
        assert status == 0, err
        seconds[script] = time.monotonic() - before
    return root, seconds


@pytest.mark.parametrize("script", STAGES)
def test_killed_and_run_again(tmp_path, data_dir, reference, script):
    root, seconds = reference
    number, results, moments = STAGES.index(script), tmp_path / "results", random.Random(script)
    if number:
        shutil.copytree(root / str(number - 1), results)
    arguments = [*LONGER, f"--results_dir={results}", f"--data_dir={data_dir}"]
    for _ in range(KILLS):
        process = start(script, *arguments)
        time.sleep(seconds[script] * moments.uniform(.5, 1))  # the first half is mostly the start of TensorFlow
        process.send_signal(signal.SIGKILL)
        process.communicate()
    ok(script, *arguments)
    assert_same_files(next((root / str(number)).glob("laptop/*")), next(results.glob("laptop/*")))


def test_sigterm_saves_and_the_end_is_the_same(tmp_path, data_dir, reference):
    root, seconds = reference
    results = tmp_path / "results"
    arguments = [*LONGER, f"--results_dir={results}", f"--data_dir={data_dir}"]
    process = start("train.py", *arguments)
    while not list(results.glob("laptop/*/checkpoints/best/*.index")) and process.poll() is None:
        time.sleep(.05)
    time.sleep(.2)
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    ok("train.py", *arguments)
    assert_same_files(next((root / "0").glob("laptop/*")), next(results.glob("laptop/*")))


def test_what_a_dead_process_left_half_written_is_removed(tmp_path, data_dir):
    arguments = [*TINY, f"--results_dir={tmp_path}", f"--data_dir={data_dir}"]
    ok("train.py", *arguments)
    run = next(tmp_path.glob("laptop/*"))
    (run / ".corr1.pkl.zjldajlq.part.pkl").write_bytes(b"half")
    (run / "checkpoints" / ".origin.json.zjldajlq.part.json").write_bytes(b"half")
    ok("get_activations.py", *arguments)
    assert not list(run.rglob("*.part*"))


def test_a_second_process_on_one_run_leaves_with_one_line(tmp_path, data_dir):
    arguments = [*TINY, "--set=hyper.max_num_epochs=400", f"--results_dir={tmp_path}", f"--data_dir={data_dir}"]
    first = start("train.py", *arguments)
    try:
        while not list(tmp_path.glob("laptop/*/metrics.jsonl")) and first.poll() is None:
            time.sleep(.05)
        status, _, err = cli("train.py", *arguments)
        assert (status, "another process is working on this run" in err, err.count("\n")) == (2, True, 1)
    finally:
        first.kill()
        first.communicate()
