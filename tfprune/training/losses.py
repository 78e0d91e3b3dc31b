"""The loss that training minimises, and the figures by which a net is judged."""
from dataclasses import dataclass

from tfprune.keras import keras, tf
from tfprune.models.hidden_layers import hidden_layers
from tfprune.models.multiply_adds import kernels
from tfprune.settings import Hyper, Training

AUXILIARY_WEIGHT = 0.4  # of an auxiliary classifier's loss (Szegedy et al. 2015)


def build_loss(experiment, model):
    """The `Loss` of an experiment.

    Args:
      experiment: an `Experiment`.
      model: the net with all of its outputs; what is under weight decay or a penalty is taken from it (None where nothing is).
    """
    hyper, training = experiment.hyper, experiment.training
    in_loss = hyper.weight_decay and training.weight_decay_in == "loss"
    penalised = hidden_kernels(model) if hyper.l1_reg or hyper.l2_reg else []
    return Loss(hyper, training, decayed_weights(experiment, model) if in_loss else [], penalised)


@dataclass(frozen=True)
class Loss:
    """A function (outputs, labels) -> scalar: cross-entropy or squared error, plus weight decay * sum of ||W||^2 / 2.

    With `training.weight_decay_in=gradient` the loss is without weight decay. `hyper.l1_reg` * sum of |w| and `hyper.l2_reg` * sum of w^2,
    as Keras has them, are added over other weights than decay: the kernels of all layers but the last.

    `outputs` are the net's, or in training the list [logits, logits of auxiliary classifiers], whose losses are added at 0.4 each.
    """

    hyper: Hyper
    training: Training
    decayed: list  # the weights under weight decay
    penalised: list = ()  # those whose absolute values and squares are paid for

    def __call__(self, outputs, labels):
        return self.data(outputs, labels, self.penalty())

    def penalty(self):
        """The part of weight decay and of the penalties, which knows no examples."""
        total = self.hyper.weight_decay * tf.add_n([tf.nn.l2_loss(weight) for weight in self.decayed]) if self.decayed else 0.0
        if self.penalised and self.hyper.l1_reg:
            total += self.hyper.l1_reg * tf.add_n([tf.reduce_sum(tf.abs(weight)) for weight in self.penalised])
        if self.penalised and self.hyper.l2_reg:
            total += 2 * self.hyper.l2_reg * tf.add_n([tf.nn.l2_loss(weight) for weight in self.penalised])
        return total

    def data(self, outputs, labels, penalty=0.0):
        """The part of the examples, a mean over them; and `penalty`."""
        main, *auxiliary = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        total = self._mean(main, labels) + penalty
        for logits in auxiliary:
            total += AUXILIARY_WEIGHT * self._mean(logits, labels)
        return total

    def _mean(self, outputs, labels):
        if not self.hyper.mse:
            return tf.reduce_mean(cross_entropy(outputs, labels, self.training.label_smoothing))
        if self.training.mse == "broadcast":  # the original subtracts (B,) from (B, 1): every label meets every output
            return tf.reduce_mean(tf.square(labels - outputs))
        return tf.reduce_mean(tf.square(labels - outputs[:, 0]))


def cross_entropy(logits, labels, smoothing):
    """Cross-entropy (B,) of logits (B, classes); `smoothing` of each label's probability is spread evenly over all classes."""
    if not smoothing:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    classes = logits.shape[-1]
    wanted = tf.one_hot(labels, classes, on_value=1 - smoothing + smoothing / classes, off_value=smoothing / classes)
    return tf.nn.softmax_cross_entropy_with_logits(wanted, logits)


def decayed_weights(experiment, model, trained=None):
    """What of the weights `trained` (default: all that the model trains) is under weight decay.

    Everything (`training.weight_decay_on=trainables`), everything but batch normalisation (`without_norm`), or kernels. What is not
    trained does not decay.
    """
    trained = list(model.trainable_weights) if trained is None else list(trained)
    where = experiment.training.weight_decay_on
    if where == "trainables":
        return trained
    if where == "without_norm":
        layers = [layer for layer in model.submodules if isinstance(layer, keras.layers.BatchNormalization)]
        kept_out = {weight.ref() for layer in layers for weight in layer.weights}
        return [weight for weight in trained if weight.ref() not in kept_out]
    mine = {weight.ref() for weight in trained}
    return [kernel for kernel in decayed_kernels(model, experiment.training.decayed_kernels) if kernel.ref() in mine]


