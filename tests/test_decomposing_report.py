"""The report of class filters, on runs whose measures the test writes: tables, figures, what is left out, and refusals."""
import json

import numpy as np
import pandas as pd
import pytest

from experiments import REGISTRY
from tests.conftest import ok, refused
from tfprune.experiment import UserError
from tfprune.overrides import override
from tfprune.report import decomposing, filter_figures
from tfprune.report.filter_results import of_runs, together
from tfprune.run import Run

INDEX = {number: [(3 * number + step) % 64 for step in range(5)] for number in range(10)}  # neighbours share two filters
DRAWS = {("own", 0): 2, ("own", 1): 4, ("others", 0): 8, ("others", 1): 9}  # of ten images of each class right


def measured(run, command, rows, given=None, **about):
    """Leaves a finished command in a run, as decompose.py does."""
    def work(_):
        path = run.file(command, f"{command}.json")
        path.write_text(json.dumps({"from": given, "rows": rows} | about))
        return [path], {"from": given or {"path": "somewhere"}}
    run.execute(command, work)


def validated(run, **accuracies):
    measured(run, "validate", [{"net": net.replace("_", " "), "class": number, "examples": 360, "correct": round(360 * share),
                                "accuracy": share, "loss": 1.0} for net, share in accuracies.items() for number in [*range(10), "all"]])


def with_indices(run, index=INDEX, counted=True, given=None):
    counts = np.zeros((10, 64), int)
    for number, own in index.items():
        counts[number, own] = range(40, 40 - len(own), -1)
    rows = [{"class": number, "rank": rank, "filter": unit, "count": int(counts[number, unit]) if counted else None,
             "images": 50 if counted else None} for number, own in index.items() for rank, unit in enumerate(own)]
    measured(run, "indices", rows, given, units=64, counts=counts.tolist() if counted else None)


@pytest.fixture
def runs(tmp_path):
    """9030 with a curve, 9032 with all that is of filters, 9034 with gates; 9031 and 9033 without anything."""
    every = {number: Run(REGISTRY[number], tmp_path / "results") for number in range(9030, 9035)}
    validated(every[9030], all_filters=0.975)
    tops = [("own", 0, 5, 0.8), ("own", 0, 64, 0.975), ("weights", 0, 5, 0.7), ("weights", 0, 64, 0.975), ("random", 0, 5, 0.2),
            ("random", 1, 5, 0.4), ("random", 0, 64, 0.975), ("random", 1, 64, 0.975), ("dense", 0, 64, 0.975)]
    measured(every[9030], "curve", [dict(zip(("filters", "draw", "top", "accuracy"), row, strict=True)) for row in tops])
    with_indices(every[9032])
    validated(every[9032], **{"all filters": 0.975, "k=5": 0.9, "k=5, trained on": 0.95})
    rows = [{"noise": "none", "where": "none", "class": number, "draw": 0, "correct": 10, "examples": 10} for number in range(10)]
    rows += [{"noise": "replace", "where": where, "class": number, "draw": draw, "correct": right + (number == 3), "examples": 10}
             for (where, draw), right in DRAWS.items() for number in range(10)]
    measured(every[9032], "essential", [row | {"filters": name} for name in ("ours", "random") for row in rows])
    columns = ("sets", "mutual_information", "off_diagonal", "overlap", "jaccard", "distinct")
    sets = [("own", .035, .008, .5, .06, 30), ("random", .034, .0081, .4, .05, 36), ("random_sd", .001, .0012, .1, .01, 2),
            ("random_expected", .0346, .00805, .39, .045, 35.6)]
    measured(every[9032], "mutual_info", [dict(zip(columns, row, strict=True)) for row in sets])
    gates = [{"filters": name, "top": top, "noise": "replace", "at_own": .2, "at_own_sd": .01, "at_others": .9, "at_others_sd": .02,
              "accuracy": .97, "decomposed": .8, "mis": .16, "mutual_information": .03, "off_diagonal": .007,
              "density": .12 if name == "csg" else None} for top in (5, 10) for name in ("csg", "ours", "random")]
    measured(every[9034], "csg", gates, density=.12)
    return list(every.values())


