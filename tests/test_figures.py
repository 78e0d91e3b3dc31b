"""The figures: what they plot, what their legends say, that gaps are named; and that comparisons compare what they say."""
import pickle

import numpy as np
import pandas as pd
import pytest

from experiments import REGISTRY
from tests.exported import CURVE, write_random_correlations, write_tables
from tfprune import pickles
from tfprune.experiment import UserError, non_defaults
from tfprune.overrides import override
from tfprune.report import comparisons, figures, tables
from tfprune.report.comparisons import COMPARISONS, Curve
from tfprune.report.study import Study
from tfprune.run import Run

WIDTHS = (.25, .5, 1, 2, 4)
# Read off the original's stored figure (facts 11): answers unchanged, in %, at 0, 17, ..., 100 % ablated, of Alexnets by ID.
STORED = {6: [100, 89, 82, 74, 44, 18, 10], 5: [100, 84, 74, 63, 33, 13, 10], 4: [100, 80, 59, 48, 28, 13, 10],
          2: [100, 61, 43, 27, 17, 12, 10], 16: [100, 75, 62, 38, 15, 11, 10], 12: [100, 47, 32, 16, 12, 13, 11]}
CROSSING = {6: .375, 5: .233333, 4: .166667, 2: .085470, 16: .133333, 12: .062893}  # of 80 %, interpolated by hand


def tidy(curves, quantity="prunability", chosen="test"):
    """A table of one quantity: {label: values at WIDTHS}."""
    return pd.DataFrame([{"experiment_id": 100 * number + place, "name": "", "curve": label, "width_factor": width, "width": width,
                          "share": width / 4, "seed": 0, "quantity": quantity, "set": chosen, "layer": "all", "cross": 0, "value": value}
                         for number, (label, values) in enumerate(curves.items())
                         for place, (width, value) in enumerate(zip(WIDTHS, values, strict=True))])


def drawn(axes):
    """{label: (x, y)} of the curves with error bars."""
    return {container.get_label(): container.lines[0].get_data() for container in axes.containers}


def legend(axes):
    box = axes.get_legend()
    return [text.get_text() for text in box.get_texts()], box.get_title().get_text()


@pytest.mark.parametrize("fidelity", ["corrected", "original"])
def test_growth_of_g7_stands_in_the_legend(fidelity):
    curves = {"a": [.01, .025, .06, .15, .4], "b": [.01, .02, .04, 0, 0]}
    table = tidy(curves)
    axes = figures.prunability(table, "t", fidelity).axes[0]
    texts, title = legend(axes)
    assert texts == ["all units of the net: g = 2.00", "a: g = 2.52", "b: g = 2.00"]
    assert "max 2.52, min 2.00" in title and "zero, so not on this axis: b 2x, b 4x" in title
    skipping = tables.growth_factors(tidy(curves, "redundancy"), "redundancy", fidelity)
    assert skipping["a"] == pytest.approx(2.516667 if fidelity == "corrected" else 2.522222, abs=1e-6)
    assert skipping["b"] == pytest.approx(2)


@pytest.mark.parametrize(("slopes", "largest", "smallest"), [  # facts 11: printed by the notebooks, and written into their figures
    ((2.8102, 2.2908, 2.5258), "2.81", "2.29"), ((2.6842, 2.1105, 2.3693), "2.68", "2.11"), ((2.8099, 2.3571, 2.5746), "2.81", "2.36"),
    ((3.1455, 3.8622, 3.6089), "3.86", "3.15"), ((3.1455, 2.3071, 2.8020, 2.9292), "3.15", "2.31")])
def test_growth_factors_of_the_published_figures(slopes, largest, smallest):
    table = tidy({f"g {slope}": [0.01 * slope**place for place in range(5)] for slope in slopes})
    texts, title = legend(figures.prunability(table, "published").axes[0])
    assert f"max {largest}, min {smallest}" in title
    assert texts[1:] == [f"g {slope}: g = {slope:.2f}" for slope in slopes]


