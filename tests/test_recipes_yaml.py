"""Recipes in YAML and the original's flags: what they set, which of them wins, and what is refused in one line."""
import pytest

from experiments import REGISTRY
from tests.conftest import ok, refused
from tfprune import recipe_files, recipe_flags
from tfprune.experiment import UserError
from tfprune.overrides import override

MINE = """\
arch: Conv4
set: CIFAR10
lr: 3e-4  # a string to YAML 1.1
weight-decay: 1e-4
batch_size: 64
epochs: 7
conv_type: SubnetConv
bn_type: NonAffineBatchNorm
freeze_weights: true
prune_rate: -1
init: signed_constant
workers: 4
"""


@pytest.fixture
def mine(tmp_path):
    """Writes a recipe file, MINE with other lines at its end, and returns its path."""
    def write(more="", name="mine.yml", text=MINE):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + more)
        return str(path)
    return write


def overrides(*argv):
    """What `--set` holds after old flags were turned into it."""
    return [token.removeprefix("--set=") for token in recipe_flags.arguments(["train.py", *argv])[1:]]


def asked(experiment, *argv):
    """The variant of an experiment that old flags ask for, and the remarks."""
    (assignments,), remarks = recipe_flags.variants([experiment], overrides(*argv))
    return override(experiment, assignments), remarks


def test_a_file(mine):
    experiment, remarks = recipe_files.from_file(mine(), REGISTRY)
    hyper, dnn, training = experiment.hyper, experiment.dnn, experiment.training
    assert (hyper.learning_rate, hyper.weight_decay, hyper.batch_size, hyper.max_num_epochs, hyper.keep) == (3e-4, 1e-4, 64, 7, .5)
    assert (dnn.name, dnn.mask, dnn.init, dnn.freeze, dnn.normalisation) == ("Conv4", "edge_popup", "signed_constant", True, "plain")
    assert training.schedule == "constant" and training.weight_decay_in == "gradient", "the original's defaults"
    assert experiment.id == -1 and experiment.study == "hidden_networks" and experiment.flag.startswith("--config=")
    assert any("workers: not used" in remark for remark in remarks) and any("keep 0.5" in remark for remark in remarks)


def test_flags_stand_over_the_file_and_that_over_the_defaults(mine):
    path = mine()
    experiment, remarks = recipe_files.from_file(path, REGISTRY, overrides("--prune-rate", "0.3", "-b=32", "--wd", "0", "--lr", "1e-1"))
    assert (experiment.hyper.keep, experiment.hyper.batch_size, experiment.hyper.weight_decay) == (.3, 32, 0)
    assert experiment.hyper.learning_rate == .1 and experiment.hyper.momentum == .9
    assert not any("prune rate" in remark for remark in remarks)
    assert override(experiment, recipe_flags.variants([experiment], overrides("-b", "32"))[0][0]).name == experiment.name
    assert recipe_files.from_file(path, REGISTRY, ["hyper.keep=0.2"])[1] == ["workers: not used here"]


def test_names_follow_the_content(mine):
    one, two = (recipe_files.from_file(path, REGISTRY)[0] for path in (mine(), mine("momentum: 0.8\n", "other/mine.yml")))
    assert one.name.startswith("mine-") and one.name.endswith("_keep=0.5_seed=0") and one.name != two.name
    assert recipe_files.from_file(mine("nesterov: false\n", "third/mine.yml"), REGISTRY)[0].name == one.name, "says the same"
    assert recipe_files.from_file(mine("seed: 3\n"), REGISTRY)[0].seed == 3


def test_names_are_fit_for_a_folder(mine):
    """TensorFlow takes brackets and stars in the path of a checkpoint for patterns, and finds nothing there."""
    for name in ("my[1]*? a.yml", f"{'x' * 240}.yml"):
        word = recipe_files.from_file(mine(name=name), REGISTRY)[0].name.rpartition("-")[0]
        assert word in ("my-1-a", "x" * 40)


def test_paths_that_are_no_text_are_refused(tmp_path):
    for name in ("new\nline.yml", "bytes\udcff.yml"):
        (tmp_path / name).write_text(MINE)
        with pytest.raises(UserError, match="cannot be printed") as refusal:
            recipe_files.from_file(str(tmp_path / name), REGISTRY)
        assert str(refusal.value).isprintable()


def test_a_path_of_a_published_recipe():
    for path in ("configs/smallscale/conv4/conv4_usc_unsigned.yml", "smallscale/conv4/conv4_usc_unsigned.yml"):
        experiment, remarks = recipe_files.from_file(path, REGISTRY)
        assert experiment is REGISTRY[5025] and "keep 0.5" in remarks[0]
    with pytest.raises(UserError, match="conv4_usc_unsined.yml: no such file.*smallscale/conv4/conv4_usc_unsigned.yml"):
        recipe_files.from_file("configs/smallscale/conv4/conv4_usc_unsined.yml", REGISTRY)


