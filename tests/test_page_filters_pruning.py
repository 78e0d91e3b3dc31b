"""The page's sections of class filters and of pruning: what they show of which runs, whatever files there are, and in a real browser."""
import dataclasses
import json

import numpy as np
import pytest

from experiments import REGISTRY
from tests.browser import browser, opened, scrolled_to
from tests.test_decomposing_report import INDEX, measured, validated, with_indices
from tests.test_pruning_figures import KS, LAYERS, MEASURED, pruned, shrunk_run
from tests.test_report_page import until
from tfprune import files
from tfprune.overrides import override
from tfprune.report import chart, histogram_slider, page, pruning_charts
from tfprune.report.measured import label, variants
from tfprune.report.pruning_frames import Histograms
from tfprune.report.sections import filters, pruning
from tfprune.run import Run

NOISY = [{"noise": "none", "where": "none", "class": number, "draw": 0, "correct": 10, "examples": 10} for number in range(10)] + [
    {"noise": "replace", "where": where, "class": number, "draw": draw, "correct": correct + draw, "examples": 10}
    for where, correct in (("own", 2), ("others", 8)) for draw in (0, 1) for number in range(10)]
SHARED = [{"sets": sets, "mutual_information": .03, "off_diagonal": value} for sets, value in (
    ("own", .008), ("random", .0081), ("random_sd", .0012), ("random_expected", .00805))]
TOPS = [("own", 0, 5, .8), ("own", 0, 64, .975), ("random", 0, 5, .2), ("random", 1, 5, .4), ("dense", 0, 64, .975)]
GATES = [{"filters": name, "top": top, "noise": noise, "at_own": .2, "at_own_sd": .01, "at_others": .9, "at_others_sd": .02,
          "decomposed": .8, "off_diagonal": .007} for noise in ("replace", "zero") for top in (5, 10) for name in ("csg", "ours", "random")]


@pytest.fixture
def decomposed(tmp_path):
    """9030 with a curve, 9032 with all that is of filters, some of it by two settings, 9034 with gates; 9031 with nothing."""
    runs = {number: Run(REGISTRY[number], tmp_path) for number in (9030, 9031, 9032, 9034)}
    measured(runs[9030], "curve", [dict(zip(("filters", "draw", "top", "accuracy"), row, strict=True)) for row in TOPS])
    with_indices(runs[9032])
    validated(runs[9032], **{"all filters": .975, "k=5": .9})
    noisy = [row | {"filters": name} for name in ("ours", "random") for row in NOISY]
    measured(runs[9032], "essential", noisy)
    measured(Run(override(REGISTRY[9032], ["measure.noise=matched", "measure.draws=2"]), tmp_path), "essential",
             [row | {"noise": row["noise"].replace("replace", "matched")} for row in noisy])
    measured(runs[9032], "mutual_info", SHARED)
    measured(runs[9034], "csg", GATES, density=.12)
    return list(runs.values())


def by_name(section):
    return {part.name: part for part in section.charts}


def marked(part):
    """How many points a chart's traces have; of lines without markers none."""
    return sum(value is not None for trace in part.traces for value in trace.get("y", []) if "markers" in trace.get("mode", "markers"))


def test_filters(decomposed):
    section = filters.section(decomposed)
    charts = by_name(section)
    assert list(charts) == [f"filters-{name}" for name in (
        "matrix-1", "accuracy-1", "essentiality-1-replace", "essentiality-2-matched", "curve-1", "pairs-1-shared", "pairs-1-information",
        "information", "gates-1", "gates-2", "gates-3", "gates-4")]
    assert "Left out" not in section.intro and all(part.note and part.title for part in section.charts)
    for name in ("accuracy-1", "essentiality-1-replace", "curve-1", "gates-1", "gates-4"):
        assert marked(charts[f"filters-{name}"]) == len(charts[f"filters-{name}"].table), name
    assert [len(charts[f"filters-{name}"].table) for name in ("accuracy-1", "essentiality-1-replace", "curve-1", "gates-1")] == [
        22, 5 * 11, 4, 6]
    assert charts["filters-essentiality-2-matched"].title.endswith("ID9032 ResNet20 digits k=5, noise=matched, draws=2")
    own = charts["filters-essentiality-1-replace"].traces[0]
    assert own["y"] == pytest.approx([25.0] * 11) and own["error_y"]["array"][0] == pytest.approx(10 / 2**.5)
    assert marked(charts["filters-information"]) == 3 * len(charts["filters-information"].table) == 3
    assert json.loads(page._json(page.charts_of([section]))).keys() == charts.keys()


