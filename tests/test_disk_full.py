"""A full disk: one line that names the file and says what to do, no part of a file, and the same command goes on.

No file may have more than so many bytes (RLIMIT_FSIZE), which anyone can ask for; and a file system of a few kilobytes, where one can be
mounted.
"""
import json
import subprocess

import pytest

from tests.conftest import cli
from tests.test_faults import NET, command, contents, dying, temporaries
from tfprune import faults
from tfprune.keras import tf
from tfprune.training.out_of_memory import is_out_of_memory

TRAIN = ("train.py", *NET)
# In this order: most bytes that a file may have, and which does not fit then; and the command, which is done without a limit afterwards.
LIMITED = [
    ({2000: "/tfrecords/digits-", 10_000: "/checkpoints/best/best-0", 30_000: "/checkpoints/last/last-0"}, TRAIN),
    ({4000: "/activations"}, ("get_activations.py", *NET)), ({}, ("get_redundancy.py", *NET)), ({}, ("get_robustness.py", *NET)),
    ({}, ("pkl2csv_redundancy.py",)), ({1000: "_robustness+"}, ("pkl2csv_robustness.py",)),
    ({1000: "/report/"}, ("report.py", *NET)), ({4000: "/"}, ("prune.py", *NET, "--k_vals=0,0.5")),
    ({5000: "/saved_model: "}, ("shrink.py", *NET, "--sparsity=0.5", "--formats=saved_model")),
    ({1000: "/ids_mlps.json: "}, ("select_mlps.py",))]
ENDS = (f"File too large; {faults.MEND}", "cannot be written (File too large)")  # the latter where a library's user reads it, too


def test_files_that_do_not_fit(tmp_path):
    for limits, words in LIMITED:
        words = command(tmp_path, "", *words)
        for most, path in limits.items():
            status, out, err = dying("full", most, *words)
            assert (status, err.count("\n"), "Traceback" in out) == (2, 1, False), (words, out, err)
            assert err.startswith("error: /") and path in err and any(end in err for end in ENDS), err
            assert not [name for name in temporaries(tmp_path) if "checkpoints" not in name], "the next training removes TensorFlow's"
        status, _, err = dying("count", 0, *words)
        assert (status, temporaries(tmp_path)) == (0, []), (words, err)
    marker = json.loads(next(tmp_path.glob("results_dir/laptop/*/train.done.json")).read_text())
    assert marker["result"]["micro_batch"] == 32, "TensorFlow gives a full disk the error of full memory"


@pytest.fixture
def small_disk(tmp_path):
    """Makes and resizes a file system."""
    place = tmp_path / "disk"
    place.mkdir()

    def size(kilobytes, *options):
        given = ",".join((f"size={kilobytes}k", *options))
        return subprocess.run(["mount", "-t", "tmpfs", "-o", given, "tmpfs", str(place)], capture_output=True, text=True)

    try:
        if (made := size(4)).returncode:
            pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    yield place, size
    subprocess.run(["umount", str(place)], check=True)


def test_a_training_on_a_disk_that_fills_up(tmp_path, small_disk):
    """Wherever in its checkpoints it ends, the last one being torn at times: as if there had been room."""
    place, size = small_disk
    words = ["train.py", *NET, "--set=hyper.max_num_epochs=3", "--set=hyper.drop_train=0.9", f"--data_dir={tmp_path}"]
    assert cli(*words, f"--results_dir={tmp_path / 'whole'}")[0] == 0
    for kilobytes in (40, 110, 150, 10_000):
        assert size(kilobytes, "remount").returncode == 0
        status, out, err = cli(*words, f"--results_dir={place}")
        assert "out of memory" not in out and (status == 0 or f"No space left on device; {faults.MEND}" in err), err
        assert (status, err.count("\n")) == ((0, 0) if kilobytes == 10_000 else (2, 1)), err
    assert contents(place) == contents(tmp_path / "whole") and not temporaries(place)


def test_a_full_disk_is_no_lack_of_memory():
    assert not is_out_of_memory(tf.errors.ResourceExhaustedError(None, None, "/x/last-3_temp/part-0; No space left on device [Op:SaveV2]"))
    assert not is_out_of_memory(tf.errors.ResourceExhaustedError(None, None, "/x; Disk quota exceeded"))
    assert is_out_of_memory(tf.errors.ResourceExhaustedError(None, None, "failed to allocate memory"))
