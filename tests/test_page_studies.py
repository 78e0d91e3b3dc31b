"""The page's sections of the studies of widths, supermasks and feature amounts: their charts show their tables, and damage is named."""
import json
import shutil

import numpy as np
import pytest

from experiments import REGISTRY
from tests.browser import browser, opened, scrolled_to
from tests.conftest import ok
from tests.exported import AMOUNTS, CURVE, write_random_correlations, write_random_tables, write_tables
from tests.test_feature_report import ACCURACIES, IDS, PLACES, finish
from tfprune import pickles
from tfprune.overrides import override
from tfprune.report import page, scores, supermasks, tables, unit_tables, width_study
from tfprune.report.chart import embedded, plain
from tfprune.report.sections import features, many, width
from tfprune.report.sections import supermasks as masks
from tfprune.run import Run

DEMO, WIDTHS = (9002, 9003, 9004, 9005, 9006), [.25, .5, 1, 2, 4]
TINY = ["--set=dataset.limit=200", "--set=hyper.max_num_epochs=1"]
KEEPS = (9010, 9016, 9019)


def charts(section):
    """{name: chart}, once all of them are seen to be JSON."""
    for chart in section.charts:
        json.dumps(embedded(chart), allow_nan=False)
        axes = [axis for name, axis in chart.layout.items() if name[:5] in ("xaxis", "yaxis")]
        assert len(axes) >= 2 and all(axis["title"]["text"] for axis in axes) and chart.note.endswith(".") and len(chart.table)
    json.dumps(plain(section.data), allow_nan=False)
    assert len({chart.name for chart in section.charts}) == len(section.charts)
    return {chart.name: chart for chart in section.charts}


def points(chart, mode="lines+markers"):
    return [(x, y) for trace in chart.traces if trace.get("mode") == mode for x, y in zip(trace["x"], trace["y"], strict=True)]


@pytest.fixture
def wide(tmp_path):
    """The runs of the width demo, two seeds, as if measured."""
    runs = [Run(override(REGISTRY[number], seed=seed), tmp_path) for number in DEMO for seed in (0, 1)]
    for run in runs:
        write_random_tables(run)
        write_random_correlations(run)
    return runs


def test_widths_are_the_means_of_the_tables(wide):
    found, table = charts(width.section(wide)), width_study.tidy(wide)
    for name, quantity, chosen in (("accuracy-train", "accuracy", "train"), ("accuracy-test", "accuracy", "test"),
                                   *((quantity.replace("_", "-"), quantity, "test") for quantity in width.UNITS)):
        (label, (widths, means, deviations)), = tables.curves(table, quantity, chosen).items()
        drawn = found[f"width-1-{name}"].traces[0]
        assert drawn["x"] == list(widths) == WIDTHS and drawn["y"] == pytest.approx(list(100 * means))
        assert drawn["error_y"]["array"] == pytest.approx(list(100 * deviations))
        rows = table[(table.quantity == quantity) & (table["set"] == chosen)]
        assert len(found[f"width-1-{name}"].table) == len(rows)
        if quantity in width.UNITS:
            assert drawn["name"] == f"{label}: g = {tables.growth_factors(table, quantity)[label]:.2f}"
    assert [trace["name"] for trace in found["width-1-accuracy-test"].traces] == ["Alexnet_digits", "guessing (10 %)"]


def test_perturbation_curves_have_a_line_a_width(wide):
    found = charts(width.section(wide))
    assert [name for name in found if "knockout" in name or "noise" in name] == ["width-1-knockout", "width-1-noise"]
    chart = found["width-1-knockout"]
    lines = [trace for trace in chart.traces if trace["mode"] == "lines+markers"]
    assert [line["name"] for line in lines] == ["1/4x", "1/2x", "1x", "2x", "4x"]
    assert len(points(chart)) == len(WIDTHS) * len(AMOUNTS) and len(chart.table) == len(wide) * 3 * len(AMOUNTS)
    rows = chart.table[(chart.table.width == 2) & (chart.table.amount == AMOUNTS[3])]
    assert len(rows) == 6 and lines[3]["y"][3] == pytest.approx(100 * rows.value.mean())
    assert lines[3]["x"] == pytest.approx(list(100 * AMOUNTS))


