"""When a training ends, and from which epoch on its nets count.

It follows from the state of training alone, so that a resumed run stops where it would have.
"""
from tfprune.datasets import classes

LOST = "the loss was no number"  # what the reason begins with where a training ended for that


def first_sought(trainer):
    """The first epoch whose net may be the best one. The original of `training.evaluate=before` counts the untrained net too."""
    return max(trainer.regime.settled(trainer.experiment), int(trainer.experiment.training.evaluate == "after"))


def epochs_seen(experiment, epochs):
    """After how many of a schedule's epochs the last net is seen.

    The original of `training.evaluate=before` never sees, and never keeps, the weights after the last epoch.
    """
    return epochs - int(experiment.training.evaluate == "before" and epochs > 0)


def reason_to_stop(trainer):
    """Why training is over, in words, or None."""
    experiment, epoch = trainer.experiment, int(trainer.epoch)
    if epoch >= epochs_seen(experiment, trainer.schedule.epochs):
        return trainer.schedule.reason
    # Within an epoch, where a killed training goes on, the sums are of a few of its batches.
    if epoch and epoch == experiment.training.give_up_after and int(trainer.step) == 0 and _guesses(trainer):
        return f"given up after {epoch} epochs: training accuracy {_accuracy(trainer):.4f}, below twice that of guessing"
    if experiment.training.keep == "last":
        return None
    if experiment.dataset.random_labels and experiment.training.best == "accuracy" and float(trainer.best) == 1.0:
        return "every training label is right"
    if epoch - max(int(trainer.best_epoch), trainer.regime.settled(experiment)) >= experiment.training.patience:
        return f"no better figure for {experiment.training.patience} epochs"
    return None


def _guesses(trainer):
    """Is the net right less than twice as often as one that guesses?"""
    return _accuracy(trainer) < 2 / classes(trainer.experiment.dataset)


def _accuracy(trainer):
    """In the updates of the last epoch, whose sums stay until the next one begins."""
    return trainer.score.result()["accuracy"]
