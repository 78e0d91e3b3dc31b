"""Measures on a single set, as of the ImageNet nets: pickles and CSVs against NumPy and counting by hand, and the stages end to end."""
import csv
import io

import numpy as np
import pandas as pd
import pytest

import data
from experiments import REGISTRY
from tests.conftest import ok, refused
from tests.ilsvrc import make_folder
from tests.small_nets import build, examples
from tfprune import pickles, stages
from tfprune.experiment import UserError
from tfprune.input import pipeline, records
from tfprune.keras import keras, tf
from tfprune.models import build_model
from tfprune.models.notes import note_unit_layers
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.settings import KINDS
from tfprune.units import export_single, nesting_single
from tfprune.units.activations import METRICS, Sample, samples, top_accuracies
from tfprune.units.batches import fitting_batch, measured_batches
from tfprune.units.export import csv_text
from tfprune.units.graph import unit_layers
from tfprune.units.meter import Meter
from tfprune.units.orders import original_orders, original_targeted_order
from tfprune.units.robustness import orders_for
from tfprune.units.streaming import streamed

RESNET, INCEPTION = REGISTRY[4000], REGISTRY[4013]
SMALL = ["hyper.image_size=33", "hyper.batch_size=8", "measure.crosses=2", "measure.amounts=3"]


# Top 1 and top 5

def test_top_1_and_top_5():
    outputs = np.array([[0, 9, 8, 7, 6, 5, 4], [0, 9, 8, 7, 6, 5, 4], [1, 1, 1, 1, 1, 1, 1], [0, 9, 8, 7, 6, 5, np.nan]], "float32")
    assert top_accuracies(outputs, np.array([1, 1, 0, 1])).tolist() == [0.75, 0.75]  # the last has a NaN
    assert top_accuracies(outputs, np.array([5, 0, 1, 1])).tolist() == [0.0, 0.5]  # fifth; last; the second of equal outputs
    assert top_accuracies(outputs, np.array([6, 0, 5, 1])).tolist() == [0.0, 0.0]  # sixth of equal outputs


def test_top_accuracies_are_tensorflows():
    random = np.random.default_rng(0)
    outputs, labels = random.normal(size=(300, 12)).astype("float32"), random.integers(12, size=300)
    expected = [np.mean(tf.math.in_top_k(labels, outputs, k)) for k in (1, 5)]
    assert top_accuracies(outputs, labels).tolist() == expected
    assert expected[0] == METRICS["accuracy"](outputs, labels) and 0 < expected[0] < expected[1] < 1


def test_accuracies_of_a_set_whose_last_batch_is_smaller():
    model = build("chain")
    images, labels = examples(model, 37), np.arange(37) % 4
    expected = top_accuracies(model.predict(images, verbose=0), labels)
    sample, = samples(model, images, labels, metric="top_1_and_5", batch_size=16)
    statistics = streamed(model, images, labels, metric="top_1_and_5", batch_size=16)
    for score in (sample.score, statistics.score):
        assert type(score) is list
        np.testing.assert_allclose(score, expected)


# Pickles

def rows_and_labels(seed=0, rows=60, units=(5, 7, 3)):
    """Rows >= 0 of three layers, with a dead unit, and labels of four of ImageNet's 1,001 classes."""
    random = np.random.default_rng(seed)
    labels = np.array([17, 1000, 1, 400])[np.arange(rows) % 4]
    layers = [np.maximum(random.normal(size=(rows, n)) + (labels % 5)[:, None] / 3, 0).astype("float32") for n in units]
    layers[1][:, 2] = 0
    return layers, [labels] * len(units)


def selectivity_by_hand(rows, labels):
    result = []
    for unit in rows.T.astype(float):
        means = {label: (unit[labels == label].mean(), unit[labels != label].mean()) for label in sorted(set(labels))}
        own, others = max(means.values(), key=lambda pair: pair[0])
        result.append((own - others) / (own + others) if own + others else np.nan)
    return result


def compressability_by_hand(rows):
    eigenvalues = np.linalg.eigvalsh(np.cov(rows.astype(float), rowvar=False))
    return (1 + np.sum(np.cumsum(eigenvalues) / eigenvalues.sum() <= 0.05)) / len(eigenvalues)