def test_violins_have_the_form_of_the_density(wide):
    chart = charts(width.section(wide))["width-1-correlations"]
    violins = [trace for trace in chart.traces if trace.get("fill") == "toself"]
    assert len(violins) == len(points(chart, "markers")) == len(WIDTHS)
    assert len(chart.table) == len(wide) * (unit_tables.BINS + 1)
    rows = chart.table[(chart.table.width == 1) & (chart.table.quantity == "density")].groupby("amount").value.mean().to_numpy()
    left, right = np.split(np.array(violins[2]["x"], float), 2)
    np.testing.assert_allclose(right[::-1] - left, 2 * .45 * .8 * rows / rows.max())


def test_nets_of_other_kinds_have_charts_of_their_own(wide, tmp_path):
    others = [Run(REGISTRY[number], tmp_path) for number in (2, 3, 12, 13, 4000)]
    for run in others:
        write_random_tables(run)
    found = charts(width.section([*wide, *others]))
    assert found["width-2-prunability"].title == "Prunable units: Alexnet on cifar10"
    assert [trace["name"].partition(":")[0] for trace in found["width-2-prunability"].traces[:2]] == ["Alexnet", "init_type=2"]
    assert "width-3-accuracy-train" not in found and found["width-3-accuracy-test"].title.endswith("ResNet18 on imagenet")
    many = [trace for trace in found["width-2-knockout"].traces if trace["mode"] == "lines+markers"]
    assert [line["name"] for line in many] == ["Alexnet, 1/4x", "Alexnet, 1/2x", "init_type=2, 1/4x", "init_type=2, 1/2x"]


def test_of_damaged_measures_the_rest_is_shown(wide):
    wide[0].csv("robustness").write_text("a,b\n1,2\n")
    wide[2].file("get_redundancy", "corr_test0.pkl").write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    wide[4].file("get_redundancy", "corr_test0.pkl").write_bytes(pickles.dumps({"a": 1}))
    text = wide[6].csv("redundancy").read_text()
    wide[6].csv("redundancy").write_text(text.replace(text.splitlines()[1].split(",")[-1], "word"))
    section = width.section(wide)
    found = charts(section)
    for words in (f"{wide[0].csv('robustness')}: damaged", f"{wide[6].csv('redundancy')}: damaged",
                  "corr_test0.pkl: refused: it asks for posix.system",
                  "corr_test0.pkl: has no correlations of layer 1"):
        assert words in section.intro
    assert len(points(found["width-1-knockout"])) == len(WIDTHS) * len(AMOUNTS)  # of the other seed, all widths
    assert found["width-1-knockout"].table.groupby("width").seed.nunique().to_dict() == {.25: 1, .5: 2, 1: 2, 2: 2, 4: 2}
    assert found["width-1-correlations"].table.groupby("width").seed.nunique().to_dict() == {.25: 2, .5: 1, 1: 1, 2: 2, 4: 2}


def test_what_was_not_measured_has_no_chart(tmp_path):
    runs = [Run(REGISTRY[number], tmp_path) for number in DEMO[:2]]
    write_random_tables(runs[0])
    runs[0].csv("robustness").unlink()
    found = charts(width.section(runs))
    assert "width-1-redundancy" in found and not any("prunability" in name or "knockout" in name for name in found)


