"""Robustness equals the plain loop on every kind of net, the original's own results, and does not do work it need not."""
import functools

import numpy as np
import pytest

import tfprune
from benchmarks import multiply_adds
from benchmarks.plain import masks_of, noise_numbers, run_whole, with_masks, with_noise
from experiments import REGISTRY
from tests.conftest import shared
from tests.small_nets import NETS, build, examples, half_precision
from tfprune import pickles
from tfprune.experiment import UserError
from tfprune.input.preprocess import prepare
from tfprune.keras import keras, tf
from tfprune.layers.replaced import replaced
from tfprune.settings import KINDS
from tfprune.units import passes
from tfprune.units.ablation import Ablation, TotalAblation
from tfprune.units.graph import activity_function, kernels, single_path, unit_layers, unit_tensors
from tfprune.units.meter import Meter
from tfprune.units.orders import original_orders
from tfprune.units.perturbations import PERTURBATIONS, Units
from tfprune.units.redundancy import redundancy
from tfprune.units.robustness import as_table, orders_for
from tfprune.units.scores import Classification, EqualOutputs, Regression

CROSSES, AMOUNTS, COUNT = 2, 3, 9
FAMILIES = ("weight_noise", "targeted", "noise")  # one kind of each


def units_of(graph, model):
    return list(unit_tensors(graph, unit_layers(model)).values())


def correlations_of(graph, model):
    generator = np.random.default_rng(5)
    sizes = [graph.specs[tensor].shape[-1] for tensor in units_of(graph, model)]
    return [[np.corrcoef(generator.normal(size=(n, 20))) for n in sizes] for _ in range(CROSSES)]


def plain_outputs(model, images, kind, cross, amount, target, orders, meter):
    """The whole net again, with nothing left out, shared or hoisted."""
    graph = single_path(model)
    units = units_of(graph, model)
    if kind in orders:
        return run_whole(graph, images, units, target, with_masks(masks_of(orders[kind][cross], amount)))
    if kind == "noise":
        return run_whole(graph, images, units, target, with_noise(noise_numbers(graph, units, 0, cross, len(images), 0), amount))
    return plain_with_kernels(graph, images, kind, cross, amount, target, meter)


def plain_with_kernels(graph, images, kind, cross, amount, target, meter):
    family = meter.passes[kind].family
    changed = {}
    for (op, name), numbers in zip(family.places, family.drawn(kind, cross, None, 0), strict=True):
        kernel = getattr(kernels(op)[0], name).numpy()
        noisy = kernel + amount * kernel.std() * numbers.numpy()
        changed.setdefault(op.name, {})[name] = noisy if kind == "weight_noise" else np.where(numbers < amount, 0, kernel)
    values = {graph.inputs[0]: images}
    for op in graph.operations:
        perturbed = changed[op.name] if family.sweep.kernel_sites.get(op.name) in target else {}
        with replaced(kernels(op)[0], **{name: tf.constant(value, tf.float32) for name, value in perturbed.items()}):
            values |= dict(zip(op.outputs, op(*(values[i] for i in op.inputs)), strict=True))
    return values[graph.outputs[0]]


def scores_by_hand(model, meter, images, labels, kind, orders):
    """[cross, layer, amount, (agreement, accuracy)] from plain runs and NumPy."""
    layers = len(meter.layers) - 1
    targets = [{k} for k in range(layers)] + [set(range(layers))]
    intact = model(images, training=False).numpy()
    result = np.zeros((CROSSES, layers + 1, AMOUNTS, 2))
    for (cross, layer, place), _ in np.ndenumerate(result[..., 0]):
        outputs = plain_outputs(model, images, kind, cross, meter.amounts[place], targets[layer], orders, meter).numpy()
        result[cross, layer, place] = score_by_hand(outputs, intact, labels)
    return result


def score_by_hand(outputs, intact, labels):
    if outputs.shape[1] > 1:
        classes = outputs.argmax(1)
        return np.mean(classes == intact.argmax(1)), np.mean(classes == labels)
    return [max(0, 1 - np.mean((outputs[:, 0] - of) ** 2) / np.var(of)) for of in (intact[:, 0].astype(float), labels.astype(float))]


def measured(model, kinds, images, labels=None, batch_size=COUNT):
    """A `Meter` that has seen the images, and its orders."""
    orders = orders_for(model, kinds, CROSSES, 0, correlations_of(single_path(model), model))
    meter = Meter(model, kinds, orders, range(CROSSES), AMOUNTS, seed=0)
    for start in range(0, len(images), batch_size):
        meter.add(images[start:start + batch_size], None if labels is None else labels[start:start + batch_size])
    return meter, orders