def test_matrices_of_filters(decomposed):
    charts = by_name(filters.section(decomposed))
    matrix = charts["filters-matrix-1"]
    heat, marks = matrix.traces
    assert np.shape(heat["z"]) == (10, 64) and len(matrix.table) == 640 and np.max(heat["z"]) == 80  # of 50 images 40
    assert {(int(row), int(unit)) for row, unit in zip(marks["y"], marks["x"], strict=True)} == {
        (number, unit) for number, own in INDEX.items() for unit in own}
    assert heat["x"][:3] == ["0", "1", "2"] and "Shown are" not in matrix.note  # the first class's own are a block
    shared, information = charts["filters-pairs-1-shared"], charts["filters-pairs-1-information"]
    values = np.array(shared.traces[0]["z"])
    assert (values.diagonal() == 5).all() and (values.diagonal(1) == 2).all() and shared.traces[0]["zmax"] == 2 and len(shared.table) == 100
    assert shared.traces[0]["text"][0][:2] == ["5", "2"]
    share = 5 / 64
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert information.traces[0]["z"][3][3] == pytest.approx(entropy) and information.traces[0]["text"][3][3] == f"{entropy:.3f}"[1:]


def test_many_filters_and_classes_are_cut(tmp_path):
    """Two hundred classes of a thousand filters: a matrix of some, no class by itself; and of many runs the last are only named."""
    index = {number: list(range(number % 5 + 1)) for number in range(200)}
    rows = [{"class": number, "rank": rank, "filter": unit, "count": 3, "images": 9} for number, own in index.items()
            for rank, unit in enumerate(own)]
    runs = []
    for seed in range(filters.MOST + 2):
        runs.append(Run(override(REGISTRY[9032], [], seed), tmp_path))
        measured(runs[-1], "indices", rows, units=1000, counts=np.ones((200, 1000), int).tolist())
        measured(runs[-1], "validate", [{"net": "all filters", "class": number, "examples": 9, "correct": 3, "accuracy": 1 / 3}
                                        for number in [*range(200), "all"]])
    section = filters.section(runs)
    charts = by_name(section)
    assert len(charts["filters-matrix-1"].table) == 8000 and np.shape(charts["filters-matrix-1"].traces[0]["z"]) == (100, 80)
    assert len(charts["filters-pairs-1-shared"].table) == 3600 and "texttemplate" not in charts["filters-pairs-1-shared"].traces[0]
    assert charts["filters-accuracy-1"].traces[0]["x"] == ["all"] and f"filters-matrix-{filters.MOST + 1}" not in charts
    named = [part for part in section.parts if isinstance(part, str)]
    assert len(named) == 3 and "seed=6; ID9032 ResNet20 digits k=5, seed=7" in named[0]
    assert charts["filters-matrix-1"].note.endswith(" Shown are the 80 most used of 1,000 filters and the first 100 of 200 classes.")


@pytest.mark.parametrize(("command", "content"), [
    ("indices", "{"), ("indices", "[]"), ("indices", '{"rows": 3}'), ("indices", '{"rows": [{"class": "x", "filter": 1}], "units": 4}'),
    ("indices", '{"rows": [{"class": 1e12, "filter": 1}], "units": 64, "counts": null}'), ("validate", '{"rows": []}'),
    ("essential", json.dumps({"rows": [row | {"filters": "ours", "noise": "<b>"} for row in NOISY]})),
    ("mutual_info", '{"rows": [{"sets": "own", "off_diagonal": 1}]}')])