@pytest.mark.parametrize("fidelity", ["corrected", "original"])
def test_pickles_of_a_cross(fidelity):
    rows, labels = rows_and_labels()
    files = nesting_single.redundancy_files(Sample(rows, labels, [0.25, 0.5]), fidelity=fidelity)
    assert list(files) == ["corr", "similarity", "compressability", "selectivity", "accuracy"] and files["accuracy"] == [0.25, 0.5]
    for layer, values in enumerate(rows):
        with np.errstate(invalid="ignore"):
            correlation = np.corrcoef(values.T.astype(float))
        similar = (np.abs(correlation) >= 0.5).sum(axis=0) - 1
        if fidelity == "corrected":
            dead = np.isnan(np.diag(correlation))
            correlation, similar = np.where(np.isnan(correlation), np.diag(dead * 1.0), correlation), np.where(dead, 0, similar)
        np.testing.assert_allclose(files["corr"][layer], correlation, atol=1e-12)
        np.testing.assert_allclose(files["similarity"][layer], [similar.mean(), similar.std()], atol=1e-12)
        assert files["compressability"][layer] == compressability_by_hand(values)
        np.testing.assert_allclose(files["selectivity"][layer], selectivity_by_hand(values, labels[layer]), rtol=1e-5)
    assert np.isnan(files["selectivity"][1][2])


def test_golden_selectivity():
    """Facts G4's training set, under other names of classes."""
    rows = np.array([[4, 0, 1, 0], [2, 0, 1, 0], [0, 3, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0], [3, 2, 1, 0]], float)
    files = nesting_single.redundancy_files(Sample([rows], [np.array([3, 3, 500, 500, 1000, 1000])], [0, 0]))
    np.testing.assert_allclose(files["selectivity"][0], [0.6, 0.6, 0, np.nan])


def test_streaming_gives_the_same_from_all_rows():
    model = build("chain")
    images, labels = examples(model, 40), np.array([3, 8, 9])[np.arange(40) % 3]
    sample, = samples(model, images, labels, batch_size=40, max_rows=10**6)
    stored = nesting_single.redundancy_files(sample)
    statistics = streamed(model, images, labels, classes=range(1001), batch_size=16)  # 998 classes without examples
    of_stream = nesting_single.streamed_redundancy_files(statistics)
    for layer in range(len(stored["corr"])):
        np.testing.assert_allclose(of_stream["corr"][layer], stored["corr"][layer], atol=1e-6)
        np.testing.assert_allclose(of_stream["similarity"][layer], stored["similarity"][layer], atol=1e-9)
        np.testing.assert_allclose(of_stream["selectivity"][layer], stored["selectivity"][layer], rtol=1e-4, atol=1e-6)
    assert of_stream["compressability"] == stored["compressability"]


def table(layers, kinds, amounts, crosses):
    conditions = {"kind": kinds, "cross": range(crosses), "layer": [*layers, "all"], "amount": np.linspace(0, 1, amounts)}
    index = pd.MultiIndex.from_product(conditions.values(), names=conditions)
    random = np.random.default_rng(0)
    scores = pd.DataFrame({"agreement": random.random(len(index)), "accuracy": random.random(len(index))}, index)
    return scores.reset_index().sample(frac=1, random_state=0)  # the order of rows means nothing


@pytest.mark.parametrize("column", ["agreement", "accuracy"])
def test_robustness_pickle(column):
    layers, kinds = ("stem", "stage1", "stage2"), ("knockout", "targeted")
    scores = table(layers, kinds, 4, 2)
    results = nesting_single.robustness_file(scores, layers, 1, column)
    wanted = scores.set_index(["kind", "cross", "layer", "amount"])[column]
    assert results.shape == (5, 4, 4) and not results[[0, 1, 3]].any()
    assert results[2, 1, 2] == wanted["knockout", 1, "stage1", 2 / 3] and results[4, 3, 3] == wanted["targeted", 1, "all", 1.0]


# CSVs

def parsed(columns, rows):
    return list(csv.DictReader(io.StringIO(csv_text(columns, rows)), quotechar="|"))


def test_columns():  # facts 8.3
    assert ",".join(export_single.REDUNDANCY_COLUMNS) == (
        "model_name,evaluation_set,cross,layer,size_factor,batch_size,similarity_mean,similarity_std,compressability_95,selectivity_mean,"
        "selectivity_std,nonselective,top_1_acc,top_5_acc")
    assert ",".join(export_single.ROBUSTNESS_COLUMNS) == (
        "model_name,evaluation_set,cross,perturbation_layer,size_factor,batch_size,perturbation_type,perturbation_amount,unchanged labels")