def decayed_kernels(model, which):
    """The kernels under weight decay: of all conv and dense layers, or (the original) of an Alexnet's two hidden dense layers."""
    layers = [layer for layer in model.layers if getattr(layer, "kernel", None) is not None]
    if which == "all":
        return [layer.kernel for layer in layers]
    convolutional = any(isinstance(layer, keras.layers.Conv2D) for layer in layers)
    hidden_dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense) and layer.name not in model.output_names]
    return [layer.kernel for layer in hidden_dense] if convolutional else []


def hidden_kernels(model):
    """The kernels of all layers but the last that a net trains; of masked layers what is under the mask, as with weight decay."""
    trained = {weight.ref() for weight in model.trainable_weights}
    owned = [getattr(owner, name) for owner, names in map(kernels, hidden_layers(model)) for name in names]
    return [kernel for kernel in owned if kernel.ref() in trained]


def _among_five(outputs, labels):
    """How many of the labels (B,) are among the five largest outputs (B, classes), float64. tf.math.in_top_k would count ties in."""
    found = tf.equal(tf.math.top_k(outputs, 5).indices, tf.cast(labels, tf.int32)[:, None])
    sound = tf.reduce_all(tf.math.is_finite(outputs), axis=1)
    return tf.reduce_sum(tf.cast(tf.reduce_any(found, axis=1) & sound, tf.float64))


class Score:
    """Running loss and accuracy over batches; the sums are variables, so that a checkpoint taken within an epoch keeps them.

    Accuracy is the share of right classes; of a regression, the share of the labels' variance that the outputs explain (>= 0). With
    `top_5` the share of examples whose class is among the five likeliest counts too; of equal outputs the first counts as likelier.
    """

    def __init__(self, regression, top_5=False):
        self.regression, self.top_5 = regression, top_5
        # examples, loss, hits, squared error, labels, squared labels[, hits among the five likeliest]
        self.sums = tf.Variable(tf.zeros(7 if top_5 else 6, tf.float64))

    def reset(self):
        """Forgets all batches."""
        self.sums.assign(tf.zeros_like(self.sums))

    def update(self, loss, outputs, labels):
        """Adds one batch: its mean loss (scalar), outputs (B, classes) and labels (B,)."""
        count = tf.cast(tf.shape(labels)[0], tf.float64)
        if self.regression:
            hits = tf.zeros([], tf.float64)
            target = tf.cast(labels, tf.float64)
            error = tf.reduce_sum(tf.square(target - tf.cast(outputs[:, 0], tf.float64)))
            moments = [error, tf.reduce_sum(target), tf.reduce_sum(tf.square(target))]
        else:
            right = tf.equal(tf.argmax(outputs, 1, output_type=labels.dtype), labels)
            hits, moments = tf.reduce_sum(tf.cast(right, tf.float64)), [tf.zeros([], tf.float64)] * 3
        among_five = [_among_five(outputs, labels)] if self.top_5 else []
        self.sums.assign_add(tf.stack([count, tf.cast(loss, tf.float64) * count, hits, *moments, *among_five]))

    def result(self):
        """{"loss": mean loss, "accuracy": in [0, 1]} of all batches so far, and "top_5" where that is asked for."""
        examples, loss, hits, error, labels, squares, *among_five = self.sums.numpy().tolist()
        loss, accuracy = loss / max(examples, 1), hits / max(examples, 1)
        if self.regression:
            variance = squares - labels**2 / max(examples, 1)
            accuracy = max(0.0, 1 - error / variance) if variance > 0 else 0.0
        figures = {"loss": loss, "accuracy": accuracy}
        return figures | {"top_5": among_five[0] / max(examples, 1)} if self.top_5 else figures