def test_prunability_of_g6_through_files_and_figure(tmp_path):
    run = Run(REGISTRY[5], tmp_path)  # width factor 2
    write_tables(run, {("test", 0, 0): .5}, {("test", 0, "all"): CURVE}, {"test": .9})
    figure = figures.prunability(Study(REGISTRY, tmp_path).by_width("demo_cifar"))
    (_, prunable), = drawn(figure.axes[0]).values()
    (_, rest), = drawn(figure.axes[1]).values()
    np.testing.assert_allclose(prunable, [np.nan, np.nan, np.nan, 19.4444, np.nan], atol=1e-4)
    np.testing.assert_allclose(rest, [np.nan, np.nan, np.nan, 30.5556, np.nan], atol=1e-4)


def test_the_stored_ablation_curves_cross_where_a_ruler_says(tmp_path):
    for experiment_id, curve in STORED.items():
        run = Run(REGISTRY[experiment_id], tmp_path)
        write_tables(run, {("test", 0, 0): .5}, {("test", 0, "all"): np.divide(curve, 100)}, {"test": .9})
    for fidelity in ("corrected", "original"):
        table = Study(REGISTRY, tmp_path).by_width("curves")
        found = table[(table.quantity == "prunability") & table.value.notna()].set_index("experiment_id")
        assert (found.value / found.share).to_dict() == pytest.approx(CROSSING, abs=1e-6)
        # Glorot: .041667 -> .116667 -> .375 at 1x, 2x, 4x; the original prints 2.81 for all five widths and two seeds
        assert tables.growth_factors(table, "prunability", fidelity)["Glorot"] == pytest.approx((2.8 + .375 / .116667) / 2, rel=1e-5)
    figure = figures.perturbation_curves(Study(REGISTRY, tmp_path).perturbation_curves("curves"))
    assert [axes.get_title() for axes in figure.axes] == ["Glorot", "He"]
    for axes, ids in zip(figure.axes, ({"1/4x": 2, "1x": 4, "2x": 5, "4x": 6}, {"1/4x": 12, "4x": 16}), strict=True):
        for label, (amounts, unchanged) in drawn(axes).items():
            np.testing.assert_allclose(amounts, np.linspace(0, 100, 7) if label in ids else [])
            np.testing.assert_allclose(unchanged, STORED[ids[label]] if label in ids else [])
    assert legend(figure.axes[0])[1] == "no results: ID 3" and legend(figure.axes[1])[1] == "no results: ID 13, 14, 15"


def test_runs_of_the_original_fidelity_follow_its_rules(tmp_path):
    for experiment_id in range(2, 7):
        run = Run(override(REGISTRY[experiment_id], fidelity="original"), tmp_path)
        values = {("test", cross, 0): value for cross, value in enumerate((.1, .2) if experiment_id == 2 else (.4, .4))}
        write_tables(run, values, {("test", 0, "all"): CURVE, ("test", 1, "all"): [1, .7, .6, .5, .4, .3, .2]}, {"test": .9})
    assert tables.missing_ids(Study(REGISTRY, tmp_path).by_width("demo_cifar"), ["prunability"]) == [2, 3, 4, 5, 6], "another fidelity"
    study = Study(REGISTRY, tmp_path, fidelity="original")
    table = study.by_width("demo_cifar")
    (_, best), = drawn(figures.prunability(table).axes[0]).values()
    np.testing.assert_allclose(best, 100 * .388889 * np.array(WIDTHS) / 4, rtol=1e-5)  # the best cross
    assert "Alexnet: g = 2.00" in legend(figures.redundancy(table).axes[0])[0], "the first ratio, 2 * .4 / .15, is left out"
    assert "Alexnet: g = 2.83" in legend(figures.redundancy(table, fidelity="corrected").axes[0])[0]
    (_, curve), *_ = drawn(figures.perturbation_curves(study.perturbation_curves("demo_cifar")).axes[0]).values()
    np.testing.assert_allclose(curve, [100, 90, 85, 70, 50, 30, 20])  # the maximum over crosses


