"""The CIFAR ResNets with option-A shortcuts: the published weights give the published activations and logits; widths, masks, units."""
import numpy as np
import pytest

import tfprune
import train
from experiments import REGISTRY
from tests.conftest import refused, shared
from tests.test_pretrained import cifar  # noqa: F401
from tfprune.experiment import UserError
from tfprune.input import preprocess
from tfprune.keras import keras, tf
from tfprune.layers.option_a import PaddedShortcut
from tfprune.masks.convert import masked_copy
from tfprune.models import build_model, costs, parameter_count
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.training.checkpoints import trained_model
from tfprune.training.torch_checkpoints import TorchCheckpoint
from tfprune.units.graph import activity_function
from tfprune.units.operations import trace

PLAIN, GATED = REGISTRY[7000], REGISTRY[7004]
FOLDER = "golden/decomposing"
CHECKS = {"stem": .43973, "stage1_block1": .52597, "stage1_block2": .68500, "stage1": .71407, "stage2_block1": .56154,
          "stage2_block2": .56738, "stage2": .55829, "stage3_block1": .44889, "stage3_block2": .36534, "stage3": .84163}


def loaded(name, experiment=PLAIN):
    return TorchCheckpoint(shared(f"{FOLDER}/{name}")).load_into(build_model(experiment), experiment)


@pytest.fixture(scope="module")
def golden():
    return np.load(shared(f"{FOLDER}/resnet20.npz"))


@pytest.fixture(scope="module")
def published():
    return loaded("resnet20-12fca82f.th")


@pytest.mark.parametrize(("statistics", "name"), [("imagenet", "imagenet"), ("decomposing", "repo")])
def test_published_weights_give_the_published_outputs(golden, published, statistics, name):
    """From raw images through our own preprocessing."""
    experiment = override(PLAIN, [f"dataset.statistics={statistics}"])
    images = preprocess.prepare(tf.constant(golden["x_uint8"]), experiment.dataset, experiment.hyper)
    np.testing.assert_allclose(images[:8], golden[f"x_norm_nhwc_{name}"], atol=1e-5)
    (features,), logits = activity_function(published, ["pool"])(images)
    np.testing.assert_allclose(features, golden[f"features_{name}"][:64], atol=1e-3)
    expected = golden[f"logits_plain_{name}"][:64]
    np.testing.assert_allclose(logits, expected, atol=1e-3)
    np.testing.assert_array_equal(np.argmax(logits, 1), expected.argmax(1))


def test_every_block_gives_the_published_activations(golden, published):
    activities, _ = activity_function(published, list(CHECKS))(golden["x_norm_nhwc_imagenet"][:2])
    for (name, mean), ours in zip(CHECKS.items(), activities, strict=True):
        stage, _, block = name.partition("_block")
        number = int(block) - 1 if block else 2
        key = "stem" if name == "stem" else f"layer{stage[-1]}.{number}"
        np.testing.assert_allclose(ours, golden[f"act_imagenet_{key}"], atol=1e-3, err_msg=name)
        assert np.mean(ours) == pytest.approx(mean, abs=1e-4)


def test_the_gated_checkpoint(golden, capsys):
    images = preprocess.prepare(tf.constant(golden["x_uint8"]), override(PLAIN, ["dataset.statistics=decomposing"]).dataset, PLAIN.hyper)
    gated = loaded("best_save_CSG.pth", GATED)
    (features,), logits = activity_function(gated, ["pool"])(images)
    np.testing.assert_allclose(features, golden["csg_features_repo"], atol=1e-3)
    np.testing.assert_allclose(logits, golden["csg_logits_repo"], atol=1e-3)
    np.testing.assert_array_equal(gated.get_layer("logits").gates, golden["csg_gate"])
    assert not capsys.readouterr().out
    plain = loaded("best_save_CSG.pth")
    assert "class-specific gates (csg) are passed over" in capsys.readouterr().out
    np.testing.assert_array_equal(plain(images), gated(images))
    with pytest.raises(UserError, match="it lacks csg; gates are in the checkpoints of a training with them"):
        loaded("resnet20-12fca82f.npz", GATED)


def test_the_same_arrays_in_both_files_and_in_no_other_net():
    theirs, ours = (TorchCheckpoint(shared(f"{FOLDER}/resnet20-12fca82f.{ending}")).tensors for ending in ("th", "npz"))
    assert len(theirs) == 97 and set(theirs) == set(ours)
    for key, value in theirs.items():
        np.testing.assert_array_equal(value, ours[key], err_msg=key)
    with pytest.raises(UserError, match=r"does not fit the net ResNet32 of experiment 7005, so nothing was loaded: it lacks layer1\.3"):
        loaded("resnet20-12fca82f.npz", REGISTRY[7005])