def test_redundancy_rows_by_hand():
    files = {"similarity": [[1.0, 0.5], [3.0, 1.5], [9.0, 9.0]], "compressability": [0.25, 0.75, 0.9], "accuracy": [0.5, 0.75],
             "selectivity": [np.array([0.6, 0.6, 0, np.nan]), np.array([0.02, 0.1]), np.array([5.0])]}
    rows = list(export_single.redundancy_rows(RESNET, [files, files]))
    named = [RESNET.name, "validation"]
    assert rows[0] == [*named, 0, 0, 0.25, 8192, 1.0, 0.5, 0.25, pytest.approx(0.3), pytest.approx(0.3), 0.5, 0.5, 0.75]
    assert rows[1] == [*named, 0, 1, 0.25, 8192, 3.0, 1.5, 0.75, pytest.approx(0.06), pytest.approx(0.04), 0.5, 0.5, 0.75]
    assert rows[2] == [*named, 0, "all", 0.25, 8192, 2.0, 1.0, 0.5, pytest.approx(0.18), pytest.approx(0.17), 0.5, 0.5, 0.75]
    assert [row[2:4] for row in rows] == [[cross, layer] for cross in (0, 1) for layer in (0, 1, "all")]
    assert np.isnan(files["selectivity"][0][3])  # counts as 0 in the CSV, and stays


def curves(layers, amounts=3):
    """An array (5, layers + 1, amounts) of which the types 1, 2 and 4 were measured."""
    results = np.zeros((5, layers + 1, amounts))
    results[[1, 2, 4]] = np.arange(3 * (layers + 1) * amounts).reshape(3, layers + 1, amounts) / 1000 + 0.1
    return results


def test_robustness_rows():
    results = curves(5)
    rows = list(export_single.robustness_rows(RESNET, [results, results]))
    keys = [tuple(row[i] for i in (2, 6, 7, 3)) for row in rows]
    assert keys == [(cross, kind, amount, layer) for cross in (0, 1) for kind in (1, 2, 4) for amount in (0, 0.5, 1)
                    for layer in (0, 1, 2, 3, 4, "all")]
    assert rows[0][:2] == [RESNET.name, "validation"] and rows[0][4:6] == [0.25, 8192]
    for row in rows:
        assert row[8] == results[row[6], -1 if row[3] == "all" else row[3], round(2 * row[7])]
    row = parsed(export_single.ROBUSTNESS_COLUMNS, rows)[-1]
    assert (row["perturbation_layer"], row["perturbation_type"], row["unchanged labels"]) == ("all", "4", repr(float(results[4, 5, 2])))


def test_the_originals_all_is_the_mean_of_the_layers():
    results = curves(5)
    rows = list(export_single.robustness_rows(override(RESNET, fidelity="original"), [results]))
    assert {row[6] for row in rows} == {2, 4}  # weights were never exported
    for row in rows:
        kind, amount = row[6], round(2 * row[7])
        assert row[8] == pytest.approx(results[kind, :5, amount].mean() if row[3] == "all" else results[kind, row[3], amount])
    assert results[2, 5, 1] not in [row[8] for row in rows]


def test_the_originals_inception_has_three_layers_and_placeholders():
    results = curves(16)
    rows = list(export_single.robustness_rows(override(INCEPTION, fidelity="original"), [results]))
    for row in rows:
        kind, layer, amount = row[6], row[3], round(2 * row[7])
        expected = {layer: results[kind, layer, amount] for layer in (7, 13, 15)}
        if layer == "all":
            assert row[8] == pytest.approx((sum(expected.values()) - 13) / 16) and row[8] < 0
        else:
            assert row[8] == expected.get(layer, -1)
    assert len(rows) == 2 * 3 * 17 and results.min() == 0  # the pickle's content is as it was


# The original's choices

def test_original_orders_of_a_single_set():
    """Against the drawing as the original writes it: the global numpy generator, seeded with each cross's number."""
    random = np.random.default_rng(0)
    matrices = [[np.corrcoef(random.normal(size=(n, 30))) for n in (6, 9, 4)] for _ in range(3)]
    orders = original_orders(matrices, seed=7, sets=1)
    for cross, layers in enumerate(matrices):
        np.random.seed(cross)
        for kind in ("knockout", "noise", "targeted"):
            chosen = [layer[np.random.randint(0, len(layer))] for layer in layers]
            targeted = [original_targeted_order(row) for row in chosen]
            shuffled = [order.copy() for order in targeted]
            for order in shuffled:
                np.random.shuffle(order)
            if kind != "noise":
                expected = shuffled if kind == "knockout" else targeted
                assert all(np.array_equal(*pair) for pair in zip(orders[kind][cross][0], expected, strict=True)), (cross, kind)
    assert not np.array_equal(orders["knockout"][0][0][1], original_orders(matrices, seed=7)["knockout"][0][0][1])


