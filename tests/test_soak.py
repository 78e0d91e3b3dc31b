"""The soak test, small: its checks hold after kills, and each of them finds what it is there for."""
import shutil
import subprocess
import sys
import time

import pytest

from benchmarks import soak_checks
from benchmarks.soak import Soak, processes
from experiments import REGISTRY
from tests.conftest import ROOT, script_environment
from tfprune.files import writable_folder, write_json
from tfprune.run import Run
from tfprune.sweep import words
from tfprune.training import summaries

RUNS, KILLS = 2, 2


@pytest.fixture(scope="module")
def soaked(tmp_path_factory):
    """(what it printed, its folder) of a soak test that has ended well."""
    folder = tmp_path_factory.mktemp("soak") / "folder"
    done = subprocess.run([sys.executable, "benchmarks/soak.py", f"--runs={RUNS}", f"--kills={KILLS}", "--references=1",
                           f"--folder={folder}"], cwd=ROOT, env=script_environment(), capture_output=True, text=True)
    logs = "\n".join(path.read_text() for path in folder.glob("*.log"))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"
    return done.stdout, folder


def test_killed_sweeps_lose_nothing(soaked):
    said, folder = soaked
    assert f"{KILLS} faults" in said and said.endswith("\nall of it holds\n")
    assert len(list(folder.glob("results/laptop/*/get_robustness*.done.json"))) == RUNS


def found(test, folder, seed):
    """What the checks find in a folder of results, in the order of their table; that seed was run without disturbance too."""
    return soak_checks.problems(test, [seed], folder / "reference", folder / "again.log", lambda results: {})


def test_checks_find_what_they_look_for(soaked, tmp_path):
    """Each in a copy of the results, spoilt by hand."""
    folder = tmp_path / "spoilt"
    shutil.copytree(soaked[1], folder)
    test = Soak(folder, RUNS, KILLS, seed=0)
    test._count()
    first, second = sorted(test.runs, key=lambda run: not (folder / "reference" / run.path.relative_to(test.results)).exists())
    assert not any(found(test, folder, first.experiment.seed).values())
    second.marker("get_redundancy").unlink()
    test.finished[first.marker("train")].add(0)
    shared = folder / "results" / "csv" / "hidden_networks" / "results.csv"
    shared.write_text(shared.read_text() + shared.read_text().splitlines()[-1] + "\n")
    (second.path / "checkpoints" / "last" / "last-9_temp").mkdir()
    (second.path / "left").write_text("")
    next(first.path.glob("checkpoints/best/best-*.index")).write_bytes(b"other")
    (folder / "again.log").write_text("sweep: 2 of 2 done; 1 of them before")
    spoilt = found(test, folder, first.experiment.seed)
    assert [len(each) for each in spoilt.values()] == [1, 1, 2, 1, 2, 1, 0, 1], spoilt


def test_processes_are_known_by_their_folder(tmp_path):
    """Once it runs: the kernel shows an empty command line for a moment after the process began."""
    code = "import time; print(flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code, f"--results_dir={tmp_path}"], stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        assert list(processes(tmp_path)) == [other.pid] and not processes(tmp_path / "none")
    finally:
        other.kill()
        other.communicate()


@pytest.mark.parametrize("number", [9012, 9200])
def test_a_row_that_a_killed_process_owes_is_written_by_the_next_sweep(tmp_path, number):
    """It died after the done marker and before the table of its study: all that a sweep has to do then is the table."""
    run, stage = Run(REGISTRY[number], tmp_path), words.chosen_stages("train")[0]
    write_json(writable_folder(run.path, "") / "train.done.json",
               {"stage": "train", "settings": run._settings("train"), "result": {}, "files": {}, "made_from": {}})
    assert run.done("train") and not stage.done(run, {})
    time.sleep(0.02)  # of files written within one tick of the clock none is the older one
    summaries.rebuild(run)
    assert stage.done(run, {})
    run.marker("train").touch()
    assert not stage.done(run, {}), "trained again since"
    time.sleep(0.02)
    summaries.rebuild(run)
    assert stage.done(run, {}), "the table says the same, and has seen it"