def test_damaged_filters_are_named(decomposed, command, content):
    run = decomposed[2]
    run.file(command, f"{command}.json").write_text(content)
    section = filters.section(decomposed)
    assert f"Left out: {run.experiment.name}: " in section.intro and f"{command}.json: damaged" in section.intro
    assert {"filters-curve-1", "filters-gates-1"} <= set(by_name(section)), "the other runs are there"
    only = filters.section([run])
    assert "damaged" in only.intro and not only.parts


def test_a_damaged_marker_is_named(decomposed):
    decomposed[2].marker("essential").write_text("{}")
    assert "essential.done.json: damaged" in filters.section(decomposed).intro


@pytest.fixture
def cut(tmp_path):
    """Pruned: 9040 as by default and by another criterion, 9002, of another study; 9041 pruned and made smaller by two settings."""
    runs = [pruned(Run(override(REGISTRY[number], MEASURED), tmp_path), scale=scale) for number, scale in ((9040, 1.), (9002, .5))]
    pruned(Run(override(REGISTRY[9040], ["measure.criterion=apoz", "measure.prune_by=unit"]), tmp_path))
    small = Run(REGISTRY[9041], tmp_path)
    shrunk_run(small)
    shrunk_run(Run(override(REGISTRY[9041], ["measure.cut=0.25"]), tmp_path), (4e-3, 2e-3))
    return [Run(REGISTRY[number], tmp_path) for number in (9040, 9002)] + [small], runs


def test_every_measure_is_found(cut):
    runs, made = cut
    found = variants(runs[0], "prune")
    assert {member.file("prune", "pruning.csv") for member in found} == set(runs[0].path.glob("pruning*.csv")) and len(found) == 2
    assert any("criterion=apoz" in label(member, "prune") for member in found)
    last = Run(dataclasses.replace(made[0].experiment, registered_measure=None), made[0].results_dir)  # as a config.json says
    assert {member.marker("prune") for member in variants(last, "prune")} == {member.marker("prune") for member in found}


def test_pruning(cut):
    section = pruning.section(cut[0])
    charts = by_name(section)
    curves = [f"pruning-{column}-{by}" for column in ("accuracy", "loss") for by in ("weight", "unit")]
    before = [f"pruning-before-and-after-{name}" for name in ("accuracy", "parameters", "multiply-adds", "seconds-1", "seconds-64")]
    histograms = [name for name in charts if "histogram" in name]
    assert list(charts) == curves + histograms + before and len(histograms) == 2 + 1 + 2
    assert [marked(charts[name]) for name in curves] == [len(charts[name].table) for name in curves] == [8, 12, 8, 12]
    lines = {trace["name"]: trace for trace in charts["pruning-accuracy-weight"].traces}
    assert sum(name.startswith("guessing") for name in lines) == 1
    line = next(trace for name, trace in lines.items() if "Alexnet" in name)
    assert line["x"] == pytest.approx([100, 99.999, 75, 10]) and line["y"][-1] == pytest.approx(27.5)
    times = charts["pruning-before-and-after-seconds-64"]
    assert sorted(times.traces[1]["text"]) == ["25 %", "50 %"] and times.traces[0]["x"] == pytest.approx([4, 4])
    assert all(sum(len(trace["x"]) for trace in charts[name].traces) == len(charts[name].table) == 4 for name in before)
    assert charts["pruning-before-and-after-accuracy"].traces[1]["text"] == ["-10.00 points"] * 2
    assert json.loads(page._json(page.charts_of([section]))).keys() == charts.keys()


