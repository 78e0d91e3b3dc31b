"""What the original studies call the variables of a net in their TensorFlow 1 checkpoints; a net is a line in NETS.

Each entry is a function from one of our models to pairs of a variable and its name there, in which `/` parts the scopes. A checkpoint
may put a scope of its own before all of them.
"""
import itertools
import re

AVERAGED = "/ExponentialMovingAverage"  # ends the name of a variable's average over training


def alexnet(model):
    """xboix/frivolous_dnns: a scope for each layer, called as ours."""
    for layer in model.layers:
        if layer.weights:
            yield layer.kernel, f"{layer.name}/weights"
            yield layer.bias, f"{layer.name}/biases"


def resnet(model):
    """TensorFlow's official ResNets: layers numbered as they are made, from the stem on, a projection before what it leads past."""
    in_blocks = [layer for layer in model.layers if re.fullmatch(r"stage\d_block\d_(shortcut|conv1|conv2)", layer.name)]
    for number, layer in enumerate([model.get_layer("stem_conv"), *sorted(in_blocks, key=_place)]):
        suffix = f"_{number}" if number else ""
        normalisation = f"{layer.name}_bn" if layer.name.endswith("shortcut") else layer.name.replace("_conv", "_bn")
        yield layer.kernel, f"conv2d{suffix}/kernel"
        for variable in ("gamma", "beta", "moving_mean", "moving_variance"):
            yield getattr(model.get_layer(normalisation), variable), f"batch_normalization{suffix}/{variable}"
    yield model.get_layer("logits").kernel, "dense/kernel"
    yield model.get_layer("logits").bias, "dense/bias"


def _place(layer):
    block, _, part = layer.name.rpartition("_")
    return block, ("shortcut", "conv1", "conv2").index(part)


def inception(model):
    """TensorFlow's first slim Inception-v3: a scope for each block and branch, in it convolutions numbered as they are made."""
    for layer in model.layers:
        if found := re.fullmatch(r"(conv\d)_conv|(mixed_\w+)_(branch\w+)_conv(\d)", layer.name):
            stem, block, branch, number = found.groups()
            scope = stem or f"{block}/{branch}/Conv" + (f"_{int(number) - 1}" if number != "1" else "")
            yield layer.kernel, f"{scope}/weights"
            for variable in ("beta", "moving_mean", "moving_variance"):
                yield getattr(model.get_layer(layer.name.replace("_conv", "_bn")), variable), f"{scope}/BatchNorm/{variable}"
    yield model.get_layer("logits").kernel, "logits/logits/weights"
    yield model.get_layer("logits").bias, "logits/logits/biases"


NETS = {"Alexnet": alexnet, "ResNet_cifar": resnet, "ResNet18": resnet, "Inception_v3": inception}


def variables(name, model, stored):
    """Pairs (variable, its name in a checkpoint) for all variables of a net.

    Args:
      name: of the net, a key of NETS.
      model: the net.
      stored: the names in the checkpoint. Where it has a variable's average over training, that is taken, as the original's evaluation
        does; where all names begin with the same scope, that is put before them.
    """
    pairs = list(NETS[name](model))
    scope = _scope(pairs[0][1], stored)
    for variable, ours in pairs:
        averaged = scope + ours + AVERAGED
        yield variable, averaged if averaged in stored else scope + ours


def _scope(first, stored):
    """What the checkpoint puts before the name of the first variable, the shortest if there are several such; '' if none."""
    endings = {first, first + AVERAGED}
    scopes = [found[:found.rindex(first)] for found, ending in itertools.product(stored, endings) if f"/{found}".endswith(f"/{ending}")]
    return min(scopes, key=lambda scope: (len(scope), scope), default="")
