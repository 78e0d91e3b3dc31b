"""Settings of a training that do not go together: refused in one line, before anything is written."""
from tfprune.datasets import classes
from tfprune.experiment import UserError
from tfprune.masks.rules import RULES
from tfprune.models import costs
from tfprune.training.accumulation import check_pieces
from tfprune.training.pruning_checks import of_pruning
from tfprune.training.regimes import REGIMES, regime_of
from tfprune.training.schedules import WARMED_UP, Schedule


def check_trainable(experiment):
    """UserError where the settings of an experiment's training need what it does not have: masks, scores, epochs, classes."""
    Schedule(experiment)  # refuses a length that leaves nothing
    check_pieces(experiment, experiment.training.micro_batch or experiment.hyper.batch_size)
    for find in (of_pruning, _of_regime, _of_masks, _of_lengths, _of_recipe, _of_penalty):
        problem = find(experiment)
        if problem:
            raise UserError(f"{experiment.flag}: {problem}")
    if experiment.dnn.top or experiment.training.trainer in ("csg", "head"):
        costs(experiment)  # builds the net without its weights, and so finds out whether it has such a class head


def _of_regime(experiment):
    trainer = experiment.training.trainer
    problem = REGIMES[trainer].problem(experiment)
    return problem and f"training.trainer={trainer}: {problem}"


def _of_masks(experiment):
    dnn, training = experiment.dnn, experiment.training
    scored = [name for name, rule in RULES.items() if rule.trains_scores]
    if REGIMES[training.trainer].needs_scores and dnn.mask not in scored:
        needed = ", ".join(scored)
        return f"training.trainer={training.trainer} trains scores, of which dnn.mask={dnn.mask} has none; one of {needed} is needed"
    ordered = [name for name, rule in RULES.items() if rule.has_order]
    asked = {"dnn.keep_over=all": dnn.keep_over == "all", f"training.keep_epochs={training.keep_epochs}": training.keep_epochs > 0}
    if any(asked.values()) and dnn.mask not in ordered:
        setting = next(setting for setting in asked if asked[setting])
        return (f"{setting} is of masks that keep the largest of something, and dnn.mask={dnn.mask} does not; one of {', '.join(ordered)} "
                "is needed")
    return None


def _of_lengths(experiment):
    training, epochs = experiment.training, Schedule(experiment).epochs
    settled = regime_of(experiment).settled(experiment)
    if 0 < epochs < settled:
        reached = "the first gated one is" if training.trainer == "csg" else "hyper.keep is reached in"
        return (f"training ends after {epochs} epochs, and with training.trainer={training.trainer}, training.keep_epochs="
                f"{training.keep_epochs} {reached} epoch {settled}; as many are needed")
    return None


def _of_recipe(experiment):
    hyper, training, number = experiment.hyper, experiment.training, classes(experiment.dataset)
    if training.top_5 and (hyper.mse or number < 5):
        return f"training.top_5=true needs five classes or more; {experiment.dataset.name} has {'none' if hyper.mse else number}"
    if training.warm_up and training.schedule not in WARMED_UP:
        return f"training.warm_up={training.warm_up} is of training.schedule={' and '.join(WARMED_UP)}, not of {training.schedule}"
    if training.schedule == "warm_restarts" and hyper.least_rate >= hyper.learning_rate:
        return f"hyper.least_rate={hyper.least_rate:g} must be below hyper.learning_rate={hyper.learning_rate:g}, from which the rate falls"
    if training.last_batch != "drop" and not experiment.dataset.shuffle:
        return (f"training.last_batch={training.last_batch} needs dataset.shuffle=true: without it training runs through the examples over "
                "and over, and no batch is smaller")
    if training.give_up_after and hyper.mse:
        return f"training.give_up_after={training.give_up_after} needs classes, and a regression has none; only 0 is accepted"
    if hyper.nesterov and hyper.optimizer != 0:
        return f"hyper.nesterov=true is of hyper.optimizer=0 (momentum), not of {hyper.optimizer}"
    if training.start_from >= 0 and not experiment.dnn.top and training.pruning == "none":
        return (f"training.start_from={training.start_from} names the net whose class head is decomposed, or that is pruned; "
                "training.start_from=-1 is needed, or a dnn.top above 0, or training.pruning=unstructured")
    if training.trainer == "lottery" and hyper.weight_decay and training.weight_decay_in == "loss":
        return "training.trainer=lottery changes what is trained, and with it what decays: training.weight_decay_in=gradient is needed"
    return None


def _of_penalty(experiment):
    hyper, dnn, trainer = experiment.hyper, experiment.dnn, experiment.training.trainer
    name = next((name for name in ("l1_reg", "l2_reg") if getattr(hyper, name)), None)
    if name is None:
        return None
    asked = f"hyper.{name}={getattr(hyper, name):g} is paid for the trained kernels of all layers but the last"
    if trainer in ("lottery", "head"):
        instead = "scores too, in their turn" if trainer == "lottery" else "the last one alone"
        return f"{asked}, and training.trainer={trainer} trains {instead}; 0 is needed"
    if dnn.mask != "none" and dnn.freeze and not RULES[dnn.mask].trains_kernel:
        return f"{asked}, and under dnn.mask={dnn.mask} they stay as they were drawn; 0 is needed, or dnn.freeze=false"
    return None
