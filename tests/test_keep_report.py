"""Accuracy against keep: the report of trained supermasks, with and without measures, and what it refuses."""
import pandas as pd
import pytest

from experiments import REGISTRY
from tests.conftest import ok, refused
from tests.exported import CURVE, write_tables
from tfprune.overrides import override
from tfprune.report import supermasks
from tfprune.report.together import curve_labels
from tfprune.run import Run

TINY = ["--set=dataset.limit=300", "--set=hyper.max_num_epochs=2"]
IDS = (9010, 9016, 9019)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_dir):
    """The flags of three supermasks, trained a little."""
    flags = [f"--results_dir={tmp_path_factory.mktemp('results')}", f"--data_dir={data_dir}", *TINY,
             f"--experiment_ids={','.join(map(str, IDS))}"]
    ok("train.py", *flags)
    return flags


def runs_of(flags):
    return [Run(override(REGISTRY[number], [flag.removeprefix("--set=") for flag in TINY]), flags[0].partition("=")[2]) for number in IDS]


def test_the_report_of_trained_runs(trained, tmp_path):
    out = ok("report.py", *trained, f"--out={tmp_path}")
    table = pd.read_csv(tmp_path / "supermasks.csv")
    assert list(table.experiment_id) == list(IDS) and list(table.keep) == [.02, .5, .9]
    assert set(table.weights) == {64 * 300 + 300 * 100 + 100 * 10}
    # of n weights int((1 - keep) n) are masked out: 19,200 30,000 and 1,000 of them
    assert list(table.kept) == [384 + 600 + 20, 9600 + 15000 + 500, 17281 + 27001 + 901]
    assert table.density.tolist() == pytest.approx((table.kept / table.weights).tolist())
    markers = [run.done("train")["result"] for run in runs_of(trained)]
    for chosen in ("train", "val", "test"):
        assert table[chosen].tolist() == pytest.approx([marker[chosen]["accuracy"] for marker in markers])
    assert table[["redundancy", "prunability"]].isna().all(axis=None) and (table.chance == .1).all()
    assert (tmp_path / "supermask_accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "supermask_accuracy.png", "supermask_density.png", "supermask_scores.png", "supermasks.csv"]
    assert "supermasks.csv" in out and f"{table.test[1]:.4f}" in out


def test_measures_that_were_exported_are_in_it(trained):
    runs = runs_of(trained)
    sets, layers = ("train", "test"), (0, 1)
    write_tables(runs[1], {(chosen, cross, layer): .2 + .4 * layer for chosen in sets for cross in (0, 1) for layer in layers},
                 {(chosen, cross, layer): CURVE for chosen in sets for cross in (0, 1) for layer in (*layers, "all")},
                 {"train": 1, "test": .9})
    table = supermasks.tidy(runs)
    assert table.redundancy[1] == pytest.approx(.4) and table.prunability[1] == pytest.approx(.388889, rel=1e-5)
    assert table.redundancy[[0, 2]].isna().all() and table.attrs["title"] == "FC on digits"
    (redundant, prunable) = supermasks.units(table).axes
    assert redundant.get_xlabel() == "weights kept [%]" and "prunability [% of" in prunable.get_ylabel()
    for run in runs:
        for kind in ("redundancy", "robustness"):
            run.csv(kind).unlink(missing_ok=True)


def test_the_figure_has_labels_a_line_of_guessing_and_the_shares_kept():
    rows = [{"experiment_id": number, "curve": "FC", "seed": seed, "keep": keep, "at": keep, "density": keep + .01, "train": 1.0,
             "test": value, "chance": .1} for number, (seed, keep, value) in enumerate([(0, .1, .4), (1, .1, .6), (0, .5, .9)])]
    training, test = supermasks.accuracy(pd.DataFrame(rows)).axes
    assert (test.get_xlabel(), test.get_ylabel(), test.get_title()) == ("weights kept [%]", "accuracy [%]", "Test accuracy")
    curve = test.containers[0].lines[0]
    assert list(curve.get_xdata()) == pytest.approx([10, 50]) and list(curve.get_ydata()) == pytest.approx([50, 90])
    marks = next(line for line in test.lines if line.get_marker() == "|")
    assert sorted(marks.get_xdata()) == pytest.approx([11, 11, 51])
    assert "guessing (10 %)" in [text.get_text() for text in training.get_legend().get_texts()]


def test_curves_are_told_apart_by_all_but_keep():
    chosen = [REGISTRY[5025], override(REGISTRY[5025], ["hyper.keep=0.3"]), REGISTRY[5024]]
    assert curve_labels(chosen, "hyper.keep") == ["init=signed_constant"] * 2 + ["init=kaiming_normal"]


def test_what_a_report_refuses(trained, tmp_path):
    folders = trained[:2]
    line = refused("report.py", "--experiment_ids=9002,9010", *folders)
    assert "a report is of one study, not of frivolous_units and hidden_networks" in line
    assert "needs train first; run: python train.py --experiment_id=9011" in refused("report.py", "--experiment_id=9011", *folders)
    assert "--keeps=2: hyper.keep takes a number" in refused("report.py", "--experiment_id=9011", "--keeps=.1,2", *folders)
    line = refused("report.py", "--experiment_id=9011", "--keeps=0.5", *folders, *TINY)
    assert "--experiment_id=9011: the report needs train first" in line
