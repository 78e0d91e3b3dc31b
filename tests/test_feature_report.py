"""The report of feature amounts: its table and figure, the page in a real browser, and what it refuses."""
import math
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments import REGISTRY
from tests.browser import browser, opened, scrolled_to
from tests.conftest import ok, refused
from tfprune import families, files
from tfprune.experiment import UserError
from tfprune.report import feature_amounts, feature_page, page
from tfprune.run import Run

IDS = (6000, 6096, 6120, 6192, 6999)
ACCURACIES = {"train": (.99, .98, .97, .96, .95), "val": (.90, .91, .88, .85, .89), "test": (.91, .92, .89, .86, .90)}
TINY = ["--set=dataset.limit=100", "--set=hyper.max_num_epochs=1"]
# A row's index, and where on the screen its point is: the scene's own matrices applied to its place.
PLACES = """() => {
  const element = document.getElementById("space"), scene = element._fullLayout.scene._scene;
  const {model, view, projection} = scene.glplot.cameraParams, scale = scene.dataScale;
  const times = (m, v) => [0, 1, 2, 3].map(i => m[i] * v[0] + m[4 + i] * v[1] + m[8 + i] * v[2] + m[12 + i] * v[3]);
  const box = scene.glplot.canvas.getBoundingClientRect();
  return element.data.flatMap(trace => trace.x.map((x, i) => {
    const place = [x * scale[0], trace.y[i] * scale[1], trace.z[i] * scale[2], 1];
    const [right, up, , w] = times(projection, times(view, times(model, place)));
    return [trace.customdata[i], box.left + box.width * (1 + right / w) / 2, box.top + box.height * (1 - up / w) / 2];
  }));
}"""


def features_of(experiment):
    dnn = experiment.dnn
    return families.spread(dnn.depth, dnn.location, dnn.scale, dnn.shape) if dnn.scale else families.plain_features(dnn.depth)