def test_histograms_have_a_frame_a_sparsity(cut):
    charts = by_name(pruning.section(cut[0][1:2]))
    part = charts["pruning-histogram-weight-1"]
    assert [frame["name"] for frame in part.frames] == ["0", "0.001", "25", "90"] and len(part.frames) == len(set(KS))
    steps = part.layout["sliders"][0]["steps"]
    assert [step["args"][0] for step in steps] == [[frame["name"]] for frame in part.frames]
    assert part.layout["sliders"][0]["active"] == 2 and [trace["y"] for trace in part.traces] == [
        bars["y"] for bars in part.frames[2]["data"]]  # nearest to a half
    assert sum(np.count_nonzero(bars["y"]) for frame in part.frames for bars in frame["data"]) == len(part.table)
    first = part.table[(part.table.layer == "fc2") & (part.table.sparsity == .25)]
    assert first["count"].tolist() == [round(750) // (bin + 1) for bin in range(10)] and first["to"].iloc[-1] == pytest.approx(3)
    assert part.frames[2]["data"][1] == {"x0": pytest.approx(.15), "y": first["count"].tolist()}
    assert [note["text"] for note in part.layout["annotations"]] == ["fc1", "fc2", "logits (left whole)"]
    assert part.layout["yaxis"]["type"] == "log" and len(part.traces) == len(LAYERS)


def test_deep_nets_and_fine_histograms_are_compact():
    counts = np.zeros((50, 300), int)
    counts[:, 100:200] = 2
    deep = Histograms("weight", np.linspace(0, 1, 50), {f"<{number}>": (np.linspace(0, 3, 301), counts) for number in range(40)})
    part = histogram_slider.slider(deep, "net", "deep")
    assert len(part.traces) == 9 and len(part.frames) == 40 and "9 of 40 layers" in part.note
    assert chart.embedded(part)["layout"]["annotations"][0]["text"].startswith("&lt;0>")
    bars = part.frames[0]["data"][0]
    assert bars == {"x0": pytest.approx(1.05), "y": [20] * 10} and part.traces[0]["dx"] == pytest.approx(.1)
    assert len(json.dumps(chart.embedded(part))) < 1_000_000


def test_many_runs_share_traces(tmp_path):
    runs = [pruned(Run(override(REGISTRY[9040], MEASURED, seed), tmp_path)) for seed in range(3)]
    table = pruning.pruning.tidy(runs)
    table = table.assign(curve=table.seed.map("run {}".format), net="FC4 on digits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pruning_charts, "MOST_LINES", 2)
        part = pruning_charts.against_sparsity(table[table.by == "unit"], "unit", "loss", "many")
    assert len(part.traces) == 2 and part.traces[0]["name"] == "FC4 on digits" and part.traces[0]["x"].count(None) == 2
    assert marked(part) == len(part.table) == 12 and part.traces[1]["y"] == pytest.approx([np.log(10)] * 2)
    assert part.layout["yaxis"]["title"]["text"] == "cross-entropy [nats]" and part.traces[1]["name"] == "guessing (ln 10)"
    regression = pruning_charts.against_sparsity(table[table.by == "unit"].assign(chance=np.nan), "unit", "loss", "few")
    assert regression.layout["yaxis"]["title"]["text"] == "squared error"
    assert not any("guess" in trace["name"] for trace in regression.traces)


@pytest.mark.parametrize(("name", "content"), [
    ("pruning.csv", b"by\n"), ("histograms.npz", b"PK\x03\x04broken"), ("shrink.csv", b"net\ntrained\ncut\n")])
def test_damaged_pruning_is_named(cut, name, content):
    runs, _ = cut
    stage = "shrink" if name == "shrink.csv" else "prune"
    run = runs[2] if stage == "shrink" else runs[0]
    path = next(iter(variants(run, stage))).file(stage, name)
    path.write_bytes(content)
    section = pruning.section(runs)
    assert f"Left out: {run.experiment.name}: {path}: damaged" in section.intro
    assert "pruning-accuracy-weight" in by_name(section) and "pruning-before-and-after-accuracy" in by_name(section), "the others are there"


def test_no_section_without_results(tmp_path):
    run = Run(REGISTRY[9040], tmp_path)
    run.execute("train", lambda _: ([], {"best_epoch": 1}))
    for runs in ([], [run]):
        assert filters.section(runs) is None and pruning.section(runs) is None


def test_in_a_browser(cut, decomposed, tmp_path):
    path = tmp_path / "page.html"
    sections = [filters.section(decomposed), pruning.section(cut[0])]
    files.write(path, page.of_sections("Results", sections))
    with browser() as chromium, opened(chromium, path, width=400) as tab:
        for part in [part for section in sections for part in section.charts]:
            scrolled_to(tab, part.name)
        assert tab.evaluate("document.documentElement.scrollWidth") == 400
        part = by_name(sections[1])["pruning-histogram-weight-1"]
        _slides(tab, part)
        tab.emulate_media(color_scheme="dark")
        until(tab, f"document.getElementById('{part.name}').layout.paper_bgcolor === '#16191d'")
        _stays_at_its_first_step(tab, part)
        _pictures_are_light(tab, part.name)
        _stays_at_its_first_step(tab, part)


def _stays_at_its_first_step(tab, part):
    element = f"document.getElementById('{part.name}')"
    assert tab.evaluate(f"[{element}.layout.sliders[0].active, {element}.data.map(trace => Array.from(trace.y))]") == [
        0, [bars["y"] for bars in part.frames[0]["data"]]]


def _pictures_are_light(tab, name):
    """On a dark page too, which stays dark."""
    with tab.expect_download() as waiting:
        tab.click(f"[data-chart={name}][data-format=svg]")
    picture = waiting.value.path().read_text()
    assert "rgb(255, 255, 255)" in picture and "rgb(28, 31, 35)" in picture and "rgb(0, 114, 178)" in picture
    assert not any(dark in picture for dark in ("rgb(22, 25, 29)", "rgb(232, 235, 239)", "rgb(45, 143, 213)"))
    layout = f"document.getElementById('{name}').layout"
    assert tab.evaluate(f"[{layout}.paper_bgcolor, {layout}.font.color]") == ["#16191d", "#e8ebef"]


def _slides(tab, part):
    """The slider shows each sparsity's bars, on the same axes."""
    element = f"document.getElementById('{part.name}')"
    axes = f"['yaxis', 'xaxis2'].map(name => {element}._fullLayout[name].range)"
    before = tab.evaluate(axes)
    tab.locator(f"#{part.name}").scroll_into_view_if_needed()
    for place, frame in enumerate(part.frames):
        handle = tab.locator(f"#{part.name} .slider-tick-touch-rect, #{part.name} .slider-rail-touch-rect").last
        box = handle.bounding_box()
        room = 14 * (1 if place == 0 else -1 if place == len(part.frames) - 1 else 0)
        tab.mouse.click(box["x"] + box["width"] * place / (len(part.frames) - 1) + room, box["y"] + box["height"] / 2)
        expected = [bars["y"] for bars in frame["data"]]
        for _ in range(100):  # the page's policy lets Playwright not wait for it by itself
            if (drawn := tab.evaluate(f"{element}.data.map(trace => Array.from(trace.y))")) == expected:
                break
            tab.wait_for_timeout(50)
        assert drawn == expected
        shown = tab.locator(f"#{part.name} .slider-label").first.text_content()
        assert shown == f"pruned: {frame['name']} %"
    assert tab.evaluate(axes) == before
    keys = "for (const key of Array(9).fill('ArrowLeft')) element.dispatchEvent(new KeyboardEvent('keydown', {key}))"
    tab.evaluate(f"(element => {{{keys}}})({element})")  # each overtakes the one before
    assert tab.evaluate(f"{element}.layout.sliders[0].active") == 0