@pytest.mark.parametrize("net", NETS)
def test_scores_equal_the_plain_loops(net):
    model, labels = build(net), np.random.default_rng(2).integers(0, 3, COUNT)
    images = examples(model, COUNT)
    meter, orders = measured(model, FAMILIES, images, labels)
    scores = meter.scores()
    for kind in FAMILIES:
        by_hand = scores_by_hand(model, meter, tf.constant(images), labels, kind, orders)
        np.testing.assert_allclose(scores.agreement[kind], by_hand[..., 0], atol=1e-4, err_msg=kind)
        np.testing.assert_allclose(scores.accuracy[kind], by_hand[..., 1], atol=1e-4, err_msg=kind)


@pytest.mark.parametrize("net", NETS)
def test_outputs_equal_the_plain_loops(net):
    model = build(net)
    images = tf.constant(examples(model, COUNT))
    meter, orders = measured(model, KINDS, images)
    intact = meter.intact(images)
    targets = [*meter.targets, frozenset([0, len(meter.layers) - 2])]
    for kind in KINDS:
        family = meter.passes[kind].family
        condition = family.condition(family.drawn(kind, 1, intact, 0), 0.7)
        outputs = family.sweep.run(intact, targets, family.perturbation(condition))
        for target, output in zip(targets, outputs, strict=True):
            plain = plain_outputs(model, images, kind, 1, 0.7, target, orders, meter)
            np.testing.assert_allclose(output, plain, atol=1e-4, rtol=1e-4, err_msg=f"{kind} {set(target)}")
            if target & set(family.sweep.kernel_sites.values() or target):  # a pooling layer has no kernels
                assert np.abs(plain - intact[meter.output]).max() > 1e-3, f"{kind} {set(target)} did nothing"


def test_half_precision():
    """bfloat16 activities: nearly what float32 gives, and all kinds run."""
    half = build(half_precision)
    single = keras.Sequential([keras.layers.Dense(n, activation=a) for n, a in ((8, "relu"), (6, "relu"), (3, None))])
    single.build((None, 4))
    single.set_weights(half.get_weights())
    images = examples(half, 200)
    scores = [measured(model, KINDS, images)[0].scores().agreement for model in (half, single)]
    for kind in KINDS:
        np.testing.assert_allclose(scores[0][kind], scores[1][kind], atol=0.05)


@pytest.mark.parametrize("net", ["chain", "regression"])
def test_does_not_depend_on_batch_size_or_other_kinds_or_memory(net, monkeypatch):
    model = build(net)
    images, labels = examples(model, COUNT), np.arange(COUNT) % 3
    together = measured(model, FAMILIES, images, labels)[0].scores()
    monkeypatch.setattr(passes, "MEMORY", 1)  # every target is a pass of its own
    for kind in FAMILIES:
        alone = measured(model, [kind], images, labels, batch_size=4)[0].scores()
        np.testing.assert_allclose(alone.agreement[kind], together.agreement[kind], atol=1e-5)
        np.testing.assert_allclose(alone.accuracy[kind], together.accuracy[kind], atol=1e-5)


def test_compiles_once_for_all_conditions():
    model = build("chain")
    meter, _ = measured(model, KINDS, examples(model, COUNT), batch_size=4)
    compiled = {id(work): work.functions for work in meter.passes.values()}
    assert len(compiled) == 4  # both kinds that ablate units share one
    monitored = [function for functions in compiled.values() for function in functions]
    meter.add(examples(model, 7, seed=3))
    assert [function for work in {id(w): w for w in meter.passes.values()}.values() for function in work.functions] == monitored


def family_of(model, family=Ablation, **options):
    graph = single_path(model)
    units = units_of(graph, model)
    return graph, family(graph, units, **options)


def test_masks_move_behind_pooling_and_ablated_channels_are_left_out():
    graph, family = family_of(build("chain"), orders=None)
    names = {tensor: op.layer.__class__.__name__ for op in graph.operations for tensor in op.outputs}
    assert [names[site] for site in family.sweep.sites] == ["MaxPooling2D", "AveragePooling2D", "Dropout"]
    assert family.compact == {0, 1, 2}


def test_batch_normalisation_and_sums_get_the_zeros():
    assert family_of(build("normalised"), orders=None)[1].compact == {1}  # pooling, then normalisation, follows unit layer 0
    assert family_of(build("residual"), orders=None)[1].compact == {1, 2, 3}  # 0 goes into a sum, too
    assert family_of(build("branches"), orders=None)[1].compact == {0, 1}  # the two that are concatenated are not


