"""TF1 checkpoints of the original studies, written here under the originals' variable names, in place of a training."""
import contextlib
import pickle
import re
import shutil

import numpy as np
import pytest

import data
import train
from experiments import REGISTRY
from tests import ilsvrc
from tests.conftest import cli, ok, refused, shared
from tfprune.experiment import UserError
from tfprune.files import read_json
from tfprune.input import pipeline, records
from tfprune.keras import tf
from tfprune.models import build_model
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.training.checkpoints import trained_model
from tfprune.training.tf1_checkpoints import Tf1Checkpoint

v1 = tf.compat.v1


def write(prefix, values, **options):
    """Writes {variable name: array} as TensorFlow 1's Saver does."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in values.items():
            v1.get_variable(name, initializer=tf.constant(value))
        session.run(v1.global_variables_initializer())
        v1.train.Saver(**options).save(session, str(prefix), write_meta_graph=False)
    return prefix


# --- the originals' names and shapes, from their source, not from ours ------------------------------------------------------------


def alexnet_shapes(w=.25):
    c1, c2, f3, f4 = (int(w * units) for units in (96, 256, 384, 192))
    shapes = {"conv1": (5, 5, 3, c1), "conv2": (5, 5, c1, c2), "fc3": (64 * c2, f3), "fc4": (f3, f4), "softmax_linear": (f4, 10)}
    for name, shape in shapes.items():
        yield f"{name}/weights", shape
        yield f"{name}/biases", shape[-1:]


def official_resnet_shapes(base, blocks, stem, outputs, scope=""):
    """tensorflow/models official/resnet, v1 basic blocks: numbered in the order in which the graph makes the layers."""
    shapes, inputs = [(stem, stem, 3, base)], base
    for stage, count in enumerate(blocks):
        units = base * 2**stage
        for block in range(count):
            shapes += [(1, 1, inputs, units)] * (block == 0) + [(3, 3, inputs, units), (3, 3, units, units)]
            inputs = units
    for number, shape in enumerate(shapes):
        suffix = f"_{number}" if number else ""
        yield f"{scope}conv2d{suffix}/kernel", shape
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            yield f"{scope}batch_normalization{suffix}/{name}", shape[-1:]
    yield f"{scope}dense/kernel", (inputs, outputs)
    yield f"{scope}dense/bias", (outputs,)


def slim_inception_shapes(factor, end=1):
    """tensorflow/models inception/slim: variable scopes of blocks and branches, Conv, Conv_1, ... within one."""
    def u(units, extra=1):
        return int(units * factor * extra)

    found = []

    def conv(scope, height, width, inputs, units):
        found.append((f"{scope}/weights", (height, width, inputs, units)))
        found.extend((f"{scope}/BatchNorm/{name}", (units,)) for name in ("beta", "moving_mean", "moving_variance"))
        return units

    def branch(scope, inputs, *steps):
        for number, (height, width, units) in enumerate(steps):
            inputs = conv(f"{scope}/Conv" + (f"_{number}" if number else ""), height, width, inputs, units)
        return inputs

    x = 3
    for number, (size, units) in enumerate(((3, 32), (3, 32), (3, 64), (1, 80), (3, 192))):
        x = conv(f"conv{number}", size, size, x, u(units))
    for name, pool, extra in (("256a", 32, 1), ("288a", 64, 1), ("288b", 64, end)):
        scope = f"mixed_35x35x{name}"
        x = (branch(f"{scope}/branch1x1", x, (1, 1, u(64, extra)))
             + branch(f"{scope}/branch5x5", x, (1, 1, u(48, extra)), (5, 5, u(64, extra)))
             + branch(f"{scope}/branch3x3dbl", x, (1, 1, u(64, extra)), (3, 3, u(96, extra)), (3, 3, u(96, extra)))
             + branch(f"{scope}/branch_pool", x, (1, 1, u(pool, extra))))
    scope = "mixed_17x17x768a"
    x += (branch(f"{scope}/branch3x3", x, (3, 3, u(384)))
          + branch(f"{scope}/branch3x3dbl", x, (1, 1, u(64)), (3, 3, u(96)), (3, 3, u(96))))
    for name, inner in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
        scope, i = f"mixed_17x17x768{name}", u(inner)
        x = (branch(f"{scope}/branch1x1", x, (1, 1, u(192))) + branch(f"{scope}/branch7x7", x, (1, 1, i), (1, 7, i), (7, 1, u(192)))
             + branch(f"{scope}/branch7x7dbl", x, (1, 1, i), (7, 1, i), (1, 7, i), (7, 1, i), (1, 7, u(192)))
             + branch(f"{scope}/branch_pool", x, (1, 1, 192 if name == "d" else u(192))))
    found.append(("aux_logits/FC/weights", (u(768), 1001)))
    scope = "mixed_17x17x1280a"
    x += (branch(f"{scope}/branch3x3", x, (1, 1, u(192)), (3, 3, u(320)))
          + branch(f"{scope}/branch7x7x3", x, (1, 1, u(192)), (1, 7, u(192)), (7, 1, u(192)), (3, 3, u(192))))
    for name in "ab":
        scope, before = f"mixed_8x8x2048{name}", len(found)
        a = branch(f"{scope}/branch3x3", x, (1, 1, u(384)))
        fork = conv(f"{scope}/branch3x3/Conv_1", 1, 3, a, u(384)) + conv(f"{scope}/branch3x3/Conv_2", 3, 1, a, u(384))
        b = branch(f"{scope}/branch3x3dbl", x, (1, 1, u(448)), (3, 3, u(384)))
        fork += conv(f"{scope}/branch3x3dbl/Conv_2", 1, 3, b, u(384)) + conv(f"{scope}/branch3x3dbl/Conv_3", 3, 1, b, u(384))
        x = branch(f"{scope}/branch1x1", x, (1, 1, u(320))) + fork + branch(f"{scope}/branch_pool", x, (1, 1, u(192)))
        assert len(found) - before == 9 * 4
    return [*found, ("logits/logits/weights", (x, 1001)), ("logits/logits/biases", (1001,))]


def random_values(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return {name: (.1 * rng.normal(size=shape)).astype("float32") if "variance" not in name
            else rng.uniform(.5, 2, shape).astype("float32") for name, shape in shapes}


def imported(prefix, experiment):
    """Our net with the weights of a checkpoint; {variable's path in ours: array}."""
    model = Tf1Checkpoint(prefix).load_into(build_model(experiment), experiment)
    return {f"{layer.name}/{weight.name.rpartition('/')[2].partition(':')[0]}": weight.numpy()
            for layer in model.layers for weight in layer.weights if weight.dtype.is_floating}


# --- nets -----------------------------------------------------------------------------------------------------------------------


def test_alexnet(tmp_path):
    values = random_values(alexnet_shapes()) | {"global_step": np.int64(3), "conv1/weights/Momentum": np.zeros((5, 5, 3, 24), "float32")}
    ours = imported(write(tmp_path / "model-7", values), REGISTRY[2])
    names = {"kernel": "weights", "bias": "biases"}
    assert len(ours) == 10
    for path, value in ours.items():
        layer, _, variable = path.partition("/")
        np.testing.assert_array_equal(value, values[f"{layer}/{names[variable]}"], err_msg=path)


SMALLEST = {217: {"base": 4, "blocks": (9, 9, 9), "stem": 3, "outputs": 10},
            4000: {"base": 16, "blocks": (2, 2, 2, 2), "stem": 7, "outputs": 1001}}


@pytest.mark.parametrize(("experiment_id", "scope"), [(217, "resnet_model/"), (4000, ""), (4000, "a/resnet_model/")])
def test_official_resnets(tmp_path, experiment_id, scope):
    net = SMALLEST[experiment_id]
    values = random_values(official_resnet_shapes(**net, scope=scope))
    slots = {f"{name}/Momentum": np.zeros_like(value) for name, value in values.items() if "moving" not in name}
    experiment = REGISTRY[experiment_id]
    ours = imported(write(tmp_path / "model.ckpt-1", values | slots | {"global_step": np.int64(1)}), experiment)
    convolutions = ["stem_conv"]
    for stage, count in enumerate(net["blocks"], 1):
        for block in range(1, count + 1):
            prefix = f"stage{stage}_block{block}"
            convolutions += [f"{prefix}_shortcut"] * (block == 1) + [f"{prefix}_conv1", f"{prefix}_conv2"]
    expected = {"logits/kernel": values[f"{scope}dense/kernel"], "logits/bias": values[f"{scope}dense/bias"]}
    for number, name in enumerate(convolutions):
        suffix = f"_{number}" if number else ""
        expected[f"{name}/kernel"] = values[f"{scope}conv2d{suffix}/kernel"]
        normalisation = f"{name}_bn" if "shortcut" in name else name.replace("conv", "bn")
        for variable in ("gamma", "beta", "moving_mean", "moving_variance"):
            expected[f"{normalisation}/{variable}"] = values[f"{scope}batch_normalization{suffix}/{variable}"]
    assert set(ours) == set(expected) and len(ours) == len(values)
    for name, value in expected.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)


