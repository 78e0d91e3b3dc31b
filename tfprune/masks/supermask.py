"""A supermask net as a small file: one bit a weight, and for the weights themselves the seed that draws them again.

An .npz (`npz`): `header` (JSON), `bits` and `signs` (packed: which weights are kept, and which of these are turned round, by layer),
`others` (all variables but kernels and scores, as bytes). Kernels are regenerated on loading and compared by their SHA-256.
"""
import hashlib
import json

import numpy as np

from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.masks import npz
from tfprune.masks.initial import KernelInit
from tfprune.masks.layers import masked_layers
from tfprune.masks.packing import pack_masks, pack_values, unpack_masks, unpack_values
from tfprune.masks.selection import kept_count

FORMAT = "tfprune supermask 1"
SPARE = 2**28  # bytes that a file may unpack to beyond the model's own size: that of a larger net is still told what it is
# By name, as files name them: Keras' own way of reading an initialiser imports whatever module a file asks for.
INITIALISERS = {kind.__name__: kind for kind in (
    KernelInit, *(getattr(keras.initializers, name) for name in (
        "VarianceScaling", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "RandomNormal",
        "RandomUniform", "TruncatedNormal", "Orthogonal", "Constant", "Zeros", "Ones")))}


def save_supermask(model, path):
    """Writes the masks of a model, the seeds of its frozen weights and its other variables (normalisation, biases, plain layers).

    Args:
      model: a built model with masked layers whose kernels are as their initialisers drew them.
      path: of the file, .npz by custom.

    Raises:
      UserError: there is no masked layer; a kernel is not what its initialiser draws; masks are drawn anew in every evaluation.
    """
    layers = _masked(model)
    header = {"format": FORMAT, "model": _description(model), "layers": [_entry(path, layer) for layer in layers]}
    bits, signs = pack_masks([layer.mask().numpy() for layer in layers])
    npz.write(path, {"header": np.frombuffer(json.dumps(header).encode(), np.uint8), "bits": bits, "signs": signs,
                     "others": pack_values(_others(model))})


def load_supermask(model, path):
    """Puts what `save_supermask` wrote into a model of the same architecture, whatever its seeds; returns the model.

    In evaluation it then gives the same outputs (bit for bit on a CPU). The scores become the mask itself, so that a further training
    starts from other scores than those that were trained. Until everything has been checked, the model is left alone.

    Raises:
      UserError: the file is missing, damaged, no supermask, of another architecture, or draws other weights here than where it was written.
    """
    layers, others = _masked(model), _others(model)
    header, arrays = _read(path, SPARE + sum(variable.shape.num_elements() * variable.dtype.size for variable in model.variables))
    _check_architecture(path, header["model"], _description(model))
    masks = unpack_masks(path, arrays["bits"], arrays["signs"], [layer.scores.shape for layer in layers])
    values = unpack_values(path, arrays["others"], others)
    kernels = [_regenerated(path, layer, entry) for layer, entry in zip(layers, header["layers"], strict=True)]
    for layer, kernel, mask, entry in zip(layers, kernels, masks, header["layers"], strict=True):
        layer.kernel_variable().assign(kernel)
        layer.scores.assign(2 * mask - 1 if layer.rule_name == "sampled" else mask)  # whose mask is that of the scores above 0
        layer.keep = entry["keep"]
        layer.kept.assign(np.count_nonzero(mask))
    for variable, value in zip(others, values, strict=True):
        variable.assign(value)
    return model


def _masked(model):
    layers = masked_layers(model)
    if not layers:
        raise UserError(f"the model '{model.name}' has no masked layers; tfprune.masked_copy makes a model with them")
    if unbuilt := [layer.name for layer in layers if not layer.built]:
        raise UserError(f"the layer {unbuilt[0]} has no weights yet; call the model '{model.name}' on examples first")
    return layers


def _others(model):
    """All variables of a model but those of kernels under masks, in the order of its layers, each once."""
    masked = {id(v) for layer in masked_layers(model) for v in (layer.kernel_variable(), layer.scores, layer.kept)}
    owned = [v for layer in model._flatten_layers() for v in (*layer._trainable_weights, *layer._non_trainable_weights)]
    return [v for v in {id(v): v for v in owned}.values() if id(v) not in masked]


def _description(model):
    """What two models must share for the file of one to fit the other: JSON-ready."""
    masked = [[layer.scores.shape.as_list(), layer.rule_name] for layer in masked_layers(model)]
    return {"masked": masked, "others": [[v.shape.as_list(), v.dtype.name] for v in _others(model)]}


def _entry(path, layer):
    """How a layer's kernel is drawn: JSON-ready."""
    if layer.rule.drawn_in_use:
        raise UserError(f"{path}: {layer.name} draws another mask in every evaluation, so there is none to write; the rule sampled with "
                        "evaluation=threshold has one")
    initialiser, kernel = getattr(layer, layer.INITIALIZER), layer.kernel_variable()
    known = INITIALISERS.get(type(initialiser).__name__) is type(initialiser)
    if not known or not np.array_equal(_drawn(type(initialiser).__name__, initialiser.get_config(), kernel), kernel.numpy()):
        raise UserError(f"{path}: the kernel of {layer.name} is not what its initialiser draws (it was trained, drawn again or taken from "
                        "another net), so that no seed brings it back; export the dense net: to_dense, or export_subnet.py --format=dense")
    return {"name": layer.name, "keep": float(layer.keep), "sha256": hashlib.sha256(kernel.numpy().tobytes()).hexdigest(),
            "initialiser": type(initialiser).__name__, "config": initialiser.get_config()}


def _drawn(initialiser, config, kernel):
    """The weights that a file's initialiser gives for a kernel."""
    return INITIALISERS[initialiser](**config)(kernel.shape, kernel.dtype).numpy()


def _read(path, most):
    """(header, arrays) of a file that unpacks to `most` bytes at most."""
    arrays = npz.read(path, ("header", "bits", "signs", "others"), most)
    try:
        header = json.loads(arrays["header"].tobytes())
        if header["format"] != FORMAT or any(array.dtype != np.uint8 or array.ndim != 1 for array in arrays.values()):
            raise ValueError("format")
        for entry in header["layers"]:
            kept_count(1, entry["keep"])
        if len(header["layers"]) != len(header["model"]["masked"]):
            raise ValueError("layers")
    except npz.DAMAGED:
        raise UserError(f"{path}: damaged, or no file of save_supermask") from None
    return header, arrays


def _check_architecture(path, written, expected):
    for part, what in (("masked", "masked layers"), ("others", "other variables")):
        theirs, ours = written.get(part), expected[part]
        if not isinstance(theirs, list) or len(theirs) != len(ours):
            count = len(theirs) if isinstance(theirs, list) else "no list of"
            raise UserError(f"{path}: of another architecture: it has {count} {what}, the model has {len(ours)}")
        for place, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            if one != other:
                raise UserError(f"{path}: of another architecture: number {place} of its {what} is {one}, of the model's {other}")


def _regenerated(path, layer, entry):
    kernel = layer.kernel_variable()
    try:
        drawn = _drawn(entry["initialiser"], entry["config"], kernel)
        matches = hashlib.sha256(drawn.tobytes()).hexdigest() == entry["sha256"]
    except (*npz.DAMAGED, tf.errors.OpError):
        raise UserError(f"{path}: damaged: the initialiser of layer {layer.name} cannot be built") from None
    if not matches:
        raise UserError(f"{path}: the weights of {layer.name} come out otherwise than where the file was written (by another version of "
                        "TensorFlow, perhaps); load it there, and export the dense net")
    return drawn
