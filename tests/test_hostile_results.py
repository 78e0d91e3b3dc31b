"""Results folders that somebody has spoilt on purpose: the page is written, names what it left out, and shows nothing from elsewhere."""
import json
import math
import os
import re
import time

import pytest

from experiments import REGISTRY
from tests.exported import write_random_tables
from tests.test_report_page import RESULT, finish, half_finished
from tfprune.files import write_json
from tfprune.report import overall
from tfprune.report.found import found

SECRET = "what nobody else should read"


@pytest.fixture
def folder(tmp_path):
    """A results folder with two runs, and a file beside it that is not theirs."""
    results = tmp_path / "results"
    for number in (2, 3):
        write_random_tables(finish(number, results), crosses=1)
    (tmp_path / "outside").write_text(json.dumps({"train": {"argv": [SECRET]}}) + f"\nerror: {SECRET}\n")
    return results


def path_of(folder, number):
    return next(folder.glob(f"*/ID{number}_*"))


def rewritten(path, change):
    """Changes the JSON object in a file."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def written(folder):
    """(text of the page, {ID: entry}, what was left out)"""
    page = overall.write(folder, REGISTRY, folder.parent / "report.html").read_text()
    entries, strangers = found(folder, REGISTRY)
    return page, {int(re.search(r"/ID(\d+)_", entry.name)[1]): entry for entry in entries}, strangers


@pytest.mark.parametrize("number", [10**400, -10**400, math.inf, -math.inf, math.nan, "0.9", True, None, [1], {"a": 1}])
def test_numbers_that_are_none(folder, number):
    rewritten(path_of(folder, 2) / "train.done.json", lambda marker: marker["result"].update(best_epoch=number, test={"accuracy": number}))
    half_finished(4, folder, 1)
    (path_of(folder, 4) / "metrics.jsonl").write_text(json.dumps({"epoch": 3}) + "\n" + json.dumps({"epoch": number}) + "\n")
    page, entries, _ = written(folder)
    assert (entries[2].test, entries[2].epochs, entries[2].state) == (None, None, "finished") and 'data-key="inf"' not in page
    assert (entries[4].epochs, entries[4].state) == (3, "half-finished")


def test_texts_that_are_none(folder):
    """Half of a surrogate pair, which JSON may hold and no page; a whole pair stays."""
    marker = path_of(folder, 2) / "train.done.json"
    rewritten(marker, lambda value: value["result"].update(stopped="the loss was no number \ud800, \U0001f600"))
    rewritten(path_of(folder, 3) / "provenance.json", lambda value: value["train"].update(argv=["x\ud800"]))
    page, entries, _ = written(folder)
    assert entries[2].reason == "the loss was no number ?, \U0001f600" and entries[2].reason in page


@pytest.mark.parametrize("name", ["a\0b/c", "a\0b", "\ud800/c", "../" * 40 + "etc/none"])
def test_files_that_cannot_be(folder, name):
    rewritten(path_of(folder, 2) / "train.done.json", lambda marker: marker["files"].update({name: "0" * 64}))
    _, entries, _ = written(folder)
    assert entries[3].trained and entries[2].state == "damaged"


@pytest.mark.parametrize("name", ["pipe", "histograms.npz", "provenance.json", "metrics.jsonl"])
def test_pipes_are_not_waited_for(folder, name):
    path = path_of(folder, 2) / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    _, entries, _ = written(folder)
    assert entries[2].state == "damaged" and entries[2].reason == f"{name} is no file" and entries[3].trained


def test_a_pipe_in_place_of_a_table_or_an_earlier_stage(folder):
    [table] = folder.glob("csv/*/ID2_*_redundancy*.csv")
    table.unlink()
    os.mkfifo(table)
    os.mkfifo(folder.parent / "pipe")
    rewritten(path_of(folder, 3) / "train.done.json", lambda marker: marker["made_from"].update({"../../../pipe": "0" * 64}))
    _, entries, _ = written(folder)
    assert entries[2].trained and not entries[3].trained


@pytest.mark.parametrize("place", ["provenance.json", "metrics.jsonl", "other.pkl"])
def test_links_out_of_a_run(folder, place):
    path = path_of(folder, 2) / place
    path.unlink(missing_ok=True)
    path.symlink_to(folder.parent / "outside")
    page, entries, _ = written(folder)
    assert entries[2].reason == f"{place} is a link to what is outside the results folder" and SECRET not in page


def test_links_out_of_the_folders_of_tables_and_logs(folder):
    [table] = folder.glob("csv/*/ID2_*_redundancy*.csv")
    table.unlink()
    table.symlink_to(folder.parent / "outside")
    log = folder / "sweep" / REGISTRY[62].family / f"{REGISTRY[62].name}.log"
    log.parent.mkdir(parents=True)
    log.symlink_to(folder.parent / "outside")
    (folder / "loop").symlink_to("loop")
    page, entries, strangers = written(folder)
    assert entries[2].reason == f"csv/{table.name} is a link to what is outside the results folder" and SECRET not in page
    assert 62 not in entries and strangers == {
        str(log.relative_to(folder)): "a link to what is outside the results folder", "loop": "no file of tfprune's"}


def test_a_run_that_goes_on_after_it_failed_is_no_failed_one(folder):
    run = half_finished(4, folder, 2)
    log = folder / "sweep" / run.experiment.family / f"{run.experiment.name}.log"
    log.parent.mkdir(parents=True)
    log.write_text("error: out of memory\n")
    assert found(folder, REGISTRY).entries[-1].state == "failed"
    os.utime(log, (time.time() - 60,) * 2)
    assert found(folder, REGISTRY).entries[-1].state == "half-finished"


def test_a_run_that_was_measured_with_weights_from_elsewhere(folder):
    """decompose.py needs no training of the run's own; its results are on the page."""
    run = finish(9032, folder, RESULT)
    rows = [{"class": number, "filter": filter_number, "images": 3, "frequency": 1.0} for number in range(2) for filter_number in (0, 1)]

    def work(_):
        path = run.file("indices", "indices.json")
        write_json(path, {"rows": rows, "counts": [[3, 3, 0], [3, 3, 0]], "units": 3, "from": {}})
        return [path], {"from": {}}

    run.execute("indices", work)
    (run.path / "train.done.json").unlink()
    page, entries, _ = written(folder)
    assert (entries[9032].state, entries[9032].reason) == ("not trained", "measured with weights from elsewhere")
    assert '<section id="filters">' in page and "filters-matrix-1" in page