def test_inception_and_its_averaged_weights(tmp_path):
    """Of a checkpoint that has averages of every second variable: these of those, the variables themselves of the others."""
    experiment = override(REGISTRY[4013], ["dnn.factor_end=2"])
    values = random_values(slim_inception_shapes(.25, end=2))
    averaged = set(list(values)[::2])
    averages = {f"{name}/ExponentialMovingAverage": values[name] + 1 for name in averaged}
    ours = imported(write(tmp_path / "model.ckpt-157585", values | averages), experiment)
    assert len(ours) == len(values) - 1, "all but the auxiliary classifier's"
    for path, value in ours.items():
        layer, _, variable = path.partition("/")
        if layer == "logits":
            name = f"logits/logits/{ {'kernel': 'weights', 'bias': 'biases'}[variable] }"
        else:
            scope = re.sub(r"^(conv\d)_(conv|bn)$", r"\1", layer)
            scope = re.sub(r"^(mixed_\w+?)_(branch\w+)_(?:conv|bn)(\d)$",
                           lambda m: f"{m[1]}/{m[2]}/Conv" + (f"_{int(m[3]) - 1}" if m[3] != "1" else ""), scope)
            name = f"{scope}/weights" if variable == "kernel" else f"{scope}/BatchNorm/{variable}"
        np.testing.assert_array_equal(value, values[name] + (name in averaged), err_msg=path)


