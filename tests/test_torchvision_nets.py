"""torchvision's nine residual nets: their sizes, grouped convolutions, and the logits of twins in PyTorch whose state dicts are read."""
import numpy as np
import pytest

from experiments import REGISTRY
from tfprune.keras import keras, tf
from tfprune.layers import grouped
from tfprune.masks.convert import masked_copy
from tfprune.models import build_model, costs, parameter_count
from tfprune.models.multiply_adds import multiply_adds
from tfprune.overrides import override
from tfprune.training.torch_checkpoints import TorchCheckpoint

SIZES = {"ResNet18_v15": 11_689_512, "ResNet34_v15": 21_797_672, "ResNet50_v15": 25_557_032, "ResNet101_v15": 44_549_160,
         "ResNet152_v15": 60_192_808, "ResNeXt50_32x4d": 25_028_904, "ResNeXt101_32x8d": 88_791_336, "WideResNet50_2": 68_883_240,
         "WideResNet101_2": 126_886_696}


def net(name, *settings):
    return override(REGISTRY[7010], [f"dnn.name={name}", *settings])


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name):
    assert parameter_count(net(name)) == SIZES[name]


def test_multiply_adds():  # torchvision's documentation: 4.09 and 4.23 G
    assert costs(net("ResNet50_v15")).multiply_adds == 4_089_184_256
    assert costs(net("ResNeXt50_32x4d")).multiply_adds == 4_230_479_872


@pytest.mark.parametrize("native", [True, False])
def test_groups_are_convolutions_of_their_own(monkeypatch, native):
    """Both ways to convolve, with gradients; masked too."""
    if native and not grouped.has_gradients():
        pytest.skip("TensorFlow's grouped convolution has no gradients on this machine")
    monkeypatch.setattr(grouped, "has_gradients", lambda: native)
    images = tf.constant(np.random.default_rng(0).normal(size=(2, 7, 7, 12)).astype("float32"))
    model = keras.Sequential([keras.Input((7, 7, 12)), grouped.GroupedConv2D(8, 3, 2, groups=4, use_bias=False, name="conv")])
    kernel = model.get_layer("conv").kernel
    assert kernel.shape == (3, 3, 3, 8) and multiply_adds(model) == 9 * 9 * 3 * 8

    def expected():
        return tf.concat([tf.nn.conv2d(images[..., 3 * g:3 * g + 3], kernel[..., 2 * g:2 * g + 2], 2, "VALID") for g in range(4)], -1)

    with tf.GradientTape(persistent=True) as tape:
        theirs, ours = tf.reduce_sum(expected()**2), tf.reduce_sum(tf.function(model)(images)**2)
    np.testing.assert_allclose(model(images), expected(), atol=1e-5)
    np.testing.assert_allclose(tape.gradient(ours, kernel), tape.gradient(theirs, kernel), rtol=1e-4, atol=1e-4)
    masked = masked_copy(model, keep=1.0)
    np.testing.assert_allclose(masked(images), expected(), atol=1e-5)
    assert type(masked.get_layer("conv")).__name__ == "SubnetGroupedConv2D"


# --- against PyTorch ------------------------------------------------------------------------------------------------------------------


def twin(torch, blocks, units, groups=1, group_width=None, outputs=1000):
    """A net of torchvision's modules; bottlenecks where `group_width` (of stage 1) is given."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inputs, planes, stride):
            super().__init__()
            inner = planes * (group_width or 0) // units * groups
            shapes = [(planes, 3, stride, 1), (planes, 3, 1, 1)] if group_width is None else [
                (inner, 1, 1, 1), (inner, 3, stride, groups), (4 * planes, 1, 1, 1)]
            x = inputs
            for number, (width, size, step, parts) in enumerate(shapes, 1):
                setattr(self, f"conv{number}", nn.Conv2d(x, width, size, step, size // 2, groups=parts, bias=False))
                setattr(self, f"bn{number}", nn.BatchNorm2d(width))
                x = width
            self.depth, self.downsample = len(shapes), None
            if stride != 1 or inputs != x:
                self.downsample = nn.Sequential(nn.Conv2d(inputs, x, 1, stride, bias=False), nn.BatchNorm2d(x))

        def forward(self, x):
            y = x
            for number in range(1, self.depth + 1):
                y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
                y = y.relu() if number < self.depth else y
            return (y + (x if self.downsample is None else self.downsample(x))).relu()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1, x = nn.Conv2d(3, units, 7, 2, 3, bias=False), nn.BatchNorm2d(units), units
            for stage, count in enumerate(blocks):
                layer, planes = [], units << stage
                for number in range(count):
                    layer.append(Block(x, planes, 2 if stage and not number else 1))
                    x = planes * (1 if group_width is None else 4)
                setattr(self, f"layer{stage + 1}", nn.Sequential(*layer))
            self.fc = nn.Linear(x, outputs)

        def forward(self, x):
            x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
            for stage in range(1, 5):
                x = getattr(self, f"layer{stage}")(x)
            return self.fc(x.mean((2, 3)))

    torch.manual_seed(0)
    made = Net().eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=.2)
            for tensor in (module.running_var, module.weight, module.bias):
                nn.init.uniform_(tensor, .5, 1.5)
    made.fc.weight.data *= .01  # sums of many blocks are large
    return made


@pytest.mark.parametrize(("name", "factor", "side", "shape"), [
    ("ResNet34_v15", .1, 35, ((3, 4, 6, 3), 6)), ("ResNet50_v15", .1, 32, ((3, 4, 6, 3), 6, 1, 6)),
    ("WideResNet50_2", .1, 33, ((3, 4, 6, 3), 6, 1, 12)), ("ResNeXt50_32x4d", .25, 41, ((3, 4, 6, 3), 16, 32, 1)),
    ("ResNeXt50_32x4d", .5, 32, ((3, 4, 6, 3), 32, 32, 2))])
def test_gives_the_logits_of_pytorch(tmp_path, name, factor, side, shape):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'tfprune[torch]'")
    theirs, experiment = twin(torch, *shape), net(name, f"dnn.neuron_multiplier={factor}", f"hyper.image_size={side}")
    torch.save(theirs.state_dict(), tmp_path / "a.pth")
    model = TorchCheckpoint(tmp_path / "a.pth", "-w").load_into(build_model(experiment), experiment)
    images = np.random.default_rng(0).normal(size=(3, side, side, 3)).astype("float32")
    with torch.no_grad():
        expected = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    assert expected.std() > 1e-3 and np.ptp(expected, axis=0).max() > 1e-4
    np.testing.assert_allclose(model(images), expected, rtol=1e-4, atol=1e-4)
