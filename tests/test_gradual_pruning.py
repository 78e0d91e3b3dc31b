"""Pruning while a net trains: tfmot's masks and schedules, exact counts, blocks, two of every four, and the plain net in checkpoints."""
import json
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import data
from experiments import REGISTRY
from tests.conftest import ROOT, ok, script_environment, start
from tfprune.experiment import UserError
from tfprune.input import records
from tfprune.keras import tf
from tfprune.models import build_model
from tfprune.models.heads import head_of
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.training import train as training
from tfprune.training.checkpoints import load_trained
from tfprune.training.checks import check_trainable
from tfprune.training.gradual import Pruner, block_means
from tfprune.training.metrics import read
from tfprune.training.pruned import Gradual
from tfprune.training.trainer import Trainer

RNG = np.random.default_rng(0)
FEW = ["dataset.limit=200", "hyper.max_num_epochs=4", "training.prune_every=3"]
SMALL = [*FEW, "training.prune_from=0", "training.prune_until=0.5", "dnn.neuron_multiplier=0.04"]  # layers of 40, 40, 20 and 8 units
HIDDEN = ("fc1", "fc2", "fc3", "fc4")
PRUNED = {9045: [], 9046: ["training.prune_block=1,4"], 9047: ["training.prune_from=0.5"]}


@pytest.fixture(scope="module")
def folder(data_dir):
    return data.ensure(override(REGISTRY[9045], FEW).dataset, data_dir)


def kernels_of(model):
    return {layer.name: layer.kernel.numpy() for layer in model.layers if hasattr(layer, "kernel")}


def kept_by_tfmot(size, sparsity):
    """As tfmot rounds the number that it keeps, in float32."""
    return int(np.maximum(np.round(np.float32(size) * (np.float32(1) - np.float32(sparsity))), 1))


def pruner(pruning, kernel, updates=40, **settings):
    assignments = [f"training.pruning={pruning}", *SMALL[3:5], *(f"{key}={value}" for key, value in settings.items())]
    experiment = override(REGISTRY[9045], assignments)
    kernel, mask = tf.Variable(kernel), tf.Variable(tf.ones(kernel.shape))
    return Pruner(experiment, [(kernel, mask)], updates), kernel, mask


@pytest.mark.parametrize(("pruning", "block", "two"), [("unstructured", (1, 1), None), ("block", (2, 4), None), ("2_of_4", (1, 1), (2, 4))])
def test_masks_are_those_of_tfmot(pruning, block, two):
    """Its own class over the same weights, step by step; the blocks divide the kernel, and no two weights are equal."""
    from tensorflow_model_optimization.python.core.sparsity.keras.pruning_impl import Pruning

    settings = {"training.prune_every": 3, "training.prune_block": "2,4"}
    ours, kernel, mask = pruner(pruning, RNG.normal(size=(24, 36)).astype("float32"), **settings)
    theirs, step = tf.Variable(tf.ones(mask.shape)), tf.Variable(0, dtype=tf.int64)
    oracle = Pruning(lambda: step, [(kernel, theirs, tf.Variable(0.0))], ours._pruning_schedule, block, "AVG", two)
    seen = set()
    for update in range(1, 25):
        kernel.assign_add(RNG.normal(scale=.1, size=kernel.shape).astype("float32"))
        step.assign(update)
        ours(tf.constant(update, tf.int64))
        oracle.conditional_mask_update()
        np.testing.assert_array_equal(mask, theirs)
        kernel.assign(kernel * mask)
        seen.add(float(np.mean(mask)))
    assert min(seen) == pytest.approx(.5 if two else .2, abs=.01) and len(seen) >= (1 if two else 5)


def test_equal_weights_are_cut_to_the_number():
    """tfmot keeps all that are equal to the last one kept; a kernel of one value would stay whole."""
    prune, _, mask = pruner("unstructured", np.full((10, 10), .5, np.float32), **{"training.prune_schedule": "constant"})
    prune(tf.constant(1, tf.int64))
    assert np.sum(mask) == 20
    prune, _, mask = pruner("unstructured", np.full((10, 10), .5, np.float32), **{"training.prune_every": 1})
    for update in range(1, 21):
        prune(tf.constant(update, tf.int64))
    assert np.sum(mask) == 20 and np.all(np.ravel(mask)[:20])


