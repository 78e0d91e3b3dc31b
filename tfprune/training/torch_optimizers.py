"""Where a training of allenai/hidden-networks stood: the epoch and the optimiser's state in its checkpoint, for ours to go on from."""
import numpy as np

from tfprune.experiment import UserError
from tfprune.models import torch_names
from tfprune.recipe_words import TORCH_ADAM
from tfprune.training.optimizers import create_slots
from tfprune.training.torch_files import as_array

# hyper.optimizer -> {what PyTorch keeps of a weight: what TensorFlow 1's optimiser calls it}; the others cannot be resumed.
SLOTS = {0: {"momentum_buffer": "momentum"}, TORCH_ADAM: {"exp_avg": "m", "exp_avg_sq": "v"}}


class Resumed:
    """The epoch of a checkpoint, and what its optimiser keeps of every weight that the experiment's net trains.

    The original numbers the weights that it trains, in the order of its modules: those with "bn" in their names, which form a group of
    their own with a decay of their own, first.

    Raises:
      UserError: it has no epoch or optimiser, or that is of other weights or of another kind than the experiment's.
    """

    def __init__(self, checkpoint, model, experiment):
        self.experiment, content = experiment, checkpoint.content
        self._title = f"--resume={checkpoint.path}"
        if experiment.hyper.optimizer not in SLOTS:
            raise UserError(f"{self._title}: {experiment.title} has hyper.optimizer={experiment.hyper.optimizer}; "
                            "the original's are 0 (SGD with momentum) and 7 (Adam)")
        self.epoch, state = content.get("epoch"), content.get("optimizer")
        if type(self.epoch) is not int or not 0 <= self.epoch < 2**31 or not isinstance(state, dict):
            raise UserError(f"{self._title}: has no epoch and optimizer to go on from; --pretrained starts from its weights")
        self.state = self._by_number(state, self._trained(checkpoint, model))

    def put_into(self, trainer):
        """Sets a trainer's epoch and its optimiser's slots; nothing of the best figure so far (see `torch_start`)."""
        trainer.epoch.assign(self.epoch)
        trainer.evaluated.assign(self.epoch)
        weights = {variable.ref(): variable for variable in trainer.model.trainable_weights}
        create_slots(trainer.optimizer, list(weights.values()))
        for entry, kept in self.state:
            for name, value in kept.items():
                trainer.optimizer.get_slot(entry.variable, name).assign(value)
        if self.experiment.hyper.optimizer == TORCH_ADAM and self.steps:
            for power in trainer.optimizer._get_beta_accumulators():
                power.assign(power ** (self.steps + 1))  # both start as their first powers

    def _trained(self, checkpoint, model):
        """The entries of what is trained, in PyTorch's order."""
        trained = {id(variable) for variable in model.trainable_weights}
        entries = {entry.key: entry for entry in torch_names.entries(self.experiment.dnn.name, model) if id(entry.variable) in trained}
        keys = [key for key in checkpoint.tensors if key in entries]
        return [entries[key] for key in sorted(keys, key=lambda key: "bn" not in key)]  # stable: in each group as in the file

    def _by_number(self, state, entries):
        """[(entry, {slot: array})] of the weights that have been updated."""
        words = SLOTS[self.experiment.hyper.optimizer]
        try:
            numbers = [number for group in state["param_groups"] for number in group["params"]]
            self.steps = max((int(kept.get("step", 0)) for kept in state["state"].values()), default=0)
            found = [(entry, {slot: _array(kept[word], entry) for word, slot in words.items() if kept[word] is not None})
                     for number, entry in zip(numbers, entries, strict=False) if (kept := state["state"].get(number))]
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError):
            raise UserError(f"{self._title}: its optimizer is not that of {self.experiment.title}, or is of other weights; "
                            "--pretrained starts from its weights alone") from None
        if len(numbers) != len(entries):
            raise UserError(f"{self._title}: its optimizer trains {len(numbers)} arrays, {self.experiment.title} {len(entries)}; "
                            "weights, scores and normalisation must be trained and frozen alike (dnn.freeze, dnn.normalisation)")
        return found


def _array(tensor, entry):
    value = as_array(tensor)
    if not entry.fits(value.shape) or not np.isfinite(value).all():
        raise ValueError(entry.key)
    return entry.as_keras(value)
