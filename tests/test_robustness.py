import numpy as np
import pandas as pd
import pytest

import tfprune
from benchmarks.plain import masks_of, noise_numbers, run_whole, with_masks, with_noise
from tests.small_nets import NETS, build, examples
from tfprune.experiment import KINDS
from tfprune.keras import tf
from tfprune.units.graph import kernels, single_path, unit_layers, unit_tensors
from tfprune.units.meter import Meter
from tfprune.units.operations import replaced
from tfprune.units.robustness import orders_for, robustness

CROSSES, AMOUNTS, COUNT = 2, 3, 9


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
    for (op, name), numbers in zip(family.places, family.drawn(cross, None, 0), strict=True):
        kernel = getattr(kernels(op)[0], name).numpy()
        noisy = kernel + amount * kernel.std() * numbers.numpy()
        changed.setdefault(op.name, {})[name] = noisy if kind == "weight_noise" else np.where(numbers < amount, 0, kernel)
    values = {graph.inputs[0]: images}
    for op in graph.operations:
        of_target = family.sweep.kernel_sites.get(op.name) in target
        with replaced(kernels(op)[0], **({name: tf.constant(value, tf.float32) for name, value in changed[op.name].items()} if of_target else {})):
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
    meter, orders = measured(model, KINDS, images, labels)
    scores = meter.scores()
    for kind in KINDS:
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
        condition = family.condition(family.drawn(1, intact, 0), 0.7)
        outputs = family.sweep.run(intact, targets, family.perturbation(condition))
        for target, output in zip(targets, outputs, strict=True):
            plain = plain_outputs(model, images, kind, 1, 0.7, target, orders, meter)
            np.testing.assert_allclose(output, plain, atol=1e-4, rtol=1e-4, err_msg=f"{kind} {set(target)}")
            assert np.abs(plain - intact[meter.output]).max() > 1e-3, f"{kind} {set(target)} did nothing"