def test_sizes():
    assert [parameter_count(override(PLAIN, [f"dnn.name=ResNet{depth}"])) for depth in (20, 32, 44, 56, 110)] == [
        269_722, 464_154, 658_586, 853_018, 1_727_962]
    assert costs(PLAIN).multiply_adds == 40_551_040


@pytest.mark.parametrize(("channels", "units", "before"), [(16, 32, 8), (3, 6, 1), (1, 2, 0), (4, 4, 0)])
def test_the_shortcut_drops_every_other_position_and_pads_channels_on_both_sides(channels, units, before):
    images = np.random.default_rng(0).normal(size=(2, 7, 6, channels)).astype("float32")
    layer = PaddedShortcut.from_config(PaddedShortcut(units, name="a").get_config())
    expected = np.zeros((2, 4, 3, units), "float32")
    expected[..., before:before + channels] = images[:, ::2, ::2]
    np.testing.assert_array_equal(layer(images), expected)


def test_starts_as_the_original_does():
    model = build_model(PLAIN)
    for name, fan_in in (("stem_conv", 27), ("stage3_conv", None), ("logits", 64)):
        layer = model.get_layer("stage3_block3_conv2" if fan_in is None else name)
        assert np.std(layer.kernel) == pytest.approx((2 / (fan_in or 576))**.5, rel=.1)
    bias = model.get_layer("logits").bias.numpy()
    assert 0 < abs(bias).max() <= 64**-.5


def test_any_width_masked_or_not_is_measured_and_copied(tmp_path):
    """Eleven units in the first stage: an odd number of channels of zeros."""
    experiment = override(REGISTRY[9030], ["dnn.neuron_multiplier=0.7"])
    model = build_model(experiment)
    assert [model.get_layer(name).output.shape[-1] for name in tfprune.unit_layers(model)] == [11, 11, 22, 44]
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype("float32")
    graph = trace(model)
    np.testing.assert_allclose(graph.run({graph.inputs[0]: images}, graph.outputs)[0], model(images), atol=1e-5)
    model.save(tmp_path / "net.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "net.keras")(images), model(images))
    whole = masked_copy(model, keep=1.0)
    np.testing.assert_allclose(whole(images), model(images), atol=1e-5)
    names = tfprune.unit_layers(model)
    table = tfprune.robustness(model, images, np.arange(4), kinds=["knockout"], amounts=2, crosses=1)
    assert set(table.layer) >= set(names)


# --- train.py ---------------------------------------------------------------------------------------------------------------------


def test_takes_the_weights_in_place_of_a_training(tmp_path, cifar):  # noqa: F811
    path = shared(f"{FOLDER}/resnet20-12fca82f.th")
    run = Run(PLAIN, tmp_path / "results")
    result = train.execute(run, cifar, path)["result"]
    assert result["pretrained"] == {"path": str(path), "sha256": TorchCheckpoint(path).sha256} and set(result) >= {"val", "test"}
    kernel = trained_model(PLAIN, run.results_dir).get_layer("logits").kernel
    np.testing.assert_array_equal(kernel, np.load(shared(f"{FOLDER}/resnet20-12fca82f.npz"))["linear.weight"].T)
    with pytest.raises(UserError, match=r"npz: .* holds the weights of .*12fca82f\.th; --overwrite"):
        train.execute(run, cifar, shared(f"{FOLDER}/resnet20-12fca82f.npz"))


@pytest.mark.parametrize(("arguments", "says"), [
    (["--experiment_id=7001", "--pretrained={}"], "experiment 7001 has a decomposed head (dnn.top=5), a checkpoint's is dense"),
    (["--experiment_id=7000", "--resume={}"], "experiment 7000 cannot go on from a checkpoint of PyTorch; --pretrained takes"),
    (["--experiment_id=7000", "--pretrained={}"], "cannot be read as a checkpoint of PyTorch, it is none or it is damaged")])
def test_refused_before_anything_is_written(tmp_path, arguments, says):
    (tmp_path / "a.th").write_bytes(b"weights")
    results = tmp_path / "results"
    error = refused("train.py", *(argument.format(tmp_path / "a.th") for argument in arguments), f"--results_dir={results}")
    assert says in error and not results.exists()
