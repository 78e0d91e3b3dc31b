"""The flags of the feature-amounts study's main.py: what they set, the sweep they ask for, and what is refused in one line."""
import pytest

from experiments import REGISTRY
from tests.conftest import ok, refused
from tests.test_recipes_yaml import asked, overrides
from tfprune import family_words, recipe_files, recipe_flags
from tfprune import overrides as settings
from tfprune.experiment import UserError
from tfprune.models import build_model, check_buildable
from tfprune.studies import feature_amounts


def value_of(experiment, field):
    group, _, name = field.partition(".")
    return getattr(getattr(experiment, group), name)


@pytest.mark.parametrize(("argv", "expected"), [
    (["--dataset", "MNIST"], {"dataset.name": "mnist", "dataset.preprocessing": "patch", "hyper.augmentation": False}),
    (["--datasets=FashionMNIST"], {"dataset.name": "fashion_mnist", "hyper.augmentation": False, "dataset.scaling": "unit"}),
    (["--dataset=CIFAR100"], {"dataset.name": "cifar100", "hyper.augmentation": True}),
    (["--dataset=cifar10"], {"dataset.name": "cifar10"}),
    (["--dataset=IMAGENET", "-p", "224"], {"dataset.name": "imagenet", "dataset.preprocessing": "torchvision", "dataset.background": False,
                                           "hyper.augmentation": True, "hyper.image_size": 224}),
    (["--normalize-data", "True"], {"dataset.scaling": "normalise"}), (["--normalize-data", "False"], {"dataset.scaling": "unit"}),
    (["--normalize_data=true", "--normalize-data=FALSE"], {"dataset.scaling": "unit"}),
    (["--normalize-data"], {"dataset.scaling": "normalise"}),
    (["--preprocessing", "True"], {"dataset.scaling": "contrast"}), (["--preprocessing=False"], {"dataset.scaling": "unit"}),
    (["--normalize-data=True", "--preprocessing=False"], {"dataset.scaling": "normalise"}),
    (["-p", "64"], {"hyper.image_size": 64}), (["--patch-size=40"], {"hyper.image_size": 40}), (["-a", "VGG"], {"dnn.name": "VGG"}),
    (["--architecture=VGG"], {"dnn.name": "VGG"}), (["--weight-init", "xavier-uniform"], {"dnn.init": "xavier_uniform"}),
    (["--weight-init=kaiming-normal"], {"dnn.init": "kaiming_normal"}), (["--vgg-depth=13"], {"dnn.depth": 13}),
    (["--epochs", "30"], {"hyper.max_num_epochs": 30}), (["-b", "64"], {"hyper.batch_size": 64}),
    (["-lr", ".1"], {"hyper.learning_rate": .1}),
    (["--learning-rate=.2"], {"hyper.learning_rate": .2}), (["--momentum", "0"], {"hyper.momentum": 0}),
    (["-wd", "0"], {"hyper.weight_decay": 0}),
    (["--nesterov", "True"], {"hyper.nesterov": True}), (["--nesterov", "False"], {"hyper.nesterov": False}),
    (["-bn", "0"], {"dnn.norm_epsilon": 0}), (["--batch-norm=1e-3"], {"dnn.norm_epsilon": 1e-3}),
    (["--lr-wr-epochs", "5"], {"hyper.restart_epochs": 5, "training.give_up_after": 5}), (["--lr-wr-mul=3"], {"hyper.restart_growth": 3}),
    (["--lr-wr-min", "0"], {"hyper.least_rate": 0}), (["--dataset=MNIST", "--set=hyper.augmentation=true"], {"hyper.augmentation": True})])
def test_flags_are_names_of_our_fields(argv, expected):
    experiment, remarks = asked(REGISTRY[6096], *argv)
    assert {field: value_of(experiment, field) for field in expected} == expected
    assert len(remarks) == (argv[0] == "--preprocessing" and argv[-1] == "True"), "only what is meant by that is worth a word"


def test_a_data_set_takes_the_place_of_another_kind():
    """Of recipes on ImageNet, which leave out its class for the background: another data set has none to leave out."""
    experiment, _ = asked(REGISTRY[5000], "--dataset=CIFAR10")
    assert experiment.dataset.background and experiment.dataset.preprocessing == "patch"
    check_buildable(experiment)


def test_the_originals_defaults_change_nothing():
    argv = ["--dataset=CIFAR10", "--normalize-data=False", "-j=4", "-p=32", "-a=VGG", "--weight-init=kaiming-normal", "--vgg-depth=16",
            "--resume-model-id=0", "--epochs=150", "-b=128", "-lr=0.01", "--momentum=0.9", "--nesterov=False", "-wd=5e-4", "-bn=1e-4",
            "-pf=100", "--lr-wr-epochs=10", "--lr-wr-mul=2", "--lr-wr-min=1e-5"]
    experiment, remarks = asked(REGISTRY[6096], *argv)
    assert experiment == REGISTRY[6096] or experiment.name == REGISTRY[6096].name
    assert remarks == ["workers, print_freq: not used here"]


