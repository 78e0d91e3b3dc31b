"""A run's directory: what counts as done, what makes it undone, and what a crash leaves."""
import json
import pathlib

import pytest

from experiments import REGISTRY
from tfprune import files
from tfprune.experiment import UserError
from tfprune.overrides import override
from tfprune.run import Run


def work(run, name="result", text="x", calls=None):
    """A stage that writes one file and counts its calls."""
    def do(_):
        if calls is not None:
            calls.append(name)
        files.write(run.path / name, text)
        return [run.path / name], {"answer": text}
    return do


@pytest.fixture
def run(tmp_path):
    return Run(REGISTRY[9002], tmp_path)


def test_a_finished_stage_is_not_done_again(run):
    calls = []
    first = run.execute("train", work(run, calls=calls))
    assert run.execute("train", work(run, calls=calls)) == first and len(calls) == 1
    run.execute("train", work(run, calls=calls), overwrite=True)
    assert len(calls) == 2
    assert json.loads((run.path / "config.json").read_text())["config_hash"] == run.experiment.config_hash()
    assert json.loads((run.path / "provenance.json").read_text())["train"]["argv"]


def test_a_stage_needs_the_one_before(run):
    with pytest.raises(UserError, match="run: python train.py --experiment_id=9002"):
        run.execute("get_activations", work(run), needs=("train",))
    assert not run.path.exists()


def test_a_lost_file_or_a_new_predecessor_undoes_a_stage(run):
    run.execute("train", work(run))
    run.execute("get_activations", work(run, "acts"), needs=("train",))
    assert run.done("get_activations")
    (run.path / "acts").unlink()
    assert run.done("get_activations") is None
    run.execute("get_activations", work(run, "acts"), needs=("train",))
    run.execute("train", work(run, text="another net"), overwrite=True)
    assert run.done("get_activations") is None, "it was made from the net before"


def test_a_new_net_undoes_every_later_stage(run):
    run.execute("train", work(run))
    run.execute("get_activations", work(run, "acts"), needs=("train",))
    run.execute("get_redundancy", work(run, "red"), needs=("get_activations",))
    assert run.done("get_redundancy")
    run.execute("train", work(run, text="another net"), overwrite=True)
    assert run.done("get_redundancy") is None


def test_a_net_is_not_measured_on_data_that_have_changed(run, tmp_path):
    (tmp_path / "records-a").mkdir()
    run.execute("train", work(run), records=lambda: tmp_path / "records-a")
    with pytest.raises(UserError, match="used the records records-a, the data there now make records-b"):
        run.execute("get_activations", work(run, "acts"), records=lambda: tmp_path / "records-b", needs=("train",))


@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"settings": 1}'])
def test_a_damaged_marker_is_named(run, content):
    run.execute("train", work(run))
    files.write(run.marker("train"), content)
    with pytest.raises(UserError, match="train.done.json: damaged"):
        run.done("train")


def test_damaged_provenance_loses_no_work(run):
    run.execute("train", work(run))
    files.write(run.path / "provenance.json", "x")
    run.execute("get_activations", work(run, "acts"), needs=("train",))
    assert run.done("get_activations") and list(files.read_json(run.path / "provenance.json")) == ["get_activations"]


def test_a_failed_stage_leaves_no_marker_and_no_part_of_a_file(run):
    def fail(_):
        with files.atomic(run.path / "half") as path, open(path, "w") as handle:
            handle.write("half")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        run.execute("train", fail)
    assert run.done("train") is None
    assert {path.name for path in run.path.iterdir()} == {"config.json", ".lock"}


def test_a_result_of_other_settings_is_never_the_answer(run, tmp_path):
    run.execute("train", work(run))
    marker = files.read_json(run.marker("train"))
    files.write_json(run.marker("train"), marker | {"settings": marker["settings"] | {"trained_hash": "another"}})
    with pytest.raises(UserError, match="other settings"):
        run.done("train")
    files.write(run.marker("train"), "{")
    with pytest.raises(UserError, match="damaged"):
        run.done("train")
    assert Run(override(REGISTRY[9002], ["hyper.batch_size=7"]), tmp_path).done("train") is None


def test_paths(tmp_path):
    run = Run(override(REGISTRY[9002], ["measure.kinds=noise"]), tmp_path)
    tag = run.experiment.tag("crosses", "max_rows", "fidelity", "streaming", "amounts", "kinds")
    assert run.path == tmp_path / "laptop" / REGISTRY[9002].name
    assert run.file("get_robustness", "robustness0.pkl").name == f"robustness0{tag}.pkl" and len(tag) == 9
    assert run.file("get_redundancy", "corr0.pkl").name == "corr0.pkl"
    assert run.csv("robustness") == tmp_path / "csv" / "laptop" / f"{run.experiment.name}_robustness{tag}.csv"


def test_atomic_files_keep_the_old_content_until_the_new_is_whole(tmp_path):
    files.write(tmp_path / "a", "old")
    with pytest.raises(RuntimeError), files.atomic(tmp_path / "a") as path:
        pathlib.Path(path).write_text("new, but not all of it")
        raise RuntimeError
    assert (tmp_path / "a").read_text() == "old" and len(list(tmp_path.iterdir())) == 1
