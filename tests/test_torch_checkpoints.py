"""Checkpoints of allenai/hidden-networks: written here by nets in PyTorch with the original's modules (`torch_nets`), read into ours."""
import shutil

import numpy as np
import pytest

import data
import tfprune
import train
from experiments import REGISTRY
from tests.conftest import ok, refused
from tests.torch_nets import Residual, randomised, saved, small, torch
from tfprune.experiment import UserError
from tfprune.input import records
from tfprune.masks.layers import masked_layers
from tfprune.masks.selection import kept_count
from tfprune.models import build_model
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.training.checkpoints import trained_model
from tfprune.training.metrics import read
from tfprune.training.torch_checkpoints import TorchCheckpoint
from tfprune.training.torch_start import TorchStart
from tfprune.training.trainer import Trainer

CIFAR = ["dataset.preprocessing=none"]
CONV4 = [*CIFAR, "dnn.name=Conv4", "dnn.neuron_multiplier=0.1"]  # widths 6, 12; 25, 25, 10
CRESNET = [*CIFAR, "dnn.name=cResNet18", "dnn.neuron_multiplier=0.1", "hyper.image_size=32"]


def conv4(keep=None, width=1):
    return small(2, (6 * width, 12 * width, 25, 25, 10), keep)


def cresnet18(keep=None, **options):
    return Residual(6, (2, 2, 2, 2), False, True, keep, **options)


def loaded(experiment, path):
    return TorchCheckpoint(path).load_into(build_model(experiment), experiment)


@pytest.mark.parametrize(("experiment_id", "settings", "make"), [
    (5024, [*CONV4, "hyper.keep=0.5"], lambda: conv4(.5)),
    (5024, [*CONV4, "hyper.keep=0.3"], lambda: conv4(.3)),
    (5051, CONV4, conv4),
    (5030, [*CIFAR, "dnn.neuron_multiplier=0.3"], lambda: small(2, (19, 38, 76, 76, 10), .5)),
    (5041, ["dnn.neuron_multiplier=0.1", "dataset.name=cifar10", "hyper.image_size=32", *CIFAR], lambda: small(0, (30, 10, 10), .5)),
    (5046, [*CRESNET, "hyper.keep=0.3"], lambda: cresnet18(.3)),
    (5046, [*CRESNET, "dnn.normalisation=affine"], lambda: cresnet18(.5, affine=True)),
    (5046, [*CRESNET, "dnn.last_dense=true"], lambda: cresnet18(.5, biased_head=True)),
    (5043, CRESNET, lambda: cresnet18(affine=True)),
    (5046, [*CRESNET, "dnn.name=cResNet50"], lambda: Residual(6, (3, 4, 6, 3), True, True, .5))])
def test_gives_the_logits_of_pytorch(tmp_path, experiment_id, settings, make):
    compare(override(REGISTRY[experiment_id], settings), saved(net := randomised(make()), tmp_path / "model_best.pth"), net)


@pytest.mark.parametrize(("experiment_id", "side", "blocks", "bottleneck", "wide"), [
    (5006, 32, (2, 2, 2, 2), False, 1), (5006, 35, (2, 2, 2, 2), False, 1), (5007, 41, (3, 4, 6, 3), True, 1),
    (5013, 32, (3, 4, 6, 3), True, 2)])
def test_gives_the_logits_of_pytorch_on_large_images(tmp_path, experiment_id, side, blocks, bottleneck, wide):
    experiment = override(REGISTRY[experiment_id], ["dnn.neuron_multiplier=0.1", f"hyper.image_size={side}"])
    net = randomised(Residual(6, blocks, bottleneck, False, .5, outputs=1000, wide=wide))
    compare(experiment, saved(net, tmp_path / "x.pth"), net)


