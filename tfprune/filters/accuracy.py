"""Loss and accuracy of several nets on each class, in one pass over the images."""
import numpy as np

from tfprune.keras import tf
from tfprune.progress import track


def class_figures(outputs, batches, names, classes, total=None):
    """How many images of each class each net gets right.

    Args:
      outputs: function of a batch of images that gives the logits [batch, classes] of every net, in a list.
      batches: a `tf.data.Dataset` of (images, labels).
      names: of the nets.
      classes: how many.
      total: batches, for the progress bar.

    Returns:
      DataFrame with a row a net and class, and one with the class "all" for all images of a net: `net`, `class`, `examples`, `correct`,
      `accuracy` (0 to 1), `loss` (mean cross-entropy); NaN both where there are no examples.
    """
    sums = tf.Variable(tf.zeros([len(names), classes, 3], tf.float64))

    @tf.function(reduce_retracing=True)
    def add(images, labels):
        logits = tf.stack([tf.cast(own, tf.float32) for own in outputs(images)])
        right = tf.argmax(logits, -1, output_type=labels.dtype) == labels[None]
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.broadcast_to(labels, tf.shape(right)), logits)
        figures = tf.stack([tf.ones_like(losses), tf.cast(right, tf.float32), losses], -1)
        by_class = tf.math.unsorted_segment_sum(tf.cast(tf.transpose(figures, [1, 0, 2]), tf.float64), labels, classes)
        sums.assign_add(tf.transpose(by_class, [1, 0, 2]))

    for images, labels in track(batches, total, "accuracy"):
        add(images, labels)
    return _as_table(sums.numpy(), names)


def _as_table(sums, names):
    import pandas as pd

    rows = []
    for name, own in zip(names, sums, strict=True):
        for number, (examples, correct, loss) in [*enumerate(own), ("all", own.sum(0))]:
            rows.append({"net": name, "class": number, "examples": int(examples), "correct": int(correct),
                         "accuracy": correct / examples if examples else np.nan, "loss": loss / examples if examples else np.nan})
    return pd.DataFrame(rows)


def side_by_side(table, most=20):
    """The accuracies (%) of a table of `class_figures`, a column a net; of more than `most` classes only those of all together."""
    wide = 100 * table.pivot(index="class", columns="net", values="accuracy")[list(dict.fromkeys(table["net"]))]
    wide = wide.loc[list(dict.fromkeys(table["class"]))]
    return wide.rename_axis(columns=None) if len(wide) <= most + 1 else wide.loc[["all"]].rename_axis(columns=None)
