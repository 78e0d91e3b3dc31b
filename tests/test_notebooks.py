"""All notebooks from a clean kernel: on a real small demo, and on generated tables of every experiment that they name.

On the generated tables what they plot must equal what plain Python reads from the same CSV files.
"""
import ast
import csv
import functools
import json
import pathlib
import pickle
import re

import nbformat
import numpy as np
import pytest

from experiments import REGISTRY
from notebooks.execute import HERE, execute, main, names
from tests.conftest import ROOT, cli, ok
from tests.exported import write_random_correlations, write_random_tables
from tfprune.overrides import override
from tfprune.report.comparisons import COMPARISONS
from tfprune.run import Run

NOTEBOOKS = ("plot_ablation_thresholds", "plot_accuracy", "plot_demo", "plot_numparams", "plot_perturbation_curves",
             "plot_similarity_normalized", "plot_violins")
REPEATED = {*range(62, 92), 4000, 9002, 9004}  # have a second seed
MLP_WIDTHS, RATES, STARTS = (1, 2, 4, 8, 16), 5, 10
MLP_BLOCKS = {(1000, "SGD"): 247, (1000, "Adam"): 747, (1000, "RMSProp"): 1247, (10_000, "momentum"): 1747, (100_000, "momentum"): 2247,
              (1000, "momentum"): 2747}  # the first ID of (examples, optimiser) with 10 inputs (facts 1.2); 10,000 inputs follow 250 later
SIGMAS = {"0.0001": 0, "0.01": 2, "1": 4, "100": 6, "10000": 8}  # of the output weights: place among the ten init_factors
PARAMETERS = {  # facts 2.5
    "Alexnet": (438_746, 1_749_930, 6_989_642, 27_938_442, 111_713_546), "ResNet-56": (54_518, 215_362, 856_058, 3_413_482, 13_632_458),
    "MLP, 10 inputs": (418, 834, 1_666, 3_330, 6_658), "MLP, 10,000 inputs": (320_098, 640_194, 1_280_386, 2_560_770, 5_121_538),
    "ResNet-18": (831_513, 3_057_225, 11_694_249, 45_710_697, 180_713_193), "Inception-v3": (2_286_026, 7_571_266, 27_145_970),
    "Inception-v3, one block": (25_993_598, 26_350_842, 27_145_970, 29_058_786, 34_174_658)}
RECORD = """
from matplotlib.figure import Figure
_figures, _init = [], Figure.__init__
def _recorded(self, *arguments, **options):
    _init(self, *arguments, **options)
    _figures.append(self)
Figure.__init__ = _recorded
"""
UNDRAWN = """
get_ipython().display_formatter.formatters["image/png"].for_type(Figure, lambda figure: None)  # drawn in the other test
"""
DUMP = """
import json
def _axes(axes):
    def ends(curve):  # of each error bar; where nothing deviates none is drawn
        return [s[:, 1] for s in curve.lines[2][0].get_segments()] if curve.lines[2] else [[y, y] for y in curve.lines[0].get_ydata()]
    bars = {c.get_label(): [[float(y) for y in pair] for pair in ends(c)] for c in axes.containers}
    lines = {c.get_label(): c.lines[0] for c in axes.containers} | {l.get_label(): l for l in axes.lines if l.get_label()[0] != "_"}
    data = {label: [[float(v) for v in values] for values in line.get_data()] for label, line in lines.items()}
    violins = [[[float(v) for v in corner] for corner in shape.get_paths()[0].vertices] for shape in axes.collections if shape.get_paths()]
    legend = axes.get_legend()
    return {"title": axes.get_title(), "ylabel": axes.get_ylabel(), "bars": bars, "data": data,
            "scales": [axes.get_xscale(), axes.get_yscale()], "ticks": [t.get_text() for t in axes.get_xticklabels()],
            "legend": [t.get_text() for t in legend.get_texts()], "note": legend.get_title().get_text(),
            "violins": violins if not axes.containers else []}
print(json.dumps([{"title": f.get_suptitle(), "axes": [_axes(axes) for axes in f.axes]} for f in _figures]))
"""