def test_a_copy_of_a_published_recipe_is_that_experiment(mine):
    text = MINE.replace("3e-4", "0.1").replace("64", "128").replace("epochs: 7", "epochs: 100") + "lr_policy: cosine_lr\nname: x\n"
    path = mine(name="configs/smallscale/conv4/conv4_usc_unsigned.yml", text=text)
    assert recipe_files.from_file(path, REGISTRY)[0] is REGISTRY[5025]
    changed = recipe_files.from_file(mine(name="configs/smallscale/conv4/conv4_usc_unsigned.yml"), REGISTRY)[0]
    assert changed.id == -1 and changed.hyper.batch_size == 64


def test_our_settings_in_a_file(mine):
    experiment, _ = recipe_files.from_file(mine("dnn.mask: biprop\nhyper.redraw_every: 9\n"), REGISTRY)
    assert (experiment.dnn.mask, experiment.hyper.redraw_every) == ("biprop", 9)


@pytest.mark.parametrize(("argv", "field", "value"), [
    (["--prune-rate", "0.3"], "hyper.keep", .3), (["--prune_rate=3e-1"], "hyper.keep", .3),
    (["--arch=ResNet50"], "dnn.name", "ResNet50_v15"), (["-a", "Conv6"], "dnn.name", "Conv6"),
    (["--set", "MNIST"], "dataset.name", "mnist"), (["--set=MNIST"], "hyper.image_size", 28),
    (["--lr=.2"], "hyper.learning_rate", .2), (["--learning-rate", ".2"], "hyper.learning_rate", .2),
    (["--wd", "0"], "hyper.weight_decay", 0), (["--weight-decay=1e-5"], "hyper.weight_decay", 1e-5),
    (["-b", "7"], "hyper.batch_size", 7), (["--epochs", "3"], "hyper.max_num_epochs", 3),
    (["--conv-type=DNWConv"], "dnn.mask", "dnw"), (["--bn-type", "LearnedBatchNorm"], "dnn.normalisation", "affine"),
    (["--init", "xavier_normal"], "dnn.init", "xavier_normal"), (["--mode=fan_out"], "dnn.init_fan", "fan_out"),
    (["--nonlinearity=tanh"], "dnn.nonlinearity", "tanh"), (["--scale-fan"], "dnn.scale_init", True),
    (["--score-init-constant", "-2"], "dnn.score_constant", -2), (["--score-init-constant=1"], "dnn.score_init", "constant"),
    (["--width-mult", "0.5"], "dnn.neuron_multiplier", .5), (["--label-smoothing=.1"], "training.label_smoothing", .1),
    (["--lr-policy", "constant_lr"], "training.schedule", "constant"), (["--lr-policy=multistep_lr"], "hyper.num_epochs_per_decay", 30),
    (["--multistep-lr-adjust=5", "--lr-policy=multistep_lr"], "hyper.num_epochs_per_decay", 5),
    (["--warmup-length", "5"], "training.warm_up", 5), (["--optimizer=adam"], "hyper.optimizer", 7),
    (["--optimizer=adam", "--wd=1"], "hyper.weight_decay", 0), (["--nesterov"], "hyper.nesterov", True),
    (["--freeze-weights=false"], "dnn.freeze", False), (["--first-layer-dense"], "dnn.first_dense", True),
    (["--first-layer-type=DenseConv"], "dnn.first_dense", True), (["--last-layer-dense"], "dnn.last_dense", True),
    (["--trainer", "lottery"], "training.trainer", "lottery"), (["--save_every", "5"], "training.save_every", 5),
    (["--save-every=-1"], "training.save_every", 0), (["--no-bn-decay"], "training.weight_decay_on", "without_norm"),
    (["--prune-rate=.3", "--conv-type", "FixedSubnetConv"], "hyper.keep", .7), (["--conv-type=DenseConv"], "hyper.keep", 1),
    (["--prune-rate=.3", "--conv-type=SampleSubnetConv"], "hyper.keep", .5), (["--lr=1", "--lr=2"], "hyper.learning_rate", 2),
    (["--prune-rate=.3", "--set=hyper.keep=0.4"], "hyper.keep", .4)])
def test_old_flags(argv, field, value):
    group, _, name = field.partition(".")
    assert getattr(getattr(asked(REGISTRY[5025], *argv)[0], group), name) == value