def finish(experiment, folder, accuracies, features=None):
    """A run with a done marker as training writes it, without a training."""
    run, features = Run(experiment, folder), features or features_of(experiment)
    counts = {"parameters": families.parameters(features), "trainable": 10 ** 7 + experiment.id, "multiply_adds": 10 ** 9 + experiment.id}
    place = {name: getattr(experiment.dnn, name) for name in ("location", "scale", "shape")}
    result = {"best_epoch": 7, "stopped": "all 9 epochs done", "summary": {"features": list(features), **counts, **place},
              **{name: {"accuracy": value, "loss": 1.0} for name, value in accuracies.items() if value is not None}}
    run.execute("train", lambda records: ([], result))
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Five finished runs of VGG16, of which the last is the plain one."""
    folder = tmp_path_factory.mktemp("results")
    return [finish(REGISTRY[number], folder, {name: values[place] for name, values in ACCURACIES.items()})
            for place, number in enumerate(IDS)]


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


def written(runs, folder):
    feature_amounts.report(runs, folder)
    return folder / "feature_amounts.html"


def test_the_table(runs):
    table = feature_amounts.tidy(runs[::-1])
    assert list(table.experiment_id) == list(IDS) and list(table.kind) == ["family"] * 4 + ["plain"]
    assert list(zip(table.location, table.scale, table["shape"], strict=True))[1:3] == [(7, 3.5, 0), (14, 4, -40)]
    assert table.features[1] == (107, 173, 260, 359, 458, 539, 585, 585, 540, 459, 360, 261, 174, 107, 61)
    assert table.parameters[1] == 18874905 and table.trainable[1] == 10006096 and table.macs[1] == 10 ** 9 + 6096
    assert table.gap.tolist() == pytest.approx([.08, .06, .08, .10, .05]) and table.val.tolist() == list(ACCURACIES["val"])
    weights = table.features[0]
    assert table.centre[0] == pytest.approx(sum(place * width for place, width in enumerate(weights, 1)) / sum(weights))
    assert (table.best_epoch == 7).all() and (table.stopped == "all 9 epochs done").all()


def test_the_files(runs, tmp_path, capsys):
    paths = feature_amounts.report(runs, tmp_path)
    assert [path.name for path in paths] == ["feature_amounts.csv", "feature_amounts.png", "feature_amounts.html"]
    table = pd.read_csv(paths[0])
    assert list(table.test) == list(ACCURACIES["test"]) and table.features[4] == "64 64 128 128 256 256 256" + " 512" * 8
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "VGG16 on cifar10, 5 nets" in printed
    best, worst, plain = [line.split()[:2] for line in printed.splitlines() if line.split()[0] in ("best", "worst", "plain")]
    assert (best, worst, plain) == (["best", "6096"], ["worst", "6192"], ["plain", "6999"])


def test_the_figure(runs):
    table = feature_amounts.tidy(runs)
    accuracy, gap, profiles = feature_amounts.figure(table, feature_amounts.plain_profile(runs[0].experiment)).axes[:3]
    assert accuracy.get_ylabel() == "accuracy [%]" and "centre of mass" in gap.get_xlabel()
    points = accuracy.collections[0]
    assert np.allclose(points.get_offsets(), np.column_stack([table.centre, 100 * table.test])[:4])
    assert list(points.get_array()) == list(table.scale[:4])
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == ["plain VGG16 (ID6999)"]
    heights = [bar.get_height() for bar in profiles.patches if hasattr(bar, "get_height")]
    assert heights == [*table.features[1], *table.features[3]]


def test_the_plain_profile_has_the_width_of_the_nets():
    assert feature_amounts.plain_profile(REGISTRY[9200]) == (8, 8, 16, 16, 64, 64)  # blocks 2 2 0 0 0 of depth 7, an eighth
    assert feature_amounts.layer_names((8, 8, 16, 16, 64, 64)) == ["1", "2", "3", "4", "fc1", "fc2"]


def test_the_page(runs, chromium, tmp_path):
    table = feature_amounts.tidy(runs)
    with opened(chromium, written(runs, tmp_path)) as tab:
        scrolled_to(tab, "space")
        _has_every_point(tab, table)
        _shows_the_features_of_the_net_pointed_at(tab, table)
        for name, row in (("best", 1), ("worst", 3)):
            assert tab.inner_text(f"#{name}-heading").lower().startswith(f"{name}: id{IDS[row]}")
            assert tuple(tab.evaluate(f"document.getElementById('{name}').data[0].y")) == table.features[row]
        _is_coloured_by_the_measure_chosen(tab)
        _sorts_its_table(tab)
        assert tab.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)") == []
        assert set(tab.evaluate("[...document.querySelectorAll('.modebar-btn')].map(button => button.dataset.title)")) == {
            "Zoom", "Pan", "Turntable rotation", "Reset camera to default"}  # none that sends it away


def _has_every_point(tab, table):
    traces = tab.evaluate("document.getElementById('space').data.map(({name, x, y, z, marker}) => [name, x, y, z, marker.color])")
    assert [(name, len(x)) for name, x, *_ in traces] == [("family", 4), ("plain", 1)]
    assert traces[0][1:4] == [list(table[name][:4]) for name in ("location", "scale", "shape")]
    assert traces[0][4] + traces[1][4] == pytest.approx([91, 92, 89, 86, 90])


def _shows_the_features_of_the_net_pointed_at(tab, table):
    assert "ID6096: location 7, scale 3.5, shape 0" in tab.inner_text("#profile-heading")
    for index, right, down in tab.evaluate(PLACES)[2:]:
        tab.mouse.move(right, down)
        tab.locator("#profile-heading", has_text=f"ID{IDS[index]}").wait_for(timeout=10_000)
        bars, outline = tab.evaluate("document.getElementById('profile').data.map(trace => trace.y)")
        assert tuple(bars) == table.features[index] and tuple(outline[:-1]) == table.features[4]
    heading = tab.inner_text("#profile-heading")
    assert "plain VGG16" in heading and "test 90.00\u00a0%, 10,006,999 parameters, 1B multiply-adds" in heading
    hovered = " ".join(tab.locator("#space .hovertext").all_text_contents())
    assert "ID6999" in hovered and "validation 89.00" in hovered and "training 95.00" in hovered


def _is_coloured_by_the_measure_chosen(tab):
    kept = "document.getElementById('space').layout.scene.camera.eye.x"
    drawn = "document.getElementById('space')._fullLayout.scene._scene.getCamera().eye.x"
    box, before = tab.locator("#space").bounding_box(), tab.evaluate(kept)
    tab.mouse.move(box["x"] + 60, box["y"] + 300)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 160, box["y"] + 300, steps=4)
    tab.mouse.up()
    rotated = tab.evaluate(kept)
    assert abs(rotated - before) > .05
    for measure, expected in (("gap", [8, 6, 8, 10]), ("train", [99, 98, 97, 96]), ("val", [90, 91, 88, 85])):
        tab.check(f"input[value={measure}]")
        assert tab.evaluate("document.getElementById('space').data[0].marker.color") == pytest.approx(expected)
        shown = tab.evaluate("document.getElementById('space')._fullLayout.coloraxis.colorbar.title.text")
        assert shown == feature_page.MEASURES[measure]
    assert tab.evaluate(kept) == rotated and tab.evaluate(drawn) == pytest.approx(rotated, abs=.02)  # it stays as it was turned


def _sorts_its_table(tab):
    for expected in ("6096 6000 6999 6120 6192", "6192 6120 6999 6000 6096"):
        tab.click("th button:text-is('Test')")
        assert tab.locator("tbody tr td:first-child").all_inner_texts() == expected.split()


def test_a_narrow_window_and_both_themes(runs, chromium, tmp_path):
    with opened(chromium, written(runs, tmp_path), width=400, scheme="dark") as tab:
        scrolled_to(tab, "space")
        assert tab.evaluate("document.documentElement.scrollWidth") == 400
        boxes = [tab.locator(f"#{name}").bounding_box() for name in ("space", "profile", "best", "worst")]
        assert all(box["x"] >= 0 and box["x"] + box["width"] <= 400 for box in boxes)
        assert boxes[0]["y"] < boxes[1]["y"] < boxes[2]["y"] < boxes[3]["y"]  # below each other
        assert _brightness(tab, "backgroundColor") < 100 < 600 < _brightness(tab, "color")
        charts = "['best', 'space'].map(name => document.getElementById(name).layout.font.color)"
        assert tab.evaluate(charts) == ["#e8ebef"] * 2
        tab.emulate_media(color_scheme="light")
        assert _brightness(tab, "color") < 150 < 600 < _brightness(tab, "backgroundColor")
        for _ in range(100):  # until the charts are drawn again
            if tab.evaluate(charts) == ["#1c1f23"] * 2:
                break
            tab.wait_for_timeout(100)
        assert tab.evaluate(charts) == ["#1c1f23"] * 2


def _brightness(tab, name):
    colour = tab.evaluate(f"getComputedStyle(document.body).{name}")
    return sum(map(int, colour[4:-1].split(",")))


def test_one_run_without_validation_and_with_a_hostile_name(chromium, tmp_path):
    hostile = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
    run = finish(REGISTRY[6000], tmp_path, {"train": .5, "val": None, "test": .4})
    table = feature_amounts.tidy([run]).assign(name=hostile, stopped=hostile)
    table.attrs["title"] = f"VGG16 on {hostile}"
    plain = feature_amounts.plain_profile(run.experiment)
    path = tmp_path / "page.html"
    files.write(path, feature_page.html(table, plain, feature_amounts.layer_names(plain)))
    with opened(chromium, path, width=400) as tab:
        assert tab.title() == f"Feature amounts: VGG16 on {hostile}" and tab.locator("img").count() == 0
        assert tab.locator("tbody td").all_inner_texts()[-1] == hostile
        assert tab.is_disabled("input[value=val]") and tab.is_enabled("input[value=gap]")
        assert "–" in tab.locator("tbody td").all_inner_texts()
        assert "The plain VGG16 is not among these nets" in tab.inner_text("main") and "One trained net" in tab.inner_text("main")
        assert tab.evaluate("page.data.families[0].rows[0].name") == hostile and tab.evaluate("page.data.families[0].rows[0].val") is None


def test_data_are_json_that_ends_no_script():
    text = page._json({"a": [np.float64("nan"), np.int64(3), math.inf, .5], "b": "</script><!--"})
    assert text == '{"a":[null,3,null,0.5],"b":"\\u003c/script>\\u003c!--"}'


def test_listed_features_and_a_deep_net(chromium, tmp_path):
    deep = REGISTRY[6950]
    listed = replace(deep, id=1, name="listed", dnn=replace(deep.dnn, location=0., scale=0., shape=0., features=(7,) * 24))
    runs = [finish(deep, tmp_path, {"train": 1., "val": .8, "test": .8}),
            finish(listed, tmp_path, {"train": .9, "val": .7, "test": .9}, listed.dnn.features)]
    with opened(chromium, written(runs, tmp_path), width=400) as tab:
        scrolled_to(tab, "space")
        assert tab.evaluate("document.getElementById('space').data.map(trace => trace.name)") == ["family", "listed"]
        assert "Nets whose features are listed are squares" in tab.inner_text("main")
        assert "ID1: features as listed" in tab.inner_text("#best-heading")
        assert tab.evaluate("document.getElementById('best').data[0].y") == [7] * 24


def test_without_plotly_the_other_files_are_written(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    paths = feature_amounts.report(runs, tmp_path)
    assert [path.name for path in paths] == ["feature_amounts.csv", "feature_amounts.png"]
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in paths}
    assert "the interactive page needs plotly; run: pip install plotly" in capsys.readouterr().out


def test_what_it_refuses(runs, tmp_path):
    folder = f"--results_dir={runs[0].results_dir}"
    line = refused("report.py", "--experiment_ids=6000,9200", folder, f"--out={tmp_path}")
    assert "a report is of VGGs of one depth on one data set, not of VGG16 on cifar10, VGG7 on digits at once" in line
    line = refused("report.py", "--experiment_ids=6000-6001", folder, f"--out={tmp_path}")
    assert "--experiment_id=6001: the report needs train first; run: python train.py --experiment_id=6001" in line
    assert list(tmp_path.iterdir()) == []


def test_it_is_of_vggs(tmp_path):
    other = replace(REGISTRY[6000], dnn=replace(REGISTRY[6000].dnn, name="Conv2"))
    run = Run(other, tmp_path)
    run.execute("train", lambda records: ([], {"best_epoch": 1, "stopped": "done", "test": {"accuracy": .5}}))
    with pytest.raises(UserError, match="--experiment_id=6000: .* no features of Conv2; the report is of VGGs"):
        feature_amounts.tidy([run])


def test_a_real_training_to_its_page(data_dir, tmp_path):
    common = ["--experiment_id=9290", f"--results_dir={tmp_path}", *TINY]
    ok("train.py", *common, f"--data_dir={data_dir}")
    assert "VGG7 on digits, 1 net" in ok("report.py", *common)
    row = pd.read_csv(tmp_path / "report" / "feature_amounts.csv").iloc[0]
    dnn = REGISTRY[9290].dnn
    assert row.features == " ".join(str(math.ceil(width / 8)) for width in families.spread(7, dnn.location, dnn.scale, dnn.shape))
    assert 0 <= row.test <= 1 and (row.location, row.scale, row["shape"]) == (dnn.location, dnn.scale, dnn.shape)
    assert row.macs > 10 ** 5 and row.trainable > 1000
    assert "ID9290_VGG7" in (tmp_path / "report" / "feature_amounts.html").read_text()