def test_everything_that_is_there(runs, tmp_path, capsys):
    paths = decomposing.report(runs, tmp_path / "report")
    assert sorted(path.name for path in paths) == sorted(path.name for path in (tmp_path / "report").iterdir()) == sorted(
        [f"{name}.csv" for name in ("decomposing", "class_filters", "filter_overlap", "essentiality", "class_accuracy", "accuracy_curve",
                                    "mutual_information", "gates")]
        + [f"{name}.png" for name in ("class_filters", "filter_overlap", "filter_information", "essentiality_replace", "class_accuracy",
                                      "accuracy_curve", "mutual_information", "gates")])
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths if path.suffix == ".png")
    table = pd.read_csv(tmp_path / "report" / "decomposing.csv").set_index("experiment_id")
    assert list(table.index) == [9030, 9032, 9034]  # the others have nothing
    assert table.accuracy_all.to_dict() == pytest.approx({9030: .975, 9032: .975, 9034: np.nan}, nan_ok=True)
    assert table.loc[9032, ["k", "accuracy_k", "accuracy_trained", "overlap", "jaccard", "off_diagonal", "off_diagonal_random",
                            "distinct"]].tolist() == [5, .9, .95, .5, .06, .008, .00805, 30]
    assert table.loc[9034, ["density", "mis"]].tolist() == [.12, .16] and table.loc[:9032, "mis"].isna().all()
    assert table.head_parameters.to_dict() == {9030: 650, 9032: 60, 9034: 650} and set(table.dense_parameters) == {650}
    assert table.net_parameters[9030] - table.net_parameters[9032] == 590 and table.net_parameters[9030] == table.net_parameters[9034]
    out = capsys.readouterr().out
    assert "97.5" in out and "ID9032 ResNet20 digits k=5" in out and "0.00805" in out


def test_essentiality_over_draws(runs):
    table = decomposing.essentiality(of_runs(runs)).set_index(["filters", "noise", "where", "class"])
    table = table.sort_index(key=lambda level: level.map(str))
    assert len(table) == 2 * 3 * 11
    own = table.loc[("ours", "replace", "own")]
    assert own.loc[0, ["mean", "sd"]].tolist() == pytest.approx([.3, .1 * 2**.5]) and own.loc[3, "mean"] == pytest.approx(.4)
    assert own.loc["all", ["mean", "sd"]].tolist() == pytest.approx([.31, .1 * 2**.5])
    assert table.loc[("random", "replace", "others", "all"), "mean"] == pytest.approx(.86)
    assert table.loc[("ours", "none", "none", "all"), "mean"] == 1 and np.isnan(table.loc[("ours", "none", "none", "all"), "sd"])


def test_shared_filters(runs):
    found = [results for results in of_runs(runs) if results.filters()]
    table = decomposing.overlap(found)
    shared = table.shared.to_numpy().reshape(10, 10)
    assert (shared.diagonal() == 5).all() and (shared.diagonal(1) == 2).all() and shared.sum() == 50 + 2 * 9 * 2


def test_what_figures_show(runs):
    found = of_runs(runs)
    chosen = [results for results in found if results.filters()]
    matrix = filter_figures.matrices(chosen).axes[0]
    image, (marks,) = matrix.images[0].get_array(), matrix.lines
    assert image.shape == (10, 64) and image.max() == 80 and matrix.get_ylabel() == "class"  # 40 of 50 images
    order = [int(tick.get_text()) for tick in matrix.get_xticklabels()]
    drawn = {(int(row), order[int(column)]) for column, row in zip(*marks.get_data(), strict=True)}
    assert drawn == {(number, unit) for number, own in INDEX.items() for unit in own} and order[:3] == [0, 1, 2]
    (curve,) = filter_figures.curves(together(found, "curve")).axes
    labels = [text.get_text() for text in curve.get_legend().get_texts()]
    assert "all 64 filters (97.50 %)" in labels and len(labels) == 4 and curve.get_ylabel() == "test accuracy [%]"
    random = next(bars for bars in curve.containers if bars.get_label().startswith("random"))
    assert random.lines[0].get_ydata() == pytest.approx([30, 97.5])
    ours, others = filter_figures.essentialities(decomposing.essentiality(found)).axes
    heights = [bar.get_height() for bar in ours.patches]
    assert heights == pytest.approx([30] * 3 + [40] + [30] * 6 + [31] + [85] * 3 + [95] + [85] * 6 + [86])
    assert [tick.get_text() for tick in ours.get_xticklabels()] == [*map(str, range(10)), "all"] and "random" in others.get_title()
    pairs = decomposing.overlap(chosen)
    overlap, informative = (filter_figures.pairs(pairs, column).axes[0] for column in ("shared", "mutual_information"))
    assert [text.get_text() for text in overlap.texts][:3] == ["5", "2", "0"] and overlap.images[0].get_clim() == (0, 2)
    assert informative.images[0].get_array().ravel().tolist() == pytest.approx(pairs.mutual_information.tolist())
    assert informative.texts[0].get_text() == ".274"
    dense, few = filter_figures.accuracies(together(found, "validate")).axes
    assert len(dense.patches) == 11 and {bar.get_height() for bar in dense.patches} == {97.5}
    assert sorted({bar.get_height() for bar in few.patches}) == pytest.approx([90, 95, 97.5]) and len(few.patches) == 33
    gates = filter_figures.gates(together(found, "csg")).axes
    assert len(gates) == 4 and gates[0].get_ylim() == (0, 103) and "nats" in gates[3].get_ylabel()
    (information,) = filter_figures.information(together(found, "mutual_info")).axes
    assert "nats" in information.get_xlabel() and len(information.get_yticklabels()) == 1
    expected = next(line for line in information.lines if line.get_label() == "random sets, exact expectation")
    assert expected.get_xdata() == pytest.approx([.00805])


