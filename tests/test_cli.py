"""Scripts as a user meets them: quick help, one line for a mistake, nothing written, exit status 2."""
import json
import pickle
import subprocess
import sys

import pytest

from tests.conftest import ROOT, TINY, ok, refused, script_environment, shared

SCRIPTS = ("experiments.py", "train.py", "get_activations.py", "get_redundancy.py", "get_robustness.py", "pkl2csv_redundancy.py",
           "pkl2csv_robustness.py", "report.py", "create_linear_dataset.py", "decompose.py", "prune.py", "shrink.py", "sweep.py")
STAGES = SCRIPTS[1:7]


def quick(script, flag):
    """What a script prints that must not have loaded anything heavy on the way."""
    watch = "import runpy, sys; sys.argv = sys.argv[1:]\ntry: runpy.run_path(sys.argv[0], run_name='__main__')\n"
    watch += "finally: assert 'tensorflow' not in sys.modules and 'pandas' not in sys.modules, 'heavy import'"
    done = subprocess.run([sys.executable, "-c", watch, script, flag], cwd=ROOT, env=script_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_light(script):
    text = quick(script, "--help")
    assert "Flags:" in text and "python " + script in text, "the docstring shows a command"


@pytest.mark.parametrize("script", STAGES)
def test_list_is_light(script):
    assert "ID9004_Alexnet_digits" in quick(script, "--list")


@pytest.fixture
def folders(tmp_path, data_dir):
    return [f"--results_dir={tmp_path / 'results'}", f"--data_dir={data_dir}"]


@pytest.mark.parametrize(("arguments", "says"), [
    (["--experiment_id=99999"], "no such experiment as 99999; IDs are 0-3246"), (["99999"], "no such experiment"),
    (["--experiment_id=two"], "expected one ID"), ([], "give one of"), (["3", "--experiment_id=2"], "give only one"),
    (["2", "3"], "argument=2 3"), (["--experiment_ids=6-2"], "expected IDs and ranges"),
    (["2", "--set=hyper.foo=1"], "hyper has no field 'foo'; it has batch_size"),
    (["2", "--set=hyper.batch_size=big"], "takes a whole number >= 1"),
    (["2", "--seed=-1"], "seed"), (["2", "--fidelity=best"], "corrected"), (["2", "--no_such_flag"], "no_such_flag"),
    (["--list", "--study=x"], "no such study")])
def test_mistakes_get_one_line_and_write_nothing(tmp_path, folders, arguments, says):
    for script in ("train.py", "get_redundancy.py"):
        assert says in refused(script, *arguments, *folders)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(("experiment_id", "setting", "says"), [
    (2, "dnn.name=Alexnet5", "the net Alexnet5 is not available; there are Alexnet, "),
    (4012, "hyper.image_size=75", "too small for Inception_v3; the least is 107")])
def test_nets_that_cannot_be_built(tmp_path, folders, experiment_id, setting, says):
    assert says in refused("train.py", experiment_id, f"--set={setting}", *folders)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(("script", "needs"), [
    ("get_activations.py", "train"), ("get_redundancy.py", "get_activations"), ("get_robustness.py", "train"),
    ("pkl2csv_redundancy.py", "get_redundancy"), ("pkl2csv_robustness.py", "get_robustness"), ("report.py", "pkl2csv")])
def test_a_stage_without_its_predecessor(tmp_path, folders, script, needs):
    line = refused(script, "--experiment_id=9002", *folders)
    assert f"python {needs}" in line
    assert not (tmp_path / "results").exists()


def test_an_unwritable_results_folder(tmp_path, data_dir):
    (tmp_path / "file").write_text("")
    line = refused("train.py", *TINY, f"--results_dir={tmp_path / 'file' / 'results'}", f"--data_dir={data_dir}")
    assert "--results_dir=" in line and "cannot write there" in line


def test_missing_and_truncated_cifar(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where there is a network, nothing is to be downloaded
    monkeypatch.setenv("no_proxy", "")
    arguments = ["--experiment_id=2", f"--results_dir={tmp_path / 'results'}", f"--data_dir={tmp_path / 'data'}"]
    assert "no cifar10 there" in refused("train.py", *arguments)
    folder = tmp_path / "data" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (folder / name).write_bytes(pickle.dumps({b"data": b"x" * 3072, b"labels": [1]}, protocol=2)[:-20])
    assert "data_batch_1" in refused("train.py", *arguments)
    assert not (tmp_path / "data" / "tfrecords").exists() and not (tmp_path / "results").exists()


@pytest.fixture(scope="module")
def measured(tmp_path_factory, data_dir):
    """Folders of a tiny run with every stage done."""
    folders = [f"--results_dir={tmp_path_factory.mktemp('measured')}", f"--data_dir={data_dir}"]
    for script in STAGES:
        ok(script, *TINY, *folders)
    return folders


def run_folder(folders):
    return next((ROOT / folders[0].partition("=")[2]).glob("laptop/*"))


def test_finished_work_is_skipped(measured):
    for script in STAGES[:4]:
        assert "finished before" in ok(script, *TINY, *measured)


def test_other_measures_get_other_files_and_keep_the_net(measured):
    kinds = [*TINY, "--set=measure.kinds=noise", "--set=measure.amounts=3"]
    assert "finished before" in ok("train.py", *kinds, *measured) and "finished before" in ok("get_redundancy.py", *kinds, *measured)
    ok("get_robustness.py", *kinds, *measured)
    assert len(list(run_folder(measured).glob("robustness0*.pkl"))) == 2
    assert "get_activations first" in refused("get_redundancy.py", *TINY, "--set=measure.max_rows=10", *measured)


def test_export_without_ids_takes_every_measured_run(measured):
    csv = ROOT / measured[0].partition("=")[2] / "csv"
    before = {path: path.read_bytes() for path in csv.rglob("*.csv")}
    for path in before:
        path.unlink()
    for kind in ("redundancy", "robustness"):
        ok(f"pkl2csv_{kind}.py", *measured)
    after = {path: path.read_bytes() for path in csv.rglob("*.csv")}
    assert before.items() <= after.items() and len(before) >= 2


def test_the_originals_pickles_give_the_originals_tables(tmp_path):
    folder = shared("golden/frivolous_units/legacy_run")
    for kind in ("redundancy", "robustness"):
        ok(f"pkl2csv_{kind}.py", "--experiment_id=2", "--fidelity=original", f"--run_dir={folder}", f"--results_dir={tmp_path}")
        written, = tmp_path.glob(f"csv/init_scheme/*_{kind}.csv")
        expected, = folder.glob(f"*_{kind}.csv")
        assert written.read_bytes() == expected.read_bytes()


def test_an_experiment_without_a_net_only_prepares_data(tmp_path, folders):
    assert "done" in ok("train.py", "--experiment_id=0", "--set=dataset.name=digits", *folders)
    assert "only prepares data" in refused("get_activations.py", "--experiment_id=0", "--set=dataset.name=digits", *folders)


def test_every_stage_as_the_original_has_it_and_a_report(tmp_path, folders):
    original = [*TINY, "--set=dataset.limit=600", "--fidelity=original"]  # with fewer, its rule leaves no batch of the test set
    for script in STAGES:
        ok(script, *original, *folders)
    out = ok("report.py", *original, *folders)
    assert "Alexnet_digits" in out and (tmp_path / "results" / "report" / "prunability.png").exists()
    robustness, = tmp_path.glob("results/csv/laptop/*_robustness.csv")
    lines = robustness.read_text().splitlines()
    assert len(lines) == 1 + 252 and {line.split(",")[4] for line in lines[1:]} == {"Activation Knockout"}


def test_every_stage_of_a_regression_on_generated_data(tmp_path, folders):
    settings = ["--experiment_id=1747", "--set=dataset.num_train=300", "--set=hyper.mse=true", "--set=dataset.regression=true",
                "--set=dnn.name=MLP1_regression", "--set=hyper.max_num_epochs=2", "--set=measure.crosses=2"]
    for script in STAGES:
        ok(script, *settings, *folders)
    redundancy, = tmp_path.glob("results/csv/rand10/*_redundancy*.csv")
    assert len(redundancy.read_text().splitlines()) == 1 + 2 * 2 * 2 * 2  # crosses, sets, energies, (one layer, all)
    assert list(tmp_path.glob("results/rand10/*/mse0*.pkl")) and not list(tmp_path.glob("results/rand10/*/accuracy0*.pkl"))


def test_the_synthetic_sets_are_measured_on_the_originals_number_of_batches(tmp_path, folders):
    settings = ["--experiment_id=1747", "--set=dataset.num_train=1000", "--set=hyper.max_num_epochs=0", "--fidelity=original"]
    for script in STAGES[:2]:
        ok(script, *settings, *folders)
    marker, = tmp_path.glob("results/rand10/*/get_activations.done.json")
    assert json.loads(marker.read_text())["result"]["train"]["rows"] == [6 * 128, 6 * 128]  # int(1000 * .95 / 128) - 1 batches


def test_other_peoples_folders_cannot_write_elsewhere(measured, tmp_path):
    config = run_folder(measured) / "config.json"
    before = config.read_text()
    config.write_text(json.dumps(json.loads(before) | {"family": "../../../evil", "name": "/etc/evil"}))
    try:
        out = ok("pkl2csv_redundancy.py", *measured)
    finally:
        config.write_text(before)
    assert "evil" not in out


def test_a_link_in_place_of_the_lock_is_not_followed(measured, tmp_path):
    lock, precious = run_folder(measured) / ".lock", tmp_path / "precious"
    precious.write_text("precious")
    lock.unlink()
    lock.symlink_to(precious)
    try:
        refused("get_redundancy.py", *TINY, *measured, "--overwrite")
    finally:
        lock.unlink()
    assert precious.read_text() == "precious"


def test_streaming_needs_no_stored_activations(tmp_path, folders):
    ok("train.py", *TINY, *folders)
    for script in ("get_redundancy.py", "get_robustness.py", "pkl2csv_redundancy.py"):
        ok(script, *TINY, *folders, "--streaming")
    names = {path.name.partition("+")[0] for path in (tmp_path / "results").glob("laptop/*/*")}
    assert {"corr0", "redundancy2", "robustness0"} <= names and "activations0.pkl" not in names


def test_a_hostile_pickle_is_refused_and_nothing_runs(measured, tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = run_folder(measured) / "redundancy1.pkl"
    before = path.read_bytes()
    path.write_bytes(pickle.dumps([Hostile()], protocol=2))
    try:
        line = refused("pkl2csv_redundancy.py", *TINY, *measured, "--overwrite")
    finally:
        path.write_bytes(before)
    assert "redundancy1.pkl" in line and "open" in line and not (tmp_path / "ran").exists()


def test_a_corrupt_checkpoint_is_refused(measured):
    path = next(run_folder(measured).glob("checkpoints/best/*.data*"))
    before = path.read_bytes()
    path.write_bytes(before[:100])
    try:
        assert "checkpoint is damaged" in refused("get_activations.py", *TINY, *measured, "--overwrite")
    finally:
        path.write_bytes(before)


def test_dry_run_does_nothing(tmp_path, folders):
    assert "would run" in ok("train.py", *TINY, *folders, "--dry_run")
    assert not (tmp_path / "results").exists()