@pytest.fixture(scope="module", autouse=True)
def quiet_home(tmp_path_factory):
    """Jupyter's and IPython's files do not go into the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        yield


def test_there_are_seven_and_none_holds_outputs():
    assert tuple(names()) == NOTEBOOKS
    for name in NOTEBOOKS:
        notebook = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
        nbformat.validate(notebook)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert not any(cell.outputs or cell.execution_count for cell in code)
        assert max(len(cell.source.splitlines()) for cell in code[2:]) <= 2, "a notebook is thin"
        assert notebook.cells[0].cell_type == "markdown" and len(notebook.cells[0].source) > 200


@pytest.fixture(scope="module")
def demo(tmp_path_factory, data_dir):
    """Results of two real nets of the demo, measured and exported."""
    results = tmp_path_factory.mktemp("demo")
    for script in ("train", "get_activations", "get_redundancy", "get_robustness", "pkl2csv_redundancy", "pkl2csv_robustness"):
        ok(f"{script}.py", "--experiment_ids=9002-9003", f"--results_dir={results}", f"--data_dir={data_dir}")
    return results


def check_drawn(cells):
    """Every figure that these cells ask for is there, and nothing else was said."""
    asked = sum("figures." in cell.source and cell.cell_type == "code" for cell in cells[3:])
    outputs = [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]
    assert all(output.output_type in ("display_data", "execute_result") for output in outputs), outputs
    assert sum("image/png" in output.data for output in outputs) == asked > 0


def test_on_the_demo(demo):
    measured = [name for name in NOTEBOOKS if name != "plot_numparams"]  # which shows no results: it is drawn in a test of its own
    out = ok("notebooks/execute.py", f"--results_dir={demo}", *measured)
    assert out.count("executed ") == len(measured)
    for name in measured:
        check_drawn(nbformat.read(demo / "notebooks" / f"{name}.ipynb", as_version=4).cells)


def test_all_are_executed_where_none_is_named(tmp_path, monkeypatch):
    executed = []
    monkeypatch.setattr("notebooks.execute.execute", lambda path, results, out: executed.append((path, results, out)))
    monkeypatch.setattr("sys.argv", ["execute.py", f"--results_dir={tmp_path}"])
    main()
    assert executed == [(HERE / f"{name}.ipynb", tmp_path, tmp_path / "notebooks") for name in NOTEBOOKS]


def test_from_the_root_and_only_what_is_named(demo, tmp_path):
    copy = execute(HERE / "plot_demo.ipynb", demo, tmp_path, folder=ROOT)
    assert [path.name for path in tmp_path.iterdir()] == ["plot_demo.ipynb"] and "image/png" in copy.read_text()
    status, _, err = cli("notebooks/execute.py", "plot_demmo")
    assert status == 2 and err.startswith("error: argument plot_demmo: no such notebook; there are plot_ablation_thresholds")
    status, _, err = cli("notebooks/execute.py", f"--results_dir={tmp_path / 'none'}")
    assert status == 2 and "no such folder; make demo" in err and err.count("\n") == 1


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Tables and correlations of every experiment that a notebook names; of the MLPs, 3,000 trained runs and the tables of the best."""
    results = tmp_path_factory.mktemp("generated")
    named = {i for curves in COMPARISONS.values() for curve in curves.values() for i in curve.ids if not 247 <= i <= 3246}
    mlps = {i for curves in mlp_curves().values() for ids in curves.values() for i in ids}
    for experiment_id in named | mlps:
        for seed in (0, 1) if experiment_id in REPEATED else (0,):
            write_random_tables(run_of(results, experiment_id, seed))
    for experiment_id in {*range(2, 7), *range(12, 17), *range(9002, 9007)}:
        write_random_correlations(run_of(results, experiment_id))
    for experiment_id in range(247, 3247):
        run = run_of(results, experiment_id)
        run.path.mkdir(parents=True)
        figures = {"val": {"accuracy": validation(experiment_id)}, "test": {"accuracy": 1 - validation(experiment_id)}}
        run.marker("train").write_text(json.dumps({"settings": run._settings("train"), "files": {}, "made_from": {}, "result": figures}))
    return results


