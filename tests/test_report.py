"""The report: tidy values by hand, gaps, error lines, and pictures that are pictures."""
import os

import numpy as np
import pandas as pd
import pytest

from experiments import REGISTRY
from tests.exported import CURVE, write_tables
from tfprune.experiment import UserError
from tfprune.overrides import override
from tfprune.report import csvs, tables, width_study
from tfprune.run import Run


def exported(run, compressability, curves):
    """Writes the CSV files that a measured net would have: the same values for both sets, one curve a cross."""
    sets = ("test",) if run.experiment.dataset.name == "imagenet" else ("train", "test")
    layers = [*enumerate(compressability), ("all", np.mean(compressability))]
    write_tables(run, {(chosen, cross, layer): value for chosen in sets for cross in range(len(curves)) for layer, value in layers},
                 {(chosen, cross, layer): curve if layer == "all" else [0] * 7 for chosen in sets for cross, curve in enumerate(curves)
                  for layer in (0, "all")}, {"train": 1.0, "test": .9})


@pytest.fixture
def runs(tmp_path):
    chosen = [Run(REGISTRY[i], tmp_path) for i in (9002, 9003, 9005)]
    for run, value in zip(chosen, (.1, .2, .4), strict=True):
        exported(run, [value, value * 3], [CURVE, [1, 1, 1, 1, 1, 1, 1]])
    return chosen


def value(table, **wanted):
    for column, content in wanted.items():
        table = table[table[column] == content]
    assert len(table) == 1, table
    return table.value.iloc[0]


def test_tidy_values(runs):
    table = width_study.tidy(runs)
    assert value(table, experiment_id=9003, quantity="accuracy", set="test") == .9
    assert value(table, experiment_id=9003, quantity="chance", set="test") == .1
    first = {"experiment_id": 9003, "set": "test", "cross": 0}
    assert value(table, **first, quantity="prunability") == pytest.approx(.388889 * .5 / 4, rel=1e-5)
    assert value(table, **first | {"cross": 1}, quantity="prunability") == .5 / 4, "never below 80 %: every unit can go"
    assert value(table, **first, quantity="redundancy", layer="1") == pytest.approx(.6 * .5 / 4)
    assert value(table, **first, quantity="non_redundancy", layer="1") == pytest.approx(.4 * .5 / 4)


def test_tables_of_imagenet_nets_have_other_columns(tmp_path):
    run = Run(REGISTRY[4001], tmp_path)
    exported(run, [.2, .4], [CURVE])
    table = width_study.tidy([run])
    assert set(table[table.quantity != "chance"]["set"]) == {"test"}
    assert value(table, quantity="accuracy") == .9
    assert value(table, quantity="prunability") == pytest.approx(.388889 * .5 / 4, rel=1e-5)
    assert value(table, quantity="redundancy", layer="1") == pytest.approx(.4 * .5 / 4)
    assert sorted(csvs.robustness(run).kind.unique()) == ["knockout", "noise"]


def test_curves_and_growth_over_a_gap(runs):
    table = width_study.tidy(runs)
    (widths, means, deviations), = tables.curves(table, "redundancy").values()
    assert list(widths) == [.25, .5, 2]
    np.testing.assert_allclose(means, [.2 * .25 / 4, .4 * .5 / 4, .8 * 2 / 4])
    np.testing.assert_allclose(deviations, 0, atol=1e-12)  # over seeds and crosses, which are alike here
    (_, _, deviations), = tables.curves(table, "redundancy", fidelity="original").values()
    np.testing.assert_allclose(deviations, np.array([.1 * .25, .2 * .5, .4 * 2]) / 4)  # over layers too
    (_, means, deviations), = tables.curves(table, "prunability").values()
    np.testing.assert_allclose(deviations, (1 - 7 / 18) / 2 * np.array([.25, .5, 2]) / 4)
    assert tables.growth_factors(table, "redundancy") == {"Alexnet_digits": pytest.approx(4)}, "only 1/4x -> 1/2x doubles"


def test_the_original_rule_takes_the_best_cross(tmp_path):
    run = Run(override(REGISTRY[2], fidelity="original"), tmp_path)
    exported(run, [.5], [CURVE, [1, .7, 0, 0, 0, 0, 0]])
    assert value(width_study.tidy([run]), quantity="prunability", set="test") == pytest.approx(.388889 * .25 / 4, rel=1e-5)


def test_curves_are_named_by_what_differs(tmp_path):
    runs = [Run(REGISTRY[i], tmp_path) for i in (2, 3, 12, 13)]
    for run in runs:
        exported(run, [.5], [CURVE])
    assert list(width_study.tidy(runs).curve.unique()) == ["Alexnet", "init_type=2"]
    runs[0] = Run(override(REGISTRY[2], ["measure.cut=0.25", "measure.criterion=apoz"]), tmp_path)  # of another stage
    assert list(width_study.tidy(runs).curve.unique()) == ["Alexnet", "init_type=2"]


def test_report_writes_pictures_and_a_table(runs, tmp_path, capsys):
    paths = width_study.report(runs, tmp_path / "out")
    assert [path.name for path in paths] == [
        "width_study.csv", "perturbations.csv", "train_accuracy.png", "test_accuracy.png", "prunability.png", "redundancy.png",
        "non_prunability.png", "non_redundancy.png", "perturbation_knockout.png", "perturbation_noise.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000 for path in paths[2:])
    table = width_study.tidy(runs)
    assert len(pd.read_csv(paths[0])) == (table.quantity != "chance").sum()
    assert "growth of redundancy when the width doubles, Alexnet_digits: g = 4.00" in capsys.readouterr().out


def test_a_run_without_tables_names_the_command_or_is_a_gap(runs, tmp_path):
    absent = Run(REGISTRY[9004], tmp_path)
    with pytest.raises(UserError, match="python pkl2csv_redundancy.py --experiment_id=9004"):
        width_study.tidy([*runs, absent])
    table = width_study.tidy([*runs, absent], missing="gap")
    gap = table[(table.experiment_id == 9004) & (table.quantity != "chance")]
    assert gap.value.isna().all() and set(gap.quantity) == {
        "accuracy", "prunability", "non_prunability", "redundancy", "non_redundancy"}
    assert tables.missing_ids(table, ["prunability"]) == [9004]
    (widths, means, _), = tables.curves(table, "prunability").values()
    assert list(widths) == [.25, .5, 1, 2] and list(np.isnan(means)) == [False, False, True, False]


def test_half_a_run_shows_what_it_has(runs):
    runs[1].csv("robustness").unlink()
    table = width_study.tidy(runs, missing="gap")
    assert tables.missing_ids(table, ["prunability"]) == [9003] and tables.missing_ids(table, ["redundancy"]) == []


def test_an_export_older_than_the_measures_does_not_count(runs):
    marker = runs[1].marker("get_robustness")
    marker.parent.mkdir(parents=True)
    marker.write_text("{}")
    os.utime(runs[1].csv("robustness"), (1, 1))
    assert tables.missing_ids(width_study.tidy(runs, missing="gap"), ["prunability"]) == [9003]
    with pytest.raises(UserError, match="up-to-date"):
        width_study.tidy(runs)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"a,b\n1,2,3,4\n1\n", b"\xff\xfe\x00"])
def test_a_damaged_table_is_named(runs, content):
    runs[1].csv("redundancy").write_bytes(content)
    with pytest.raises(UserError, match="redundancy.csv: damaged"):
        width_study.tidy(runs, missing="gap")
