"""One net in training: its compiled update step, and all the state that a checkpoint must hold to go on to the same bits."""
import math
import time

from tfprune.experiment import UserError
from tfprune.input import pipeline, plan
from tfprune.keras import tf
from tfprune.models import build_training_model, without_auxiliary
from tfprune.progress import track
from tfprune.training.accumulation import Gradients, check_pieces
from tfprune.training.evaluate import Evaluator, build_score
from tfprune.training.losses import build_loss, decayed_weights
from tfprune.training.optimizers import build_optimizer, create_slots, decayed_gradients, restart
from tfprune.training.regimes import regime_of
from tfprune.training.replicas import EPOCH, UPDATES, here
from tfprune.training.schedules import Schedule

SAVE_SECONDS = 300  # between saves within an epoch


class Trainer:
    """The net of an experiment, its optimiser, and where training stands.

    `training_model` has all of the net's outputs, those of auxiliary classifiers too; `model` is the part that ends in the logits;
    `regime` says what is trained in which epoch; `replicas` are the processes that train it together.

    Attributes (variables): `epoch` epochs of updates done; `step` updates done in the epoch at hand; `evaluated` evaluations done;
    `best`, `best_epoch` the best figure so far and after how many epochs; `lost_at` the first step whose loss was no number, or -1;
    `micro_batch` how many of a batch's examples go through the net at once (default: training.micro_batch, or all).
    """

    def __init__(self, experiment, training_split, micro_batch=None):
        self.experiment, self.split, self.replicas = experiment, training_split, here()
        self.training_model = build_training_model(experiment)
        self.model = without_auxiliary(self.training_model)
        self.regime = regime_of(experiment)(experiment, self.training_model)  # may take layers from training
        self.loss = build_loss(experiment, self.training_model)
        self.rate = tf.Variable(0.0, trainable=False)
        self.optimizer = build_optimizer(experiment, self.rate)
        self.score = build_score(experiment, self.model)
        self.batch = min(experiment.hyper.batch_size, len(training_split))
        self.micro_batch = tf.Variable(self.batch, dtype=tf.int64)
        self._split(micro_batch or experiment.training.micro_batch or self.batch)
        self.evaluate = Evaluator(experiment, self.model, self.loss, self.micro_batch)
        self.epoch, self.step, self.evaluated = (tf.Variable(0, dtype=tf.int64) for _ in range(3))
        self.best, self.best_epoch = tf.Variable(-math.inf, dtype=tf.float64), tf.Variable(0, dtype=tf.int64)
        self.lost_at = tf.Variable(-1, dtype=tf.int64)
        self.ragged = experiment.training.last_batch != "drop"  # the last batch of an epoch may be smaller
        self._check_parts(training_split.epoch_size % self.batch if self.ragged else 0)
        self.updates_per_epoch = plan.updates_per_epoch(training_split, experiment.dataset, experiment.hyper, self.ragged)
        full = plan.steps_per_epoch(training_split.epoch_size, experiment.hyper.batch_size)
        self.schedule = Schedule(experiment, self.updates_per_epoch, len(training_split) / training_split.epoch_size, self.batch, full)
        self._count = 1  # updates in the next call of the compiled loop
        self._batches = None  # one stream for all epochs, from wherever a checkpoint puts us
        self._updates = {}  # phase of the regime -> its compiled loop
        self.regime.plan(self.updates_per_epoch)
        self.regime.refresh()
        # Now, for what a checkpoint holds must not depend on how far training has got; and an update need not be traced twice for them.
        weights = {weight.ref(): weight for phase in (0, 1) for weight in self.regime.trained(phase)}
        create_slots(self.optimizer, list(weights.values()))

    def tracked(self):
        """The state of training by name, for a checkpoint."""
        return {"model": self.training_model, "optimizer": self.optimizer, "score": self.score.sums, "epoch": self.epoch, "step": self.step,
                "evaluated": self.evaluated, "best": self.best, "best_epoch": self.best_epoch, "micro_batch": self.micro_batch,
                **self.regime.tracked()}

    def state(self):
        """All variables that decide how training goes on, in an order that is the same in every process."""
        root = tf.train.Checkpoint(**self.tracked())
        found = [part for part in tf.train.TrackableView(root).descendants() if isinstance(part, tf.Variable)] + self.optimizer.variables()
        return list({variable.ref(): variable for variable in found}.values())

    def split_finer(self, most):
        """Lets at most so many examples through the net at once; what ran out of memory with more of them is made anew."""
        self._split(most)
        self.lost_at.assign(-1)
        self._count, self._batches, self._updates = 1, None, {}

    def _check_parts(self, left_over):
        """UserError where a batch, or an epoch's last one of `left_over` examples, has not one for each process, or must stay whole."""
        if self.replicas.count > 1 and self.experiment.hyper.mse and self.experiment.training.mse == "broadcast":
            raise UserError("--strategy: training.mse=broadcast compares every label with every output, and a process has but a part of "
                            "them; mse=per_example is accepted")
        least = min(self.batch, left_over or self.batch)
        if least < self.replicas.count:
            raise UserError(f"--strategy: {self.replicas.count} processes cannot share a batch of {least}; fewer processes, or another "
                            "hyper.batch_size, or dataset.limit, are needed")

    def _split(self, most):
        check_pieces(self.experiment, most)
        self.micro_batch.assign(min(most, self.batch))

    def update(self, batches, rates):
        """Updates of the epoch at hand at these rates (tensor [updates]), batches from an iterator, without returning to Python between."""
        phase = self.regime.phase(int(self.epoch))
        if phase not in self._updates:
            self._updates[phase] = self._compiled(phase, tf.type_spec_from_value(batches))
        self._updates[phase](batches, rates)

    def _compiled(self, phase, iterator):
        """The compiled loop of a phase's updates, on batches of an iterator of this type."""
        hyper, training = self.experiment.hyper, self.experiment.training
        in_gradient = hyper.weight_decay and training.weight_decay_in == "gradient"
        weights = self.regime.trained(phase)
        decayed = decayed_weights(self.experiment, self.training_model, self.regime.decaying(phase)) if in_gradient else []
        gradients_of = Gradients(self, weights, phase)

        @tf.function(input_signature=[iterator, tf.TensorSpec([None], tf.float32)])
        def update(batches, rates):
            for rate in rates:
                self.rate.assign(rate)
                loss, gradients = gradients_of(*next(batches))
                gradients = decayed_gradients(gradients, weights, decayed, hyper.weight_decay)
                # All at once: updates in the midst of the backward pass, of weights that it still reads, would copy these.
                with tf.control_dependencies([gradient for gradient in gradients if gradient is not None]):
                    self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
                if not tf.math.is_finite(loss) and self.lost_at < 0:
                    self.lost_at.assign(self.step)
                self.step.assign_add(1)
                self.regime.refresh(phase, self.epoch * self.updates_per_epoch + self.step)

        return update

    def train_epoch(self, save, note=lambda: None, leave_if_asked=lambda: None):
        """Finishes the epoch at hand from wherever it stands; returns the images a second, or None where the loss was lost.

        Between calls of the compiled loop (a second or so) `note()` and `leave_if_asked()` are called, and `save()` now and then.
        """
        first = done = int(self.step)
        self.regime.begin(int(self.epoch))
        if done == 0:
            self.score.reset()
            if int(self.epoch) == self.regime.masks_from > 0:
                restart(self.optimizer)
        self.replicas.tell(EPOCH, int(self.epoch))
        self.replicas.share(self)
        started = saved = time.monotonic()
        with track(None, total=self.updates_per_epoch, label=f"epoch {int(self.epoch) + 1}") as bar:
            bar.update(done)
            while done < self.updates_per_epoch:
                count = self._update_for_a_second(self.updates_per_epoch - done)
                if int(self.lost_at) >= 0:
                    return None
                done += count
                bar.update(count)
                note()
                leave_if_asked()
                if time.monotonic() - saved > SAVE_SECONDS:
                    save()
                    saved = time.monotonic()
        self.step.assign(0)
        self.epoch.assign_add(1)
        return (done - first) * self.batch / (time.monotonic() - started)

    def follow(self, epoch):
        """Takes the chief's state at the beginning of an epoch, or wherever in it a training goes on."""
        self.regime.begin(epoch)
        self.replicas.share(self)

    def advance(self, count):
        """So many updates of the epoch at hand, from wherever it stands."""
        if self._batches is None:
            settings = (self.experiment.dataset, self.experiment.hyper, self.experiment.seed)
            self._batches = iter(pipeline.training_stream(self.split, *settings, int(self.epoch), int(self.step), self.ragged))
        rates = self.schedule.rates(int(self.epoch), int(self.step), count)
        self.update(self._batches, tf.constant(rates, tf.float32))

    def _update_for_a_second(self, most):
        """As many updates, up to `most`, as the last ones let expect to take a second; returns how many."""
        count, started = min(self._count, most), time.monotonic()
        self.replicas.tell(UPDATES, count)
        self.advance(count)
        self._count = max(1, min(2 * self._count, int(count / (time.monotonic() - started + 1e-9))))
        return count