def test_p_is_a_patch_only_here():
    assert asked(REGISTRY[9245], "-p", "64")[0].hyper.image_size == 64
    experiment, remarks = asked(REGISTRY[5025], "-p", "64")
    assert experiment.name == REGISTRY[5025].name and remarks == ["print_freq: not used here"]
    (first, second), _ = recipe_flags.variants([REGISTRY[5025], REGISTRY[6000]], overrides("-p=64"))
    assert not first and second == ["hyper.image_size=64"]


def test_a_switch_takes_a_bare_id_for_an_id():
    assert recipe_flags.arguments(["train.py", "--nesterov", "6000"]) == ["train.py", "--set=nesterov=true", "6000"]
    assert recipe_flags.arguments(["train.py", "--normalize-data", "False", "6000"]) == ["train.py", "--set=normalize_data=false", "6000"]


def test_fidelity_of_the_data_sets():
    """Grey sets in three channels but KMNIST, which has a reader of its own in the original; rounded as Pillow rounds."""
    for name, three, resize in (("MNIST", True, "pil"), ("KMNIST", False, "half_pixel"), ("CIFAR10", True, "pil")):
        assignments = recipe_flags.variants([REGISTRY[6000]], overrides(f"--dataset={name}"))[0][0]
        dataset = settings.override(REGISTRY[6000], assignments, fidelity="original").dataset
        assert (dataset.three_channels, dataset.resize, dataset.statistics) == (three, resize, "feature_amounts")
        assert dataset.proportion_training_set == 1
    imagenet = recipe_flags.variants([REGISTRY[6999]], overrides("--dataset=IMAGENET"))[0][0]
    assert build_model(settings.override(REGISTRY[6999], imagenet, fidelity="original")).output_shape == (None, 1000)


def test_words_of_recipes_stay_those_of_hidden_networks(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text("arch: Conv4\nconv_type: DenseConv\nbn_type: NonAffineBatchNorm\nset: CIFAR10\n")
    experiment, _ = recipe_files.from_file(path, REGISTRY, ["p=3", "dataset=MNIST", "batch_size=7"])
    assert experiment.hyper.batch_size == 7 and experiment.dataset.name == "cifar10"
    path.write_text(path.read_text() + "vgg_depth: 16\n")
    with pytest.raises(UserError, match="unknown key vgg_depth"):
        recipe_files.from_file(path, REGISTRY)


# --- the sweep -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "first", "count"), [(16, 6000, 193), (7, 6200, 91), (10, 6300, 153), (13, 6500, 194), (19, 6700, 139),
                                                       (22, 6850, 84), (25, 6950, 35), (11, 7200, 155)])
def test_a_depth_means_its_family_in_order(depth, first, count):
    chosen, remarks = family_words.family(REGISTRY, {"vgg_depth": str(depth)})
    assert [experiment.id for experiment in chosen] == [*range(first, first + count)] and remarks == []
    assert feature_amounts.FIRST[depth] == first
    rest = family_words.resumed(chosen, {"resume_model_id": "30"})
    assert [experiment.id for experiment in rest] == [*range(first + 30, first + count)]


def test_a_sweep_of_large_patches_says_which_it_lacks():
    for words in ({"p": "224"}, {"patch_size": "224", "vgg_depth": "16"}):
        chosen, remarks = family_words.family(REGISTRY, words)
        assert len(chosen) == 193 and remarks == ["patches above 100 pixels: of the 221 VGGs of depth 16 the 193 that have IDs"]


def test_the_sweep_by_the_originals_command_line(tmp_path):
    folders = [f"--results_dir={tmp_path / 'results'}", f"--data_dir={tmp_path / 'data'}"]
    lines = ok("train.py", "--dataset", "KMNIST", "--resume-model-id", "190", "--dry_run", *folders).splitlines()
    assert [line.partition(" train: would run")[0] for line in lines] == ["ID 6190", "ID 6191", "ID 6192"]
    lines = ok("get_robustness.py", "--vgg-depth=7", "--dry_run", *folders).splitlines()
    assert len(lines) == 91 and lines[0].startswith("ID 6200 ") and "loc=0" in lines[0] and "+" not in lines[0]
    done = ok("train.py", "--vgg-depth=25", "--resume-model-id=35", *folders)
    assert done == "--resume-model-id=35: all 35 experiments asked for come before; nothing to do\n"
    assert ok("train.py", "--experiment_ids=9200-9209", "--resume-model-id=9", "--dry_run", *folders).startswith("ID 9209 train: would run")
    assert not list(tmp_path.iterdir())


def test_help_names_them():
    assert "--vgg-depth=16" in ok("get_redundancy.py", "--help")


# --- bad input -------------------------------------------------------------------------------------------------------------------


FEATURES = "4,8,8,16,16,8"