def test_many_classes_and_sets_of_different_sizes(tmp_path):
    """A hundred classes: no names, no marks but where they fit; a class without filters is a row of its own."""
    index = {number: [] if number == 7 else list(range(number % 5 + 1)) for number in range(100)}
    run = Run(REGISTRY[9032], tmp_path)
    rows = [{"class": number, "rank": rank, "filter": unit, "count": 3, "images": 9} for number, own in index.items()
            for rank, unit in enumerate(own)]
    measured(run, "indices", rows, units=500, counts=np.ones((100, 500), int).tolist())
    rows = [{"noise": noise, "where": where, "class": number, "draw": 0, "correct": 1, "examples": 4, "filters": "ours"}
            for noise, where in (("none", "none"), ("zero", "own"), ("zero", "others")) for number in range(100)]
    measured(run, "essential", rows)
    found = of_runs([run])
    assert found[0].filters() == index
    matrix = filter_figures.matrices(found).axes[0]
    assert not matrix.lines and matrix.images[0].get_array().shape == (100, 500)
    assert filter_figures.pairs(decomposing.overlap(found), "shared").axes[0].images[0].get_array().shape == (100, 100)
    axes = filter_figures.essentialities(decomposing.essentiality(found)).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["all"] and axes.patches[0].get_height() == 25


def test_filters_from_files_have_runs_of_their_own(runs, tmp_path):
    files = {"-w": {"path": "/far/net.th", "sha256": "a"}, "-i": {"path": "mine.json", "sha256": "b"}}
    other = Run(override(REGISTRY[9032], ["hyper.batch_size=3"]), runs[0].results_dir)
    given = Run(REGISTRY[9032], runs[0].results_dir)
    given.path = given.path.with_name(given.path.name + "+0123abcd")
    for run in (other, given):
        with_indices(run, counted=False, given=files)
    assert other.path.name.startswith("ID9032_ResNet20_digits_k=5_seed=0+")
    found = of_runs(runs[2:3])
    assert [results.label for results in found] == ["ID9032 ResNet20 digits k=5", "ID9032 ResNet20 digits k=5 -w net.th -i mine.json"]
    assert found[1].counts() is None and found[1].members().sum() == 50
    axes = filter_figures.matrices(found).axes
    assert axes[1].images[0].get_array().max() == 1 and len(axes[1].lines[0].get_xdata()) == 50
    assert [results.label for results in of_runs([other])] == [f"ID9032 ResNet20 digits k=5 {other.path.name[-9:]}"]


def test_only_what_is_there(runs, tmp_path):
    paths = decomposing.report([Run(REGISTRY[9033], runs[0].results_dir), runs[0]], tmp_path / "report")
    assert [path.name for path in paths] == ["decomposing.csv", "class_accuracy.csv", "accuracy_curve.csv",
                                            "class_accuracy.png", "accuracy_curve.png"]


def test_a_run_made_with_other_settings_is_refused(runs):
    marker = runs[2].marker("validate")
    content = json.loads(marker.read_text())
    marker.write_text(json.dumps(content | {"settings": {"trained_hash": "0", "measure": {}}}))
    with pytest.raises(UserError, match="other settings"):
        of_runs(runs)


def test_script(runs, tmp_path):
    out = ok("report.py", "--experiment_ids=9030,9031", f"--results_dir={runs[0].results_dir}", f"--out={tmp_path / 'report'}")
    assert "accuracy_curve.png" in out and (tmp_path / "report" / "class_accuracy.csv").exists()
    message = refused("report.py", "--experiment_id=9031", f"--results_dir={tmp_path / 'none'}")
    assert "there is nothing to report yet; run: python train.py --experiment_id=9031" in message and "decompose.py" in message
    assert not (tmp_path / "none").exists()