def run_of(results, experiment_id, seed=0):
    return Run(override(REGISTRY[experiment_id], seed=seed), results)


@functools.cache
def validation(experiment_id):
    """The planted validation accuracy; the test accuracy is the reverse, so that a judge who looks there goes wrong everywhere."""
    return float(np.random.default_rng(experiment_id).uniform(.5, 1))


@functools.cache
def mlp_curves():
    """{title: {label: IDs}} of the MLPs' figures, by the rule alone: the best validation accuracy among what may vary."""
    def best(block, width, starts):
        ids = [block + 50 * width + 10 * rate + start for rate in range(RATES) for start in starts]
        return max(ids, key=validation)

    def curve(examples, optimizer, more, starts):
        return [best(MLP_BLOCKS[examples, optimizer] + more, width, starts) for width in range(len(MLP_WIDTHS))]

    titles = {}
    for inputs, more in (("10", 0), ("10,000", 250)):
        all_starts = range(STARTS)
        titles[f"MLPs, {inputs} inputs: number of training examples"] = {
            f"{examples:,} examples": curve(examples, "momentum", more, all_starts) for examples in (1000, 10_000, 100_000)}
        titles[f"MLPs, {inputs} inputs: optimisers"] = {
            optimizer: curve(1000, optimizer, more, all_starts) for optimizer in ("momentum", "SGD", "Adam", "RMSProp")}
        titles[f"MLPs, {inputs} inputs: initial weights"] = {
            f"sigma {sigma}": curve(1000, "momentum", more, [start]) for sigma, start in SIGMAS.items()}
    titles["MLPs: inputs and initial weights"] = {
        f"{inputs} inputs, sigma {sigma}": curve(1000, "momentum", more, [SIGMAS[sigma]])
        for inputs, more in (("10", 0), ("10,000", 250)) for sigma in ("0.0001", "0.01")}
    return titles


def figures_of(name, results, tmp_path, drawn=False):
    """What a notebook plots: it is executed with a cell that keeps all Figures, and one that tells what they hold."""
    notebook = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
    notebook.cells[3:3] = [nbformat.v4.new_code_cell(RECORD if drawn else RECORD + UNDRAWN)]
    notebook.cells.append(nbformat.v4.new_code_cell(DUMP))
    path = tmp_path / f"{name}.ipynb"
    nbformat.write(notebook, path)
    executed = nbformat.read(execute(path, results, tmp_path / "out"), as_version=4)
    if drawn:
        check_drawn([*executed.cells[:3], *executed.cells[4:-1]])
    asked = [match for cell in notebook.cells for match in re.findall(r'figures\.(\w+)\((.*), "(.*)"\)$', cell.source, re.MULTILINE)]
    shown = json.loads(executed.cells[-1].outputs[0].text)
    assert [figure["title"] for figure in shown] == [title for _, _, title in asked]
    assert not any("no results" in axes["note"] for figure in shown for axes in figure["axes"])
    return list(zip(asked, shown, strict=True))


def curves_of(what, title):
    """{label: (IDs, layer, the setting that is the width, whether the layer grows with it)} of a figure."""
    if title in mlp_curves():
        return {label: (ids, "all", "neuron_multiplier", True) for label, ids in mlp_curves()[title].items()}
    name, = re.findall(r'"(\w+)"', what) or [{"demo": "demo", "alexnets": "demo_cifar"}[what]]
    return {label: (curve.ids, curve.layer, curve.width, curve.widened) for label, curve in COMPARISONS[name].items()}


@functools.cache
def read(results, experiment_id, seed, kind):
    experiment = REGISTRY[experiment_id]
    path = results / "csv" / experiment.family / f"{experiment.name.replace('seed=0', f'seed={seed}')}_{kind}.csv"
    with path.open() as file:
        return list(csv.DictReader(file, quotechar="|"))


