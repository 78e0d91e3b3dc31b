"""What figures show of runs that were measured more than once, or exported long ago, and of files in which something is not as it was."""
import json
import os

import numpy as np
import pandas as pd
import pytest

from experiments import REGISTRY
from tests.exported import write_random_tables
from tests.test_decomposing_report import with_indices
from tests.test_feature_report import finish as finish_vgg
from tests.test_pruning_figures import shrunk_run
from tests.test_report_page import RESULT, finish
from tfprune.overrides import override
from tfprune.report import everything, exports, feature_amounts, supermasks, width_study
from tfprune.report.chart import Chart, embedded
from tfprune.report.filter_results import net_label
from tfprune.report.found import found
from tfprune.report.measured import variants
from tfprune.report.sections import features, filters, pruning, width
from tfprune.report.sections import supermasks as masks
from tfprune.run import Run

KINDS = ("redundancy", "robustness")


def measure(run, *kinds):
    """Leaves the done markers of a run's measures, and its config.json as they do; the training's too."""
    if run.done("train") is None:
        run.execute("train", lambda _: ([], RESULT))
    for kind in kinds:
        run.execute(f"get_{kind}", lambda _: ([], {}), needs=("train",))
    return run


def export(run):
    measure(run, *KINDS)
    write_random_tables(run, run.experiment.measure.crosses)
    return run


def of(number, folder, *assignments):
    return Run(override(REGISTRY[number], assignments), folder)


def runs_in(folder):
    """The runs as the page finds them."""
    return [entry.run for entry in found(folder, REGISTRY).entries if entry.trained]


def lines(section, name="width-1-redundancy"):
    """{label: number of points} of a chart's curves."""
    [chart] = [chart for chart in section.charts if chart.name == name]
    return {trace["name"].partition(":")[0]: len(trace["x"]) for trace in chart.traces if trace["mode"] == "lines+markers"}


@pytest.fixture
def demo(tmp_path):
    """Three widths, measured and exported."""
    for number in (9002, 9003, 9004):
        export(of(number, tmp_path))
    return tmp_path


@pytest.mark.parametrize("setting", ["measure.cut=0.25", "measure.crosses=1", "measure.fidelity=original"])
def test_a_later_stage_with_other_settings_takes_no_run_out_of_its_curve(demo, setting):
    shrunk_run(of(9003, demo, setting))
    measure_now = {run.experiment.id: run.experiment.measure for run in runs_in(demo)}
    assert measure_now[9003] != measure_now[9004]
    section = width.section(runs_in(demo))
    assert lines(section) == {"Alexnet_digits": 3} and "Left out" not in section.intro
    printed, refused = width_study.measured(runs_in(demo))
    table = width_study.tidy([run for run, _ in printed])
    assert set(table.curve) == {"Alexnet_digits"} and table.width.nunique() == 3 and refused == []


def test_measured_twice_is_a_curve_more_once_it_is_exported(demo):
    again = measure(of(9003, demo, "measure.crosses=1"), *KINDS)
    section = width.section(runs_in(demo))
    assert lines(section) == {"Alexnet_digits": 3} and section.intro.count(again.experiment.name) == 2
    for kind in KINDS:
        assert f"{kind} of {again.experiment.name}: measured, and no up-to-date table" in section.intro
        assert f"python pkl2csv_{kind}.py" in section.intro
    export(again)
    section = width.section(runs_in(demo))
    assert lines(section) == {"Alexnet_digits": 3, "crosses=1": 1} and "Left out" not in section.intro
    assert [variant.experiment.measure.crosses for variant in variants(again, "get_redundancy")] == [3, 1]
    assert len(width_study.measured(runs_in(demo))[0]) == 4


def test_other_settings_of_robustness_come_with_the_redundancy_that_was_there(demo):
    other = of(9003, demo, "measure.amounts=4")
    before = other.csv("redundancy").read_text()
    measure(other, "robustness")
    write_random_tables(other)
    assert other.csv("redundancy").read_text() == before
    members, refused = exports.of_units(runs_in(demo))
    twice = [member for member in members if member.experiment.id == 9003]
    assert [member.experiment.measure.amounts for member in twice] == [REGISTRY[9003].measure.amounts, 4] and refused == []
    assert all(member.exported(kind) for member in twice for kind in KINDS)


def test_tables_older_than_what_was_measured_are_named(demo):
    run = of(9004, demo)
    os.utime(run.csv("redundancy"), (1, 1))
    os.unlink(run.csv("robustness"))
    section = width.section(runs_in(demo))
    assert lines(section) == {"Alexnet_digits": 2} and all(f"{kind} of {run.experiment.name}: " in section.intro for kind in KINDS)
    for number in (9002, 9003):
        for kind in KINDS:
            os.utime(of(number, demo).csv(kind), (1, 1))
    section = width.section(runs_in(demo))
    assert section.parts == [] and section.intro.count("ID900") == 6


