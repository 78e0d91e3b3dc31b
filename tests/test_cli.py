"""Scripts as a user meets them: quick help, stages after one another, finished work; mistakes are in test_bad_input.py."""
import json
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


def test_streaming_needs_no_stored_activations(tmp_path, folders):
    ok("train.py", *TINY, *folders)
    for script in ("get_redundancy.py", "get_robustness.py", "pkl2csv_redundancy.py"):
        ok(script, *TINY, *folders, "--streaming")
    names = {path.name.partition("+")[0] for path in (tmp_path / "results").glob("laptop/*/*")}
    assert {"corr0", "redundancy2", "robustness0"} <= names and "activations0.pkl" not in names


def test_dry_run_does_nothing(tmp_path, folders):
    assert "would run" in ok("train.py", *TINY, *folders, "--dry_run")
    assert not (tmp_path / "results").exists()