def test_where_a_checkpoint_is_looked_for(tmp_path):
    older, newer = (random_values(alexnet_shapes(), seed) for seed in (1, 2))
    write(tmp_path / "models" / "model-3", older)
    prefix = write(tmp_path / "models" / "model-12", newer)
    for path in (prefix, tmp_path / "models", f"{prefix}.index", f"{prefix}.data-00000-of-00001"):
        np.testing.assert_array_equal(imported(path, REGISTRY[2])["conv1/kernel"], newer["conv1/weights"], err_msg=str(path))
    moved = shutil.move(tmp_path / "models", tmp_path / "downloaded")
    (moved / "checkpoint").unlink()
    assert Tf1Checkpoint(moved).path == moved / "model-12"
    single = write(tmp_path / "old" / "model.ckpt-5", older, write_version=v1.train.SaverDef.V1)
    assert sorted(path.name for path in single.parent.iterdir()) == ["checkpoint", "model.ckpt-5"]
    np.testing.assert_array_equal(imported(single, REGISTRY[2])["conv1/kernel"], older["conv1/weights"])


# --- what is refused ------------------------------------------------------------------------------------------------------------


def spoil(prefix, how):
    data, index = (prefix.with_name(prefix.name + ending) for ending in (".data-00000-of-00001", ".index"))
    if how == "truncated":
        data.write_bytes(data.read_bytes()[:len(data.read_bytes()) // 2])
    elif how == "flipped":
        content = bytearray(data.read_bytes())
        content[len(content) // 2] ^= 255
        data.write_bytes(content)
    elif how == "no data":
        data.unlink()
    elif how == "index":
        index.write_bytes(b"garbage" * 20)
    elif how == "no index":
        index.unlink()


@pytest.mark.parametrize(("how", "says"), [
    ("truncated", "damaged"), ("flipped", "damaged"), ("no data", "damaged"), ("index", "damaged"), ("no index", "no checkpoint there")])
def test_damaged_checkpoints(tmp_path, how, says):
    prefix = write(tmp_path / "model-1", random_values(alexnet_shapes()))
    spoil(prefix, how)
    with pytest.raises(UserError, match=says) as caught:
        imported(prefix, REGISTRY[2])
    assert str(caught.value).startswith(f"--pretrained={prefix}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(("change", "says"), [
    ({"fc4/biases": None}, r"has no variable fc4/biases, so it is not of the net Alexnet of experiment 2"),
    ({"fc4/biases": np.zeros(96, "float32")}, r"fc4/biases has the shape \(96,\), that of Alexnet of experiment 2 is \(48,\)"),
    ({"fc4/biases": np.full(48, np.nan, "float32")}, "fc4/biases holds values that are no finite numbers"),
    ({"fc4/biases": np.zeros(48, "int32")}, "fc4/biases holds values that are no finite numbers")])
def test_variables_that_do_not_fit(tmp_path, change, says):
    values = {name: value for name, value in (random_values(alexnet_shapes()) | change).items() if value is not None}
    with pytest.raises(UserError, match=says):
        imported(write(tmp_path / "model-1", values), REGISTRY[2])


@pytest.mark.parametrize("path", ["", ".", "..", "/", "no/such"])
def test_paths_that_name_no_checkpoint(tmp_path, path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no checkpoint there") as caught:
        Tf1Checkpoint(path)
    assert str(caught.value).startswith(f"--pretrained={path}: ")


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", bytes(range(256)) * 40])
def test_files_that_are_no_checkpoints(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UserError, match="it is none or it is damaged"):
        imported(tmp_path / "file", REGISTRY[2])


def test_a_checkpoint_of_another_net(tmp_path):
    prefix = write(tmp_path / "model-1", random_values(official_resnet_shapes(4, (9, 9, 9), 3, 10)))
    with pytest.raises(UserError, match="has no variable conv1/weights, so it is not of the net Alexnet"):
        imported(prefix, REGISTRY[2])
    wider = override(REGISTRY[217], ["dnn.neuron_multiplier=0.5"])
    with pytest.raises(UserError, match=r"conv2d/kernel has the shape \(3, 3, 3, 4\), that of ResNet_cifar .* is \(3, 3, 3, 8\)"):
        imported(prefix, wider)


# --- train.py -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """A folder of raw data with a small CIFAR-10: the images that the golden logits belong to where there are such, else noise."""
    root = tmp_path_factory.mktemp("cifar")
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(0)
    images, labels = rng.integers(256, size=(32, 32, 32, 3), dtype=np.uint8), np.arange(32) % 10
    with contextlib.suppress(pytest.skip.Exception):
        golden = np.load(shared("golden/frivolous_units/alexnet.npz"))
        images, labels = golden["images_uint8"], golden["labels"]
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        rows = {b"data": images.transpose(0, 3, 1, 2).reshape(32, 3072), b"labels": labels.tolist()}
        (folder / name).write_bytes(pickle.dumps(rows, protocol=2))
    return root


@pytest.fixture
def arguments(tmp_path, cifar):
    return [f"--results_dir={tmp_path / 'results'}", f"--data_dir={cifar}"]


@pytest.fixture
def untrained(tmp_path):
    """A run whose training is over at once."""
    return Run(override(REGISTRY[2], ["dataset.limit=64", "hyper.max_num_epochs=0"]), tmp_path / "results")


def test_the_golden_net_through_train_py(tmp_path, cifar, arguments):
    """The original's trained Alexnet, read from its checkpoint's format, gives the original's logits, and is measured."""
    golden = np.load(shared("golden/frivolous_units/alexnet.npz"))
    values = {name.removeprefix("weight/"): golden[name] for name in golden.files if name.startswith("weight/")}
    prefix = write(tmp_path / "models" / "model-3", values | {"global_step": np.int64(3)})
    original = ["--experiment_id=2", "--fidelity=original", "--set=measure.fidelity=corrected", *arguments]
    text = ok("train.py", *original, f"--pretrained={tmp_path / 'models'}")
    assert f"weights of {prefix}; accuracy: train" in text
    run = Run(override(REGISTRY[2], ["measure.fidelity=corrected"], fidelity="original"), tmp_path / "results")
    model = trained_model(run.experiment, run.results_dir)
    split = records.load(data.ensure(run.experiment.dataset, cifar), "test")
    images, labels = next(iter(pipeline.evaluation_batches(split, run.experiment.dataset, run.experiment.hyper, 32)))
    logits = model(images).numpy()
    np.testing.assert_allclose(logits, golden["logits"], atol=1e-4)
    result = read_json(run.marker("train"))["result"]
    assert result["test"]["accuracy"] == pytest.approx((golden["logits"].argmax(1) == golden["labels"]).mean())
    assert set(result["pretrained"]["sha256"]) == {".index", ".data-00000-of-00001"}
    assert list(logits.argmax(1) == labels.numpy()) == list(golden["logits"].argmax(1) == golden["labels"])
    ok("get_activations.py", *original)


def test_asked_again_and_asked_otherwise(tmp_path, cifar, untrained, capsys):
    one, two = (write(tmp_path / f"model-{seed}", random_values(alexnet_shapes(), seed)) for seed in (1, 2))
    renamed = write(tmp_path / "elsewhere" / "model-9", random_values(alexnet_shapes(), 1))
    train.execute(untrained, cifar, one, dry_run=True)
    assert "would run" in capsys.readouterr().out and not untrained.path.exists()
    first = train.execute(untrained, cifar, one)
    assert not (untrained.path / "metrics.jsonl").exists() and not list(untrained.path.glob("checkpoints/last/*.index"))
    for same in (one, renamed, None):
        capsys.readouterr()
        assert train.execute(untrained, cifar, same) == first
        assert f"finished before with the weights of {one} (" in capsys.readouterr().out
    with pytest.raises(UserError, match=f"{two}: .* holds the weights of {one}; --overwrite puts these"):
        train.execute(untrained, cifar, two)
    train.execute(untrained, cifar, two, overwrite=True)
    assert first_kernel(untrained) == pytest.approx(random_values(alexnet_shapes(), 2)["conv1/weights"])


def test_a_trained_net_is_not_replaced_unless_asked_for(tmp_path, cifar, untrained):
    prefix = write(tmp_path / "model-1", random_values(alexnet_shapes()))
    train.execute(untrained, cifar)
    with pytest.raises(UserError, match="was trained; --overwrite puts these weights"):
        train.execute(untrained, cifar, prefix)
    untrained.marker("train").unlink()
    with pytest.raises(UserError, match="is being trained; --overwrite puts these weights"):
        train.execute(untrained, cifar, prefix)
    train.execute(untrained, cifar, prefix, overwrite=True)
    assert first_kernel(untrained) == pytest.approx(random_values(alexnet_shapes())["conv1/weights"])
    assert not list(untrained.path.glob("checkpoints/last/last-*")), "nothing of the training before it is left"
    assert "pretrained" not in train.execute(untrained, cifar, overwrite=True)["result"]


def first_kernel(run):
    return trained_model(run.experiment, run.results_dir).get_layer("conv1").kernel.numpy()


@pytest.mark.parametrize(("ids", "says"), [
    (["--experiment_ids=2-6"], "one checkpoint is of one experiment; 5 are asked for"),
    (["--experiment_id=6"], "conv1/weights has the shape (5, 5, 3, 24), that of Alexnet of experiment 6 is (5, 5, 3, 384)")])
def test_refused_before_anything_is_written(tmp_path, arguments, ids, says):
    prefix = write(tmp_path / "model-1", random_values(alexnet_shapes()))
    assert says in refused("train.py", *ids, f"--pretrained={prefix}", *arguments)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(("experiment_id", "says"), [
    (247, r"has the net MLP1; checkpoints can be read of Alexnet, "), (0, r"has the net \(none\)"), (9002, "has the net Alexnet_digits")])
def test_nets_of_which_no_checkpoints_are_shared(tmp_path, cifar, experiment_id, says):
    run = Run(REGISTRY[experiment_id], tmp_path / "results")
    with pytest.raises(UserError, match=says):
        train.execute(run, cifar, write(tmp_path / "model-1", random_values(alexnet_shapes())))
    with pytest.raises(UserError, match=r"nothing: no checkpoint there; give what the names of its \.index"):
        train.execute(Run(REGISTRY[2], tmp_path / "results"), cifar, tmp_path / "nothing")
    assert not (tmp_path / "results").exists()


def test_an_imagenet_net(tmp_path):
    """ResNet-18 of ID 4000 on a generated folder: val and test are judged, with the five likeliest classes, train is not read."""
    ilsvrc.make_folder(tmp_path, bad=False)
    values = random_values(official_resnet_shapes(16, (2, 2, 2, 2), 7, 1001, "resnet_model/"))
    prefix = write(tmp_path / "model.ckpt-1", values)
    status, _, err = cli("train.py", "4000", f"--pretrained={prefix}", f"--results_dir={tmp_path / 'results'}", f"--data_dir={tmp_path}",
                         "--set=dataset.proportion_training_set=0.8")
    assert status == 0 and "only 5 of 1000 classes are in the test set" in err
    result = read_json(next((tmp_path / "results").glob("imagenet/*/train.done.json")))["result"]
    assert set(result) == {"pretrained", "val", "test"} and set(result["test"]) == {"loss", "accuracy", "top_5"}