def test_units_of_supermasks_are_those_of_the_registered_settings(tmp_path):
    for number in (9010, 9012):
        finish(number, tmp_path, RESULT | {"train": {"accuracy": .9}, "masks": {"fc1": {"kept": 10, "weights": 100}}})
    for run in (of(9010, tmp_path), of(9012, tmp_path, "measure.crosses=1")):
        measure(run, *KINDS)
        for kind in KINDS:  # of Alexnets, as good as any
            alexnet = of(9002, tmp_path / "other")
            write_random_tables(alexnet)
            run.csv(kind).parent.mkdir(parents=True, exist_ok=True)
            run.csv(kind).write_bytes(alexnet.csv(kind).read_bytes())
    section = masks.section(runs_in(tmp_path))
    assert lines(section, "supermasks-1-test") == {"FC": 2} and lines(section, "supermasks-1-redundancy") == {"FC": 1}
    assert f"units of {of(9012, tmp_path).experiment.name} as measured with other settings" in section.intro
    assert len(supermasks.measured(runs_in(tmp_path))[0]) == 2


@pytest.mark.parametrize("change", [{"masks": {"fc1": {"kept": "x", "weights": 9}}}, {"masks": [3]}, {"val": {"accuracy": "0.5"}},
                                    {"best_epoch": [1]}])
def test_a_supermask_with_a_damaged_marker_leaves_the_others(tmp_path, change, capsys):
    right = RESULT | {"train": {"accuracy": .9}, "masks": {"fc1": {"kept": 10, "weights": 100}}}
    runs = [finish(9010, tmp_path / "results", right), finish(9012, tmp_path / "results", right | change)]
    section, words = masks.section(runs), f"{runs[1].experiment.name}: {runs[1].marker('train')}: damaged"
    assert words in section.intro and {number for chart in section.charts for number in chart.table.experiment_id} == {9010}
    assert everything.write(found(tmp_path / "results", REGISTRY).entries, tmp_path / "figures", "png") == 1
    assert f"left out: {words}" in capsys.readouterr().err
    assert set(pd.read_csv(next((tmp_path / "figures").rglob("supermasks.csv"))).experiment_id) == {9010}


def test_masks_that_take_no_keep_stand_at_their_density(tmp_path):
    for place, share in enumerate((.55, .2, .05)):
        result = RESULT | {"train": {"accuracy": .5 + place / 10}, "masks": {"fc1": {"kept": int(20_000 * share), "weights": 20_000}}}
        finish(9014, tmp_path, result, assignments=["dnn.mask=sampled", "dnn.init=numbered", f"hyper.score_penalty={10.0 ** -place / 1e4}"])
    runs = runs_in(tmp_path)
    [chart] = [chart for chart in masks.section(runs).charts if chart.name == "supermasks-1-train"]
    drawn = {round(trace["x"][0], 6): trace["y"][0] for trace in chart.traces if trace["mode"] == "lines+markers"}
    assert drawn == pytest.approx({55: 50, 20: 60, 5: 70}) and not any("asked" in trace.get("hovertemplate", "") for trace in chart.traces)
    printed = supermasks.accuracy(supermasks.tidy(runs)).axes[0]
    assert {round(float(x)) for line in printed.lines if line.get_marker() != "|" for x in line.get_xdata() if x > 1} == {55, 20, 5}


@pytest.mark.parametrize("kind, column, value", [
    ("redundancy", "compressability_95", "inf"), ("redundancy", "performance", "1e300"), ("robustness", "performance", "-inf"),
    ("robustness", "perturbation_amount", "1e12")])
def test_tables_of_units_with_numbers_that_are_none(demo, kind, column, value):
    run = of(9003, demo)
    table = pd.read_csv(run.csv(kind), quotechar="|").astype({column: object})
    table.loc[4, column] = value
    table.to_csv(run.csv(kind), index=False)
    section = width.section(runs_in(demo))
    assert f"Left out: {run.experiment.name}: {run.csv(kind)}: damaged" in section.intro and lines(section) == {"Alexnet_digits": 2}


@pytest.mark.parametrize("column, value", [
    ("parameters", 0), ("seconds_64", -1), ("multiply_adds", np.inf), ("seconds_1", np.nan), ("accuracy", 7)])
def test_sizes_that_no_net_has(tmp_path, column, value):
    runs = [shrunk_run(of(number, tmp_path)) for number in (9040, 9041)]
    path = runs[0].file("shrink", "shrink.csv")
    table = pd.read_csv(path).astype({column: float})
    table.loc[0, column] = value
    table.to_csv(path, index=False)
    section = pruning.section(runs)
    assert f"Left out: {runs[0].experiment.name}: {path}: damaged" in section.intro
    assert {row for chart in section.charts for row in chart.table.experiment_id} == {9041}