def test_blocks_at_the_edge_count_with_what_they_have():
    matrix = RNG.normal(size=(5, 7)).astype("float32")
    expected = [[matrix[row:row + 2, column:column + 3].mean() for column in (0, 3, 6)] for row in (0, 2, 4)]
    np.testing.assert_allclose(block_means(tf.constant(matrix), (2, 3)), expected, rtol=1e-5)


def test_kernels_of_convolutions_are_pruned_in_blocks_of_their_matrix():
    kernel = RNG.normal(size=(3, 3, 2, 8)).astype("float32")
    prune, _, mask = pruner("block", kernel, **{"training.prune_block": "3,4", "training.prune_every": 1})
    for update in range(1, 21):
        prune(tf.constant(update, tf.int64))
    blocks = np.reshape(mask, (6, 3, 2, 4))
    assert np.all(np.ptp(blocks, axis=(1, 3)) == 0) and blocks[:, 0, :, 0].sum() == kept_by_tfmot(12, .8) == 2
    means = np.abs(kernel).reshape(6, 3, 2, 4).mean((1, 3))
    np.testing.assert_array_equal(blocks[:, 0, :, 0] > 0, means >= np.sort(means, axis=None)[-2])


@pytest.mark.parametrize(("shape", "axis"), [((10, 6), 0), ((3, 3, 8, 5), 2), ((1, 1, 7, 4), 2)])
def test_two_of_every_four_along_the_inputs(shape, axis):
    kernel = RNG.normal(size=shape).astype("float32")
    prune, _, mask = pruner("2_of_4", kernel, updates=10)
    prune(tf.constant(1, tf.int64))
    kept, weights = (np.moveaxis(np.asarray(values), axis, -1).reshape(-1, shape[axis]) for values in (mask, np.abs(kernel)))
    whole = shape[axis] // 4 * 4
    groups, sizes = kept[:, :whole].reshape(-1, 4), weights[:, :whole].reshape(-1, 4)
    assert np.all(groups.sum(1) == 2)
    assert np.all(np.where(groups > 0, sizes, 9).min(1) > np.where(groups > 0, 0, sizes).max(1))
    assert np.all(kept[:, whole:].sum(1) == min(2, shape[axis] - whole))