@pytest.mark.parametrize(("count", "batch", "number"), [(50_000, 3072, 17), (50_000, 256, 196), (20, 8, 3), (5, 8, 1), (16, 8, 3)])
def test_the_originals_batches_of_a_single_set(count, batch, number):
    assert measured_batches(count, batch, "original", wraps=True) == number
    assert measured_batches(count, batch, wraps=True) == measured_batches(count, batch) == -(-count // batch)


def declared():
    """A net like ResNet-18's stem: convolution, normalisation, ReLU, and one more unit layer."""
    layers = keras.layers
    images = keras.Input((9, 9, 2))
    x = layers.BatchNormalization(name="stem_bn")(layers.Conv2D(6, 3, strides=2, use_bias=False, name="stem_conv")(images))
    x = layers.MaxPooling2D(3, 2, padding="same", name="pool")(layers.ReLU(name="stem")(x))
    x = layers.ReLU(name="stage1")(layers.Conv2D(5, 2, name="conv")(x))
    model = keras.Model(images, layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D(name="mean")(x)))
    return note_unit_layers(model, ["stem", "stage1"], {"stem": "stem_conv"})


def rerun(model, images, masks):
    """Layer by layer, with the outputs of the layers in `masks` multiplied by these."""
    x = tf.constant(images)
    for name in ("stem_conv", "stem_bn", "stem", "pool", "conv", "stage1", "mean", "logits"):
        x = model.get_layer(name)(x) * masks.get(name, 1)
    return x.numpy().argmax(axis=1)


@pytest.mark.parametrize(("fidelity", "masked"), [("original", "stem_conv"), ("corrected", "stem")])
def test_where_the_first_layer_is_ablated(fidelity, masked):
    model = build(declared)
    images, labels = examples(model, 64), np.arange(64) % 4
    random = np.random.default_rng(0)
    correlations = [[np.corrcoef(random.normal(size=(n, 30))) for n in (6, 5)]]
    orders = orders_for(model, ["knockout"], 1, 0, correlations, fidelity, sets=1)
    meter = Meter(model, ["knockout"], orders, [0], 4, 0, fidelity)
    meter.add(images, labels)
    scores = meter.scores()
    assert scores.layers == ("stem", "stage1", "all")
    intact = rerun(model, images, {})
    for target, names in enumerate(([masked], ["stage1"], [masked, "stage1"])):
        for place, amount in enumerate(np.linspace(0, 1, 4)):
            masks = {}
            for name, order in zip((masked, "stage1"), orders["knockout"][0], strict=False):
                mask = np.ones({"stage1": 5}.get(name, 6), "float32")
                mask[order[:int(amount * len(mask))]] = 0
                masks |= {name: mask} if name in names else {}
            classes = rerun(model, images, masks)
            assert scores.agreement["knockout"][0, target, place] == pytest.approx(np.mean(classes == intact)), (names, amount)
            assert scores.accuracy["knockout"][0, target, place] == pytest.approx(np.mean(classes == labels))
    half = np.array([1, 0, 1, 0, 1, 0], "float32")
    assert np.any(rerun(model, images, {"stem": half}) != rerun(model, images, {"stem_conv": half}))  # it makes a difference which


# Batches that fit

@pytest.mark.parametrize(("experiment_id", "batch"), [(6, 128), (206, 512), (229, 128), (238, 512), (697, 128), (9006, 32)])
def test_every_batch_of_the_nets_on_small_images_fits(experiment_id, batch):
    experiment = REGISTRY[experiment_id]
    with tf.Graph().as_default():  # where weights take no memory
        assert fitting_batch(build_model(experiment), experiment.hyper.batch_size) == experiment.hyper.batch_size == batch


def test_batches_of_large_images_shrink():
    model = build_model(RESNET)
    assert fitting_batch(model, 8192) == 2**30 // (112 * 112 * 16 * 4) == 1337  # the first convolution's output is the largest
    assert fitting_batch(model, 100) == 100 and fitting_batch(model, 8192, budget=1) == 1