def test_total_ablation_is_constant_where_no_skip_passes():
    _, family = family_of(build("residual"), TotalAblation)
    assert [family.depends_on_images({k}) for k in range(4)] == [False, True, False, False]
    _, family = family_of(build("branches"), TotalAblation)
    assert [family.depends_on_images(target) for target in ({0}, {1}, {1, 2, 3})] == [False, True, False]


def test_multiply_adds_are_those_of_the_design():
    """Alexnet at a quarter of the width: 5.5 times fewer where "all" runs on its own."""
    model = tfprune.build_model(REGISTRY[2])
    orders = {kind: [[np.arange(n) for n in (24, 64, 96, 48)]] for kind in ("knockout", "targeted")}
    meter = Meter(model, ("knockout", "noise", "targeted"), orders, [0], 7, 0)
    graph = meter.graph
    assert multiply_adds.of_net(graph) == 32 * 32 * 75 * 24 + 16 * 16 * 25 * 24 * 64 + 4096 * 96 + 96 * 48 + 480
    limits = {}
    for share_all in (False, True):
        mine = multiply_adds.of_net(graph) / 3 + sum(
            multiply_adds.needed(graph, work.family, meter.targets, 7, kind != "noise", share_all) for kind, work in meter.passes.items())
        limits[share_all] = 3 * multiply_adds.plain(graph, 4, 7) / mine
    assert limits[False] == pytest.approx(5.5, abs=0.05)
    assert limits[True] > 10


def test_agreement_is_the_share_of_equal_predictions():
    intact, perturbed = np.eye(3)[[0, 1, 2, 1]], np.eye(3)[[0, 1, 1, 1]]
    score, labels = Classification(), tf.constant([0.0, 0, 1, 1])
    sums, totals = score.sums(perturbed[None], intact, labels).numpy(), score.totals(intact, labels).numpy()
    shares = score.shares(sums, totals)
    assert shares.tolist() == [[0.75, 0.75]]


def test_regression_scores():
    intact, perturbed, labels = np.array([[1.0], [2], [3], [6]]), np.array([[1.0], [2], [4], [6]]), tf.constant([1.0, 2, 3, 5])
    for score, agreement in ((Regression(), 1 - 0.25 / 3.5), (EqualOutputs(), 0.75)):
        totals = score.totals(intact, labels).numpy()
        shares = score.shares(score.sums(perturbed[None], intact, labels).numpy(), totals)
        np.testing.assert_allclose(shares, [[agreement, 1 - 0.5 / np.var([1, 2, 3, 5])]])
        assert (score.shares(score.sums(100 * perturbed[None], intact, labels).numpy(), totals) <= 0.25).all()  # never negative
    constant = np.ones([4, 1])
    totals = Regression().totals(constant, labels).numpy()
    sums = [Regression().sums(outputs[None], constant, labels).numpy() for outputs in (constant, perturbed)]
    assert [Regression().shares(s, totals)[0, 0] for s in sums] == [1, 0]


def test_the_table():
    model = build("chain")
    images, labels = examples(model, COUNT), np.arange(COUNT) % 4
    table = tfprune.robustness(model, images, labels, amounts=3, crosses=2, batch_size=5)
    assert list(table.columns) == ["layer", "kind", "amount", "cross", "agreement", "accuracy"]
    assert len(table) == 4 * 3 * 3 * 2 and not table.duplicated(["layer", "kind", "amount", "cross"]).any()
    assert list(table["layer"].unique()) == ["conv1", "conv2", "fc3", "all"]
    start = table[table["amount"] == 0]
    accuracy = np.mean(model(images).numpy().argmax(1) == labels)
    assert (start["agreement"] == 1).all() and start["accuracy"].to_numpy() == pytest.approx(accuracy)
    assert table[["agreement", "accuracy"]].stack().between(0, 1).all()
    total = table[(table["amount"] == 1) & (table["kind"] != "noise")].groupby("layer")["agreement"]
    assert (total.nunique() == 1).all()  # the same for every order
    again = tfprune.robustness(model, images, labels, kinds=["targeted"], amounts=3, crosses=1)
    assert again.equals(table[(table["kind"] == "targeted") & (table["cross"] == 0)].reset_index(drop=True))
    other = tfprune.robustness(model, images, labels, kinds=["noise"], amounts=3, crosses=1, seed=1)
    assert not other.equals(table[(table["kind"] == "noise") & (table["cross"] == 0)].reset_index(drop=True))


