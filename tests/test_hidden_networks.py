"""The experiments of the supermask study: the original's recipes one for one, and the laptop's."""
import dataclasses
import json

import pytest

from experiments import REGISTRY
from tests.conftest import ROOT, shared
from tfprune import recipe_files
from tfprune.settings import GROUPS

RECIPES = range(5000, 5112)


@pytest.fixture(scope="module")
def published():
    """The words of the 112 recipes, by ID."""
    entries = json.loads(shared("golden/hidden_networks/recipes.json").read_text())["recipes"]
    return {entry["ID"]: {key: value for key, value in entry.items() if key != "ID"} for entry in entries}


def test_every_setting_is_that_of_the_recipe(published):
    assert list(published) == list(RECIPES)
    for number, words in published.items():  # built from families there, read word by word here
        ours, path = REGISTRY[number], words["recipe"]
        theirs, _ = recipe_files.from_words({key: value for key, value in words.items() if key != "recipe"}, path)
        assert ours.recipe == path
        for group in GROUPS:
            assert dataclasses.asdict(getattr(ours, group)) == dataclasses.asdict(getattr(theirs, group)), path
        assert (ours.study, ours.family, ours.seed) == (theirs.study, theirs.family, theirs.seed) == ("hidden_networks",) * 2 + (0,)


def test_words_of_recipes_without_our_reader(published):  # what both ways would get wrong alike
    optimizers, schedules = {"sgd": 0, "adam": 7}, {"cosine_lr": "cosine", None: "constant", "constant_lr": "constant"}
    sides = {"CIFAR10": ("cifar10", 32, True), "MNIST": ("mnist", 28, False), "ImageNet": ("imagenet", 224, True)}
    for number, words in published.items():
        e = REGISTRY[number]
        assert e.hyper.optimizer == optimizers[words["optimizer"]]
        assert (e.hyper.learning_rate, e.hyper.batch_size, e.hyper.max_num_epochs) == (words["lr"], words["batch_size"], words["epochs"])
        assert e.hyper.weight_decay == (0 if words["optimizer"] == "adam" else words.get("weight_decay", 1e-4))
        assert e.hyper.momentum == words.get("momentum", 0.9)
        assert e.training.schedule == schedules[words.get("lr_policy")]
        assert (e.training.warm_up, e.training.label_smoothing) == (words.get("warmup_length", 0), words.get("label_smoothing", 0))
        assert (e.dataset.name, e.hyper.image_size, e.hyper.augmentation) == sides[words["set"]]
        assert e.dnn.freeze == words.get("freeze_weights", False) and e.dnn.scale_init == words.get("scale_fan", False)
        assert e.dnn.init == words.get("init", "kaiming_normal") and e.dnn.neuron_multiplier == words.get("width_mult", 1)
        assert (e.dnn.mask == "none") == (words["conv_type"] == "DenseConv") == (e.hyper.keep == 1)
        assert (e.dnn.normalisation == "affine") == (words["bn_type"] == "LearnedBatchNorm")


def test_names():
    assert REGISTRY[5000].name == "ID5000_resnet18-dense_keep=1_seed=0"
    assert REGISTRY[5025].name == "ID5025_conv4_usc_unsigned_keep=0.5_seed=0" and REGISTRY[5025].family == "hidden_networks"
    assert REGISTRY[9010].name == "ID9010_FC_digits_keep=0.02_seed=0" and REGISTRY[9010].family == "laptop"
    assert len({REGISTRY[number].recipe for number in RECIPES}) == 112


def test_masks_of_the_recipes():
    masks = [REGISTRY[number].dnn.mask for number in RECIPES]
    assert {mask: masks.count(mask) for mask in set(masks)} == {
        "edge_popup": 38, "sampled": 35, "none": 21, "random": 17, "dnw": 1}  # the last two are layers that the original lost


def test_laptop_supermasks():
    laptop = [REGISTRY[number] for number in range(9010, 9020)]
    assert [e.hyper.keep for e in laptop] == [.02, .05, .1, .2, .3, .4, .5, .6, .75, .9]
    assert {(e.dnn.name, e.dnn.mask, e.dnn.init, e.dataset.name, e.study) for e in laptop} == {
        ("FC", "edge_popup", "signed_constant", "digits", "hidden_networks")}


def test_the_documented_table_is_true():
    table = "\n".join(REGISTRY.recipes())
    assert table in (ROOT / "docs" / "recipes.md").read_text(), "its end is what `python experiments.py --recipes` prints"
    assert table.count("\n") == 113