@pytest.mark.parametrize("number", PRUNED)
def test_trained_net_is_the_plain_one_with_exactly_so_many_zeros(number, folder, tmp_path):
    experiment = override(REGISTRY[number], [*SMALL, *PRUNED[number]])
    run = Run(experiment, tmp_path)
    marker = run.execute("train", lambda place: training.train(run, place), lambda: folder)
    plain = build_model(override(REGISTRY[9040], [*SMALL[:2], "dnn.neuron_multiplier=0.04"]))
    kernels = kernels_of(load_trained(run, plain))
    for name in HIDDEN:
        zeros = int(np.sum(kernels[name] == 0))
        if number == 9047:
            groups = kernels[name][:kernels[name].shape[0] // 4 * 4].T.reshape(-1, 4)
            assert np.all(np.sum(groups == 0, 1) == 2)
        elif number == 9046:
            assert zeros == kernels[name].size - 4 * kept_by_tfmot(kernels[name].size / 4, .8)
        else:
            assert zeros == kernels[name].size - kept_by_tfmot(kernels[name].size, .8)
        assert marker["result"]["sparsity"][name] == zeros / kernels[name].size
    assert np.all(kernels["logits"]) and set(marker["result"]["sparsity"]) == set(HIDDEN)
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["density"] == 1 and lines[-1]["density"] == pytest.approx(.5 if number == 9047 else .2, abs=.03)
    assert marker["result"]["best_epoch"] >= Gradual.settled(experiment) == (3 if number == 9047 else 2)


@pytest.mark.parametrize(("number", "settings", "layers"), [
    (9003, [], 5), (9030, [], 20), (5019, ["dnn.mask=none", "dnn.neuron_multiplier=0.1"], 5)])
def test_every_hidden_kernel_of_other_nets_is_pruned(number, settings, layers):
    assignments = ["dataset.name=digits", "hyper.image_size=8", "hyper.crop_size=8", "training.prune_schedule=constant",
                   "training.pruning=unstructured", *settings]
    experiment = override(REGISTRY[number], assignments)
    check_trainable(experiment)
    model = build_model(experiment)
    before, regime = kernels_of(model), Gradual(experiment, model)
    others = [weight.numpy() for weight in model.weights if weight.shape.rank == 1]
    regime.plan(10)
    regime.refresh(0, tf.constant(1, tf.int64))
    kernels, head = kernels_of(model), head_of(model).name
    assert len(kernels) == layers and list(regime.kernels) == [name for name in kernels if name != head]
    for name, kernel in kernels.items():
        assert np.count_nonzero(kernel) == (kernel.size if name == head else kept_by_tfmot(kernel.size, .8)), name
        np.testing.assert_array_equal(kernel[kernel != 0], before[name][kernel != 0])
    assert regime.density() == pytest.approx(.2, abs=.01)
    assert all(np.array_equal(old, new) for old, new in zip(others, [w for w in model.weights if w.shape.rank == 1], strict=True))


def test_interrupted_training_ends_in_the_same_bits(folder, tmp_path):
    experiment = override(REGISTRY[9045], SMALL)
    split = records.load(folder, "train")
    ends = []
    for interrupted in (False, True):
        trainer = Trainer(experiment, split)
        path = None
        for epoch in range(2):
            if interrupted and epoch == 1:  # between two turns: masks are not what any weights say
                path = tf.train.Checkpoint(**trainer.tracked()).save(str(tmp_path / "state"))
                trainer = Trainer(experiment, split)
                tf.train.Checkpoint(**trainer.tracked()).restore(path).assert_existing_objects_matched()
            trainer.train_epoch(lambda: None)
        ends.append([*trainer.model.get_weights(), *trainer.optimizer.variables(), *trainer.regime.masks.values()])
    assert all(np.array_equal(one, other) for one, other in zip(*ends, strict=True))


def test_killed_training_ends_in_the_same_bits(data_dir, tmp_path):
    flags = ["--experiment_id=9045", f"--data_dir={data_dir}", *(f"--set={setting}" for setting in SMALL), "--set=hyper.max_num_epochs=40"]
    ok("train.py", *flags, f"--results_dir={tmp_path / 'whole'}")
    experiment = override(REGISTRY[9045], [*SMALL, "hyper.max_num_epochs=40"])
    whole, killed = (Run(experiment, tmp_path / name) for name in ("whole", "killed"))
    process = start("train.py", *flags, f"--results_dir={killed.results_dir}")
    while process.poll() is None and len(read(killed.path / "metrics.jsonl")) < 8:  # in the midst of the turns
        time.sleep(.005)
    process.kill()
    process.communicate()
    assert killed.done("train") is None and len(read(killed.path / "metrics.jsonl")) < 41
    ok("train.py", *flags, f"--results_dir={killed.results_dir}")
    nets = [load_trained(run, build_model(experiment)).get_weights() for run in (whole, killed)]
    assert all(np.array_equal(one, other) for one, other in zip(*nets, strict=True))
    assert whole.done("train")["result"] == killed.done("train")["result"]


def test_pieces_of_a_batch_are_one_update(folder):
    """A wrapper around layers would count every piece as a step."""
    trainer = Trainer(override(REGISTRY[9045], SMALL), records.load(folder, "train"), micro_batch=8)
    trainer.train_epoch(lambda: None)
    trainer.train_epoch(lambda: None)
    assert trainer.regime.result() == {"sparsity": dict.fromkeys(HIDDEN, .8)}


@pytest.mark.parametrize("settings", [[], ["training.prune_from=0"], ["training.prune_every=1000"], ["training.prune_until=0.01"],
                                      ["training.prune_from=0.98", "training.prune_until=1"],
                                      ["training.prune_schedule=constant", "training.prune_from=0.3"]])
def test_final_share_is_reached_when_epochs_begin_to_count(settings):
    """However the turns fall: `settled` knows shares of all epochs, tfmot's schedule counts updates."""
    experiment = override(REGISTRY[9045], settings)
    for epochs, each in ((20, 39), (3, 1), (1, 7), (7, 5)):
        changed = replace(experiment, hyper=replace(experiment.hyper, max_num_epochs=epochs))
        prune = Pruner(changed, [(tf.Variable([[1.0]]), tf.Variable([[1.0]]))], epochs * each)
        turns = {update: float(share) for update in range(1, epochs * each + 1)
                 for now, share in [prune._pruning_schedule(tf.constant(update, tf.int64))] if now}
        final = [update for update, share in turns.items() if share == np.float32(.8)]
        assert final and min(final) <= Gradual.settled(changed) * each <= epochs * each


@pytest.mark.parametrize("settings", [["training.prune_from=0.9"], ["training.prune_from=0.9", "training.prune_schedule=constant"]])
def test_final_share_is_reached_before_an_epoch_that_is_never_seen(settings, folder, tmp_path):
    """The original of the width study does not keep the weights after the last epoch."""
    experiment = override(REGISTRY[9045], [*FEW, "training.evaluate=before", "training.prune_until=1", *settings])
    run = Run(experiment, tmp_path)
    result = run.execute("train", lambda place: training.train(run, place), lambda: folder)["result"]
    assert result["best_epoch"] == 3 and all(share == pytest.approx(.8, abs=.01) for share in result["sparsity"].values())


@pytest.mark.parametrize(("number", "settings", "said"), [
    (9010, ["training.pruning=block"], "dnn.mask=edge_popup both say which weights are 0"),
    (7004, ["training.pruning=unstructured"], "training.pruning=unstructured needs training.trainer=default, not csg"),
    (7001, ["training.pruning=unstructured"], "needs a net whose head sees all filters: dnn.top=0, not 5"),
    (9045, ["training.prune_from=0.75"], "training.prune_from=0.75 is not before training.prune_until=0.75"),
    (9045, ["hyper.sparsity=1"], "hyper.sparsity=1 leaves nothing to be trained; below 1"),
    (9046, ["training.prune_block=4"], "training.prune_block=4: ROWS,COLUMNS of a block are needed"),
    (9047, ["training.prune_from=1"], "training.prune_from=1 prunes when training is over"),
    (9045, ["training.rewind=0"], "training.rewind=0 is of what is left of another experiment's net"),
    (9040, ["training.rewind=3"], "training.start_from=ID and training.pruning=unstructured are needed")])
def test_refused(number, settings, said):
    with pytest.raises(UserError, match=f"--experiment_id={number}: .*{said}") as refusal:
        check_trainable(override(REGISTRY[number], settings))
    assert "\n" not in str(refusal.value)
    with pytest.raises(UserError, match="training.prune_until takes a number >= 0 and <= 1"):
        override(REGISTRY[9045], ["training.prune_until=1.5"])


def test_the_package_works_without_tfmot():
    """Nothing but `training.gradual` imports it: not plain training, nor that of a net that was pruned before."""
    importing = [path.name for path in (ROOT / "tfprune").rglob("*.py") if "import tensorflow_model_opt" in path.read_text()]
    assert importing == ["gradual.py"]
    code = """
import sys
sys.modules["tensorflow_model_optimization"] = None  # any import of it fails
from experiments import REGISTRY
from tfprune.overrides import override
from tfprune.training.checks import check_trainable
from tfprune.training.regimes import regime_of
from tfprune.models import build_model
for number in (9040, 9048):
    check_trainable(REGISTRY[number])
    regime_of(REGISTRY[number])(REGISTRY[number], build_model(REGISTRY[number])).plan(10)
try:
    check_trainable(REGISTRY[9045])
except ValueError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=script_environment(), capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "--experiment_id=9045: training.pruning=unstructured needs the package tensorflow-model-" in said.stdout
