"""From which experiment another one's net comes: the one that it decomposes, or the one that trains the same net without gates."""
import dataclasses

from tfprune.experiment import UserError
from tfprune.overrides import override

SHAPING = {"dnn": None, "dataset": None, "hyper": ("image_size", "crop_size")}  # groups, or fields, that a net shares with its base


def plain_experiment(experiment, registry):
    """(the experiment whose trained net another one decomposes, or that one itself where it decomposes none; assignments for it).

    It has the same seed, fidelity and data, and whatever else of the net was set.

    Raises:
      UserError: `training.start_from` is no experiment with a dense head.
    """
    number = experiment.training.start_from
    if number < 0 or experiment.training.pruning != "none":  # a net that was pruned at first is one of its own
        return experiment, []
    if not experiment.dnn.top:
        raise UserError(f"{experiment.flag}: dnn.top=0 (-k) leaves the head of {number} as it is; that net is --experiment_id={number}")
    return start_experiment(experiment, registry)


def start_experiment(experiment, registry):
    """(the experiment that `training.start_from` of another one names, assignments for it): with its seed, fidelity, data and net.

    Raises:
      UserError: that is no experiment with a dense head.
    """
    number = experiment.training.start_from
    if number not in registry or registry[number].dnn.top:
        use = "decomposed" if experiment.training.pruning == "none" else "pruned"
        raise UserError(f"--set training.start_from={number}: is no experiment with a dense head, whose net could be {use}")
    changes = _changes(experiment, registry)
    return override(registry[number], changes, experiment.seed, experiment.fidelity), changes


def train_command(experiment, changes):
    """The command that trains the net of an experiment, to which `changes` were assigned."""
    words = [experiment.flag, *(f"--set {change}" for change in changes)]
    words += [f"--seed={experiment.seed}"] if experiment.seed else []
    words += [f"--fidelity={experiment.fidelity}"] if experiment.fidelity != "corrected" else []
    return f"python train.py {' '.join(words)}"


def counterpart(experiment, registry):
    """The experiment that trains the net of one with class-specific gates without them, likewise; None where there is none."""
    if experiment.id not in registry:
        return None
    known = registry[experiment.id]
    alike = [known] if known.training.trainer != "csg" else [
        other for other in registry.values() if other.training.trainer == "default" and
        (other.study, other.family, other.dataset, other.dnn) == (known.study, known.family, known.dataset, known.dnn)]
    return override(alike[0], _changes(experiment, registry), experiment.seed, experiment.fidelity) if alike else None


def _changes(experiment, registry):
    """What of the data and the net is otherwise than registered, as assignments."""
    known = override(registry[experiment.id], (), experiment.seed, experiment.fidelity) if experiment.id in registry else experiment
    return [f"{group}.{name}={_text(value)}" for group, names in SHAPING.items()
            for name, value in dataclasses.asdict(getattr(experiment, group)).items()
            if name != "top" and (names is None or name in names) and value != getattr(getattr(known, group), name)]


def _text(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