def test_accuracy_in_percent_with_error_bars_and_guessing():
    table = tidy({"a": [.5, .6, .7, .8, .9]}, "accuracy")
    second_seed = table.assign(seed=1, value=table.value + .02)
    chance = tidy({"a": [.1] * 5}, "chance")
    axes, = figures.accuracy(pd.concat([table, second_seed, chance]), "t").axes
    widths, means = drawn(axes)["a"]
    np.testing.assert_allclose(means, [51, 61, 71, 81, 91])
    bars = axes.containers[0].lines[2][0].get_segments()
    np.testing.assert_allclose([bar[1][1] - bar[0][1] for bar in bars], 2)  # mean +- 1
    assert legend(axes)[0] == ["guessing (10 %)", "a"] and axes.get_xscale() == "log" and axes.get_xlim()[0] > 0
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1/4x", "1/2x", "1x", "2x", "4x"]
    assert axes.get_title() == "Test accuracy" and "[%]" in axes.get_ylabel()


def test_a_figure_names_its_gaps_and_survives_having_nothing_else(tmp_path):
    study = Study(REGISTRY, tmp_path)
    table = study.by_width("regularisers")
    for figure in (figures.accuracy(table), figures.prunability(table), figures.redundancy(table)):
        assert len(figure.axes) == 2
        for axes in figure.axes:
            assert legend(axes)[1] == "no results: ID 62, 64, 65, 66, 67, 68 (+19)"
            assert "no results yet" in [text.get_text() for text in axes.texts]
    figures.save(figure, tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 5_000
    for figure in (figures.perturbation_curves(study.perturbation_curves("curves")), figures.violins(study.correlations("violins"))):
        assert "no results: ID 2" in legend(figure.axes[0])[1]


@pytest.mark.parametrize("name", ["net", "a name of some length", "a rather long name of a net"])
def test_legends_hide_no_curve_and_lie_inside_the_figure(name):
    labels = [f"{name} {number}" for number in range(7)]
    figure = figures.prunability(tidy({label: np.array(WIDTHS) * (number + 1) / 40 for number, label in enumerate(labels)}), "t")
    figure.draw_without_rendering()
    for axes in figure.axes:
        box = axes.get_legend().get_window_extent()
        assert box.y1 < axes.xaxis.label.get_window_extent().y0 + 2 and box.y0 >= 0
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        others = [other.get_legend().get_window_extent() for other in figure.axes if other is not axes]
        assert not any(box.overlaps(other) for other in others)
    styles = {(container.lines[0].get_color(), container.lines[0].get_marker()) for container in figure.axes[0].containers}
    assert len(styles) == len(labels) == len({colour for colour, _ in styles})


def test_vertical_axes_to_base_two_with_readable_numbers():
    axes = figures.prunability(tidy({"a": [.004, .01, .04, .13, .34]})).axes[0]
    axes.figure.draw_without_rendering()
    low, high = axes.get_ylim()
    shown = [text.get_text() for text in axes.get_yticklabels() if low <= text.get_position()[1] <= high]
    assert shown == ["0.5", "1", "2", "4", "8", "16", "32", "64"]


def test_violins_show_the_distribution_and_its_mean(tmp_path):
    study, curve = Study(REGISTRY, tmp_path), {"Alexnet": Curve((2, 4, 6), layer=1)}
    for experiment_id in (2, 6):
        write_random_correlations(Run(REGISTRY[experiment_id], tmp_path))
    table = study.correlations(curve)
    axes, = figures.violins(table).axes
    for violin, experiment_id in zip(axes.collections, (2, 6), strict=True):
        matrix = pickle.loads(Run(REGISTRY[experiment_id], tmp_path).file("get_redundancy", "corr_test0.pkl").read_bytes())[1]
        values = [abs(matrix[i, j]) for i in range(12) for j in range(i) if 3 not in (i, j)]
        counts, _ = np.histogram(values, 50, (0, 1))
        corners = violin.get_paths()[0].vertices
        halves = [np.ptp(corners[np.isclose(corners[:, 1], (k + .5) / 50), 0]) / 2 for k in range(50)]
        np.testing.assert_allclose(halves, .36 * counts / counts.max(), atol=1e-9)
        mean = table[(table.experiment_id == experiment_id) & (table.quantity == "mean")].value.item()
        assert mean == pytest.approx(np.mean(values))
        assert mean in axes.lines[0].get_ydata()
    assert legend(axes) == (["Alexnet"], "no results: ID 4") and "conv2" in axes.get_ylabel()


def test_correlations_that_are_none_are_named(tmp_path):
    run = Run(REGISTRY[2], tmp_path)
    write_random_correlations(run)
    path = run.file("get_redundancy", "corr_test0.pkl")
    for content in ([np.eye(2)], {"a": 1}, [np.eye(2), np.ones((2, 3))]):
        path.write_bytes(pickles.dumps(content))
        with pytest.raises(UserError, match="corr_test0.pkl: has no correlations of layer 1"):
            Study(REGISTRY, tmp_path).correlations("violins")


def test_mlps_stand_at_the_studys_widths(tmp_path):
    table = Study(REGISTRY, tmp_path).by_width({"MLP": comparisons.every(2747, 50)})
    assert sorted(table.width.unique()) == list(WIDTHS) and sorted(table.width_factor.unique()) == [1, 2, 4, 8, 16]
    assert sorted(table.share.unique()) == [.0625, .125, .25, .5, 1]


def test_blocks_that_do_not_grow_with_the_width_are_not_counted_as_growing(tmp_path):
    table = Study(REGISTRY, tmp_path).by_width("inception_block_layers")
    assert table.groupby("curve").share.nunique().to_dict() == {"35x35x288b (widened)": 5, "17x17x1280a": 1, "8x8x2048b": 1}
    assert sorted(table.width.unique()) == list(WIDTHS)
    assert "all units of the net: g = 2.00" not in legend(figures.prunability(table).axes[0])[0]


# What all nets of a curve must have in common, and the settings in which they may differ from Alexnet's plain ones.
MEANING = {
    "demo": {"Alexnet on digits": {"dnn.name": "Alexnet_digits"}},
    "cifar": {"Alexnet": {"hyper.drop_train": .5, "hyper.augmentation": True, "hyper.weight_decay": 1e-3},
              "Alexnet, random labels": {"dataset.random_labels": True},
              "ResNet-56": {"dnn.name": "ResNet_cifar", "dataset.random_labels": False, "hyper.batch_size": 128},
              "ResNet-56, random labels": {"dnn.name": "ResNet_cifar", "dataset.random_labels": True}},
    "regularisers": {"none": {}, "augmentation": {"hyper.augmentation": True}, "dropout": {"hyper.drop_train": .5},
                     "weight decay": {"hyper.weight_decay": 1e-3},
                     "all three": {"hyper.drop_train": .5, "hyper.augmentation": True, "hyper.weight_decay": 1e-3}},
    "learning_rate_and_batch": {
        f"{net}, k = {k}": {"dnn.name": name, "hyper.batch_size": batch, "hyper.learning_rate": rate * batch / 128,
                            "hyper.augmentation": name == "ResNet_cifar"}
        for net, name, rate in (("Alexnet", "Alexnet", .01), ("ResNet-56", "ResNet_cifar", .1))
        for k, batch in (("1/4", 32), ("1", 128), ("4", 512))},
    "initialisers_normal": {"Glorot": {"dnn.init_type": 0}, "He": {"dnn.init_type": 2}, "LeCun": {"dnn.init_type": 4}},
    "initialisers_uniform": {"Glorot": {"dnn.init_type": 1}, "He": {"dnn.init_type": 3}, "LeCun": {"dnn.init_type": 5}},
    "optimisers": {name: {"hyper.optimizer": code} for code, name in enumerate(
        ("momentum", "SGD", "Adam", "Adagrad", "proximal Adagrad", "RMSProp", "FTRL"))},
    "activations": {name: {"dnn.act_function": code} for code, name in enumerate(
        ("ReLU", "leaky ReLU", "ELU", "SELU", "sigmoid", "tanh"))},
    "imagenet_batch": {"largest that fits": {"dnn.name": "ResNet18"}, **{
        str(batch): {"dnn.name": "ResNet18", "hyper.batch_size": batch, "dnn.time_step": 0} for batch in (4096, 2048, 1024)}},
    "imagenet_nets": {"ResNet-18": {"dnn.name": "ResNet18", "dnn.time_step": 0},
                      "Inception-v3": {"dnn.name": "Inception_v3", "dnn.factor_end": 1.0},
                      "Inception-v3, one block": {"dnn.name": "Inception_v3", "dnn.neuron_multiplier": 1.0}},
    "imagenet_time": {**{f"{epochs} epochs before the end": {"dnn.time_step": epochs, "dnn.name": "ResNet18"} for epochs in (8, 6, 4, 2)},
                      "end of training": {"dnn.time_step": 0, "dnn.name": "ResNet18"}},
}
PLAIN = {"dnn.name": "Alexnet", "hyper.drop_train": 1.0, "hyper.augmentation": False, "hyper.weight_decay": 0.0, "hyper.optimizer": 0,
         "dnn.act_function": 0, "dnn.init_type": 0, "dataset.random_labels": False, "hyper.batch_size": 128, "hyper.learning_rate": .01}


def setting(experiment, key):
    group, name = key.split(".")
    return getattr(getattr(experiment, group), name)


@pytest.mark.parametrize("comparison", MEANING)
def test_the_experiments_of_a_curve_are_what_its_label_says(comparison):
    assert list(COMPARISONS[comparison]) == list(MEANING[comparison])
    for label, wanted in MEANING[comparison].items():
        plain = PLAIN if comparison in ("regularisers", "initialisers_normal", "initialisers_uniform", "optimisers", "activations") or (
            comparison == "cifar" and "dnn.name" not in wanted) else {}
        for experiment_id in COMPARISONS[comparison][label].ids:
            experiment = REGISTRY[experiment_id]
            found = {key: setting(experiment, key) for key in plain | wanted}
            assert found == pytest.approx(plain | wanted), (label, experiment.name)


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_a_curve_has_its_widths_in_order_and_nothing_else_differs(comparison):
    for label, curve in COMPARISONS[comparison].items():
        experiments = [REGISTRY[i] for i in curve.ids]
        widths = [getattr(e.dnn, curve.width) for e in experiments]
        assert widths == sorted(set(widths)) and len(widths) >= 2, label
        if len(widths) == 5:
            assert widths == [w * tables.widest(experiments[0]) / 4 for w in WIDTHS], label
        batch_follows_width = experiments[0].dnn.name == "ResNet18" and label != "2048"
        others = [{f"{group}.{key}": value for group in ("dataset", "dnn", "hyper", "training")
                   for key, value in non_defaults(getattr(e, group)).items()
                   if key != curve.width and not (batch_follows_width and key == "batch_size")} for e in experiments]
        assert all(other == others[0] for other in others), label


def test_layers_are_those_that_the_labels_name():
    assert [c.layer for c in COMPARISONS["resnet56_layers"].values()] == [0, 1, 2, 3]
    assert [c.layer for c in COMPARISONS["resnet18_layers"].values()] == [0, 1, 2, 3, 4]
    names = [*(f"conv{i}" for i in range(5)), "35x35x256a", "35x35x288a", "35x35x288b", *(f"17x17x768{c}" for c in "abcde"), "17x17x1280a",
             "8x8x2048a", "8x8x2048b"]
    for label, curve in COMPARISONS["inception_layers"].items():
        assert names[curve.layer] == label
    assert all(curve.layer == 1 for name in ("initialisers_conv2", "violins", "violins_demo") for curve in COMPARISONS[name].values())