def compare(experiment, path, net):
    model = loaded(experiment, path)
    images = np.random.default_rng(0).normal(size=(3, *model.input_shape[1:])).astype("float32")
    with torch.no_grad():
        expected = net(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    logits = model(images).numpy()
    assert expected.std() > 1e-3 and np.ptp(expected, axis=0).max() > 1e-4
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(model(images[:1]).numpy(), expected[:1], rtol=1e-4, atol=1e-4)


def test_reads_files_of_old_versions_and_of_one_device_and_bare_state_dicts(tmp_path):
    experiment, path, net = override(REGISTRY[5024], CONV4), tmp_path / "x.pth", randomised(conv4(.5))
    compare(experiment, saved(net, path, parallel=False), net)
    torch.save(net.state_dict(), path, _use_new_zipfile_serialization=False)
    compare(experiment, path, net)


def test_dense_weights_start_a_masked_net(tmp_path):
    path = saved(conv4(), tmp_path / "dense.pth")
    masked = override(REGISTRY[5024], CONV4)
    with pytest.raises(UserError, match=r"lacks convs\.0\.scores, .* and 3 more; a net without masks is taken with --set dnn\.init=pretr"):
        loaded(masked, path)
    experiment = override(masked, ["dnn.init=pretrained"])
    fresh, model = build_model(experiment), loaded(experiment, path)
    kernel = torch.load(path, weights_only=True)["state_dict"]["module.convs.0.weight"].numpy()
    np.testing.assert_array_equal(model.get_layer("conv1").kernel, kernel.transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(model.get_layer("conv1").scores, fresh.get_layer("conv1").scores)
    affine = randomised(cresnet18(affine=True))
    model = loaded(override(REGISTRY[5046], [*CRESNET, "dnn.init=pretrained"]), saved(affine, path))
    np.testing.assert_array_equal(model.get_layer("logits").kernel, affine.fc.weight.detach().numpy()[:, :, 0, 0].T)
    assert not model.get_layer("stem_bn").moving_mean.numpy().any(), "only kernels are taken"


def test_the_masks_of_edge_popup_become_fixed_ones(tmp_path):
    net = randomised(conv4(.3))
    path = saved(net, tmp_path / "popup.pth")
    experiment = override(REGISTRY[5024], [*CONV4, "hyper.keep=0.3", "dnn.mask=fixed"])
    compare(experiment, path, net)
    for layer in [layer for layer in loaded(experiment, path).layers if layer.weights]:
        assert layer.kernel.trainable and not layer.scores.trainable
        size = layer.scores.shape.num_elements()
        assert int(np.count_nonzero(layer.mask())) == kept_count(size, .3)


@pytest.mark.parametrize(("make", "settings", "says"), [
    (lambda: conv4(.5), ["dnn.mask=none"], r"has besides convs\.0\.scores.*; a masked net is taken with --set dnn\.mask=edge_popup, or f"),
    (lambda: conv4(.5, width=2), [], r"convs\.0\.weight has the shape \(12, 3, 3, 3\), that of the net Conv4 .* is \(6, 3, 3, 3\); a net"),
    (lambda: small(1, (6, 25, 25, 10), .5), [], r"does not fit the net Conv4 of experiment 5024, so nothing was loaded: it lacks convs\.5"),
    (lambda: cresnet18(.5), [], r"it lacks convs\.0\.scores, .* and 10 more and has besides bn1\.running_mean, .* more$"),
    (lambda: small(2, (6, 12, 25, 25, 100), .5), [], r"linear\.4\.weight has the shape \(100, 25, 1, 1\), .* is \(10, 25\)")])
def test_refuses_other_nets_and_loads_nothing(tmp_path, make, settings, says):
    experiment = override(REGISTRY[5024], [*CONV4, *settings])
    model, before = build_model(experiment), build_model(experiment).get_weights()
    with pytest.raises(UserError, match=says):
        TorchCheckpoint(saved(make(), tmp_path / "x.pth")).load_into(model, experiment)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(("affine", "setting", "says"), [
    (True, "plain", r"has besides bn1\.bias, bn1\.weight, .*: --set dnn\.normalisation=affine$"),
    (False, "affine", r"lacks bn1\.bias, .*: --set dnn\.normalisation=plain$")])
def test_says_how_normalisations_differ(tmp_path, affine, setting, says):
    experiment = override(REGISTRY[5046], [*CRESNET, f"dnn.normalisation={setting}"])
    with pytest.raises(UserError, match=says):
        loaded(experiment, saved(cresnet18(.5, affine=affine), tmp_path / "x.pth"))


class Command:
    """What a hostile file holds."""

    def __reduce__(self):
        return __import__("os").system, ("touch hacked",)


def broken(tmp_path):
    good = saved(conv4(.5), tmp_path / "good.pth").read_bytes()
    yield "truncated", good[:len(good) // 2], "cannot be read as a checkpoint of PyTorch, it is none or it is damaged"
    torch.save(conv4(.5).state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)  # as the published ones are
    old = (tmp_path / "old.pth").read_bytes()
    for length in (20, 24, 60, 300):  # in the midst of a number, too
        yield f"old{length}", old[:length], "cannot be read as a checkpoint"
    yield "garbage", b"x" * 500, "cannot be read as a checkpoint"
    yield "empty", b"", "cannot be read as a checkpoint"
    nan = conv4(.5)
    nan.linear[0].scores.data[0] = float("nan")
    for name, content, says in (("code", {"state_dict": {"a": Command()}}, r"asks for \w+\.system; reading a file runs"),
                                ("module", torch.nn.Linear(2, 2), r"asks for torch\.nn\.modules\.linear\.Linear; "),
                                ("tensor", torch.ones(3), "holds a Tensor, not the dictionary"),
                                ("none", {"state_dict": {}}, "no state_dict"),
                                ("words", {"state_dict": {"a": "b"}}, "has no state_dict of a net's tensors"),
                                ("nan", nan.state_dict(), r"linear\.0\.scores holds values that are no finite numbers")):
        torch.save(content, tmp_path / "c.pth")
        yield name, (tmp_path / "c.pth").read_bytes(), says


def test_refuses_what_is_no_checkpoint_and_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    experiment = override(REGISTRY[5024], CONV4)
    for name, content, says in broken(tmp_path):
        path = tmp_path / f"{name}.pth"
        path.write_bytes(content)
        with pytest.raises(UserError, match=says) as problem:
            loaded(experiment, path)
        assert "\n" not in str(problem.value) and str(problem.value).startswith(f"--pretrained={path}: ")
    assert not (tmp_path / "hacked").exists()
    with pytest.raises(UserError, match=r"nothing\.pth: no such file; expected a checkpoint of PyTorch \(\.pth, \.th\)"):
        TorchCheckpoint("nothing.pth")


# --- through train.py ------------------------------------------------------------------------------------------------------------------

DIGITS = ["dataset.limit=200", "hyper.max_num_epochs=3"]


@pytest.fixture
def run(tmp_path):
    return Run(override(REGISTRY[9016], DIGITS), tmp_path / "results")


def digits_net(keep=.5):
    torch.manual_seed(1)
    return randomised(small(0, (300, 100, 10), keep, side=8, channels=1))


def first_scores(run):
    return trained_model(run.experiment, run.results_dir).get_layer("fc1").scores.numpy()


def turned(tensor):
    return tensor.detach().numpy()[:, :, 0, 0].T


def test_training_starts_from_a_checkpoint(tmp_path, run, data_dir, capsys):
    net, other = digits_net(), digits_net(.3)
    path, second = saved(net, tmp_path / "a.pth"), saved(other, tmp_path / "b.pth")
    renamed = shutil.copy(path, tmp_path / "renamed.pth")
    result = train.execute(run, data_dir, path)["result"]
    assert result["pretrained"] == {"path": str(path), "sha256": TorchCheckpoint(path).sha256, "resumed": False}
    model = trained_model(run.experiment, run.results_dir)
    np.testing.assert_array_equal(model.get_layer("fc2").kernel, turned(net.linear[2].weight))
    assert [line["epoch"] for line in read(run.path / "metrics.jsonl")] == [0, 1, 2, 3]
    for same in (path, renamed, None):
        capsys.readouterr()
        assert train.execute(run, data_dir, same)["result"] == result
        assert "finished before with the weights of" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"b\.pth: .* holds the weights of .*a\.pth; --overwrite"):
        train.execute(run, data_dir, second)
    with pytest.raises(UserError, match=r"--resume=.*a\.pth: .* holds the weights"):
        train.execute(run, data_dir, resume=path)
    assert "pretrained" not in train.execute(run, data_dir, overwrite=True)["result"]


def test_an_interrupted_one_goes_on_from_where_it_was_and_from_nothing_else(tmp_path, run, data_dir, monkeypatch):
    path, second = saved(digits_net(), tmp_path / "a.pth"), saved(digits_net(.3), tmp_path / "b.pth")
    whole = Run(run.experiment, tmp_path / "whole")
    train.execute(whole, data_dir, path)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("tfprune.training.train.reason_to_stop", stop)
        train.execute(run, data_dir, path)
    with pytest.raises(UserError, match=r"b\.pth: .* is being trained from the weights of .*a\.pth; --overwrite"):
        train.execute(run, data_dir, second)
    assert "pretrained" in train.execute(run, data_dir)["result"], "the origin is known without being named again"
    np.testing.assert_array_equal(first_scores(run), first_scores(whole))


def optimizer_of(net, **settings):
    """The state of the original's optimiser: buffers of ones times the weight's number."""
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD([{"params": []}, {"params": weights}], lr=.1, momentum=.9, **settings)
    for number, weight in enumerate(weights, 1):
        optimizer.state[weight]["momentum_buffer"] = torch.full_like(weight, float(number))
    return optimizer.state_dict()


def test_goes_on_with_the_originals_training(tmp_path, run, data_dir):
    net = digits_net()
    path = saved(net, tmp_path / "a.pth", epoch=3, optimizer=optimizer_of(net))
    assert train.execute(run, data_dir, resume=path)["result"]["best_epoch"] == 3, "three of three epochs are done"
    np.testing.assert_array_equal(first_scores(run), turned(net.linear[0].scores))
    assert [line["epoch"] for line in read(run.path / "metrics.jsonl")] == [3]
    experiment = override(REGISTRY[9016], [*DIGITS, "training.keep=last"])
    split = records.load(data.ensure(experiment.dataset, data_dir), "train")
    trainer = Trainer(experiment, split)
    TorchStart(run, path, resume=True).put_into(trainer)
    assert int(trainer.epoch) == int(trainer.evaluated) == 3
    slots = [trainer.optimizer.get_slot(trainer.model.get_layer(name).scores, "momentum").numpy() for name in ("fc1", "fc2", "logits")]
    assert [np.unique(slot).tolist() for slot in slots] == [[1], [2], [3]]


@pytest.mark.parametrize(("more", "says"), [
    ({}, "has no epoch and optimizer to go on from"), ({"optimizer": {"state": {}}}, "its optimizer is not that of experiment 9016"),
    ({"optimizer": {"state": {}, "param_groups": [{"params": [0]}]}}, "its optimizer trains 1 arrays, experiment 9016 3"),
    ({"optimizer": {"state": {0: {"exp_avg": 1}}, "param_groups": [{"params": [0, 1, 2]}]}}, "not that of experiment 9016")])
def test_refuses_what_it_cannot_go_on_from(tmp_path, run, data_dir, more, says):
    with pytest.raises(UserError, match=says):
        train.execute(run, data_dir, resume=saved(digits_net(), tmp_path / "a.pth", **more))
    assert not run.path.exists()


def test_weights_that_are_not_there(tmp_path, data_dir):
    run = Run(override(REGISTRY[9016], [*DIGITS, "dnn.init=pretrained"]), tmp_path / "results")
    with pytest.raises(UserError, match="dnn.init=pretrained: experiment 9016 starts from a trained net's weights; give them with --pret"):
        train.execute(run, data_dir)
    assert not run.path.exists()
    net = digits_net(None)
    train.execute(run, data_dir, saved(net, tmp_path / "dense.pth"))
    model = trained_model(run.experiment, run.results_dir)
    np.testing.assert_array_equal(model.get_layer("fc1").kernel, turned(net.linear[0].weight))


def test_evaluates_a_checkpoint_and_writes_nothing(tmp_path, data_dir):
    net, results = digits_net(), tmp_path / "results"
    common = ["--experiment_id=9016", f"--results_dir={results}", f"--data_dir={data_dir}"]
    out = ok("train.py", *common, f"--pretrained={saved(net, tmp_path / 'a.pth')}", "--evaluate")
    assert "accuracy" in out and not results.exists()
    assert "only one of them" in refused("train.py", *common, "--pretrained=a.pth", "--resume=a.pth")
    assert "has the net Alexnet_digits; checkpoints can be read of FC, Conv2" in refused("train.py", "--experiment_id=9002", "--resume=a")
    shared = override(REGISTRY[9016], ["dnn.keep_over=all"])
    model = TorchStart(Run(shared, results), tmp_path / "a.pth", overwrite=True).read()
    assert [int(layer.kept) for layer in masked_layers(model)] != [int(layer.kept) for layer in masked_layers(build_model(shared))]
    assert tfprune.density_report(model).kept.iloc[-1] == 25100, "half of all, under one threshold"
    wrong = saved(small(0, (30, 10, 10), .5, side=8, channels=1), tmp_path / "b.pth")
    assert "linear.0.weight has the shape (30, 64, 1, 1)" in refused("train.py", *common, f"--pretrained={wrong}")
    assert not results.exists()