@pytest.mark.parametrize("change", [
    {"summary": {"multiply_adds": [1, 2]}}, {"summary": {"trainable": "=1+1"}}, {"summary": {"location": "<script>"}},
    {"summary": {"features": [1] * 300_000}}, {"summary": {"features": [1.5, 2]}}, {"summary": {"features": []}},
    {"val": {"accuracy": "0.9"}}, {"train": {"accuracy": 10 ** 400}}, {"test": 3}, {"best_epoch": None}])
def test_nets_of_a_family_with_a_damaged_marker(tmp_path, change):
    accuracies = {"train": .9, "val": .8, "test": .7}
    runs = [finish_vgg(REGISTRY[number], tmp_path, accuracies, (8, 8, 16, 16, 64, 64)) for number in (9200, 9201)]
    path = runs[0].marker("train")
    marker = json.loads(path.read_text())
    for name, value in change.items():
        marker["result"][name] = marker["result"][name] | value if isinstance(value, dict) else value
    path.write_text(json.dumps(marker))
    section = features.section(runs)
    assert f"Left out: {runs[0].experiment.name}: {path}: damaged" in section.intro
    assert [len(family["rows"]) for family in section.data["families"]] == [1]
    assert len(feature_amounts.measured(runs)[0]) == 1


@pytest.mark.parametrize("change", [
    lambda content: content.update(counts=None, units=100_000) or content["rows"][0].update({"class": 99_999}),
    lambda content: content.update(counts=None, units=10 ** 12), lambda content: content["rows"][0].update(filter=-5),
    lambda content: content["rows"][0].update(filter=64), lambda content: content["rows"][0].update({"class": 10}),
    lambda content: content.update(counts=[], rows=[]), lambda content: content.update(units="64")])
def test_filters_that_no_net_has(tmp_path, change):
    runs = [of(number, tmp_path) for number in (9031, 9032)]
    for run in runs:
        with_indices(run)
    path = runs[1].file("indices", "indices.json")
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    section = filters.section(runs)
    assert f"Left out: {runs[1].experiment.name}: {path}: damaged" in section.intro
    assert set(section.charts[0].table.experiment_id) == {9031}


@pytest.mark.parametrize("marker", [
    {}, {"settings": {"trained_hash": None}}, {"result": {"from": 3}}, {"result": {"from": ["-w"]}},
    {"result": {"from": {"-w": 1}}}])
def test_what_is_beside_a_run_is_none_of_its_filters(tmp_path, marker):
    run = of(9032, tmp_path)
    with_indices(run)
    beside = run.path.with_name(run.path.name + "+12345678")
    beside.mkdir()
    right = {"settings": {"trained_hash": run.experiment.trained_hash()}} if "result" in marker else {"settings": {}}
    (beside / "indices.done.json").write_text(json.dumps({"result": {}, "files": {}, "made_from": {}} | right | marker))
    section = filters.section([run])
    assert "Left out" not in section.intro and {label for chart in section.charts for label in chart.table.run} == {net_label(run)}


def test_damage_of_any_kind_leaves_out_one_run_alone(demo, monkeypatch):
    def broken(run, *arguments, **options):
        if run.experiment.id == 9003:
            raise KeyError("something")
        return whole(run, *arguments, **options)

    whole = width.tables.of_run
    monkeypatch.setattr(width.tables, "of_run", broken)
    section = width.section(runs_in(demo))
    run = of(9003, demo)
    assert f"Left out: {run.experiment.name}: {run.path}: damaged" in section.intro and lines(section) == {"Alexnet_digits": 2}


def test_names_in_results_are_no_markup():
    link = "<a href='https://example.org'>here</a>"
    trace = {"type": "bar", "name": link, "x": [link, 1], "y": [2, 3], "text": [f"{link}<br>two"], "customdata": [(link, 2)],
             "hovertemplate": "%{y}<extra></extra>", "marker": {"color": "$0"}}
    layout = {"xaxis": {"title": {"text": f"a<br>{link}"}, "ticktext": [link], "tickvals": [1]}, "annotations": [{"text": link}]}
    table = pd.DataFrame({"layer": [link]})
    frames = ({"name": "1", "data": [{"x": [link], "y": [1]}]},)
    drawn = embedded(Chart("one", "One", "", [trace], layout, table, frames))
    assert drawn["table"]["layer"] == [link]  # as it is, for the download
    text = json.dumps({name: drawn[name] for name in ("traces", "layout", "frames")})
    assert "<a" not in text and text.count("&lt;a href") == 8 and text.count("<br>") == 2 and "<extra></extra>" in text