def test_datasets_and_missing_labels():
    model = build("sequential")
    images, labels = examples(model, COUNT), np.arange(COUNT) % 4
    options = {"kinds": ["noise", "knockout"], "amounts": 2, "crosses": 1}
    expected = tfprune.robustness(model, images, labels, **options)
    pairs = tf.data.Dataset.from_tensor_slices((images, labels))
    assert tfprune.robustness(model, pairs, **options).equals(expected)
    assert tfprune.robustness(model, pairs.batch(4), **options).equals(expected)
    assert tfprune.robustness(model, pairs.batch(9), batch_size=2, **options).equals(expected)
    without = tfprune.robustness(model, pairs.map(lambda image, label: image), **options)
    assert without["accuracy"].isna().all() and without["agreement"].equals(expected["agreement"])


@pytest.mark.parametrize("measure", [
    tfprune.activations, tfprune.redundancy, tfprune.robustness, functools.partial(tfprune.robustness, kinds=["noise"])])
def test_refuses_a_dataset_without_end(measure):
    model = build("sequential")
    with pytest.raises(UserError, match="never ends"):
        measure(model, tf.data.Dataset.from_tensor_slices(examples(model, COUNT)).repeat())


def test_a_large_batch_is_not_run_at_once(monkeypatch):
    model, seen = build("sequential"), []
    add = Meter.add
    monkeypatch.setattr(Meter, "add", lambda meter, images, labels=None: (seen.append(len(images)), add(meter, images, labels)))
    images = tf.data.Dataset.from_tensor_slices(examples(model, COUNT)).batch(COUNT)
    tfprune.robustness(model, images, kinds=["noise"], amounts=2, crosses=1, batch_size=4)
    assert seen == [4, 4, 1]


def test_original_fidelity_ablates_in_the_originals_orders():
    """Those of its training set, drawn with the correlations of the images measured."""
    model = build("chain")
    images, kinds = examples(model, 40), ("knockout", "targeted")
    options = {"amounts": 4, "crosses": CROSSES, "seed": 3}
    layers = redundancy(model, images, fidelity="original")
    with_logits = [*(layer.correlation for layer in layers.values()), np.eye(4)]
    orders = {kind: [sets[0] for sets in crosses] for kind, crosses in original_orders([with_logits] * CROSSES, 3).items()}
    meter = Meter(model, kinds, orders, range(CROSSES), 4, 3)
    meter.add(images)
    original = tfprune.robustness(model, images, kinds=kinds, fidelity="original", **options)
    assert original.equals(as_table(meter.scores()))
    assert not original.equals(tfprune.robustness(model, images, kinds=kinds, **options))


