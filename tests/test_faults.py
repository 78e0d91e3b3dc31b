"""Every script, killed in the midst of a write and asked to leave; damage on disk; a loss that is no number.

Training and the measuring stages, killed at any moment, are in test_kill.py; full disks in test_disk_full.py.
TFPRUNE_KILLS=5 python -m pytest tests/test_faults.py       more kills a command than the default of 1
"""
import hashlib
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys

import pytest

from experiments import REGISTRY
from tests.conftest import ROOT, cli, script_environment, started
from tests.decomposing_runs import write_weights
from tfprune import faults, files
from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.run import Run
from tfprune.training.checkpoints import Keeper
from tfprune.training.signals import Termination

KILLS = int(os.environ.get("TFPRUNE_KILLS", "1"))
SMALL = ("--set=dataset.limit=60", "--set=hyper.max_num_epochs=1", "--set=measure.crosses=1", "--set=measure.amounts=2")
NET, MASKED, HEAD = ("9002", *SMALL), ("9010", *SMALL), ("9030", "-k", "3", "--set=dataset.limit=120", "-w", "{weights}")
STAGES = [(f"{stage}.py", *NET) for stage in ("train", "get_activations", "get_redundancy", "get_robustness")]
COMMANDS = [  # in this order, after STAGES: each needs what those before it leave
    ("data.build", "--dataset=digits", "--set=dataset.limit=50"), ("create_linear_dataset.py", "--dimension=5", "--num_train=20"),
    ("pkl2csv_redundancy.py", *NET), ("pkl2csv_robustness.py",), ("report.py", *NET), ("prune.py", *NET, "--k_vals=0,0.5"),
    ("report.py", *NET, "--k_vals=0,0.5", "--study=network_pruning"), ("shrink.py", *NET, "--sparsity=0.5", "--formats=saved_model,tflite"),
    ("train.py", *MASKED), ("export_subnet.py", *MASKED), ("decompose.py", "indices", *HEAD), ("decompose.py", "validate", *HEAD),
    ("select_mlps.py",), ("experiments.py",), ("sweep.py", *NET, "--seeds=1", "--engine=here", "--stages=train,prune")]
LEAST = {"data.build": ("data_dir",), "create_linear_dataset.py": ("data_dir",), "select_mlps.py": ("results_dir",), "experiments.py": ()}
TIMED = re.compile(r"provenance\.json|metrics\.jsonl|checkpoint|results\.csv|shrink\+\w+\.(csv|done\.json)|saved_model\.pb|fingerprint\.pb|"
                   r".*\.log")  # what holds times, or is only there


def dying(what, number, *words):
    """(exit status, stdout, stderr) of a script that something happens to, or nothing ("count")."""
    run = started if "shrink.py" in words else cli  # forks are without the flags that come with TensorFlow, and SavedModels need them
    return run("tests/dying.py", what, number, *words)


def command(place, weights, name, *words):
    """A command of COMMANDS in a place of its own."""
    flags = [f"--{flag}={place / flag}" for flag in LEAST.get(name, ("data_dir", "results_dir"))]
    return [name, *(word.format(weights=weights) for word in words), *flags]


def contents(place):
    """{path: what a file holds}, times aside."""
    return {str(path.relative_to(place)): "" if TIMED.fullmatch(path.name) else hashlib.sha256(path.read_bytes()).hexdigest()
            for path in place.rglob("*") if path.is_file() and not path.name.startswith("events.out")}


