"""Training on what pruning leaves of a trained net, from its trained weights, its first ones or those of an epoch; and what is refused."""
import json
import shutil

import numpy as np
import pytest

import data
from experiments import REGISTRY
from tests.conftest import ok, refused
from tfprune.experiment import UserError
from tfprune.filters.source import Source
from tfprune.models import build_model
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.training import train as training
from tfprune.training.checkpoints import Keeper, load_trained
from tfprune.training.checks import check_trainable
from tfprune.training.origin import check_start
from tfprune.training.rewinding import PrunedStart, start_of

SMALL = ["dataset.limit=200", "dnn.neuron_multiplier=0.04"]  # both nets: hidden layers of 40, 40, 20 and 8 units
HIDDEN = ("fc1", "fc2", "fc3", "fc4")


def kernels_of(model):
    return {layer.name: layer.kernel.numpy() for layer in model.layers if hasattr(layer, "kernel")}


@pytest.fixture(scope="module")
def folder(data_dir):
    return data.ensure(override(REGISTRY[9040], SMALL).dataset, data_dir)


@pytest.fixture(scope="module")
def results(tmp_path_factory, folder):
    """Results with the trained net of 9040, twice: as registered but for its size, and with a checkpoint of every second epoch."""
    path = tmp_path_factory.mktemp("results")
    for settings in ([], ["training.save_every=2"]):
        run = Run(override(REGISTRY[9040], [*SMALL, *settings]), path)
        run.execute("train", lambda place, run=run: training.train(run, place), lambda: folder)
    return path


def kept(results, settings, kind, number):
    """The kernels of 9040 in one of its checkpoints."""
    experiment = override(REGISTRY[9040], [*SMALL, *settings])
    model = build_model(experiment)
    if kind == "best":
        return kernels_of(load_trained(Run(experiment, results), model))
    assert Keeper(Run(experiment, results), kind, None, model=model).restore([number]) == number
    return kernels_of(model)


def trained(results, folder, number, *settings):
    """(experiment, run, source, done marker) of a training that starts from a pruned net."""
    experiment = override(REGISTRY[number], [*SMALL, *settings])
    check_trainable(experiment)
    run = Run(experiment, results)
    source = start_of(run, REGISTRY)

    def prepare():
        source.read()
        return folder

    return run, source, run.execute("train", source.keep, prepare)


@pytest.mark.parametrize(("number", "rewind", "settings", "kind", "epoch"), [
    (9048, [], [], "best", None),
    (9049, [], ["training.save_every=2"], "initial", 0),
    (9049, ["training.rewind=4", "training.save_every=2"], ["training.save_every=2"], "epoch", 4)])
def test_what_is_left_starts_from_those_very_bits(number, rewind, settings, kind, epoch, results, folder):
    """Without an epoch of training: the weights that the run keeps are those that it starts from."""
    run, source, marker = trained(results, folder, number, *rewind, "hyper.max_num_epochs=0", "hyper.sparsity=0.7")
    assert marker["result"]["pretrained"]["path"] == str(source.base.path)
    found, wanted = kernels_of(load_trained(run, build_model(run.experiment))), kept(results, settings, kind, epoch)
    ranked = kept(results, settings if epoch else [], "best", None)
    for name in HIDDEN:
        cut = int(ranked[name].size * .7 + 1e-9)
        order = np.argsort(np.abs(ranked[name]), axis=None, kind="stable")  # by the trained weights, whatever it starts from
        expected = wanted[name].copy()
        expected.flat[order[:cut]] = 0
        np.testing.assert_array_equal(found[name], expected)
        assert np.sum(found[name] == 0) == cut and marker["result"]["sparsity"][name] == cut / found[name].size
    np.testing.assert_array_equal(found["logits"], wanted["logits"])


def test_all_weights_of_that_epoch_come_back(results):
    """Averages and biases too: of a net that has them."""
    experiment = override(REGISTRY[9049], [*SMALL, "training.rewind=4", "training.save_every=2"])
    source = PrunedStart(Run(experiment, results), REGISTRY)
    model = build_model(source.base.experiment)
    Keeper(source.base, "epoch", None, model=model).restore([4])
    assert all(np.array_equal(one, other) for one, other in zip(source.read().get_weights(), model.get_weights(), strict=True))