def point(results, experiment_id, layer, quantity, chosen, share):
    """Mean and standard deviation, in %, of one quantity of one net, from its CSV files."""
    imagenet = experiment_id >= 4000 and experiment_id < 9000
    chosen = "validation" if imagenet else chosen
    values = []
    for seed in (0, 1) if experiment_id in REPEATED else (0,):
        if quantity == "accuracy":
            rows = [row for row in read(results, experiment_id, seed, "redundancy") if row["evaluation_set"] == chosen]
            values.append(float(rows[0]["top_1_acc" if imagenet else "performance"]))
            continue
        measure = quantity.removeprefix("non_")
        rows = [row for row in read(results, experiment_id, seed, "redundancy" if measure == "redundancy" else "robustness")
                if row["evaluation_set"] == chosen]
        for cross in "012":
            of_cross = [row for row in rows if row["cross" if imagenet else "cross_validation"] == cross]
            if measure == "redundancy":
                layers = {row["layer"]: float(row["compressability_95"]) for row in of_cross}
                part = layers[str(layer)] if layer != "all" else np.mean([layers[name] for name in layers if name != "all"])
            else:
                part = crossing(curve_of(of_cross, layer, imagenet))
            values.append(part * share if quantity == measure else share - part * share)
    return 100 * np.mean(values), 100 * np.std(values)


def curve_of(rows, layer, imagenet):
    knockout = {"perturbation_type": "2"} if imagenet else {"perturbation_name": "Activation Knockout"}
    wanted = {"perturbation_layer": str(layer)} | knockout
    return [float(row["unchanged labels" if imagenet else "performance"]) for row in rows if wanted.items() <= row.items()]


def crossing(curve):
    assert len(curve) == 7 and curve[0] == 1
    for step, (before, after) in enumerate(zip(curve[:-1], curve[1:], strict=True)):
        if before >= .8 > after:
            return (step + (before - .8) / (before - after)) / 6
    return 1


QUANTITIES = {"Training accuracy": ("accuracy", "train"), "Test accuracy": ("accuracy", "test"),
              "Prunable: 80 % of answers stay without them": ("prunability", "test"), "Not prunable": ("non_prunability", "test"),
              "Redundant: 95 % of the variance is in the others": ("redundancy", "test"), "Not redundant": ("non_redundancy", "test")}
PANELS = {"accuracy": ["Training accuracy", "Test accuracy"], "prunability": list(QUANTITIES)[2:4], "redundancy": list(QUANTITIES)[4:]}


@pytest.mark.parametrize("name", ["plot_demo", "plot_accuracy", "plot_ablation_thresholds", "plot_similarity_normalized"])
def test_curves_against_width_equal_the_tables(name, generated, tmp_path):
    for (function, what, title), figure in figures_of(name, generated, tmp_path):
        curves = curves_of(what, title)
        first = REGISTRY[next(iter(curves.values()))[0][0]]
        panels = PANELS[function][1:] if function == "accuracy" and first.dataset.name == "imagenet" else PANELS[function]
        assert [axes["title"] for axes in figure["axes"]] == panels
        for axes in figure["axes"]:
            quantity, chosen = QUANTITIES[axes["title"]]
            assert "%" in axes["ylabel"] and axes["scales"] == ["log", "linear" if quantity == "accuracy" else "log"]
            assert set(axes["ticks"]) <= {"1/4x", "1/2x", "1x", "2x", "4x"} and axes["ticks"]
            shown = {label.partition(": g =")[0]: label for label in axes["bars"]}
            assert list(shown) == list(curves), title
            growths = []
            for label, (ids, layer, width, widened) in curves.items():
                widest = 16 if REGISTRY[ids[0]].dataset.name == "linear" else 4
                factors = [getattr(REGISTRY[i].dnn, width) for i in ids]
                points = np.array([point(generated, i, layer, quantity, chosen, factor / widest if widened else 1)
                                   for i, factor in zip(ids, factors, strict=True)])
                x, y = axes["data"][shown[label]]
                np.testing.assert_allclose(x, np.multiply(factors, 4 / widest))
                np.testing.assert_allclose(y, points[:, 0], rtol=1e-9, err_msg=f"{title}: {label}")
                bars = np.array(axes["bars"][shown[label]])
                np.testing.assert_allclose(bars[:, 1] - bars[:, 0], 2 * points[:, 1], rtol=1e-6, atol=1e-9)
                growths.append(np.mean(points[1:, 0] / points[:-1, 0]))
                assert shown[label] == (label if quantity == "accuracy" else f"{label}: g = {growths[-1]:.2f}")
                assert shown[label] in axes["legend"]
            if quantity != "accuracy" and len(growths) > 1:
                assert axes["note"] == f"growth g when the width doubles: max {max(growths):.2f}, min {min(growths):.2f}"
            if quantity == "accuracy":
                assert f"guessing ({ {'imagenet': 0.1, 'linear': 50}.get(first.dataset.name, 10):g} %)" in axes["legend"]


