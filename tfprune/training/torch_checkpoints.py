"""Reads weights of a PyTorch net - allenai/hidden-networks', akamaster/pytorch_resnet_cifar10's, torchvision's - into one of our nets."""
import functools
import pathlib
import re

import numpy as np

from tfprune.experiment import UserError
from tfprune.files import sha256
from tfprune.masks.rules import RULES
from tfprune.models import torch_names
from tfprune.progress import say
from tfprune.training import torch_files

PREFIX = "module."  # torch.nn.DataParallel puts it before every key
STATES = ("state_dict", "model_state_dict")  # where a checkpoint has the state dict, unless it is one itself
GATES = torch_names.ATTRIBUTES[torch_names.GATES]
SHOWN = 4  # keys in a message


class TorchCheckpoint:
    """A file of weights.

    Args:
      path: of the file (`torch_files`): a dictionary with a state dict, or a state dict itself.
      flag: which asked for it, for messages.

    Attributes:
      path: of the file.

    Raises:
      UserError: there is no such file, or PyTorch is needed and not there.
    """

    def __init__(self, path, flag="--pretrained"):
        self.path, self._title = pathlib.Path(path), f"{flag}={path}"
        torch_files.check(self.path, self._title)

    @functools.cached_property
    def sha256(self):
        """SHA-256 (hex) of the file."""
        return sha256(self.path)

    @functools.cached_property
    def content(self):
        """The file's dictionary; UserError as of `torch_files.read`."""
        return torch_files.read(self.path, self._title)

    @functools.cached_property
    def tensors(self):
        """{key, without DataParallel's prefix: tensor}, in the order of the file; UserError where it is no checkpoint."""
        found = next((self.content[name] for name in STATES if name in self.content), self.content)
        if not isinstance(found, dict) or not found or not all(
                isinstance(key, str) and hasattr(value, "shape") for key, value in found.items()):
            raise UserError(f"{self._title}: has no state_dict of a net's tensors, so it is no checkpoint of one")
        prefix = PREFIX if all(key.startswith(PREFIX) for key in found) else ""
        return {key.removeprefix(prefix): value for key, value in found.items()}

    def load_into(self, model, experiment):
        """Gives the variables of the experiment's net their values from here; returns the model.

        All of them, but what the experiment says it starts otherwise: with `dnn.init=pretrained` only kernels are taken. Nothing is
        changed unless all fits.

        Raises:
          UserError: it cannot be read, lacks a tensor or has others besides, or one does not fit or is not finite.
        """
        entries = torch_names.entries(experiment.dnn.name, model)
        taken = [entry for entry in entries if self._is_taken(entry, experiment)]
        self._check_keys({entry.key for entry in taken}, _optional(entries, experiment), experiment)
        values = [self._array(entry, experiment) for entry in taken]
        if GATES in self.tensors and not any(entry.attribute == torch_names.GATES for entry in taken):
            say(f"{self._title}: its class-specific gates ({GATES}) are passed over; training.trainer=csg takes them")
        for entry, value in zip(taken, values, strict=True):
            entry.variable.assign(value)
            if entry.attribute == torch_names.SCORES and entry.layer.rule_name == "fixed":
                entry.layer.set_mask()  # by `keep`, as edge-popup would now
        return model

    def _is_taken(self, entry, experiment):
        dnn = experiment.dnn
        if dnn.init == "pretrained":
            return entry.attribute == torch_names.KERNEL
        return entry.attribute != torch_names.SCORES or dnn.mask == "fixed" or RULES[dnn.mask].trains_scores

    def _check_keys(self, needed, optional, experiment):
        """UserError where keys are missing, or there are others that are not `optional`."""
        there = {key for key in self.tensors if not key.endswith(torch_names.PASSED_OVER)}
        missing, extra = sorted(needed - there), sorted(there - needed - optional - {GATES})
        if missing or extra:
            parts = [f"{verb} {_listed(keys)}" for verb, keys in (("lacks", missing), ("has besides", extra)) if keys]
            raise UserError(f"{self._title}: does not fit the net {experiment.dnn.name} of {experiment.title}, so nothing was "
                            f"loaded: it {' and '.join(parts)}{_hint(missing, extra)}")

    def _array(self, entry, experiment):
        """The value of an entry's variable, float32."""
        tensor = self.tensors[entry.key]
        if not entry.fits(tuple(tensor.shape)):
            raise UserError(f"{self._title}: {entry.key} has the shape {tuple(tensor.shape)}, that of the net {experiment.dnn.name} of "
                            f"{experiment.title} is {entry.torch_shape}; a net of the same width, images and classes is needed")
        value = torch_files.as_array(tensor)
        if not np.isfinite(value).all():
            raise UserError(f"{self._title}: {entry.key} holds values that are no finite numbers")
        return entry.as_keras(value)


def _optional(entries, experiment):
    """Keys that may be there without being taken: where only kernels are, all that the same net with scores and normalisation has."""
    if experiment.dnn.init != "pretrained":
        return set()
    modules = {entry.key.rpartition(".")[0] for entry in entries}
    return {f"{module}.{word}" for module in modules for word in torch_names.ATTRIBUTES.values()}


def _listed(keys):
    return ", ".join(keys[:SHOWN]) + (f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else "")


def _hint(missing, extra):
    """What may be meant, where all that differs is of one kind."""
    def all_of(keys, pattern):
        return keys and all(re.search(pattern, key) for key in keys)

    normalisation = r"(^|\.)bn\d\.(weight|bias)$|(shortcut|downsample)\.1\.(weight|bias)$"
    if all_of(missing, r"\.scores$") and not extra:
        return "; a net without masks is taken with --set dnn.init=pretrained, which draws scores, or with --set dnn.mask=none"
    if all_of(extra, r"\.scores$") and not missing:
        return "; a masked net is taken with --set dnn.mask=edge_popup, or fixed"
    if all_of(extra, normalisation) and not missing:
        return "; its normalisation has scale and offset: --set dnn.normalisation=affine"
    if all_of(missing, normalisation) and not extra:
        return "; its normalisation has no scale and offset: --set dnn.normalisation=plain"
    if missing == [GATES]:
        return "; gates are in the checkpoints of a training with them; weights without are those of a plain net (training.trainer=default)"
    if "final_weights" in extra:
        return "; a head that is decomposed already does not say which filters it sees; the plain net's weights and -i INDICES do"
    return ""
