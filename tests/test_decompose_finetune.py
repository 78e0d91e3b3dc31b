"""Decomposed nets trained on: from another experiment's run and from a file, resumed, with the rest of the net at rest."""
import json

import numpy as np
import pytest

import train
from tests.decomposing_runs import SHORT, done, records, source, variant, write_weights
from tests.test_training import assert_same_files
from tfprune.experiment import UserError
from tfprune.filters.decomposition import decompose_head
from tfprune.filters.finetune import DecomposedStart, before_and_after
from tfprune.models.heads import head_of
from tfprune.run import Run
from tfprune.training.trainer import Trainer


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "resnet20.npz")


def finetune(origin, data_dir, **options):
    """The done marker of training on."""
    start = DecomposedStart(origin, records(origin.experiment, data_dir), options.get("overwrite", False))
    return train.execute(origin.run, data_dir, source=start, **options)


def images(model, count=8):
    return np.random.default_rng(0).normal(size=[count, *model.input_shape[1:]]).astype("float32")


def test_training_starts_from_the_decomposed_net(tmp_path, data_dir, weights):
    origin = source(variant(9032, "hyper.max_num_epochs=0"), tmp_path, weights)
    marker = finetune(origin, data_dir)
    assert marker["result"]["pretrained"]["sha256"] == origin.given["-w"]["sha256"]
    trained, begun = origin.trained, decompose_head(origin.dense, origin.index)
    np.testing.assert_allclose(trained.predict(images(begun), verbose=0), begun.predict(images(begun), verbose=0), atol=1e-5)


def test_a_net_trained_on_from_other_weights_is_not_measured(tmp_path, data_dir):
    train.execute(Run(variant(9030), tmp_path), data_dir)
    origin = source(variant(9032), tmp_path)
    finetune(origin, data_dir)
    done("validate", origin, data_dir)
    marker = origin.plain.marker("train")
    marker.write_text(marker.read_text().replace("{", '{"again": 1, ', 1))  # as trained anew
    for command in ("validate", "psi"):
        with pytest.raises(UserError, match="trained on from other weights than .*finetune --overwrite"):
            done(command, source(variant(9032), tmp_path), data_dir)
    done("essential", source(variant(9032), tmp_path), data_dir)  # of the dense net alone


def test_a_dense_head_is_of_the_plain_experiment(tmp_path):
    with pytest.raises(UserError, match=r"dnn.top=0 \(-k\) leaves the head of 9030 as it is; that net is --experiment_id=9030"):
        source(variant(9032, "dnn.top=0"), tmp_path)


def test_weights_of_a_net_that_has_none_in_pytorch(tmp_path, weights):
    from experiments import REGISTRY

    with pytest.raises(UserError, match="-w .*: experiment 9003 has the net Alexnet_digits; weights can be read of FC"):
        source(REGISTRY[9003], tmp_path, weights, registry=REGISTRY)


def test_shares_make_masks(tmp_path, data_dir, weights):
    origin = source(variant(9032, "hyper.max_num_epochs=1", "dnn.top=0.5"), tmp_path, weights)
    finetune(origin, data_dir)
    head = head_of(origin.trained)
    assert head.class_filters() == [sorted(own) for own in origin.index.values()]
    outside = head.mask.numpy() == 0
    assert outside.any() and not np.any(head.dense_kernel()[outside])


def test_killed_and_run_again(tmp_path, data_dir, weights, monkeypatch, capsys):
    whole, torn = (source(variant(9032), tmp_path / name, weights) for name in ("whole", "torn"))
    finetune(whole, data_dir)
    epoch = Trainer.train_epoch

    def killed(trainer, *arguments):
        if int(trainer.epoch) == 1:
            raise KeyboardInterrupt
        return epoch(trainer, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "train_epoch", killed)
        finetune(torn, data_dir)
    assert not torn.run.done("train")
    marker = finetune(source(variant(9032), tmp_path / "torn", weights), data_dir)
    assert_same_files(whole.run.path, torn.run.path)
    assert "after" in before_and_after(torn.run, marker["result"])
    capsys.readouterr()
    finetune(source(variant(9032), tmp_path / "torn", weights), data_dir)
    assert "finished before with the weights of" in capsys.readouterr().out


def test_a_frozen_net_trains_its_head_alone(tmp_path, data_dir, weights):
    origin = source(variant(9032, "training.trainer=head", "hyper.learning_rate=0.01"), tmp_path, weights)
    finetune(origin, data_dir)
    head, begun = head_of(origin.trained), head_of(decompose_head(origin.dense, origin.index))
    for layer in origin.trained.layers:
        if layer is not head:
            for own, before in zip(layer.get_weights(), origin.dense.get_layer(layer.name).get_weights(), strict=True):
                np.testing.assert_array_equal(own, before)
    assert np.abs(head.kernel.numpy() - begun.kernel.numpy()).max() > 1e-3


@pytest.fixture(scope="module")
def base(tmp_path_factory, data_dir):
    """Results in which the plain net is trained."""
    results = tmp_path_factory.mktemp("base")
    train.execute(Run(variant(9030), results), data_dir)
    return results


def test_train_py_starts_from_the_run_of_another_experiment(base, data_dir, monkeypatch):
    monkeypatch.setattr(train, "REGISTRY", SHORT)
    origin = source(variant(9032), base)
    _, printed = done("validate", origin, data_dir)
    assert "k=5" in printed and "trained on" not in printed
    marker = train.execute(Run(variant(9032), base), data_dir)
    assert marker["result"]["pretrained"]["path"] == str(origin.plain.path)
    again = source(variant(9032), base)
    validated, printed = done("validate", again, data_dir)
    assert "k=5, trained on" in printed, "measured anew, for there is another net"
    assert set(validated["made_from"]) == {f"../{origin.plain.path.name}/train.done.json", "train.done.json", "indices.done.json"}
    assert set(head_of(again.trained).class_filters()[0]) == set(again.index[0])
    done("psi", again, data_dir)
    assert set(json.loads(again.run.marker("psi").read_text())["made_from"]) == {"train.done.json"}


def test_another_base_is_not_mistaken_for_the_one_before(base, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "REGISTRY", SHORT)
    train.execute(Run(variant(9031), base), data_dir)
    marker = base / "laptop" / Run(variant(9030), base).path.name / "train.done.json"
    before = marker.read_text()
    marker.write_text(before.replace('"stage": "train"', '"stage":  "train"'))
    try:
        with pytest.raises(UserError, match="--overwrite puts these weights in their place"):
            train.execute(Run(variant(9031), base), data_dir)
    finally:
        marker.write_text(before)


def test_without_a_trained_base_there_is_one_line(tmp_path, data_dir, monkeypatch):
    monkeypatch.setattr(train, "REGISTRY", SHORT)
    with pytest.raises(UserError, match="training needs the trained net of experiment 9030 first; run: python train.py"):
        train.execute(Run(variant(9032), tmp_path / "results"), data_dir)
    assert not (tmp_path / "results").exists()