def test_perturbation_curves_equal_the_tables(generated, tmp_path):
    for (_, what, title), figure in figures_of("plot_perturbation_curves", generated, tmp_path):
        curves = curves_of(what, title)
        assert [axes["title"] for axes in figure["axes"]] == list(curves)
        for axes, (ids, *_) in zip(figure["axes"], curves.values(), strict=True):
            for experiment_id, label in zip(ids, axes["bars"], strict=True):
                assert label == {.25: "1/4x", .5: "1/2x", 1: "1x", 2: "2x", 4: "4x"}[REGISTRY[experiment_id].dnn.neuron_multiplier]
                imagenet = 4000 <= experiment_id < 9000
                found = [curve_of([row for row in read(generated, experiment_id, seed, "robustness")
                                   if row["evaluation_set"] == ("validation" if imagenet else "test")
                                   and row["cross" if imagenet else "cross_validation"] == cross], "all", imagenet)
                         for seed in ((0, 1) if experiment_id in REPEATED else (0,)) for cross in "012"]
                x, y = axes["data"][label]
                np.testing.assert_allclose(x, np.linspace(0, 100, 7))
                np.testing.assert_allclose(y, 100 * np.mean(found, axis=0))


def test_numbers_of_parameters_equal_the_published(generated, tmp_path):
    (_, digits), (_, every) = figures_of("plot_numparams", generated, tmp_path, drawn=True)
    axes, = every["axes"]
    assert {label: tuple(y) for label, (_, y) in axes["data"].items()} == PARAMETERS and axes["scales"] == ["log", "log"]
    assert [len(y) for _, y in digits["axes"][0]["data"].values()] == [5]


def test_violins_equal_the_correlations(generated, tmp_path):
    for (_, what, title), figure in figures_of("plot_violins", generated, tmp_path):
        axes, = figure["axes"]
        shapes = iter(axes["violins"])
        for label, (ids, *_) in curves_of(what, title).items():
            means = []
            for experiment_id in ids:
                path = run_of(generated, experiment_id).path / "corr_test0.pkl"
                matrix = pickle.loads(path.read_bytes())[1]
                values = [abs(matrix[i][j]) for i in range(len(matrix)) for j in range(i) if not np.isnan(matrix[i][j])]
                means.append(np.mean(values))
                counts = np.histogram(values, 50, (0, 1))[0]
                corners = np.array(next(shapes))
                halves = [np.ptp(corners[np.isclose(corners[:, 1], (bin + .5) / 50), 0]) for bin in range(50)]
                np.testing.assert_allclose(halves / np.max(halves), counts / counts.max(), atol=1e-9)
            np.testing.assert_allclose(axes["data"][label][1], means)
        assert next(shapes, None) is None


def test_only_the_notebooks_that_need_it_load_tensorflow():
    for name in NOTEBOOKS:
        source = "\n".join(cell.source for cell in nbformat.read(HERE / f"{name}.ipynb", as_version=4).cells if cell.cell_type == "code")
        assert "tensorflow" not in source and ("parameters" in source) == (name == "plot_numparams")
    modules = {node.module for path in pathlib.Path(ROOT / "tfprune" / "report").glob("*.py")
               for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)}
    assert not {module for module in modules if module.startswith(("tfprune.keras", "tfprune.models", "tfprune.input", "tfprune.layers"))}
