"""The nets of the supermask study: the original's sizes, what is masked and what is trained, padding and normalisation as in PyTorch."""
import numpy as np
import pytest

import tfprune
from experiments import REGISTRY
from tfprune.datasets import classes
from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.layers.normalisation import TorchBatchNormalization
from tfprune.masks.initial import KernelInit
from tfprune.masks.layers import SubnetConv2D, SubnetDense
from tfprune.masks.selection import kept_count
from tfprune.models import build_model, check_buildable, parameter_count, trainable_sizes
from tfprune.overrides import override
from tfprune.settings import MASKS

# Facts 3: experiment (with the weights all masked, normalisation plain), masked layers, weights in all, and kept at .1, .3, .5, .7.
SIZES = {
    "FC": (5041, 3, 266_200, (26_620, 79_860, 133_100, 186_340)),
    "Conv2": (5019, 5, 4_300_992, (430_101, 1_290_300, 2_150_496, 3_010_696)),
    "Conv4": (5024, 7, 2_425_024, (242_505, 727_510, 1_212_512, 1_697_520)),
    "Conv6": (5033, 9, 2_261_184, (226_122, 678_359, 1_130_592, 1_582_833)),
    "Conv8": (5037, 11, 5_275_840, (527_588, 1_582_757, 2_637_920, 3_693_093)),
    "cResNet18": (5046, 21, 11_164_352, (1_116_445, 3_349_316, 5_582_176, 7_815_056)),
    "cResNet50": (5046, 54, 23_467_712, (None, 7_040_342, None, None)),
    "cResNet101": (5046, 105, 42_407_616, (None, 12_722_354, None, None)),
    "ResNet18_v15": (5006, 21, 11_678_912, (1_167_901, 3_503_684, 5_839_456, 8_175_248)),
    "ResNet50_v15": (5009, 54, 25_502_912, (2_550_318, 7_650_902, 12_751_456, 17_852_063)),
    "ResNet101_v15": (5004, 105, 44_442_816, (4_444_339, 13_332_914, 22_221_408, 31_110_006)),
    "WideResNet50_2": (5013, 54, 68_814_016, (6_881_427, 20_644_231, 34_407_008, 48_169_838)),
    "WideResNet101_2": (5011, 105, 126_747_840, (12_674_823, 38_024_402, 63_373_920, 88_723_542)),
}
SMALL = ["dnn.neuron_multiplier=0.1", "hyper.image_size=16", "dataset.preprocessing=crop"]


def small(experiment_id, *settings):
    return override(REGISTRY[experiment_id], [*SMALL, *settings])


@pytest.mark.parametrize("net", SIZES)
def test_sizes_are_those_of_the_paper(net):
    experiment_id, masked, total, kept = SIZES[net]
    experiment = override(REGISTRY[experiment_id], [f"dnn.name={net}"])
    sizes = trainable_sizes(experiment)
    assert (len(sizes), sum(sizes)) == (masked, total)
    for keep, count in zip((.1, .3, .5, .7), kept, strict=True):
        assert count is None or sum(kept_count(size, keep) for size in sizes) == count


@pytest.mark.parametrize(("experiment_id", "settings", "count"), [
    (5043, [], 11_173_952), (5001, [], 25_556_032), (5030, ["dnn.neuron_multiplier=0.25"], 152_368),
    (5030, ["dnn.neuron_multiplier=2"], 9_691_520), (5024, ["dnn.neuron_multiplier=2"], 9_691_520),
    (5057, [], 266_200), (9010, [], 64 * 300 + 300 * 100 + 1000),
    (5046, ["dnn.normalisation=affine"], 11_164_352), (5046, ["dnn.normalisation=affine", "dnn.freeze=false"], 11_173_952 + 11_164_352),
    (5046, ["dnn.last_dense=true"], 11_164_352 - 5120), (5077, ["dnn.last_dense=true"], 11_173_952 + 10)])
def test_parameter_counts(experiment_id, settings, count):  # facts 3; of what is trained: where weights are frozen, the scores
    assert parameter_count(override(REGISTRY[experiment_id], settings)) == count


def test_widths_are_cut_off_not_rounded():
    model = build_model(override(REGISTRY[5030], ["dnn.neuron_multiplier=0.3"]))
    layers = [layer for layer in model.layers if layer.weights]
    assert [layer.kernel.shape[-1] for layer in layers] == [19, 19, 38, 38, 76, 76, 10]
    assert model.get_layer("fc1").kernel.shape[0] == 2432


