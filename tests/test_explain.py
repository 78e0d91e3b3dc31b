"""Where results come from, in words, and whether a run's files still are what its stages wrote."""
import json
import subprocess
import sys

import pytest

from experiments import REGISTRY
from tests.conftest import ROOT, script_environment
from tfprune import explain, files, provenance
from tfprune.experiment import UserError
from tfprune.run import Run


def told(*arguments):
    """Runs the command; returns (exit status, stdout, stderr)."""
    done = subprocess.run([sys.executable, "-m", "tfprune.provenance", *map(str, arguments)], cwd=ROOT, env=script_environment(),
                          capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def run(tmp_path):
    """A run with two stages, of a file each, the second made from the first."""
    run = Run(REGISTRY[9002], tmp_path)
    for stage, needs in (("train", ()), ("prune", ("train",))):
        run.execute(stage, lambda folder, stage=stage: (_written(run, stage), {}), needs=needs)
    return run


def _written(run, stage):
    path = run.path / f"{stage}.csv"
    files.write(path, f"{stage}\n")
    return [path]


def test_a_run_is_explained_and_sound(run):
    status, out, err = told("--verify", run.path)
    assert (status, err) == (0, "")
    entry = json.loads((run.path / "provenance.json").read_text())["train"]
    for words in (run.experiment.name, "experiment 9002 of frivolous_units, seed 0", "  train: done\n", "  prune: done\n",
                  f"{entry['started']} to {entry['finished']}", f"numpy {entry['packages']['numpy']}", "made from    train.done.json",
                  "verified: 2 files of 1 run(s), 0 problem(s)"):
        assert words in out
    assert out.index("train: done") < out.index("prune: done")
    assert told(run.path / "train.csv")[1] in out, "a file stands for its run; nothing is verified unasked"


def test_what_has_changed_is_named(run):
    files.write(run.path / "train.csv", "other\n")
    (run.path / "prune.csv").unlink()
    status, out, _ = told("--verify", run.path)
    assert status == 1 and f"changed: {run.path / 'train.csv'}, since train wrote it\n" in out
    assert f"missing: {run.path / 'prune.csv'}, which prune wrote\n" in out and "2 problem(s)" in out
    assert "prune: done once, but a file is missing or what it was made from has changed since" in out


def test_a_stage_that_was_done_again_makes_the_next_one_stale(run):
    run.execute("train", lambda folder: (_written(run, "prune"), {"other": 1}), overwrite=True)
    assert explain.damages(run.path) == [f"changed: {run.path / 'train.done.json'}, since prune was made from it; run prune again"]


def test_a_stage_that_died_is_not_done(run):
    run.marker("prune").unlink()
    assert explain.explained(run.path)[-1] == "  prune: not done" and explain.damages(run.path) == []


@pytest.mark.parametrize(("name", "content"), [
    ("config.json", "[]"), ("config.json", "{"), ("provenance.json", "1"), ("train.done.json", "[]"), ("train.done.json", "\0"),
    ("train.done.json", '{"files": [], "made_from": {}}'), ("train.done.json", '{"files": {"a": 1}, "made_from": {}, "settings": {}}')])
def test_damaged_files_are_named(run, name, content):
    (run.path / name).write_text(content)
    with pytest.raises(UserError, match=f"{name}: damaged"):
        explain.explained(run.path)


@pytest.mark.parametrize("entry", ["1", '{"argv": "x", "code": 1, "machine": [], "packages": "y"}', '{"machine": {"devices": [1]}}'])
def test_strange_provenance_is_shown_as_far_as_it_goes(run, entry):
    (run.path / "provenance.json").write_text(f'{{"train": {entry}}}')
    assert "  train: done" in explain.explained(run.path)


def test_an_image_says_its_commit(monkeypatch):
    monkeypatch.setenv("TFPRUNE_COMMIT", "abc")
    assert provenance.collect("now")["code"] == {"commit": "abc", "changed": None}


def test_mistakes_are_one_line(tmp_path):
    asked = {(): "give the folder of one or more runs", (tmp_path,): "no folder of a run", ("none",): "no folder of a run"}
    for arguments, says in asked.items():
        status, out, err = told(*arguments)
        assert status == 2 and out == "" and err.startswith("error: ") and err.count("\n") == 1 and says in err
