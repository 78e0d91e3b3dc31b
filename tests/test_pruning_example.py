"""The example of pruning a model of one's own: what it prints is what it measures, and the smaller net is smaller."""
import importlib.util
import re

import pytest

from tests.conftest import ROOT
from tfprune.experiment import UserError

SCRIPT = "examples/prune_any_model.py"


@pytest.fixture(scope="module")
def example():
    """The script as a module, with few sparsities."""
    spec = importlib.util.spec_from_file_location("prune_any_model", ROOT / SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.SPARSITIES = (0, 0.5)
    return module


def test_runs(example, capsys):
    result, costs = example.main(sparsity=0.5, epochs=3)
    out = capsys.readouterr().out
    assert list(result) == ["dense", "without 50% of its units", "averages found anew", "trained on"]
    assert result["dense"] > 90 and result["trained on"] > 85
    assert all(f"{name}: {share:.1f} % of the test images right" in out for name, share in result.items())
    assert float(re.search(r"those of the pruned one to (\S+)\n", out)[1]) < 1e-4
    rows = {float(k): [float(share) for share in rest.split()] for k, rest in re.findall(r"^(0\.\d+) +([\d. ]+)$", out, re.MULTILINE)}
    unit, weight, unit_before, weight_before = rows[0.5]
    assert len(set(rows[0])) <= 2 and rows[0][2] == pytest.approx(result["dense"], abs=.06)
    assert unit_before == pytest.approx(result["without 50% of its units"], abs=.06)
    assert unit == pytest.approx(result["averages found anew"], abs=.06) and weight > unit
    # 32 32 32 64 64 of 64 64 64 128 128 units: of nearly all kernels a quarter is left
    kernels = 9 * 32 + 2 * 9 * 32 * 32 + 9 * 32 * 64 + 16 * 64 * 64 + 64 * 10
    others = 4 * (32 + 32 + 32 + 64) + 64 + 10
    assert costs.parameters["smaller"] == kernels + others
    assert costs.parameters["pruned"] == costs.parameters["dense"] > 3.9 * costs.parameters["smaller"]
    assert costs.nonzero["pruned"] < costs.nonzero["dense"] and costs.multiply_adds["dense"] > 3.9 * costs.multiply_adds["smaller"]


@pytest.mark.parametrize(("settings", "message"), [({"sparsity": 1}, "would be empty"), ({"epochs": 0}, "--epochs=0"),
                                                   ({"seed": -1}, "--seed=-1")])
def test_refuses(example, settings, message):
    with pytest.raises(UserError, match=message):
        example.main(**{"epochs": 1} | settings)
