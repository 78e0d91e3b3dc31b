"""What PyTorch's nets call their modules, and how their arrays are turned; a net is a line in NETS.

Those of allenai/hidden-networks, akamaster/pytorch_resnet_cifar10 and torchvision.

Each entry is a function from the name of one of our layers to that of its module. In a state dict a module's tensors are
`<module>.weight`, `.scores`, `.bias`, `.running_mean` and `.running_var`.
"""
import re
from dataclasses import dataclass
from functools import partial

from tfprune.keras import keras, tf

# A layer's variables, and their names in a module.
KERNEL, SCORES, GATES = "kernel", "scores", "gates"
ATTRIBUTES = {KERNEL: "weight", SCORES: "scores", GATES: "csg", "bias": "bias", "gamma": "weight", "beta": "bias",
              "moving_mean": "running_mean", "moving_variance": "running_var"}
PASSED_OVER = "num_batches_tracked"  # ends the key of a count that only PyTorch's normalisation keeps
SEQUENCE = 5  # modules that a pair of convolutions takes in the original's sequence: each with a ReLU, and pooling


def small(layer):
    """FC and Conv2 to Conv8: two sequences of modules, in which the ReLUs and poolings are counted too."""
    if found := re.fullmatch(r"conv(\d)", layer):
        pair, second = divmod(int(found[1]) - 1, 2)
        return f"convs.{SEQUENCE * pair + 2 * second}"
    return {"fc1": "linear.0", "fc2": "linear.2", "logits": "linear.4"}[layer]


def residual(layer, shortcut="", head="fc"):
    """The ResNets; what a projecting `shortcut` and the class `head` are called differs."""
    if found := re.fullmatch(r"stage(\d)_block(\d+)_(\w+)", layer):
        stage, block, part = found.groups()
        part = {"shortcut": f"{shortcut}.0", "shortcut_bn": f"{shortcut}.1"}.get(part, part)
        return f"layer{stage}.{int(block) - 1}.{part}"
    return {"stem_conv": "conv1", "stem_bn": "bn1", "logits": head}[layer]


NETS = {
    **dict.fromkeys(("FC", "Conv2", "Conv4", "Conv6", "Conv8", "Conv4Wide", "Conv6Wide"), small),
    **dict.fromkeys(("cResNet18", "cResNet50", "cResNet101"), partial(residual, shortcut="shortcut")),
    **dict.fromkeys(("ResNet18_v15", "ResNet34_v15", "ResNet50_v15", "ResNet101_v15", "ResNet152_v15", "WideResNet50_2",
                     "WideResNet101_2", "ResNeXt50_32x4d", "ResNeXt101_32x8d"), partial(residual, shortcut="downsample")),
    **dict.fromkeys(("ResNet20", "ResNet32", "ResNet44", "ResNet56", "ResNet110"), partial(residual, head="linear")),
}


@dataclass(frozen=True, eq=False)
class Entry:
    """A variable of a net, and the tensor of a state dict that belongs in it."""

    layer: keras.layers.Layer
    attribute: str  # of the layer; a key of ATTRIBUTES
    key: str  # in the state dict

    @property
    def variable(self):
        """The `tf.Variable`."""
        return getattr(self.layer, self.attribute)

    @property
    def torch_shape(self):
        """The tensor's shape: kernels and scores are [out, in, height, width], a dense layer's [out, in]."""
        shape = tuple(self.variable.shape)
        if self.attribute not in (KERNEL, SCORES):
            return shape
        *window, inputs, outputs = shape
        return (outputs, inputs, *window)

    def fits(self, shape):
        """Whether a tensor of this shape belongs here: a dense layer may also be a 1x1 convolution."""
        return shape == self.torch_shape or (len(self.torch_shape) == 2 and shape == (*self.torch_shape, 1, 1))

    def as_keras(self, value):
        """The array in our order of axes. What PyTorch flattens has its channels before its positions, ours after them."""
        if self.attribute not in (KERNEL, SCORES):
            return value
        if isinstance(before := self.layer.inbound_nodes[0].inbound_layers, keras.layers.Flatten):
            height, width, channels = before.input_shape[1:]
            value = value.reshape(-1, channels, height, width)
        elif len(self.torch_shape) == 2:
            value = value.reshape(*self.torch_shape, 1, 1)
        return value.transpose(2, 3, 1, 0).reshape(self.variable.shape)


def entries(name, model):
    """An `Entry` for every variable that the original has too, in the order of the model's layers.

    Args:
      name: of the net, a key of NETS.
      model: the net, masked or not.
    """
    return [Entry(layer, attribute, word if attribute == GATES else f"{NETS[name](layer.name)}.{word}")  # gates are the whole net's
            for layer in model.layers if layer.weights for attribute, word in ATTRIBUTES.items()
            if isinstance(getattr(layer, attribute, None), tf.Variable)]