def test_old_flags_that_do_nothing():
    experiment, remarks = asked(REGISTRY[5025], "--multigpu", "0,1", "-j", "4", "--data=/mnt", "--name", "x", "--one-batch")
    assert experiment.name == REGISTRY[5025].name and remarks == ["multigpu, workers, data, name, one_batch: not used here"]
    experiment, remarks = asked(REGISTRY[5000], "--prune-rate=.3")
    assert experiment.name == REGISTRY[5000].name and remarks == ["prune_rate: the mask none takes none"]
    assert asked(REGISTRY[5048], "--conv-type=SubnetConv")[0].hyper.keep == .5, "a dense net that is masked now"


def test_other_arguments_stay_as_they_are():
    argv = ["train.py", "--experiment_ids", "2-6", "-e", "--set=hyper.keep=.5", "--set", "dnn.init=standard", "--", "--lr"]
    assert recipe_flags.arguments(argv) == ["train.py", "--experiment_ids", "2-6", "--evaluate", "--set=hyper.keep=.5",
                                       "--set=dnn.init=standard", "--", "--lr"]


@pytest.mark.parametrize(("more", "says"), [
    ("larning_rate: 1\n", "unknown key larning_rate; the nearest known one is learning_rate"), ("lr: [1]\n", "lr: expected one value"),
    ("conv_type: FooConv\n", "conv_type=FooConv: takes one of DenseConv, SubnetConv"), ("lr: fast\n", "lr=fast: takes a number > 0"),
    ("prune_rate: 1.2\n", "prune_rate=1.2: takes a number >= 0 and <= 1"), ("prune_rate: .nan\n", "prune_rate=nan: takes a number"),
    ("arch: Conv5\n", "arch=Conv5: takes one of FC, Conv2"), ("set: TinyImageNet\n", "set=TinyImageNet: takes one of CIFAR10"),
    ("epochs: 1.5\n", "epochs=1.5: takes a whole number"), ("seed: -1\n", "seed=-1: takes a whole number"), ("x: [\n", "not YAML"),
    (f"seed: 0x{'f' * 6000}\n", "seed: its number is too long"),
    ("dnn.mask: foo\n", "dnn.mask takes one of none, edge_popup"), ("pretrained: a.pth\n", "give it on the command line"),
    ("lr: !!python/object/apply:os.getcwd []\n", "not YAML"), ("init: kaiming\n", "init=kaiming: takes one of numbered")])
def test_files_that_are_refused(mine, more, says):
    path = mine(more)
    with pytest.raises(UserError) as refusal:
        recipe_files.from_file(path, REGISTRY)
    assert says in str(refusal.value) and str(refusal.value).startswith(path) and "\n" not in str(refusal.value)


@pytest.mark.parametrize(("text", "says"), [
    ("", "expected lines such as"), ("- a\n", "expected lines such as"), ("arch: FC\n", "conv_type is needed"),
    ("a: b\0\n", "not YAML"), ("x" * 200_000, "are no recipe")])
def test_files_that_are_no_recipe(mine, text, says):
    with pytest.raises(UserError, match=says):
        recipe_files.from_file(mine(text=text), REGISTRY)


@pytest.mark.parametrize(("argv", "says"), [
    (["--prune-rate=1.2"], "--prune-rate=1.2: takes a number >= 0 and <= 1"), (["--prune-rate", "-1"], "--prune-rate=-1"),
    (["--prune-rate", "nan"], "--prune-rate=nan"), (["--set", "hyper.keep=1.2"], "hyper.keep takes a number >= 0 and <= 1"),
    (["--set", "Cifar"], "or a data set of CIFAR10, MNIST, ImageNet"), (["--conv-type=FooConv"], "takes one of DenseConv"),
    (["--lr", "--wd=1"], "--lr: needs a value"), (["--config=nowhere/conv4.yml"], "give only one of")])
def test_scripts_refuse_in_one_line_before_anything_is_loaded(tmp_path, argv, says):
    line = refused("get_redundancy.py", "--experiment_id=5025", *argv, f"--results_dir={tmp_path / 'results'}")
    assert says in line and not (tmp_path / "results").exists()


def test_a_stage_finds_the_run_of_a_file(tmp_path, mine):
    asked = [f"--config={mine()}", "--prune-rate=0.3", f"--results_dir={tmp_path / 'results'}"]
    assert f"python get_activations.py --config={tmp_path / 'mine.yml'}" in refused("get_redundancy.py", *asked)
    assert "_keep=0.3_seed=0 get_activations: would run" in ok("get_activations.py", *asked, "--dry_run")
    assert not (tmp_path / "results").exists()
