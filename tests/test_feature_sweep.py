"""A sweep over a family of VGGs: killed in its midst and run again, or shared by two processes, it yields one complete table."""
import csv
import signal
import time

import pytest

from tests.conftest import ok, start

SMALL = [f"--set={setting}" for setting in (
    "dataset.limit=60", "hyper.batch_size=16", "hyper.max_num_epochs=2", "training.give_up_after=1")]
NAME = "csv/feature_amounts/VGG7_digits_seed=0"


def rows_of(results):
    """The rows of the sweep's table, without times."""
    with open(next(results.glob(f"{NAME}+*.csv")), newline="") as table:
        rows = list(csv.DictReader(table))
    return [{key: value for key, value in row.items() if key != "Seconds"} for row in rows]


@pytest.fixture(scope="module")
def reference(tmp_path_factory, data_dir):
    """The rows of a sweep that nothing interrupted; two processes shared the work."""
    results = tmp_path_factory.mktemp("reference") / "results"
    processes = [start("train.py", f"--experiment_ids={ids}", *SMALL, f"--results_dir={results}", f"--data_dir={data_dir}")
                 for ids in ("9201,9202", "9200")]
    for process in processes:
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, f"{out}\n{err}"
    return rows_of(results)


def test_the_table_is_complete(reference):
    assert [row["ExperimentID"] for row in reference] == ["9200", "9201", "9202"]
    assert [row[""] for row in reference] == ["0", "1", "2"]
    for row in reference:
        assert row["Stopped"].startswith("given up after 1 epochs") or row["Stopped"] == "all 2 epochs done"
    assert len({row["AllTrain"] for row in reference}) > 1


def test_killed_and_run_again(tmp_path, data_dir, reference):
    arguments = ["--experiment_ids=9200-9202", *SMALL, f"--results_dir={tmp_path}", f"--data_dir={data_dir}"]
    process = start("train.py", *arguments)
    while not list(tmp_path.glob("laptop/ID9201*/metrics.jsonl")) and process.poll() is None:
        time.sleep(.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(list(tmp_path.glob("laptop/*/train.done.json"))) == 1, "one of three is done"
    for table in tmp_path.glob(f"{NAME}+*.csv"):
        table.unlink()  # as if the process had died before it was written
    assert ok("train.py", *arguments).count("finished before") == 1 and rows_of(tmp_path) == reference
