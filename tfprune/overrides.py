"""The variant of an experiment that a command line asks for: typed assignments to its settings, and the originals' quirks together."""
import dataclasses
import math
import re

from tfprune.experiment import UserError
from tfprune.settings import GROUPS

LARGEST = {int: 2**31, float: math.inf}  # settings stay below; TensorFlow counts in 32 bits in places

# `--fidelity=original` switches all of a study's quirks together; docs/fidelity.md says what each of them did.
QUIRKS = {
    "frivolous_units": {
        "dataset.split": "accumulated", "dataset.shuffle": "false", "dataset.resize": "tf1", "training.evaluate": "before",
        "training.learning_rates": "original", "training.decayed_kernels": "hidden_dense", "training.mse": "broadcast",
        "measure.fidelity": "original"},
    "hidden_networks": {
        "dataset.proportion_training_set": "1", "training.validate_on": "test", "training.lottery_start": "empty",
        "dnn.scale_by": "removed", "dnn.sampled_evaluation": "sample"},
    "feature_amounts": {
        "dataset.proportion_training_set": "1", "training.validate_on": "test", "training.restarts": "late", "training.last_batch": "scale",
        "dataset.resize": "pil", "dataset.statistics": "feature_amounts", "dataset.three_channels": "true"},
    "decomposing": {
        "dataset.proportion_training_set": "1", "training.validate_on": "test", "dataset.statistics": "decomposing",
        "measure.augmented": "true", "measure.gates": "smallest"},
    "network_pruning": {"measure.fidelity": "original"},
}
# Of the width study's train.py alone: nets with a schedule of their own were trained by other scripts.
QUIRKS_OF_DECAY = ("dataset.shuffle", "training.evaluate", "training.decayed_kernels")


def override(experiment, assignments=(), seed=None, fidelity="corrected"):
    """The variant of an experiment that a command line asks for.

    Args:
      experiment: a registered `Experiment`.
      assignments: strings `group.field=value`, as `--set` takes them; the last one of a field wins.
      seed: another seed; it replaces `seed=...` in the name.
      fidelity: "corrected", or "original" to switch on every quirk of the original (explicit assignments still win).

    Raises:
      UserError: the field does not exist or the value is not one it accepts.
    """
    quirks = _quirks(experiment) if fidelity == "original" else []
    changed = assign(dataclasses.replace(experiment, fidelity=fidelity), quirks)
    registered_measure = changed.measure
    changed = assign(changed, assignments)
    if changed == experiment and seed in (None, experiment.seed):  # as with most: sweeps ask for thousands
        return dataclasses.replace(experiment, registered_measure=registered_measure)
    name = experiment.name
    if changed.hyper.keep != experiment.hyper.keep:
        name = re.sub(r"_keep=[\d.e-]+", f"_keep={changed.hyper.keep:g}", name)
    for penalty in ("l1", "l2"):
        name = re.sub(rf"_{penalty}=[\d.e-]+", f"_{penalty}={getattr(changed.hyper, penalty + '_reg')}", name)
    if changed.dnn.top != experiment.dnn.top:
        name = re.sub(r"_k=(all|[\d.e-]+)", f"_k={changed.dnn.top or 'all'}".removesuffix(".0"), name)
    if changed.trained_hash() != experiment.trained_hash():
        name += "+" + changed.trained_hash()[:8]
    if seed is not None and seed != experiment.seed:
        name = re.sub(r"_seed=\d+", f"_seed={seed}", name) if "_seed=" in name else f"{name}_seed={seed}"
        changed = dataclasses.replace(changed, seed=seed)
    return dataclasses.replace(changed, name=name, registered_measure=registered_measure)


def _quirks(experiment):
    quirks = QUIRKS.get(experiment.study, {})
    excepted = () if experiment.training.schedule == "decay" else QUIRKS_OF_DECAY
    return [f"{key}={value}" for key, value in quirks.items() if key not in excepted]


def assign(experiment, assignments):
    """The experiment with the fields of assignments `group.field=value` set, in order; its name stays. UserError as `override`."""
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        group, _, name = key.strip().partition(".")
        if not equals or group not in GROUPS:
            raise UserError(f"--set {assignment}: expected GROUP.FIELD=VALUE with GROUP one of {', '.join(GROUPS)}")
        settings = getattr(experiment, group)
        fields = {f.name: f for f in dataclasses.fields(settings)}
        if name not in fields:
            raise UserError(f"--set {assignment}: {group} has no field '{name}'; it has {', '.join(fields)}")
        try:
            value = _parse(text.strip(), fields[name])
        except ValueError:
            raise UserError(f"--set {assignment}: {group}.{name} takes {_accepted(fields[name])}") from None
        experiment = dataclasses.replace(experiment, **{group: dataclasses.replace(settings, **{name: value})})
    return experiment


def _parse(text, spec):
    """The value that `text` means for a field; ValueError where the field does not accept it."""
    limits = spec.metadata
    if spec.type is bool:
        value = {"true": True, "1": True, "false": False, "0": False}.get(text.lower())
        accepted = value is not None
    elif spec.type is tuple:
        words = limits["each"] is str
        none = words and limits["choices"] is None and not text  # names of what there may be none of
        value = () if none else tuple(limits["each"](part.strip()) for part in text.split(","))
        accepted = len(set(value)) == len(value) if words else all(part < LARGEST[limits["each"]] for part in value)
        accepted = accepted and all(_within(part, **limits) for part in value)
    else:
        value = spec.type(text)
        accepted = (spec.type is str or abs(value) < LARGEST[spec.type]) and _within(value, **limits)
    if not accepted:
        raise ValueError(text)
    return value


def _within(value, choices, low, high, above, each):
    return ((choices is None or value in choices) and (low is None or value >= low)
            and (high is None or value <= high) and (above is None or value > above))


def _accepted(spec):
    """In words: the values that a field accepts."""
    limits = spec.metadata
    if spec.type is bool:
        return "true or false"
    many = spec.type is tuple
    if limits["choices"] is not None:
        one_of = "one or more, comma-separated, of" if many else "one of"
        return f"{one_of} {', '.join(map(str, limits['choices']))}"
    bounds = [f"{sign} {limits[key]}" for key, sign in (("low", ">="), ("above", ">"), ("high", "<=")) if limits[key] is not None]
    one, several = {int: "a whole number", float: "a number", str: "a word"}, {int: "whole numbers", float: "numbers", str: "words"}
    kinds = {kind: f"{word}, comma-separated," for kind, word in several.items()} if many else one
    return " ".join([kinds[limits["each"] if many else spec.type], " and ".join(bounds)]).strip(" ,")