@pytest.mark.parametrize(("argv", "says"), [
    (["--vgg-depth=deep"], "--vgg-depth=deep: takes a whole number >= 1"),
    ([f"--set=dnn.features=0,{FEATURES[2:]}"], "dnn.features takes whole numbers, comma-separated, >= 1"),
    ([f"--set=dnn.features=-1,{FEATURES[2:]}"], "dnn.features takes whole numbers"),
    (["--set=dnn.features=a,b"], "dnn.features takes whole numbers"), (["--set=dnn.features="], "dnn.features takes whole"),
    (["--set=dnn.features=4,8,8,16,1.5,8"], "dnn.features takes whole numbers"),
    (["--patch-size=big"], "--patch-size=big: takes a whole number"),
    (["--dataset=TinyImageNet"], "--dataset=TinyImageNet: takes one of cifar10, digits, imagenet, mnist"),
    (["--set=dataset.name=TinyImageNet"], "dataset.name takes one of cifar10, digits, linear"),
    (["--dataset=linear"], "--dataset=linear: takes one of"),
    (["--weight-init=kaiming"], "--weight-init=kaiming: takes one of kaiming-normal, kaiming-uniform, xavier-normal"),
    (["--set=dnn.init=he"], "dnn.init takes one of numbered, kaiming_normal"),
    (["--normalize-data=maybe"], "--normalize-data=maybe: takes one of true, false"),
    (["--nesterov=maybe"], "--nesterov=maybe: takes true or false"),
    (["--preprocessing=GCN"], "--preprocessing=GCN: takes one of"),
    (["--preprocessing=True", "--normalize-data=True"], "give one of them"),
    (["--architecture=cnn"], "takes one of FC, Conv2"), (["--batch-norm=-1"], "--batch-norm=-1: takes a number >= 0"),
    (["--lr-wr-epochs=0"], "--lr-wr-epochs=0: takes a whole number >= 1"), (["--lr-wr-mul=.5"], "--lr-wr-mul=.5: takes a whole"),
    (["--lr-wr-min=-1"], "--lr-wr-min=-1: takes a number >= 0"),
    (["-val", "/a b"], "--val-data=/a b: ImageNet is looked for below --data_dir, in imagenet/val; put a link there"),
    (["--dataset"], "--dataset: needs a value")])
def test_values_that_no_flag_takes(argv, says):
    with pytest.raises(UserError) as refusal:
        asked(REGISTRY[9245], *argv)
    assert says in str(refusal.value) and "\n" not in str(refusal.value)


LAPTOP = "--experiment_id=9245"


@pytest.mark.parametrize(("argv", "says"), [
    (["--vgg-depth=8"], "--vgg-depth=8: no experiments have this depth; there are some of 7, 10, 11, 13, 16, 19, 22, 25"),
    ([LAPTOP, "--dataset=TinyImageNet"], "--dataset=TinyImageNet: takes one of cifar10, digits, imagenet, mnist"),
    ([LAPTOP, "--resume-model-id", "-1"], "--resume-model-id=-1: takes a whole"),
    (["--resume-model-id=x"], "--resume-model-id=x: takes a whole number >= 0"),
    (["--vgg-depth=16", "6000", "--experiment_id=6000"], "only one"),
    (["--train-data=/here"], "--train-data=/here: ImageNet is looked for below --data_dir, in imagenet/train; put a link there"),
    (["-p", "64"], "give one of --experiment_id"), (["--epochs=3"], "give one of --experiment_id"),
    ([LAPTOP, "--dataset=IMAGENET", "--epochs=1"], "imagenet")])
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, argv, says):
    line = refused("train.py", *argv, f"--results_dir={tmp_path / 'results'}", f"--data_dir={tmp_path / 'data'}")
    assert says in line, line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "assignments", "says"), [
    (9245, ["dnn.depth=8"], "dnn.depth=8: "), (9245, ["dnn.depth=4"], "dnn.depth=4: "), (9245, ["dnn.features=4"], "dnn.features=4"),
    (9245, ["hyper.image_size=16"], "hyper.image_size=16: too small for VGG; the least is 32"),
    (9245, ["dataset.preprocessing=crop"], "dataset.scaling=unit: is of dataset.preprocessing=patch or resized_crop or torchvision"),
    (9245, ["dataset.name=linear", "dataset.preprocessing=none"], "the net VGG does not fit the data set linear"),
    (9002, ["dataset.scaling=contrast"], "dataset.scaling=contrast: is of dataset.preprocessing=patch"),
    (247, ["dataset.scaling=unit"], "dataset.scaling=unit: is of dataset.preprocessing=patch"),
    (9002, ["dataset.resize=pil"], "dataset.resize=pil: rounds to whole grey levels")])
def test_settings_that_cannot_be_built(number, assignments, says):
    with pytest.raises(UserError) as refusal:
        check_buildable(settings.override(REGISTRY[number], assignments))
    assert says in str(refusal.value) and "\n" not in str(refusal.value)