def test_many_curves_are_bundled_and_the_page_stays_small(tmp_path):
    runs = [Run(REGISTRY[number], tmp_path) for number in range(2747, 2807)]  # MLPs: 50 curves, of which ten have two widths
    for run in runs:
        write_random_tables(run, crosses=1)
        write_random_correlations(run, units=5)
    runs.append(Run(override(REGISTRY[2747], seed=1), tmp_path))  # another seed is in the same curve
    write_random_tables(runs[-1], crosses=1)
    section = width.section(runs)
    found, table = charts(section), width_study.tidy(runs)
    for name, quantity in (("accuracy-test", "accuracy"), ("prunability", "prunability"), ("non-redundancy", "non_redundancy")):
        expected = tables.curves(table, quantity)
        bundles = [trace for trace in found[f"width-1-{name}"].traces if trace["mode"] == "lines+markers"]
        assert len(expected) == 50 and {trace["name"] for trace in bundles} >= {"learning_rate=0.1 (10)", "learning_rate as usual (10)"}
        assert "These are 50 curves, a colour for each learning rate" in found[f"width-1-{name}"].note and len(bundles) == 5
        drawn = {(text.partition(":")[0], x): y for trace in bundles
                 for text, x, y in zip(trace["text"], trace["x"], trace["y"], strict=True) if text}
        assert drawn == pytest.approx({(label, x): 100 * y for label, (widths, means, _) in expected.items()
                                       for x, y in zip(widths, means, strict=True)})
    assert sum(len(json.dumps(embedded(chart))) for chart in section.charts) < 61 * 7000  # 3,000 runs: 20 MB, if all grew with them


def test_of_more_lines_than_a_chart_holds_whole_curves_are_drawn(wide, tmp_path, monkeypatch):
    monkeypatch.setattr(many, "LINES", 7)
    others = [Run(override(REGISTRY[number], [f"dnn.init_type={code}"]), tmp_path) for code in (1, 2) for number in DEMO[:2]]
    for run in others:
        write_random_tables(run)
    found = charts(width.section([*wide, *others]))
    lines = [trace["name"] for trace in found["width-1-knockout"].traces if trace["mode"] == "lines+markers"]
    assert len(lines) == 7 and lines[-1] == "init_type=1, 1/2x"
    assert set(found["width-1-knockout"].table.curve) == {"Alexnet_digits", "init_type=1"}
    words = " Of 3 curves these are the first 2; measured too, and not on this page: init_type=2."
    assert found["width-1-knockout"].note.endswith(words) and found["width-1-correlations"].note.endswith(words)
    assert len(found["width-1-prunability"].traces) == 4  # and the net itself


def test_zeros_are_named_and_nothing_is_guessed(tmp_path):
    runs = [Run(REGISTRY[number], tmp_path) for number in DEMO[:2]]
    for run, compressability in zip(runs, (0, .5), strict=True):
        write_tables(run, {("test", 0, 0): compressability}, {("test", 0, "all"): CURVE}, {"test": .9})
    found = charts(width.section(runs))
    assert "Zero, and so not on this axis: Alexnet_digits 1/4x." in found["width-1-redundancy"].note
    assert found["width-1-redundancy"].traces[0]["name"] == "Alexnet_digits"  # no g


def test_nets_of_one_unit_layer_show_that_layers_correlations(tmp_path):
    run = Run(REGISTRY[2747], tmp_path)  # an MLP, whose pickle has its outputs as the second layer
    write_random_tables(run)
    write_random_correlations(run)
    chart = charts(width.section([run]))["width-1-correlations"]
    assert set(chart.table.layer) == {"0"} and "unit layer 1 " in chart.note


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_dir):
    """Three supermasks, and a net of the same kind without masks, trained a little."""
    folder = tmp_path_factory.mktemp("results")
    flags = [f"--results_dir={folder}", f"--data_dir={data_dir}", *TINY]
    ok("train.py", f"--experiment_ids={','.join(map(str, KEEPS))}", *flags)
    ok("train.py", f"--experiment_id={KEEPS[0]}", *flags, "--set=dnn.mask=none")
    settings = [flag.removeprefix("--set=") for flag in TINY]
    return [Run(override(REGISTRY[number], settings + more), folder)
            for number, more in (*((number, []) for number in KEEPS), (KEEPS[0], ["dnn.mask=none"]))]


def test_supermasks_against_keep(trained):
    found, table = charts(masks.section(trained)), supermasks.tidy(trained)
    for chosen in ("train", "test"):
        chart = found[f"supermasks-1-{chosen}"]
        assert len(chart.table) == len(table) == 4
        masked = table[table.density < 1]
        np.testing.assert_allclose(points(chart), 100 * masked[["keep", chosen]])
        dense = next(trace for trace in chart.traces if trace["name"].endswith("no mask"))
        assert dense["y"] == pytest.approx(2 * list(100 * table[table.density == 1][chosen])) and chart.layout["xaxis"]["type"] == "log"
    assert not {"supermasks-1-redundancy", "supermasks-1-prunability"} & found.keys()


