"""The example of a model of one's own: what it prints is what it measures."""
import importlib.util
import re

import pytest

from tests.conftest import ROOT, refused

SCRIPT = "examples/class_filters.py"


@pytest.fixture(scope="module")
def example():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("class_filters_example", ROOT / SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_runs(example, capsys):
    result, out = example.main(top=5, epochs=8), capsys.readouterr().out
    assert list(result) == ["all filters", "5 filters a class", "trained on", "without class 9"]
    assert result["all filters"] > 0.9 and result["trained on"] > 0.85 and result["without class 9"] > 0.85
    assert all(f"{name}: {share:.1%} of the test images right" in out for name, share in result.items())
    filters = re.findall(r"class \d: filters ([\d ]+)", out)
    assert len(filters) == 10 and all(len(set(own.split())) == 5 for own in filters)
    assert re.search(r"decomposed +5 +\d+ +60 +50 +0\.122", out)
    rows = re.findall(r"^ +(\d+) +([\d.]+) +([\d.]+) +([\d.]+)$", out, re.MULTILINE)
    curve = {int(top): [float(share) for share in shares] for top, *shares in rows}
    assert list(curve) == [1, 2, 3, 5, 10, 20, 30, 48] and curve[5][0] > curve[5][2] + 10
    assert curve[5][0] == pytest.approx(100 * result["5 filters a class"], abs=0.06)
    assert curve[48] == pytest.approx([100 * result["all filters"]] * 3, abs=0.06)


@pytest.mark.parametrize(("arguments", "message"), [(["--top=0"], "top=0"), (["--top=49", "--epochs=1"], "top=49: layer .* has 48 filters"),
                                                    (["--epochs=0"], "--epochs=0"), (["--seed=-1"], "--seed=-1")])
def test_refuses(arguments, message):
    assert re.search(message, refused(SCRIPT, *arguments))