def test_a_kind_that_is_added_leaves_the_originals_orders_as_they_are(monkeypatch):
    model = build("chain")
    correlations = correlations_of(single_path(model), model)
    before = orders_for(model, ["knockout", "targeted"], CROSSES, 0, correlations, "original")
    monkeypatch.setitem(PERTURBATIONS, "backwards", Units(lambda generator, correlations, units: np.arange(units)[::-1]))
    after = orders_for(model, ["backwards", "knockout", "targeted"], CROSSES, 0, correlations, "original")
    for kind, crosses in before.items():
        for theirs, ours in zip(crosses, after[kind], strict=True):
            assert [order.tolist() for order in theirs] == [order.tolist() for order in ours]
    assert after["backwards"][0][2].tolist() == [6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(("change", "message"), [
    ({"kinds": ["shake"]}, "kinds: .'shake'. is not a list of one or more of weight_noise"), ({"kinds": "noise"}, "kinds"),
    ({"kinds": []}, "kinds"), ({"amounts": 1}, "amounts: 1 is not a whole number >= 2"), ({"amounts": 2.5}, "amounts"),
    ({"crosses": 0}, "crosses"), ({"batch_size": 0}, "batch_size"), ({"fidelity": "exact"}, "fidelity=exact: expected"),
    ({"labels": [0]}, "labels: there are 1 for 9 images"), ({"labels": np.zeros((9, 4))}, "not one-hot"),
    ({"images": np.zeros((0, 4))}, "images: there are none"),
    ({"images": np.zeros((9, 5), "float32")}, "shape .5,. does not fit the net, which takes .4,."),
])
def test_refuses_in_one_line(change, message):
    model = build("regression")
    with pytest.raises(UserError, match=message) as refusal:
        tfprune.robustness(model, **({"images": examples(model, COUNT), "kinds": ["noise"], "amounts": 2} | change))
    assert "\n" not in str(refusal.value)


def test_refuses_a_net_without_unit_layers():
    model = keras.Sequential([keras.layers.Dense(3)], name="flat")
    model.build((None, 2))
    with pytest.raises(UserError, match="'flat' has no unit layers"):
        tfprune.robustness(model, np.zeros((4, 2)))


def legacy_net():
    """Experiment 2 with the original's trained weights, a function that prepares images, and the reference file."""
    golden = np.load(shared("golden/frivolous_units/alexnet.npz"))
    experiment = tfprune.override(REGISTRY[2], fidelity="original")
    model = tfprune.build_model(experiment)
    for layer in filter(lambda layer: layer.weights, model.layers):
        layer.set_weights([golden[f"weight/{layer.name}/{name}"] for name in ("weights", "biases")])
    return model, lambda images: prepare(images, experiment.dataset, experiment.hyper), golden


def test_activations_and_ablations_are_the_originals():
    model, prepared, golden = legacy_net()
    images = prepared(golden["images_uint8"])
    np.testing.assert_allclose(images[:4], golden["resized"], atol=1e-5)
    activities, logits = activity_function(model)(images)
    for k, activity in enumerate([*activities, logits]):
        mean = activity if activity.shape.rank == 2 else tf.reduce_mean(activity, [1, 2])
        np.testing.assert_allclose(mean[:8], golden[f"activation_{k}_first8_mean_over_space"], atol=1e-4)
    np.testing.assert_allclose(logits, golden["logits"], atol=1e-4)
    graph, family = family_of(model, orders=None)
    needed = family.sweep.intact_tensors()
    intact = dict(zip(needed, graph.run({graph.inputs[0]: images}, needed), strict=True))
    for where, target in {"conv1": {0}, "conv2": {1}, "fc3": {2}, "fc4": {3}, "all": {0, 1, 2, 3}}.items():
        masks = [golden.get(f"ablate_{where}/mask_{k}", np.zeros(n)) for k, n in enumerate(family.channels)]
        left = [tf.constant(np.flatnonzero(mask == 0), tf.int32) for mask in masks]
        outputs, = family.sweep.run(intact, [frozenset(target)], family.perturbation(left))
        np.testing.assert_allclose(outputs, golden[f"ablate_{where}/logits"], atol=1e-4, err_msg=where)


def test_original_orders_give_the_originals_results():
    """The legacy run's robustness pickles, on those of its 1,792 test images that can be told from its stored activations.

    Which images it measured is not on record, but their activations are, in part: 1,728 images are found by them. The rest can add at
    most 1 each, and cannot take away.
    """
    spatial = pytest.importorskip("scipy.spatial")
    model, prepared, _ = legacy_net()
    stored, source = np.load(shared("golden/frivolous_units/redundancy.npz")), np.load(shared("data/cifar10_jpeg.npz"))
    runs = shared("golden/frivolous_units/legacy_run")
    pieces = np.split(source["test_jpeg"], source["test_offsets"][1:-1])
    run = activity_function(model, ["fc3", "fc4"])
    images, found = [], []
    for start in range(0, len(pieces), 500):
        images.append(np.stack([tf.io.decode_jpeg(p.tobytes(), dct_method="INTEGER_ACCURATE").numpy() for p in pieces[start:start + 500]]))
        units, logits = run(prepared(images[-1]))
        found.append([*units, logits])
    images, known = np.concatenate(images), set()
    for k, parts in enumerate(zip(*found, strict=True), start=2):
        distance, place = spatial.cKDTree(np.concatenate(parts)).query(stored[f"test_{k}"])
        known |= set(place[distance < 1e-3])
    images = prepared(images[sorted(known)]).numpy()
    assert len(images) > 1700
    correlations = [pickles.load(runs / f"corr{cross}.pkl") for cross in range(3)]
    kinds = {"knockout": 2, "targeted": 4}
    orders = orders_for(model, kinds, 3, 0, correlations, "original", of_set=1)
    meter = Meter(model, kinds, orders, range(3), 7, 0)
    for start in range(0, len(images), 128):
        meter.add(images[start:start + 128])
    for cross in range(3):
        results = pickles.load(runs / f"robustness{cross}.pkl")
        for kind, number in kinds.items():
            theirs = 1792 * np.array(results[number])[1, [0, 1, 2, 3, 5], :, 0]
            rest = theirs - len(images) * meter.scores().agreement[kind][cross]
            assert rest.min() > -0.5 and rest.max() < 1792 - len(images) + 0.5, f"{kind}, cross {cross}"
