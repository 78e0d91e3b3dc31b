"""The page that `make demo` ends with, made by its very commands with fewer and smaller nets, in a real browser."""
import os
import shlex
import subprocess

import pytest

from experiments import REGISTRY
from tests.browser import browser, opened
from tests.conftest import ROOT, ok
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


def test_the_page_of_the_demo(demo):
    folder, path = demo
    entries, _ = found(folder, REGISTRY)
    with browser() as started, opened(started, path) as tab:
        assert {element.get_attribute("id") for element in tab.locator("section").all()} == SECTIONS
        assert len(entries) == 10 == tab.locator("#runs tbody tr").count() and all(entry.state == "finished" for entry in entries)
        names = tab.evaluate("Object.keys(page.data.charts)")
        for name in names:
            tab.locator(f"#{name}").scroll_into_view_if_needed()
            tab.locator(f"#{name} .main-svg").first.wait_for(state="attached")
        points = {name: tab.evaluate(f"document.getElementById('{name}').data.reduce((sum, trace) => sum + (trace.x || []).length, 0)")
                  for name in names}
        assert len(names) > 20 and all(points.values()), points
