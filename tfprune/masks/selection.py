"""Which of many scores are the largest: exact, without sorting."""
import numpy as np

from tfprune.experiment import UserError
from tfprune.keras import tf


def kept_count(size, keep):
    """How many of `size` weights the share `keep` keeps: size - int((1 - keep) * size), in Python's float64 (allenai/hidden-networks).

    Raises:
      UserError: `keep` is not in [0, 1].
    """
    if not 0 <= keep <= 1:
        raise UserError(f"keep={keep}: the share of weights that are kept is a number from 0 to 1")
    return size - int((1 - keep) * size)


def select(scores, count):
    """The mask of the `count` largest scores (an int or an integer scalar tensor): 0/1, of the scores' shape and dtype."""
    flat = tf.reshape(scores, [-1])
    order = tf.argsort(flat, direction="DESCENDING", stable=True)
    ranks = tf.scatter_nd(order[:, None], tf.range(tf.size(flat)), tf.shape(flat))
    return tf.reshape(tf.cast(ranks < tf.cast(count, tf.int32), scores.dtype), tf.shape(scores))


def top_k_mask(scores, keep):
    """Exact 0/1 mask of the share `keep` of the largest scores, by value."""
    scores = tf.convert_to_tensor(scores)
    return select(scores, kept_count(int(np.prod(scores.shape)), keep))
