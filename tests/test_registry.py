"""The registry: the original's IDs one for one, lookups, and the table."""
import dataclasses
import json

import pytest

from experiments import REGISTRY
from tests.conftest import cli, shared
from tfprune.experiment import UserError
from tfprune.registry import Registry

SAME = ("batch_size", "learning_rate", "num_epochs_per_decay", "learning_rate_factor_per_decay", "weight_decay", "max_num_epochs",
        "crop_size", "image_size", "drop_train", "momentum", "augmentation", "init_factor", "mse")


def as_original(experiment):
    """An experiment of ours in the original's words."""
    dataset, dnn = experiment.dataset, experiment.dnn
    values = {f"hyper.{name}": getattr(experiment.hyper, name) for name in SAME}
    values |= {"ID": experiment.id, "name": experiment.name, "seed": experiment.seed, "init_type": dnn.init_type,
               "optimizer": experiment.hyper.optimizer, "act_function": dnn.act_function, "dnn.name": dnn.name,
               "dnn.neuron_multiplier": dnn.neuron_multiplier, "dataset.random_labels": dataset.random_labels,
               "dataset.proportion_training_set": dataset.proportion_training_set, "family": experiment.family,
               "dataset.dataset_name": "cifar" if dataset.name == "cifar10" else f"rand{dataset.dimension}"}
    return values | ({"num_data_random": dataset.num_train} if dataset.name == "linear" else {})


def test_equals_the_original_registry():
    golden = json.loads(shared("golden/frivolous_units/registry.json").read_text())
    assert len(golden["experiments"]) == 3247
    for entry in golden["experiments"]:
        theirs = golden["defaults"] | entry
        theirs["family"] = theirs["log_dir_base"].rstrip("/").rpartition("/")[2]
        ours = as_original(REGISTRY[entry["ID"]])
        assert ours == {key: theirs[key] for key in ours}, entry["name"]


def test_spot_values():  # facts: the original's own numbering
    assert len([i for i in REGISTRY if i <= 3246]) == 3247
    widths = {2: .25, 6: 4, 7: .25, 31: 4, 32: .25, 67: .25, 87: 4, 98: .25, 132: .25, 206: 4, 218: .25}
    assert {i: REGISTRY[i].dnn.neuron_multiplier for i in widths} == widths
    assert (REGISTRY[157].hyper.learning_rate, REGISTRY[157].hyper.batch_size) == (.0025, 32)
    assert (REGISTRY[158].hyper.learning_rate, REGISTRY[158].hyper.batch_size) == (.04, 512)
    assert (REGISTRY[231].hyper.learning_rate, REGISTRY[231].hyper.batch_size) == (.025, 32)
    assert (REGISTRY[98].hyper.optimizer, REGISTRY[132].dnn.act_function) == (6, 5)
    block = REGISTRY[1747 + 250 + 50 * 2 + 10 * 1 + 3]  # 10,000 dimensions, 10,000 examples, width 4, rate .1, init 10
    assert (block.dataset.dimension, block.dataset.num_train, block.dnn.neuron_multiplier, block.hyper.learning_rate,
            block.hyper.init_factor) == (10_000, 10_000, 4, .1, 10)


def test_imagenet_and_demo_ids():
    assert REGISTRY[4000].name == "ID4000_ResNet18_factor=0.25_seed=0" and REGISTRY[4004].hyper.batch_size == 512
    assert [REGISTRY[i].dnn.neuron_multiplier for i in range(4012, 4019)] == [1, .25, .5, 1, 1, 1, 1]
    assert [REGISTRY[i].dnn.factor_end for i in range(4015, 4019)] == [.25, .5, 2, 4]
    assert [REGISTRY[i].dnn.time_step for i in (4019, 4024, 4038)] == [8, 6, 2]
    assert [REGISTRY[i].dnn.neuron_multiplier for i in range(9002, 9007)] == [.25, .5, 1, 2, 4]


def test_names_are_unique_and_lookups_work():
    assert len({e.name for e in REGISTRY.values()}) == len(REGISTRY)
    assert [e.id for e in REGISTRY.find("*Alexnet_digits*")] == [9002, 9003, 9004, 9005, 9006]
    assert [e.id for e in REGISTRY.select("2-4,3,9002")] == [2, 3, 4, 9002]
    with pytest.raises(UserError, match="--experiment_ids=6190-6201: no such experiment as 6193"):
        REGISTRY.select("6190-6201")
    assert REGISTRY.ranges() == ("0-3246, 4000-4038, 5000-5111, 6000-6192, 6200-6290, 6300-6452, 6500-6693, 6700-6838, 6850-6933, "
                                 "6950-6984, 6999-7007, 7010-7012, 7200-7354, 8000-8009, 9002-9006, 9010-9019, "
                                 "9030-9034, 9040-9049, 9200-9291")


@pytest.mark.parametrize("text", ["", "a", "2-", "-2", "6-2", "2--3", "3.5", "99999", "3000-4001", "0-999999999999", "2,,3"])
def test_bad_selections_are_refused(text):
    with pytest.raises(UserError, match="experiment_id"):
        REGISTRY.select(text)


def test_an_id_is_given_once():
    with pytest.raises(ValueError, match="given twice"):
        Registry([REGISTRY[2], dataclasses.replace(REGISTRY[3], id=2)])


def test_list_filters_by_study():
    status, out, _ = cli("experiments.py", "--list", "--study=frivolous_units")
    lines = out.splitlines()
    assert status == 0 and lines[0].split() == ["ID", "study", "family", "name"] and len(lines) == 1 + 3247 + 39 + 5
