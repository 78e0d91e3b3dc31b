"""Training: evaluate, train an epoch, keep the best; a killed run goes on from its last state to the same bits (on CPU).

An epoch's validation figures describe the weights after that many epochs of updates, epoch 0 being the untrained net, which is kept only
for want of another; its training figures are those of its own batches. Training stops after `training.patience` epochs without a better
figure: validation accuracy; with random labels, which do not generalise, training accuracy (and at once when that is 1); in a regression,
and with `training.best=loss`, the loss in place of accuracy, penalties included. Where there are no validation examples the training figure
decides. With `training.keep=last` nothing stops it before its schedule ends, and the weights after the last epoch are kept. A net that does
little but guess may be given up (`training.give_up_after`).
"""
import math
import sys
import time

from tfprune.input import plan, records
from tfprune.keras import keras
from tfprune.progress import say
from tfprune.training.board import board_of, note_settings
from tfprune.training.checkpoints import Keepers
from tfprune.training.evaluate import final_figures, in_words
from tfprune.training.metrics import MetricsLog, read
from tfprune.training.out_of_memory import until_it_fits
from tfprune.training.signals import Termination
from tfprune.training.stopping import LOST, first_sought, reason_to_stop
from tfprune.training.summaries import summary
from tfprune.training.trainer import Trainer


def train(run, folder, afresh=False, start=None, micro_batch=None):
    """Trains a run's net on the records in `folder`; returns (checkpoint files, result) for the run's done marker.

    Goes on from the run's last checkpoint, unless `afresh`: then checkpoints and figures of earlier training are removed. Where there is
    none, `start(trainer)`, if given, puts other weights in the place of those that the experiment starts from; `micro_batch` is the
    `Trainer`'s. The result holds the epoch whose weights were kept, `best_epoch`, why training stopped, `micro_batch`, and what
    `final_figures` says of these weights; and `summary`, where the study keeps a table of its trainings.
    """
    keras.backend.clear_session()  # names of variables, which checkpoints hold, must not depend on what this process did before
    splits = {name: records.load(folder, name) for name in ("train", "val", "test")}
    trainer = Trainer(run.experiment, splits["train"], micro_batch)
    keepers = Keepers(run, trainer)
    if afresh:
        remove_traces(run, *keepers.all)
    if keepers.last.restore() is None:
        if start is not None:
            start(trainer)
            trainer.regime.refresh()
        keepers.save_initial()
    elif micro_batch and micro_batch < int(trainer.micro_batch):
        trainer.split_finer(micro_batch)  # it goes on as it began, unless there is less memory now
    _say_micro_batch(trainer, micro_batch)
    with trainer.replicas.leading(run.experiment, folder.name, int(trainer.micro_batch)):
        stopped, figures = until_it_fits(trainer, keepers, lambda: _trained(run, trainer, splits, keepers))
    result = {"best_epoch": int(trainer.best_epoch), "stopped": stopped, "micro_batch": int(trainer.micro_batch), **trainer.regime.result(),
              **figures}
    if trainer.replicas.count > 1:
        result |= {"replicas": trainer.replicas.count, "global_batch": trainer.batch}
    result |= summary(run.experiment, read(run.path / "metrics.jsonl"), result)
    _say_result(run.experiment, trainer, result, splits)
    return keepers.tidied(), result


def remove_traces(run, *keepers):
    """Removes the checkpoints, figures and TensorBoard files of earlier training; the folders, which may be links, stay."""
    for keeper in keepers:
        keeper.remove_all_but(None)
    for path in [run.path / "metrics.jsonl", *(run.path / "tb").glob("events.out.*")]:
        path.unlink(missing_ok=True)


def _say_micro_batch(trainer, fitting):
    """How many examples are in the net at once, where these are less than a batch; what fits a budget was said when it was found."""
    if trainer.replicas.count > 1:
        say(f"{trainer.experiment.label} train: {trainer.replicas.count} processes share each batch of {trainer.batch}")
    if (most := int(trainer.micro_batch)) not in (trainer.batch, fitting):
        say(f"{trainer.experiment.label} train: {most} of a batch's {trainer.batch} examples are in the net at once, gradients are summed")