def test_dimensions_that_are_not_known_count_as_one():
    model = keras.Sequential([keras.Input((None, None, 4)), keras.layers.Conv2D(8, 3)])
    assert fitting_batch(model, 100, budget=320) == 10


# The stages

@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """(data folder, record folder) of the small ILSVRC."""
    path = tmp_path_factory.mktemp("imagenet")
    make_folder(path, bad=False)
    return path, data.ensure(RESNET.dataset, path)


@pytest.fixture
def staged(tmp_path, monkeypatch):
    """A function to a `Run` of a ResNet-18 on images of 33 pixels, and its untrained net."""
    def staged(*assignments, fidelity="corrected"):
        run = Run(override(RESNET, [*SMALL, *assignments], fidelity=fidelity), tmp_path)
        run.path.mkdir(parents=True, exist_ok=True)
        model = build(lambda: build_model(run.experiment))
        monkeypatch.setattr(stages, "trained_model", lambda experiment, results_dir: model)
        return run, model
    return staged


def stored(run, stage, stem):
    return pickles.load(run.file(stage, f"{stem}.pkl"))


def everything(run, records_folder):
    """(images, labels) of the measured set."""
    split = records.load(records_folder, "test")
    (images, labels), = pipeline.evaluation_batches(split, run.experiment.dataset, run.experiment.hyper, len(split))
    assert set(labels.numpy()) == {1, 2, 3, 4, 5} and len(labels) == 20
    return images.numpy(), labels.numpy()