@pytest.mark.parametrize("number", [9048, 9049])
def test_what_was_cut_stays_zero(number, results, folder):
    run, _, marker = trained(results, folder, number, "hyper.max_num_epochs=3")
    before, after = kept(results, [], "best", None), kernels_of(load_trained(run, build_model(run.experiment)))
    for name in HIDDEN:
        left = after[name] != 0
        assert np.sum(~left) == int(left.size * .8 + 1e-9)
        assert np.abs(before[name][left]).min() >= np.abs(before[name][~left]).max()
        assert np.mean(after[name][left] == before[name][left]) < .9, "the rest is trained, but for pixels and units that are always 0"
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert all(line["density"] == pytest.approx(.2, abs=.01) for line in lines) and marker["result"]["best_epoch"] > 0


def test_rounds_of_pruning(results, folder):
    """A pruned net is pruned further, and rewound to the weights that the first one was drawn with."""
    trained(results, folder, 9049)
    run, source, _ = trained(results, folder, 9049, "hyper.max_num_epochs=0", "training.start_from=9049", "hyper.sparsity=0.9")
    found, before = kernels_of(load_trained(run, build_model(run.experiment))), kernels_of(source._trained)
    drawn = kernels_of(build_model(run.experiment))
    for name in HIDDEN:
        left = found[name] != 0
        assert np.all(before[name][left]) and np.sum(~left) == int(left.size * .9 + 1e-9)
        np.testing.assert_array_equal(found[name][left], drawn[name][left])


def test_refused(results, folder, tmp_path):
    def say(*settings, number=9049, where=results):
        experiment = override(REGISTRY[number], [*SMALL, *settings])
        with pytest.raises(UserError) as refusal:
            check_trainable(experiment)
            PrunedStart(Run(experiment, where), REGISTRY).read()
        assert "\n" not in str(refusal.value)
        return str(refusal.value)

    needed = "--set dnn.neuron_multiplier=0.04 --set dataset.limit=200"
    assert f"first; run: python train.py --experiment_id=9040 {needed}" in say(where=tmp_path)
    assert say("training.rewind=3").endswith(f"run: python train.py --experiment_id=9040 {needed} --set training.save_every=3")
    assert "holds no weights after 40 epochs; those after 2, 4, " in say("training.rewind=40", "training.save_every=2")
    assert "training.rewind=3 is no multiple of training.save_every=2" in say("training.rewind=3", "training.save_every=2")
    assert "is no experiment with a dense head, whose net could be pruned" in say("training.start_from=7001")
    assert "training.pruning=unstructured is needed, not block" in say("training.pruning=block")
    assert "training.start_from=-1 is needed, or a dnn.top above 0, or" in say("training.pruning=none", "training.rewind=-1")
    with pytest.raises(UserError, match="training.start_from=9040 prunes the net of that experiment, which is not given here"):
        check_start(Run(override(REGISTRY[9048], SMALL), tmp_path))
    source = PrunedStart(Run(override(REGISTRY[9048], SMALL), results), REGISTRY)
    source._trained = build_model(override(REGISTRY[9040], ["dnn.neuron_multiplier=0.05"]))
    with pytest.raises(UserError, match="training.start_from=9040 has the net FC4 of other shape than the FC4 here"):
        source.read()


def test_measures_are_of_the_pruned_net(results):
    """Class filters and the like: not of the net that it started from."""
    run = Run(override(REGISTRY[9048], SMALL), results)
    assert Source(run, REGISTRY).plain.path == run.path


def test_commands(results, data_dir, tmp_path):
    """Nothing is written where the net is not trained; one that is trained again is noticed."""
    flags = ["--experiment_id=9048", f"--data_dir={data_dir}", *(f"--set={setting}" for setting in SMALL)]
    line = refused("train.py", *flags, f"--results_dir={tmp_path / 'r'}")
    assert "needs the trained net of experiment 9040 first" in line and not (tmp_path / "r").exists()
    base = Run(override(REGISTRY[9040], SMALL), tmp_path / "r")
    shutil.copytree(Run(override(REGISTRY[9040], SMALL), results).path, base.path)
    assert "ID 9048 train: done" in ok("train.py", *flags, f"--results_dir={tmp_path / 'r'}")
    marker = base.marker("train")
    marker.write_text(marker.read_text().replace('"train"', '"train" ', 1))
    line = refused("train.py", *flags, f"--results_dir={tmp_path / 'r'}")
    assert f"holds the weights of {base.path}; --overwrite puts these weights in their place" in line
