"""The page of a whole results folder, in a real browser: what is in the folder, whatever state it is in, and what the page makes of it."""
import collections
import csv
import io
import json
import os
import pickle
import time

import numpy as np
import pandas as pd
import pytest

from experiments import REGISTRY
from tests.browser import browser, opened
from tests.conftest import TINY, ok
from tfprune import files
from tfprune.experiment import UserError
from tfprune.overrides import override
from tfprune.report import chart, overall, page
from tfprune.report.chart import Chart, Section
from tfprune.report.configs import experiment_of
from tfprune.report.found import found
from tfprune.report.sections import filters, pruning
from tfprune.run import Run

HOSTILE = b"cos\nsystem\n(S'touch hacked'\ntR."
RESULT = {"best_epoch": 7, "stopped": "all 9 epochs done", "test": {"accuracy": .91, "loss": 1.}, "val": {"accuracy": .9, "loss": 1.}}


def finish(number, folder, result=RESULT, content=(), **changes):
    """A run that counts as trained, without a training; `content`: {name: bytes} of files of its stage."""
    run = Run(override(REGISTRY[number], **changes), folder)

    def work(_):
        paths = [run.path / name for name in dict(content)]
        for path in paths:
            path.write_bytes(dict(content)[path.name])
        return paths, result

    run.execute("train", work)
    return run