def test_what_each_layer_keeps_is_in_the_done_marker(trained):
    sizes = {"fc1": 64 * 300, "fc2": 300 * 100, "logits": 100 * 10}
    for run in trained[:3]:
        recorded = run.done("train")["result"]["masks"]
        assert {layer: counts["weights"] for layer, counts in recorded.items()} == sizes
        assert {layer: counts["kept"] for layer, counts in recorded.items()} == {
            layer: size - int((1 - run.experiment.hyper.keep) * size) for layer, size in sizes.items()}
    assert "masks" not in trained[3].done("train")["result"]
    chart = charts(masks.section(trained))["supermasks-1-density"]
    assert len(chart.table) == sum(len(trace["x"]) for trace in chart.traces) == 3 * len(sizes)
    assert [trace["name"] for trace in chart.traces] == ["keep 2 %", "keep 50 %", "keep 90 %"]
    assert chart.traces[0]["y"] == pytest.approx([100 * 384 / 19200, 100 * 600 / 30000, 2])


def test_of_a_marker_without_them_the_masks_are_counted(trained, tmp_path):
    run = copy_of(trained[1], tmp_path)
    marker = json.loads(run.marker("train").read_text())
    del marker["result"]["masks"]
    run.marker("train").write_text(json.dumps(marker))
    expected = supermasks.layers_of(trained[1])
    assert supermasks.layers_of(run).to_dict() == expected.to_dict() and len(expected) == 3


def test_scores_before_and_after_training(trained):
    import tfprune

    found, run = charts(masks.section(trained))["supermasks-1-scores"], trained[1]
    table = found.table
    assert len(table) == 3 * (2 * scores.BINS + 1) and set(table.layer) == {"300 x 100"}
    values = np.abs(tfprune.trained_model(run.experiment, run.results_dir).get_layer("fc2").scores.numpy()).ravel()
    rows = table[table.experiment_id == run.experiment.id]
    threshold = rows[rows.quantity == "threshold"].amount.item()
    assert threshold == pytest.approx(np.sort(values)[-15000])
    after = rows[(rows.when == "after") & (rows.quantity == "share")]
    edges = np.append(after.amount - (after.amount.iloc[1] - after.amount.iloc[0]) / 2, 2 * after.amount.iloc[-1] - after.amount.iloc[-2])
    assert after.value.sum() == pytest.approx((values <= edges[-1]).mean(), abs=.02)
    before = rows[(rows.when == "before") & (rows.quantity == "share")]
    assert before.value.sum() == pytest.approx(1) and before[before.amount > 1 / np.sqrt(300) + .01].value.sum() == 0  # uniform
    lines = {trace["name"]: np.array(trace["y"]) for trace in found.traces if trace["mode"] == "lines"}
    means = table[(table.when == "before") & (table.quantity == "share")].groupby("amount").value.mean()
    assert lines.pop("before training") == pytest.approx(100 * means[means > 0].to_numpy()) and len(lines) == 3
    assert sum(map(len, lines.values())) == ((table.value > 0) & (table.when == "after") & (table.quantity == "share")).sum()
    marks = [trace for trace in found.traces if trace["mode"] == "markers"]
    assert [mark["x"] for mark in marks] == [[amount] for amount in table[table.quantity == "threshold"].amount] + [[None]]
    assert marks[-1]["name"] == "threshold"  # in the legend


def test_of_many_nets_some_histograms_are_shown(trained, monkeypatch):
    monkeypatch.setattr(masks, "SHOWN", 2)
    chart = charts(masks.section(trained))["supermasks-1-scores"]
    assert [trace["name"] for trace in chart.traces if trace.get("visible") == "legendonly"] == ["keep 50 %"] * 2
    assert "Of 3 nets 2 are shown" in chart.note


