"""The report: tidy values by hand, gaps, error lines, and pictures that are pictures."""
import numpy as np
import pandas as pd
import pytest

from experiments import REGISTRY
from tfprune import files
from tfprune.experiment import UserError, override
from tfprune.report import width_study
from tfprune.run import Run
from tfprune.units import export

CURVE = [1, .9, .85, .7, .5, .2, .1]  # crosses 80 % at .388889 (facts G6)


def exported(run, compressability, curves):
    """Writes the CSV files that a measured net would have: the same values for both sets, one curve a cross."""
    redundancy = [dict.fromkeys(export.REDUNDANCY_COLUMNS, 0) | {
        "evaluation_set": chosen, "cross_validation": cross, "layer": layer, "preserved_energy": energy, "performance": performance,
        "compressability_95": value} for chosen, performance in (("train", 1.0), ("test", .9)) for cross in range(len(curves))
        for energy in (.95, .8) for layer, value in [*enumerate(compressability), ("all", np.mean(compressability))]]
    robustness = [dict.fromkeys(export.ROBUSTNESS_COLUMNS, 0) | {
        "evaluation_set": chosen, "cross_validation": cross, "perturbation_layer": layer, "perturbation_name": name,
        "perturbation_amount": amount, "performance": score if layer == "all" else 0}
        for chosen in ("train", "test") for cross, curve in enumerate(curves) for layer in (0, "all")
        for name in ("Activation Knockout", "Activation Noise") for amount, score in zip(np.linspace(0, 1, 7), curve, strict=True)]
    for kind, rows, columns in (("redundancy", redundancy, export.REDUNDANCY_COLUMNS),
                                ("robustness", robustness, export.ROBUSTNESS_COLUMNS)):
        path = run.csv(kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, export.csv_text(columns, [[row[column] for column in columns] for row in rows]))


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
    first = {"experiment_id": 9003, "set": "test", "cross": 0}
    assert value(table, **first, quantity="prunability") == pytest.approx(.388889 * .5 / 4, rel=1e-5)
    assert value(table, **first | {"cross": 1}, quantity="prunability") == .5 / 4, "never below 80 %: every unit can go"
    assert value(table, **first, quantity="redundancy", layer="1") == pytest.approx(.6 * .5 / 4)
    assert value(table, **first, quantity="non_redundancy", layer="1") == pytest.approx(.4 * .5 / 4)


def test_curves_and_growth_over_a_gap(runs):
    table = width_study.tidy(runs)
    (widths, means, deviations), = width_study.curves(table, "redundancy").values()
    assert list(widths) == [.25, .5, 2]
    np.testing.assert_allclose(means, [.2 * .25 / 4, .4 * .5 / 4, .8 * 2 / 4])
    np.testing.assert_allclose(deviations, np.array([.1 * .25, .2 * .5, .4 * 2]) / 4)
    assert width_study.growth_factors(table, "redundancy") == {"Alexnet_digits": pytest.approx(4)}, "only 1/4x -> 1/2x doubles"


def test_the_original_rule_takes_the_best_cross(tmp_path):
    run = Run(override(REGISTRY[2], fidelity="original"), tmp_path)
    exported(run, [.5], [CURVE, [1, .7, 0, 0, 0, 0, 0]])
    assert value(width_study.tidy([run]), quantity="prunability", set="test") == pytest.approx(.388889 * .25 / 4, rel=1e-5)


def test_curves_are_named_by_what_differs(tmp_path):
    runs = [Run(REGISTRY[i], tmp_path) for i in (2, 3, 12, 13)]
    for run in runs:
        exported(run, [.5], [CURVE])
    assert list(width_study.tidy(runs).curve.unique()) == ["Alexnet", "init_type=2"]


def test_report_writes_pictures_and_a_table(runs, tmp_path, capsys):
    paths = width_study.report(runs, tmp_path / "out")
    assert [path.name for path in paths] == [
        "width_study.csv", "train_accuracy.png", "test_accuracy.png", "prunability.png", "redundancy.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000 for path in paths[1:])
    assert len(pd.read_csv(paths[0])) == len(width_study.tidy(runs))
    assert "growth of redundancy when the width doubles, Alexnet_digits: g = 4.00" in capsys.readouterr().out


def test_a_run_without_tables_names_the_command(runs, tmp_path):
    with pytest.raises(UserError, match="python pkl2csv_redundancy.py --experiment_id=9004"):
        width_study.tidy([*runs, Run(REGISTRY[9004], tmp_path)])