def half_finished(number, folder, epochs):
    run = Run(REGISTRY[number], folder)
    run.path.mkdir(parents=True)
    files.write_json(run.path / "config.json", run.experiment.settings())
    lines = [json.dumps({"epoch": epoch}) for epoch in range(epochs + 1)]
    (run.path / "metrics.jsonl").write_text("\n".join([*lines, '{"epoch": 9']))
    return run


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A results folder that has seen much: see `test_every_run_and_its_state` and `test_what_is_no_result`."""
    folder = tmp_path_factory.mktemp("results")
    ok("train.py", *TINY, f"--results_dir={folder}", f"--data_dir={tmp_path_factory.mktemp('data')}")
    sound = finish(3, folder, content={"a.pkl": pickle.dumps(1.5, 2), "b.pkl": pickle.dumps(2, 2)})
    time.sleep(.01)
    (sound.path / "b.pkl").write_bytes(HOSTILE)
    (sound.path / "evil.pkl").write_bytes(HOSTILE)
    (sound.path / "<img src=x onerror=alert(1)>.txt").write_text("a foreign file")
    finish(4, folder, RESULT | {"stopped": "the loss was no number at step 3 of epoch 2"})
    half_finished(5, folder, 4)
    failed = half_finished(6, folder, 1)
    logs = {failed.experiment: "epoch 1\nerror: --data_dir=x: no such data\n", REGISTRY[62]: "error: out of memory\n"}
    for experiment, log in logs.items():
        path = folder / "sweep" / experiment.family / f"{experiment.name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(log)
        path.with_suffix(".claim").write_text("")
    config = finish(2, folder).path / "config.json"
    config.write_text(config.read_text().replace('"batch_size": ', '"batch_size": 1'))
    (finish(7, folder).path / "train.done.json").write_text("no marker")
    (folder / "notes.txt").write_text("mine")
    (folder / "photos").mkdir()
    (folder / "photos" / "one.jpg").write_bytes(b"x")
    os.symlink("/usr", folder / "elsewhere")
    return folder


@pytest.fixture(scope="module")
def written(results, tmp_path_factory):
    before = sorted(map(str, results.rglob("*")))
    path = overall.write(results, REGISTRY, tmp_path_factory.mktemp("page") / "report.html")
    assert sorted(map(str, results.rglob("*"))) == before and not os.path.exists("hacked")
    return path


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


def by_id(results):
    return {entry.run.experiment.id: entry for entry in found(results, REGISTRY).entries if entry.run}


def test_every_run_and_its_state(results):
    entries = by_id(results)
    assert {number: entry.state for number, entry in entries.items()} == {
        9002: "finished", 3: "finished", 4: "failed", 5: "half-finished", 6: "failed", 62: "failed", 7: "damaged"}
    assert (entries[3].test, entries[3].val, entries[3].epochs, entries[3].of, entries[3].stages) == (.91, .9, 7, 500, ("train",))
    assert entries[3].run.experiment == REGISTRY[3] or entries[3].run.experiment.settings() == REGISTRY[3].settings()
    assert (entries[5].epochs, entries[5].of) == (4, 500)
    assert entries[4].reason == "the loss was no number at step 3 of epoch 2"
    assert entries[6].reason == "--data_dir=x: no such data" and entries[62].reason == "out of memory"
    assert entries[7].reason.startswith("train.done.json: damaged") and not entries[7].trained
    assert entries[9002].provenance["train"]["seed"] == 0 and 0 <= entries[9002].test <= 1
    [damaged] = [entry for entry in found(results, REGISTRY).entries if entry.run is None]
    assert damaged.reason == "config.json is damaged: its hash is that of other settings" and damaged.name.endswith(REGISTRY[2].name)


def test_what_is_no_result(results):
    strangers, name = found(results, REGISTRY).strangers, by_id(results)[3].name
    refused = "refused: it asks for os.system; only numbers, containers and numpy arrays are read"
    assert strangers == {
        f"{name}/evil.pkl": refused, f"{name}/b.pkl": refused, "notes.txt": "no file of tfprune's",
        f"{name}/<img src=x onerror=alert(1)>.txt": "belongs to no stage that is done",
        "photos": "no run is in it", "elsewhere": "a link to what is outside the results folder"}


def test_settings_come_back_from_every_config():
    for experiment in [*list(REGISTRY.values())[::97], override(REGISTRY[9002], ["hyper.keep=0.25", "measure.crosses=1"], 3, "original")]:
        again = experiment_of(json.loads(json.dumps(experiment.settings())), REGISTRY)
        assert again.settings() == experiment.settings() and again.tag("crosses") == experiment.tag("crosses")


@pytest.mark.parametrize("change, says", [
    ({"id": "9002"}, "id is of another type"), ({"run": 1}, "run is no setting"), ({"dnn": {"layers": 3}}, "dnn.layers is no setting"),
    ({"dnn": []}, "dnn has no settings"), ({"hyper": {"batch_size": True}}, "hyper.batch_size is of another type"),
    ({"hyper": {"batch_size": -1}}, "hyper.batch_size=-1: hyper.batch_size takes"), ({"seed": 8}, "its hash is that of other settings"),
    ({"dnn": {"features": ["1"]}}, "dnn.features is of another type"), ({"dataset": {"name": "../../x"}}, "dataset.name"),
    ({"hyper": {"momentum": float("nan")}}, "hyper.momentum=nan")])
def test_a_config_that_is_none(change, says):
    config = json.loads(json.dumps(REGISTRY[9002].settings()))
    for name, value in change.items():
        config[name] = config[name] | value if isinstance(value, dict) else value
    with pytest.raises(UserError, match="config.json is damaged: ") as error:
        experiment_of(config, REGISTRY)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_files_that_would_hang_or_mislead(tmp_path):
    run = finish(3, tmp_path)
    os.unlink(run.path / "provenance.json")
    os.mkfifo(run.path / "provenance.json")
    other = finish(4, tmp_path)
    other.path.rename(other.path.with_name("renamed"))
    [pipe, renamed] = found(tmp_path, REGISTRY).entries
    assert (pipe.state, pipe.reason) == ("damaged", "provenance.json is no file")
    assert (renamed.state, renamed.reason) == ("damaged", "config.json is that of another run")


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")])
def test_no_results_no_page(tmp_path, make):
    make(tmp_path / "results")
    with pytest.raises(UserError, match="--results_dir=.*: no (such folder|runs in it)"):
        overall.write(tmp_path / "results", REGISTRY, tmp_path / "out" / "report.html")
    assert not (tmp_path / "out").exists()


def test_sections_come_in_order_and_none_can_stop_the_page(chromium, tmp_path, monkeypatch):
    counts = {"features": [4, 8], "parameters": 10, "trainable": 10, "multiply_adds": 10, "location": 0, "scale": 1, "shape": 0}
    for number in (9250, 9270):
        finish(number, tmp_path, RESULT | {"summary": counts})

    def broken(runs):
        assert len(runs) == 2
        raise KeyError("<b>amount</b>")

    monkeypatch.setattr(filters, "section", broken)
    monkeypatch.setattr(pruning, "section", lambda runs: Section("pruning", "Last", "", []))
    with opened(chromium, overall.write(tmp_path, REGISTRY, tmp_path / "report.html")) as tab:
        names = [section.get_attribute("id") for section in tab.locator("main > section").all()]
        assert [names[0], *names[-3:]] == ["overview", "pruning", "left-out", "provenance"] and len(names) == 5
        assert "section filters" in tab.inner_text("#left-out") and "<b>amount</b>" in tab.inner_text("#left-out")


def shown(tab):
    """Texts of the overview's rows that are to be seen."""
    return [row.inner_text() for row in tab.locator("#runs tbody tr:visible").all()]