def test_a_damaged_checkpoint_and_marker_are_named(trained, tmp_path):
    runs = [copy_of(run, tmp_path) for run in trained[:3]]
    best = runs[0].path / "checkpoints" / "best"
    for path in best.glob("best-*.index"):
        path.write_bytes(path.read_bytes()[:40])
    runs[1].marker("train").write_text("{}")
    section = masks.section(runs)
    found = charts(section)
    assert f"Left out: {runs[1].experiment.name}: " in section.intro and str(runs[1].marker("train")) in section.intro
    assert str(best) in section.intro and "damaged checkpoint" in section.intro
    assert set(found["supermasks-1-test"].table.experiment_id) == {9010, 9019}
    assert set(found["supermasks-1-scores"].table.experiment_id) == {9019}


def copy_of(run, folder):
    other = Run(run.experiment, folder)
    shutil.copytree(run.path, other.path)
    return other


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    """Nets of two families: five of one, two of the other."""
    folder = tmp_path_factory.mktemp("results")
    return [finish(REGISTRY[number], folder, {name: values[place] for name, values in ACCURACIES.items()})
            for place, number in enumerate((*IDS, 6200, 6201)[:5])] + [
        finish(REGISTRY[number], folder, {"train": .9, "val": .8, "test": .7 + .1 * place}, (8, 8, 16, 16, 64, 64))
        for place, number in enumerate((9200, 9201))]


def test_families_side_by_side_on_one_page(families, tmp_path):
    section = features.section(families)
    charts(section)
    assert [len(one["rows"]) for one in section.data["families"]] == [5, 2]
    path = tmp_path / "page.html"
    path.write_text(page.of_sections("Results", [section]))
    with browser() as chromium, opened(chromium, path) as tab:
        for number, rows in ((1, 5), (2, 2)):
            scrolled_to(tab, f"features-{number}-space")
            counts = f"document.getElementById('features-{number}-space').data.map(trace => trace.x.length)"
            assert sum(tab.evaluate(counts)) == rows
        assert "ID6096" in tab.inner_text("#features-1-profile-heading") and "ID9201" in tab.inner_text("#features-2-profile-heading")
        tab.check("#features-2-measure input[value=gap]")
        colours = "[1, 2].map(number => document.getElementById(`features-${number}-space`).data[0].marker.color.length)"
        shown = "[1, 2].map(number => document.getElementById(`features-${number}-space`)._fullLayout.coloraxis.colorbar.title.text)"
        assert tab.evaluate(shown) == ["Test accuracy [%]", "Training minus test accuracy [points]"] and tab.evaluate(colours) == [4, 2]
        tab.locator("#features-2-space").scroll_into_view_if_needed()
        index, right, down = tab.evaluate(PLACES.replace('"space"', '"features-2-space"'))[0]
        tab.mouse.move(right, down)
        tab.locator("#features-2-profile-heading", has_text=f"ID{(9200, 9201)[index]}").wait_for(timeout=10_000)
        assert "ID6096" in tab.inner_text("#features-1-profile-heading")
        with tab.expect_download() as download:
            tab.click("[data-chart=features-1-space][data-format=csv]")
        assert len(download.value.path().read_text().splitlines()) == 6


def test_families_with_a_damaged_marker(families, tmp_path):
    runs = [copy_of(run, tmp_path) for run in families[:3]]
    marker = json.loads(runs[0].marker("train").read_text())
    runs[0].marker("train").write_text(json.dumps(marker | {"result": {"summary": 5}}))
    runs[1].marker("train").write_text(json.dumps(marker | {"settings": {}}))
    section = features.section(runs)
    assert runs[0].experiment.name in section.intro and runs[1].experiment.name in section.intro
    assert [len(one["rows"]) for one in section.data["families"]] == [1]
    assert features.section(runs[:2]).parts == []


def test_sections_without_results_are_none(families, tmp_path, wide):
    assert width.section(families) is None and width.section([Run(REGISTRY[9002], tmp_path / "empty")]) is None
    assert masks.section(families) is None and masks.section(wide) is None
    assert features.section(wide) is None and features.section([]) is None