def test_what_is_masked_and_what_is_trained():
    popup, dense, wired = (build_model(small(number)) for number in (5046, 5043, 5077))
    kinds = (SubnetConv2D, SubnetDense)
    for model, masks, trained in ((popup, True, {"scores"}), (dense, False, {"kernel", "gamma", "beta"}),
                                  (wired, True, {"kernel", "gamma", "beta"})):
        with_kernel = [layer for layer in model.layers if hasattr(layer, "kernel")]
        assert [isinstance(layer, kinds) for layer in with_kernel] == [masks] * 21
        assert {weight.name.rpartition("/")[2].partition(":")[0] for weight in model.trainable_weights} == trained
        assert not any(layer.use_bias for layer in with_kernel) and model.layers[-1].name == "logits"


@pytest.mark.parametrize("experiment_id", [5041, 5024, 5046, 5009])
def test_a_dense_first_or_last_layer_of_a_random_net_stays_random(experiment_id):
    settings = ["dnn.first_dense=true", "dnn.last_dense=true", "dnn.normalisation=affine"]
    model = build_model(override(REGISTRY[experiment_id], ["dnn.neuron_multiplier=0.1", "hyper.image_size=32", *settings,
                                                           *(["dataset.preprocessing=crop"] if experiment_id != 5009 else [])]))
    first, *masked, last = [layer for layer in model.layers if hasattr(layer, "kernel")]
    assert all(isinstance(layer, (SubnetConv2D, SubnetDense)) for layer in masked)
    assert type(first) in (keras.layers.Conv2D, keras.layers.Dense) and type(last) is keras.layers.Dense
    assert last.use_bias and not first.use_bias
    assert {id(weight) for weight in model.trainable_weights} == {id(layer.scores) for layer in masked}
    bound = last.kernel.shape[0] ** -.5
    for values in (last.kernel.numpy(), last.bias.numpy()):  # PyTorch's default
        assert .7 * bound < abs(values).max() <= bound
    default = KernelInit("standard").deviation(first.kernel.shape)
    expected = default if experiment_id == 5009 else KernelInit("kaiming_normal").deviation(first.kernel.shape)
    assert first.kernel.numpy().std() == pytest.approx(expected, rel=.15)


def test_normalisation_is_pytorchs():  # facts 11.8
    rows = tf.constant([[1.], [2.], [3.], [6.]])
    for examples in (rows, rows[:, None, None, :], tf.reshape(rows, [2, 1, 2, 1]), tf.reshape(rows, [2, 2, 1])):
        layer = TorchBatchNormalization(affine=False)
        for call in (layer, tf.function(layer)):
            once = call(examples, training=True)
            assert once.shape == examples.shape
            np.testing.assert_allclose(np.ravel(once), [-1.069043, -.534522, 0, 1.603565], rtol=1e-5, atol=1e-6)
        layer = TorchBatchNormalization(affine=False)
        layer(examples, training=True)
        assert float(layer.moving_mean[0]) == pytest.approx(.3) and float(layer.moving_variance[0]) == pytest.approx(1.366667)
        np.testing.assert_allclose(np.ravel(layer(examples)), [.598777, 1.454173, 2.309569, 4.875756], rtol=1e-5)
        assert not layer.trainable_weights


def test_a_frozen_normalisation_follows_its_batches():
    examples = tf.constant(np.random.default_rng(0).normal(3, 2, (16, 4, 4, 5)).astype("float32"))
    frozen, free = TorchBatchNormalization(frozen=True), TorchBatchNormalization()
    np.testing.assert_array_equal(frozen(examples, training=True), free(examples, training=True))
    assert not frozen.trainable_weights and len(free.trainable_weights) == 2 and float(frozen.moving_mean[0]) > .1
    again = TorchBatchNormalization.from_config(TorchBatchNormalization(affine=False, frozen=True, momentum=.8).get_config())
    assert (again.affine, again.frozen, again.momentum, again.scale, again.epsilon) == (False, True, .8, False, 1e-5)


def test_pads_as_pytorch_does():  # facts 12.2
    model = build_model(override(REGISTRY[5000], ["hyper.image_size=33", "dnn.neuron_multiplier=0.02"]))
    assert [model.get_layer(name).output.shape[1] for name in ("stem", "stem_pool", "stage1", "stage2", "stage4")] == [17, 9, 9, 5, 2]
    one = np.zeros([1, 33, 33, 3], "float32")
    one[0, 0, 0] = 1  # seen by the 7x7 kernel's row and column 3 in the first place
    stem, kernel = keras.Model(model.inputs, model.get_layer("stem_conv").output)(one), model.get_layer("stem_conv").kernel
    np.testing.assert_allclose(stem[0, 0, 0], np.sum(kernel[3, 3], axis=0), rtol=1e-5)
    pool = keras.Sequential([keras.layers.ReLU(input_shape=(4, 4, 1)), model.get_layer("stem_pool_pad"), keras.layers.MaxPooling2D(3, 2)])
    np.testing.assert_array_equal(np.ravel(pool(np.arange(16, dtype="float32").reshape(1, 4, 4, 1))), [5, 7, 13, 15])