def test_the_page_names_all_and_runs_nothing(chromium, written):
    with opened(chromium, written) as tab:
        text = tab.inner_text("main")
        assert [link.get_attribute("href")[1:] for link in tab.locator("nav a").all()] == [
            section.get_attribute("id") for section in tab.locator("main > section").all()]
        assert {"overview", "left-out", "provenance"} <= {section.get_attribute("id") for section in tab.locator("section").all()}
        for said in ("the loss was no number at step 3", "--data_dir=x: no such data", "out of memory", "evil.pkl", "os.system",
                     "notes.txt", "<img src=x onerror=alert(1)>.txt", "elsewhere", "its hash is that of other settings"):
            assert said in text
        assert tab.locator("main img").count() == 0
        tab.locator("details summary").nth(1).click()
        tab.locator("details").nth(1).locator("table").wait_for()
        assert "train.py --experiment_id=9002" in tab.locator("details").nth(1).inner_text()


def test_the_table_sorts_and_filters(chromium, written):
    with opened(chromium, written) as tab:
        count = len(shown(tab))
        assert count == 8 and tab.inner_text("output") == "8 of 8"
        for direction in (-1, 1):
            tab.click("#runs th:nth-child(1) button")
            numbers = [row.split("\t")[0] for row in shown(tab)]
            known = [int(number) for number in numbers if number != "–"]
            assert known == sorted(known, key=lambda number: direction * number) and numbers[-1] == "–"  # the unknown ones are last
        tab.get_by_label("State").select_option("failed")
        assert {row.split("\t")[1] for row in shown(tab)} == {"failed"} and tab.inner_text("output") == "3 of 8"
        tab.get_by_label("Text").fill("OUT OF memory")
        assert [row.split("\t")[0] for row in shown(tab)] == ["62"]
        tab.get_by_label("Text").fill("")
        tab.get_by_label("State").select_option("")
        tab.get_by_label("Test [%] from").fill("90.5")
        assert {"3", "4"} <= {row.split("\t")[0] for row in shown(tab)} and len(shown(tab)) < count
        tab.get_by_label("Study").select_option("unknown")
        assert shown(tab) == []


TABLE = pd.DataFrame({"name": ["=1+1", 'a "b", c', "@x"] * 3, "x": np.arange(9.), "y": [np.nan, *np.arange(8) / 3], "n": np.arange(9)})
AXES = {"xaxis": {"title": {"text": "x [m]"}}, "yaxis": {"title": {"text": "y [s]"}, "range": [0, 9]}}
STEPS = [{"label": str(place), "method": "animate", "args": [[str(place)], {"mode": "immediate", "frame": {"duration": 0}}]}
         for place in (0, 1)]


@pytest.fixture(scope="module")
def charts(tmp_path_factory):
    """A page of two sections with three charts, the last far below, and one with a slider."""
    line = {"type": "scatter", "x": TABLE.x, "y": TABLE.y, "marker": {"color": "$1"}, "fillcolor": "$0/20"}
    bars, slider = {"type": "bar", "x": [1, 2], "y": [1, 2]}, {"sliders": [{"steps": STEPS}]}
    slides = Chart("slides", "With a slider", "A note.", [bars], AXES | slider, TABLE, tuple(
        {"name": str(place), "data": [{"y": [1 + place, 2 + place]}]} for place in (0, 1)))
    shapes = Chart("deep", "Deep", "A note.", [{"type": "scatter3d", "x": [1], "y": [1], "z": [1]}], {"scene": {}}, TABLE)
    tall = page.paragraph("Far below.") + '<div style="height:4000px"></div>'
    lines = Chart("line", "A <line>", "A note.", [line], AXES, TABLE)
    sections = [Section("one", "One & only", "Says <b>little</b>.", [lines, slides, tall]),
                Section("two", "Two", "", [shapes])]
    path = tmp_path_factory.mktemp("charts") / "charts.html"
    path.write_text(page.of_sections("Charts", sections))
    return path


def until(tab, condition):
    """Waits until an expression holds; Playwright's own wait would evaluate text in the page, which its policy forbids."""
    for _ in range(400):
        if tab.evaluate(condition):
            return
        tab.wait_for_timeout(50)
    raise AssertionError(condition)


def drawn(tab, name):
    return tab.locator(f"#{name}.js-plotly-plot").count() == 1


