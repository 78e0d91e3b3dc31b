"""The page that `make demo` ends with, made by its very commands with fewer and smaller nets, in a real browser."""
import json
import os
import shlex
import subprocess

import pytest

from experiments import REGISTRY
from tests.browser import browser, opened, scrolled_to
from tests.conftest import ROOT, ok
from tests.test_report_page import until
from tfprune.report.found import found

FEW, SHORT = "--set=dataset.limit=300", "--set=hyper.max_num_epochs=2"
FEWER = {"WIDTHS": "9002,9003", "MASKS": "9010,9014", "DEMO": "9002,9003,9010,9014", "FEATURES": "9250,9291"}
SECTIONS = {"overview", "width", "supermasks", "features", "filters", "pruning", "provenance"}


def commands():
    """The scripts with their arguments that `make demo` runs, for fewer nets."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", *FEWER))}
    said = subprocess.run(["make", "-n", "demo", *(f"{name}=--experiment_ids={ids}" for name, ids in FEWER.items())], cwd=ROOT, text=True,
                          env=environment, capture_output=True, check=True).stdout
    lines = [shlex.split(line.split(maxsplit=1)[1]) for line in said.splitlines() if line.startswith(".venv/bin/python ")]
    assert len(lines) > 15 and lines[-1][:2] == ["report.py", "--format=html"]
    return lines


@pytest.fixture(scope="module")
def demo(tmp_path_factory, data_dir):
    """(folder of the results, path of the page)"""
    folder = tmp_path_factory.mktemp("demo")
    for script, *arguments in commands():
        if "--format=html" in arguments:
            ok(script, "--format=html", f"--results_dir={folder}", f"--out={folder / 'report.html'}")
        else:
            # A decomposed net starts from the plain one as it is registered, but for the data.
            small = [FEW] if any("9032" in argument for argument in arguments) else [FEW, SHORT]
            ok(script, *arguments, *small, f"--results_dir={folder}", f"--data_dir={data_dir}")
    return folder, folder / "report.html"


# What each chart shows: two widths or densities, six parts of the units disturbed and none, ten classes and their mean, a sparsity a point.
MEASURED, DISTURBED, CLASSES, SPARSITIES = [2, 2], [7, 7, 2], 10, 12
POINTS = {
    **{f"width-1-{name}": MEASURED for name in ("accuracy-train", "accuracy-test", "prunability", "non-prunability", "redundancy",
                                                "non-redundancy")},
    **{f"width-1-{name}": DISTURBED for name in ("knockout", "noise", "targeted")},
    **{f"supermasks-1-{name}": [2, 2] for name in ("train", "test")},
    "supermasks-1-redundancy": [2], "supermasks-1-prunability": [2], "supermasks-1-density": [3, 3],
    "filters-accuracy-1": [CLASSES + 1] * 3, "filters-essentiality-1-replace": [CLASSES + 1] * 5,
    **{f"filters-pairs-1-{name}": [CLASSES] for name in ("shared", "information")}, "filters-matrix-1": [CLASSES, 50],
    **{f"pruning-{what}-{kind}": [SPARSITIES, SPARSITIES, 2] for what in ("accuracy", "loss") for kind in ("weight", "unit")},
    **{f"pruning-before-and-after-{name}": [1, 1] for name in ("accuracy", "parameters", "multiply-adds", "seconds-1", "seconds-64")},
    "features-1-space": [1, 1], **{f"features-1-{name}": [6, 7] for name in ("profile", "best", "worst")}}
BINNED = {"width-1-correlations", "supermasks-1-scores", "pruning-histogram-weight-1", "pruning-histogram-unit-1",
          "pruning-histogram-weight-2", "pruning-histogram-unit-2"}


def test_the_page_of_the_demo(demo):
    folder, path = demo
    entries, _ = found(folder, REGISTRY)
    with browser() as started, opened(started, path) as tab:
        assert {element.get_attribute("id") for element in tab.locator("section").all()} == SECTIONS
        assert len(entries) == 10 == tab.locator("#runs tbody tr").count() and all(entry.state == "finished" for entry in entries)
        points = {}
        for name in tab.evaluate("Object.keys(page.data.charts)"):
            scrolled_to(tab, name)
            points[name] = tab.evaluate(f"document.getElementById('{name}').data.map(trace => trace.y.length)")
        assert {name: points.pop(name) for name in BINNED} and all(map(min, points.values()))
        assert points == POINTS
        the_table_sorts(tab)
        the_slider_moves(tab, "pruning-histogram-weight-1")


def the_table_sorts(tab):
    orders = []
    for _ in range(2):
        tab.click("#runs th:nth-child(1) button")
        orders.append([int(row.inner_text().split("\t")[0]) for row in tab.locator("#runs tbody tr").all()])
    assert sorted(orders[0]) in orders and orders[0] == orders[1][::-1]


def the_slider_moves(tab, name):
    """To its end, where other bars are drawn than at its beginning."""
    shown = f"document.getElementById('{name}').data.map(trace => Array.from(trace.y))"
    before = tab.evaluate(shown)
    tab.locator(f"#{name}").scroll_into_view_if_needed()
    box = tab.locator(f"#{name} .slider-rail-touch-rect").bounding_box()
    tab.mouse.click(box["x"] + box["width"] - 1, box["y"] + box["height"] / 2)
    until(tab, f"document.querySelector('#{name} .slider-label').textContent.includes('99.9')")
    until(tab, f"JSON.stringify({shown}) !== {json.dumps(json.dumps(before, separators=(',', ':')))}")