def _trained(run, trainer, splits, keepers):
    """(why training ended, `final_figures` of the kept weights); training goes on from wherever the trainer stands."""
    log = MetricsLog(run, int(trainer.evaluated))
    note_settings(log.board, run.experiment)
    with Termination(keepers.save_last) as termination:
        stopped = _train_to_the_end(trainer, splits, keepers, log, board_of(run.experiment, log, trainer), termination)
    keepers.best.restore([int(trainer.best_epoch)])
    return stopped, final_figures(run.experiment, trainer.evaluate, splits)


def _say_result(experiment, trainer, result, splits):
    word = "explained variance" if experiment.hyper.mse else "accuracy"
    which = f"{experiment.training.keep} epoch ({result['best_epoch']})"
    figures = {name: result[name] for name in splits if name in result}
    say(f"{experiment.label} train: {result['stopped']}; {word} of the {which}: {in_words(figures)}",
        sys.stderr if int(trainer.lost_at) >= 0 else None)


def _train_to_the_end(trainer, splits, keepers, log, board, termination):
    """Alternates evaluation and epochs of training; returns why it ended."""
    speed, started, trained = None, time.monotonic(), 0.0
    judge = trainer.experiment.training.validate_on
    judge = "val" if len(splits[judge]) and not trainer.experiment.dataset.random_labels else "train"
    while True:
        if int(trainer.evaluated) == int(trainer.epoch) and int(trainer.step) == 0:
            figures = _figures(trainer, splits)
            _note_best(trainer, figures, keepers.best, judge)
            keepers.save_epoch()
            trainer.evaluated.assign_add(1)
            seconds = time.monotonic() - started
            log.append(figures | {"images_per_second": speed, "seconds": seconds})
            board.epoch(figures, trained, seconds - trained)
            keepers.save_last()
        if reason := reason_to_stop(trainer):
            return reason
        termination.leave_if_asked()
        started = time.monotonic()
        speed = trainer.train_epoch(keepers.save_last, board.batches, termination.leave_if_asked)
        trained = time.monotonic() - started
        if speed is None:
            return f"{LOST} at step {int(trainer.lost_at)} of epoch {int(trainer.epoch) + 1}"


def _figures(trainer, splits):
    """One line of metrics.jsonl. The training figures are those of the epoch's own steps; the original evaluates afresh."""
    epoch, batch, judging = int(trainer.epoch), trainer.experiment.hyper.batch_size, trainer.experiment.training.validate_on
    if trainer.experiment.training.evaluate == "before":
        training, validation = (trainer.evaluate(splits[name], plan.steps_per_epoch(splits[name].epoch_size, batch))
                                for name in ("train", judging))
    else:
        training = trainer.score.result() if float(trainer.score.sums[0]) else {"loss": None, "accuracy": None}
        validation = trainer.evaluate(splits[judging])
    if not len(splits[judging]):
        validation = {"loss": None, "accuracy": None}
    line = {"epoch": epoch, "learning_rate": trainer.schedule.rate(epoch), "train_loss": training["loss"],
            "train_accuracy": training["accuracy"], "val_loss": validation["loss"], "val_accuracy": validation["accuracy"]}
    top_5 = {"train_top_5": training.get("top_5"), "val_top_5": validation.get("top_5")}
    penalty = {"penalty": validation["penalty"]} if "penalty" in validation else {}
    return line | (top_5 if trainer.score.top_5 else {}) | penalty | trainer.regime.figures()


def _note_best(trainer, figures, best, judge):
    """Keeps the weights where the figure that decides, of the set `judge`, is better than ever; with `training.keep=last` always.

    Never those whose loss is no number: accuracy says nothing of these. Nets whose masks are not yet those that are sought, or whose gates
    are not trained yet (`regimes`), and the untrained one, are only kept for want of others.
    """
    loss = figures[f"{judge}_loss"]
    lost = loss is not None and not math.isfinite(loss)
    if lost:
        figure = -math.inf
    elif trainer.experiment.hyper.mse or trainer.experiment.training.best == "loss":
        figure = -math.inf if loss is None else -loss
    else:
        figure = figures[f"{judge}_accuracy"] or 0.0
    epoch, keep_last = int(trainer.epoch), trainer.experiment.training.keep == "last"
    first = first_sought(trainer)
    standard = float(trainer.best) if int(trainer.best_epoch) >= first else -math.inf
    better = epoch >= first and figure > standard
    if better or epoch == 0 or (keep_last and not lost) or not best.numbers():
        trainer.best.assign(figure)
        trainer.best_epoch.assign(trainer.epoch)
        best.save(epoch)