@pytest.mark.parametrize("width, scheme", [(1280, "light"), (400, "dark")])
def test_charts_are_drawn_when_they_come_near(chromium, charts, width, scheme):
    with opened(chromium, charts, width=width, scheme=scheme) as tab:
        tab.wait_for_selector("#line.js-plotly-plot")
        assert not drawn(tab, "deep") and "Says <b>little</b>." in tab.inner_text("#one") and "A <line>" in tab.inner_text("#one")
        tab.locator("#deep").scroll_into_view_if_needed()
        tab.wait_for_selector("#deep.js-plotly-plot canvas")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_a_theme_colours_charts(chromium, charts):
    colours = "() => [document.getElementById('line').data[0].marker.color, document.getElementById('line').layout.font.color]"
    with opened(chromium, charts) as tab:
        tab.wait_for_selector("#line.js-plotly-plot")
        assert tab.evaluate(colours) == ["#d55e00", "#1c1f23"]
        assert tab.evaluate("document.getElementById('line').data[0].fillcolor") == "#0072b233"
        tab.emulate_media(color_scheme="dark")
        until(tab, "document.getElementById('line').layout.font.color === '#e8ebef'")
        assert tab.evaluate(colours) == ["#f0803c", "#e8ebef"]


def to_the_second_step(tab):
    """Moves the slider of the chart "slides"."""
    tab.wait_for_selector("#slides.js-plotly-plot")
    tab.focus("#slides")
    tab.keyboard.press("ArrowRight")
    until(tab, "document.getElementById('slides').data[0].y[0] === 2")


def test_the_arrow_keys_move_a_slider(chromium, charts):
    with opened(chromium, charts) as tab:
        to_the_second_step(tab)
        tab.keyboard.press("ArrowRight")  # there is no third
        tab.keyboard.press("ArrowLeft")
        until(tab, "document.getElementById('slides').data[0].y[0] === 1")
        assert tab.evaluate("document.getElementById('slides').layout.sliders[0].active") == 0


def test_a_slider_stays_where_it_is_when_the_theme_changes(chromium, charts):
    with opened(chromium, charts) as tab:
        to_the_second_step(tab)
        tab.emulate_media(color_scheme="dark")
        until(tab, "document.getElementById('slides').layout.font.color === '#e8ebef'")
        until(tab, "document.getElementById('slides').data[0].y[0] === 2")
        assert tab.evaluate("document.getElementById('slides').layout.sliders[0].active") == 1
        tab.wait_for_timeout(300)
        assert tab.evaluate("document.getElementById('slides').data[0].y[0]") == 2


def saved(tab, name, kind):
    tab.wait_for_selector(f"#{name}.js-plotly-plot")
    with tab.expect_download() as waiting:
        tab.click(f"[data-chart={name}][data-format={kind}]")
    assert waiting.value.suggested_filename == f"{name}.{kind}"
    return waiting.value.path().read_bytes()


def test_downloads(chromium, charts):
    with opened(chromium, charts) as tab:
        rows = list(csv.DictReader(io.StringIO(saved(tab, "line", "csv").decode())))
        assert [row["name"] for row in rows] == ["'=1+1", 'a "b", c', "'@x"] * 3
        assert [row["n"] for row in rows] == [str(place) for place in range(9)] and rows[0]["y"] == ""
        assert np.allclose([float(row["y"]) for row in rows[1:]], TABLE.y[1:], rtol=1e-6)
        assert saved(tab, "line", "svg").startswith(b"<svg") and saved(tab, "line", "png").startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["", "Line", "a b", 'a"onclick="x'])
def test_a_chart_has_a_name_that_needs_no_quoting(name):
    with pytest.raises(ValueError, match="no name of a chart"):
        Chart(name, "", "", [], {}, TABLE)


def test_charts_of_one_name_are_refused():
    double = Chart("line", "", "", [], {}, TABLE)
    with pytest.raises(ValueError, match="one name"):
        page.charts_of([Section("one", "", "", [double]), Section("two", "", "", [double])])


def test_numbers_have_few_digits_and_repeated_words_are_stored_once():
    stored = chart.embedded(Chart("a", "", "", [{"x": np.array([1 / 3, np.inf]), "y": [1234567]}], {}, TABLE))
    assert stored["traces"] == [{"x": [.33333, None], "y": [1234567]}]
    assert stored["table"]["name"] == {"names": ["=1+1", 'a "b", c', "@x"], "codes": [0, 1, 2] * 3}
    assert stored["table"]["y"][:3] == [None, 0.0, .3333333]


def test_many_runs_stay_small(tmp_path):
    runs = [Run(experiment, tmp_path) for experiment in REGISTRY.values() if experiment.family == REGISTRY[247].family][:120]
    for run in runs:
        run.path.mkdir(parents=True)
        files.write_json(run.path / "config.json", run.experiment.settings())
    assert collections.Counter(entry.state for entry in found(tmp_path, REGISTRY).entries) == {"half-finished": 120}
    empty = len(page.of_sections("", []))
    path = overall.write(tmp_path, REGISTRY, tmp_path / "report.html")
    assert path.stat().st_size - empty < 120 * 4000  # 3,000 runs: 12 MB
    assert "report.html" not in found(tmp_path, REGISTRY).strangers