def temporaries(place):
    return [str(path) for path in place.rglob("*") if re.search(r"\.part|\.tmp$|_temp$|checkpoint\.tmp|\.probe", path.name)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "resnet20.npz")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A place where a net was trained, measured and exported."""
    place = tmp_path_factory.mktemp("whole")
    for words in [*STAGES, ("pkl2csv_redundancy.py",), ("pkl2csv_robustness.py",)]:
        status, _, err = dying("count", 0, *command(place, "", *words))
        assert status == 0, err
    return place


def test_every_script_killed_in_the_midst_and_run_again(tmp_path, weights, whole):
    """Where nothing happened to any of them, and where each was killed, and asked to leave: the same files, and no others."""
    moments, (ours, theirs) = random.Random(0), (tmp_path / "killed", tmp_path / "whole")
    for place in (ours, theirs):
        shutil.copytree(whole, place)
    for words in COMMANDS:
        whole, again = (command(place, weights, *words) for place in (theirs, ours))
        status, out, err = dying("count", 0, *whole)
        assert status == 0, (whole, err)
        flushes = int(out.rpartition("flushed ")[2].partition(" ")[0])
        for _ in range(KILLS):
            assert dying("KILL", moments.randint(1, flushes), *again)[0] == -9, again
        status, _, err = dying("count", 0, *again)
        assert status == 0 and not temporaries(ours), (again, err, temporaries(ours))
        assert contents(ours) == contents(theirs), again


@pytest.mark.parametrize("words", [STAGES[1], ("report.py", *NET)])
def test_asked_to_leave_in_the_midst_of_a_write(words, whole):
    """Exit status 143 at once, and no part of a file."""
    words = command(whole, "", *words, "--overwrite")
    status, out, err = dying("TERM", 1, *words)
    assert (status, err, temporaries(whole)) == (143, "", [])
    assert dying("count", 0, *words)[0] == 0


def test_a_request_that_comes_when_training_is_over_ends_what_comes_after(capsys):
    saved = []
    with pytest.raises(SystemExit, match="143"), Termination(lambda: saved.append(1)):
        os.kill(os.getpid(), 15)
    assert not saved, "the state was saved when training ended"


# Files that a killed process has left, and files that another one is writing

WRITING = "import sys, time; from tfprune import files\nwith files.atomic(sys.argv[1]) as path:\n" \
          " open(path, 'w').write('new'); print(flush=True); sys.stdin.read()"


def test_only_what_nobody_is_writing_is_removed(tmp_path):
    (tmp_path / ".a.csv.abcd.part.csv").write_text("half")
    (tmp_path / ".b.csv.abcd.part").mkdir()
    (tmp_path / ".c.part").symlink_to(ROOT)
    process = subprocess.Popen([sys.executable, "-c", WRITING, str(tmp_path / "theirs")], cwd=ROOT, env=script_environment(), text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    files.write(tmp_path / "ours", "content")
    left = {path.name for path in tmp_path.iterdir()}
    process.communicate("")
    assert {"ours", ".c.part"} < left and len(left) == 3, "the other's temporary, too"
    assert (tmp_path / "theirs").read_text() == "new" and len(list(tmp_path.iterdir())) == 3


# Damage

@pytest.mark.parametrize("change", [
    {"files": 7}, {"files": ["a"]}, {"made_from": [["train.done.json", "0"]]}, {"made_from": "x"}, {"settings": None}, {"result": []}])
def test_a_done_marker_of_the_wrong_shape_is_named(tmp_path, change):
    run = Run(REGISTRY[9002], tmp_path)
    marker = run.execute("train", lambda _: ([], {}))
    files.write_json(run.marker("train"), marker | change)
    with pytest.raises(UserError, match="train.done.json: damaged"):
        run.done("train")


@pytest.mark.parametrize("change", [{"files": {"\0": ""}}, {"made_from": {"\0": ""}}, {"made_from": {"x": 7}}])
def test_a_done_marker_of_what_cannot_be_there_is_none(tmp_path, change):
    run = Run(REGISTRY[9002], tmp_path)
    marker = run.execute("train", lambda _: ([], {}))
    files.write_json(run.marker("train"), marker | change)
    assert run.done("train") is None


def test_a_damaged_first_checkpoint_is_none_and_any_other_is_an_error(tmp_path, capsys):
    keeper = Keeper(Run(REGISTRY[9002], tmp_path), "last", 2, weights=tf.Variable([1.0]))
    keeper.save(0)
    (keeper.folder / "last-0.index").write_bytes(b"")
    assert keeper.restore() is None and "last-0: damaged checkpoint, passed over" in capsys.readouterr().out
    keeper.save(8)
    (keeper.folder / "last-8.data-00000-of-00001").write_bytes(b"")
    with pytest.raises(UserError, match="every checkpoint is damaged"):
        keeper.restore()
    (keeper.folder / "checkpoint.tmp0a1b").write_bytes(b"")
    keeper.remove_all_but(8)
    assert not temporaries(tmp_path)


# A loss that is no number

@pytest.mark.parametrize("more", [[], ["--set=training.keep=last"]])
def test_a_lost_loss_is_a_result_that_is_named_each_time(tmp_path, more):
    """An epoch has one update, so that an evaluation is the first to meet the spoilt net, which is not kept, whatever its accuracy. Exit
    status 0: a training ends so by its rules, and a sweep over learning rates goes on; the reason is said each time."""
    words = [*NET, "--set=hyper.max_num_epochs=3", *more, "--set=hyper.learning_rate=1e20", f"--data_dir={tmp_path}",
             f"--results_dir={tmp_path}"]
    status, out, err = dying("count", 0, "train.py", *words)
    assert status == 0 and re.search(r"train: the loss was no number at step \d of epoch \d; accuracy of the", err), out
    status, out, _ = dying("count", 0, "train.py", *words)
    assert status == 0 and re.search(r"finished before; the loss was no number at step \d of epoch \d", out)
    assert math.isfinite(json.loads(next(tmp_path.glob("*/*/train.done.json")).read_text())["result"]["test"]["loss"])


@pytest.mark.parametrize(("text", "says"), [
    ("{{function_node __wrapped__SaveV2}} /a/b/last-3_temp/part-0.data.tempstate17; No space left on device [Op:SaveV2]",
     "/a/b/last-3_temp/part-0.data: No space left on device; make room there, then the same command goes on"),
    ("results/x.tfrecords; Permission denied", "results/x.tfrecords: Permission denied"),
    ("OOM when allocating tensor", "ResourceExhaustedError: OOM when allocating tensor"), ("", "ResourceExhaustedError: out of memory")])
def test_what_tensorflow_says_in_a_line(text, says):
    error = tf.errors.ResourceExhaustedError(None, None, text)
    assert faults.of_tensorflow(error) == says
