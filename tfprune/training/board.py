"""TensorBoard under the tags of allenai/hidden-networks, beside those of metrics.jsonl, for what is trained as there.

train/{Loss,Acc@1,Acc@5}_avg: averages over the epoch so far, about once a second, at the number of images seen. An epoch:
test/{Loss,Acc@1,Acc@5}_avg on the set that decides which is best; test/lr, the rate that the epoch had; diagnostics/*_val, its minutes;
of sampled masks pr/<layer> and pr/average, the expected share of weights left out.
"""
from tfprune.experiment import non_defaults
from tfprune.keras import tf

ALWAYS = ("batch_size", "learning_rate", "max_num_epochs")  # of `hyper`, also where they are the default
COMPARED = ("dataset", "dnn", "hyper", "training")  # groups of settings


def note_settings(writer, experiment):
    """Notes for TensorBoard's HParams what a run was trained with, so that runs can be compared: its ID, its seed, the rates and sizes,
    and every other setting of it that is not the default."""
    from tensorboard.plugins.hparams import api  # here, for importing it takes a while

    values = {"id": experiment.id, "seed": experiment.seed} | {f"hyper.{name}": getattr(experiment.hyper, name) for name in ALWAYS}
    for group in COMPARED:
        values |= {f"{group}.{name}": value for name, value in non_defaults(getattr(experiment, group)).items()}
    plain = {name: value if isinstance(value, (bool, int, float, str)) else str(value) for name, value in values.items()}
    with writer.as_default():
        api.hparams(plain, trial_id=experiment.name)
    writer.flush()


def board_of(experiment, log, trainer):
    """What notes a training's figures for TensorBoard under the original's tags, where it trains as that does, or notes nothing."""
    return Board(log.board, trainer) if experiment.like_hidden_networks else Silent()


class Silent:
    """Notes nothing."""

    def batches(self):
        """Between calls of the compiled loop."""

    def epoch(self, figures, training, validation):
        """After an evaluation: its line of metrics.jsonl, seconds of training and of evaluation."""


class Board(Silent):
    """Notes a training's figures with a `tf.summary` writer."""

    def __init__(self, writer, trainer):
        self.writer, self.trainer = writer, trainer

    def batches(self):
        trainer = self.trainer
        updates = int(trainer.epoch) * trainer.updates_per_epoch + int(trainer.step)
        figures = trainer.score.result()
        self._write(updates * trainer.experiment.hyper.batch_size, _averages("train", figures.get))

    def epoch(self, figures, training, validation):
        epoch = figures["epoch"]
        values = _averages("test", lambda name: figures.get(f"val_{name}"))
        if epoch:
            values |= {"test/lr": self.trainer.schedule.rate(epoch - 1), "diagnostics/train_time_val": training / 60}
        values |= {"diagnostics/validation_time_val": validation / 60, "diagnostics/epoch_time_val": (training + validation) / 60}
        if self.trainer.experiment.dnn.mask == "sampled":
            out = {f"pr/{layer.name}": float(tf.reduce_mean(tf.sigmoid(-layer.scores))) for layer in self.trainer.regime.masked}
            values |= out | {"pr/average": sum(out.values()) / len(out)}
        self._write(epoch, values)

    def _write(self, step, values):
        with self.writer.as_default(step=step):
            for tag, value in values.items():
                if value is not None:
                    tf.summary.scalar(tag, value)
        self.writer.flush()


def _averages(where, figure):
    """The original's three averages; accuracies in percent."""
    percent = {f"{where}/Acc@1_avg": figure("accuracy"), f"{where}/Acc@5_avg": figure("top_5")}
    return {f"{where}/Loss_avg": figure("loss")} | {tag: None if value is None else 100 * value for tag, value in percent.items()}