def test_starts_as_the_experiment_says():
    model = build_model(small(5024))
    deviations = {"conv2": KernelInit("kaiming_normal").deviation((3, 3, 6, 6)), "fc2": (2 / 25) ** .5}
    for name, deviation in deviations.items():
        assert model.get_layer(name).kernel.numpy().std() == pytest.approx(deviation, rel=.15)
    scaled = build_model(small(5022, "hyper.keep=0.1"))
    np.testing.assert_allclose(abs(scaled.get_layer("fc2").kernel), (2 / (.1 * 25)) ** .5, rtol=1e-5)
    kernel, scores = model.get_layer("conv2").kernel.numpy(), model.get_layer("conv2").scores.numpy()
    assert abs(scores).max() <= 54 ** -.5 and abs(np.corrcoef(kernel.ravel(), scores.ravel())[0, 1]) < .2


@pytest.mark.parametrize("mask", MASKS)
def test_every_rule_has_its_settings(mask):
    settings = ["dnn.sampled_evaluation=sample", "hyper.redraw_share=0.3", "hyper.redraw_every=7", "hyper.keep=0.3"]
    layer = build_model(small(5024, *settings, f"dnn.mask={mask}")).get_layer("conv2")
    expected = {"evaluation": "sample", "redraw_share": .3, "redraw_every": 7}
    assert layer.keep == .3 and layer.options == {name: expected[name] for name in layer.rule.OPTIONS}
    assert layer.kernel.trainable == layer.rule.trains_kernel


@pytest.mark.parametrize(("keep", "logits"), [(0, "zero"), (1, "dense")])
def test_nothing_kept_and_everything_kept(keep, logits):
    images = np.random.default_rng(0).normal(size=(4, 16, 16, 3)).astype("float32")
    masked = build_model(small(5024, f"hyper.keep={keep}"))
    dense = build_model(small(5024, "dnn.mask=none"))
    expected = np.zeros([4, 10]) if logits == "zero" else dense(images)
    np.testing.assert_array_equal(masked(images), expected)


def test_unit_layers_of_all_nets():
    assert list(tfprune.unit_layers(build_model(small(5033)))) == ["conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "fc1", "fc2"]
    assert list(tfprune.unit_layers(build_model(REGISTRY[9010]))) == ["fc1", "fc2"]
    assert list(tfprune.unit_layers(build_model(small(5046)))) == ["stem", "stage1", "stage2", "stage3", "stage4"]


@pytest.mark.parametrize("experiment_id", [5024, 5046])
def test_masked_nets_are_measured(experiment_id):
    experiment = small(experiment_id, "hyper.keep=0.3", "dnn.neuron_multiplier=0.06")
    model, rng = build_model(experiment), np.random.default_rng(0)
    images, labels = rng.normal(size=(24, 16, 16, 3)).astype("float32"), rng.integers(0, 10, 24)
    acts = tfprune.activations(model, images)
    assert list(acts) == list(tfprune.unit_layers(model))
    assert all(np.isfinite(tfprune.redundancy(rows).similarity_mean) for rows in acts.values())
    table = tfprune.robustness(model, images, labels, kinds=("knockout",), amounts=3, crosses=1)
    assert table.agreement.between(0, 1).all() and (table[table.amount == 0].agreement == 1).all()


def test_imagenet_without_the_background():
    assert classes(REGISTRY[5000].dataset) == 1000 and classes(REGISTRY[4000].dataset) == 1001
    assert build_model(override(REGISTRY[5000], ["dnn.neuron_multiplier=0.02", "hyper.image_size=17"])).output_shape == (None, 1000)


@pytest.mark.parametrize(("experiment_id", "settings", "says"), [
    (2, ["dnn.mask=edge_popup"], "dnn.mask=edge_popup: the layers of Alexnet cannot be masked or started so; it takes none"),
    (217, ["dnn.init=signed_constant"], "dnn.init=signed_constant: the layers of ResNet_cifar cannot be .* it takes numbered"),
    (5024, ["dnn.neuron_multiplier=0.01"], "leaves a layer of Conv4 without units; the least is 0.015625"),
    (5037, [*SMALL, "hyper.image_size=15"], "image_size=15: too small for Conv8; the least is 16"),
    (5024, ["dataset.name=linear", "dataset.preprocessing=none"], "does not fit the data set linear; it takes images"),
    (5022, ["hyper.keep=0"], "hyper.keep=0: dnn.scale_init divides by the share")])
def test_what_cannot_be_built_says_so(experiment_id, settings, says):
    """`check_buildable` says so too, which scripts ask before they write anything."""
    with pytest.raises(UserError, match=says):
        check_buildable(override(REGISTRY[experiment_id], settings))
    with pytest.raises(UserError, match=says):
        build_model(override(REGISTRY[experiment_id], settings))
