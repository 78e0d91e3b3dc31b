"""The loss that training minimises, and the figures by which a net is judged."""
from tfprune.keras import keras, tf


def build_loss(experiment, model):
    """A function (outputs, labels) -> scalar: cross-entropy or squared error, plus weight decay * sum of ||W||^2 / 2 over kernels."""
    hyper, training = experiment.hyper, experiment.training
    kernels = decayed_kernels(model, training.decayed_kernels) if hyper.weight_decay else []

    def data_loss(outputs, labels):
        if not hyper.mse:
            return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, outputs))
        if training.mse == "broadcast":  # the original subtracts (B,) from (B, 1): every label meets every output
            return tf.reduce_mean(tf.square(labels - outputs))
        return tf.reduce_mean(tf.square(labels - outputs[:, 0]))

    def loss(outputs, labels):
        penalty = tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels]) if kernels else 0.0
        return data_loss(outputs, labels) + hyper.weight_decay * penalty

    return loss


def decayed_kernels(model, which):
    """The kernels under weight decay: of all conv and dense layers, or (the original) of an Alexnet's two hidden dense layers."""
    layers = [layer for layer in model.layers if getattr(layer, "kernel", None) is not None]
    if which == "all":
        return [layer.kernel for layer in layers]
    convolutional = any(isinstance(layer, keras.layers.Conv2D) for layer in layers)
    hidden_dense = [layer for layer in layers[:-1] if isinstance(layer, keras.layers.Dense)]
    return [layer.kernel for layer in hidden_dense] if convolutional else []


class Score:
    """Running loss and accuracy over batches; the sums are variables, so that a checkpoint taken within an epoch keeps them.

    Accuracy is the share of right classes; of a regression, the share of the labels' variance that the outputs explain (>= 0).
    """

    def __init__(self, regression):
        self.regression = regression
        self.sums = tf.Variable(tf.zeros(6, tf.float64))  # examples, loss, hits, squared error, labels, squared labels

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
        self.sums.assign_add(tf.stack([count, tf.cast(loss, tf.float64) * count, hits, *moments]))

    def result(self):
        """{"loss": mean loss, "accuracy": in [0, 1]} of all batches so far."""
        examples, loss, hits, error, labels, squares = self.sums.numpy().tolist()
        if self.regression:
            variance = squares - labels**2 / max(examples, 1)
            return {"loss": loss / max(examples, 1), "accuracy": max(0.0, 1 - error / variance) if variance > 0 else 0.0}
        return {"loss": loss / max(examples, 1), "accuracy": hits / max(examples, 1)}