@pytest.mark.parametrize("fidelity", ["corrected", "original"])
def test_stored_activations(staged, folders, fidelity):
    run, model = staged("measure.max_rows=30", fidelity=fidelity)
    images, labels = everything(run, folders[1])
    written, result = stages.get_activations(run, folders[1])
    assert [path.name.split("+")[0] for path in written] == ["activations0", "labels0", "accuracy0", "activations1", "labels1", "accuracy1"]
    if fidelity == "original":  # three full batches: the third goes on with the first four images
        images, labels = np.concatenate([images, images[:4]]), np.concatenate([labels, labels[:4]])
    net = keras.Model(model.inputs, [model.get_layer(name).output for name in unit_layers(model)] + model.outputs)
    np.random.seed(1)
    expected = [[] for _ in net.outputs]
    for start in range(0, len(images), 8):
        for kept, tensor in zip(expected, net(images[start:start + 8], training=False), strict=True):
            rows = tensor.numpy().reshape(-1, tensor.shape[-1])
            own = np.repeat(labels[start:start + 8], len(rows) // len(tensor))
            chosen = np.random.permutation(len(rows))[:10] if len(rows) > 10 else slice(None)
            kept.append((rows[chosen], own[chosen]))
    kept_rows, kept_labels = (stored(run, "get_activations", stem) for stem in ("activations1", "labels1"))
    for rows, own, kept in zip(kept_rows, kept_labels, expected, strict=True):
        np.testing.assert_allclose(rows, np.concatenate([pair[0] for pair in kept]), atol=1e-5 * rows.max())
        assert np.array_equal(own, np.concatenate([pair[1] for pair in kept]))
    accuracy = top_accuracies(model.predict(images, verbose=0), labels).tolist()
    assert stored(run, "get_activations", "accuracy0") == pytest.approx(accuracy) == result["test"]["accuracy"]


@pytest.mark.parametrize("streaming", [False, True])
def test_redundancy_and_robustness(staged, folders, streaming):
    run, model = staged(f"measure.streaming={str(streaming).lower()}")
    if streaming:
        written, result = stages.stream_redundancy(run, folders[1])
    else:
        stages.get_activations(run, folders[1])
        written, result = stages.get_redundancy(run)
    stems = ["corr", "similarity", "compressability", "selectivity", "accuracy"]
    assert [path.name.split("+")[0].removesuffix(".pkl") for path in written] == [f"{stem}{cross}" for cross in (0, 1) for stem in stems]
    widths = [16, 16, 32, 64, 128, 1001]
    assert [len(layer) for layer in stored(run, "get_redundancy", "corr0")] == widths
    assert [len(layer) for layer in stored(run, "get_redundancy", "selectivity1")] == widths
    assert np.shape(stored(run, "get_redundancy", "similarity0")) == (6, 2)
    assert result["test"]["compressability_95"] == stored(run, "get_redundancy", "compressability1")
    stages.get_robustness(run, folders[1])
    images, labels = everything(run, folders[1])
    agreement, accuracy = (stored(run, "get_robustness", f"{stem}1") for stem in ("robustness", "robustness_accuracy"))
    assert agreement.shape == accuracy.shape == (len(KINDS), 6, 3)
    own = np.mean(model.predict(images, verbose=0).argmax(axis=1) == labels)
    assert np.all(agreement[2:, :, 0] == 1) and accuracy[2:, :, 0] == pytest.approx(own) and not agreement[:2].any()
    assert agreement[2:, :, 1:].min() < 1


def test_a_batch_that_does_not_fit_is_measured_in_smaller_ones(staged, folders, monkeypatch):
    run, _ = staged("hyper.batch_size=8192", "measure.max_rows=60")
    monkeypatch.setattr(stages, "fitting_batch", lambda model, batch: fitting_batch(model, batch, 2**18))
    _, result = stages.get_activations(run, folders[1])
    batch = 2**18 // (17 * 17 * 16 * 4)
    batches = -(-20 // batch)
    assert 1 < batch < 20 and result["test"]["rows"][0] == batches * (60 // batches)


def test_too_few_rows_for_the_batches(staged, folders):
    run, _ = staged("measure.max_rows=2")
    with pytest.raises(UserError, match="max_rows=2"):
        stages.get_activations(run, folders[1])


# The scripts

def test_pickles_from_elsewhere(tmp_path):
    """As the original leaves them, whose Inception has -1 where nothing was measured."""
    results = curves(16, amounts=7)
    results[:, [layer for layer in range(16) if layer not in (7, 13, 15)]] = -1
    contents = {"compressability": [0.5] * 17, "similarity": [(1.0, 2.0)] * 17, "selectivity": [np.array([0.5, np.nan])] * 17,
                "accuracy": [0.25, 0.5], "robustness": results}
    arguments = ["--experiment_id=4013", f"--run_dir={tmp_path}", f"--results_dir={tmp_path / 'results'}", "--fidelity=original"]
    assert "no compressability0.pkl there" in refused("pkl2csv_redundancy.py", *arguments)
    for stem, value in contents.items():
        (tmp_path / f"{stem}0.pkl").write_bytes(pickles.dumps(value))
    for kind, rows in (("redundancy", 17), ("robustness", 2 * 7 * 17)):
        ok(f"pkl2csv_{kind}.py", *arguments)
        path, = (tmp_path / "results" / "csv" / "imagenet").glob(f"ID4013_*_{kind}.csv")
        assert len(pd.read_csv(path, quotechar="|")) == rows
    (tmp_path / "robustness0.pkl").write_bytes(pickles.dumps([1, 2]))
    assert "not nested as a run's" in refused("pkl2csv_robustness.py", *arguments)


def test_the_scripts(folders, tmp_path):
    """Both nets through every stage and into their CSVs."""
    arguments = ["--experiment_ids=4000,4013", f"--data_dir={folders[0]}", f"--results_dir={tmp_path}",
                 *(f"--set={value}" for value in ("hyper.image_size=107", "hyper.batch_size=8", "hyper.max_num_epochs=1"))]
    measured = [*arguments, "--set=measure.crosses=1", "--set=measure.amounts=3", "--set=measure.max_rows=500",
                "--set=measure.kinds=knockout,targeted"]
    ok("train.py", *arguments)
    for script in ("get_activations.py", "get_redundancy.py", "get_robustness.py", "pkl2csv_redundancy.py", "pkl2csv_robustness.py"):
        ok(script, *measured)
    for experiment_id, layers in ((4000, 5), (4013, 16)):
        redundancy, robustness = (pd.read_csv(next(tmp_path.glob(f"csv/imagenet/ID{experiment_id}_*_{kind}+*.csv")), quotechar="|")
                                  for kind in ("redundancy", "robustness"))
        assert redundancy.layer.tolist() == [*map(str, range(layers)), "all"] and not redundancy.isna().any().any()
        assert len(robustness) == 2 * 3 * (layers + 1) and robustness.perturbation_type.unique().tolist() == [2, 4]
        assert (robustness[robustness.perturbation_amount == 0]["unchanged labels"] == 1).all()
        assert robustness["unchanged labels"].between(0, 1).all() and (redundancy.top_1_acc <= redundancy.top_5_acc).all()
