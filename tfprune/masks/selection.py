"""Which of many scores are the largest, exactly so many: in one tensor, by the threshold rule, over several tensors at once."""
import math
import numbers

from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.masks.kth import keys_after, kth_largest, passes

BLOCK = 256  # entries that are counted together where ties are cut; half precision counts exactly up to 2,048


def kept_count(size, keep):
    """How many of `size` weights the share `keep` keeps: size - int((1 - keep) * size), in Python's float64 (allenai/hidden-networks).

    Raises:
      UserError: `keep` is no number in [0, 1].
    """
    if not _is_share(keep):
        raise UserError(f"keep={keep}: the share of weights that are kept is a number from 0 to 1")
    return size - int((1 - keep) * size)


def select(scores, count, order="value"):
    """The mask of the `count` largest scores: 0/1, of the scores' shape and type; all NaN where a score is no number.

    Among equal scores at the border those of lower index are kept, so that the count is exact: constant scores, or scores that were
    never trained, would otherwise all be kept or all be lost.

    Args:
      scores: floats of any shape; bfloat16 and float16 are compared as float32, float64 as they are.
      count: from 0 to the number of scores; an int or an integer scalar tensor.
      order: "value", or "magnitude" for the largest |scores|, which is faster than passing |scores|.
    """
    scores = _scores(scores)
    return tf.reshape(_mask(_flat(scores), tf.cast(count, tf.int32), order, _passes([scores], order)), tf.shape(scores))


def top_k_mask(scores, keep):
    """Exact 0/1 mask of the share `keep` of the largest scores, by value (edge-popup passes |scores|), of their shape and type.

    Raises:
      UserError: `keep` is not in [0, 1], there are no scores, or one is NaN (in a `tf.function` the mask is then NaN).
    """
    scores = _scores(scores)
    if tf.executing_eagerly():
        _refuse_nan(scores)
    return select(scores, kept_count(scores.shape.num_elements(), keep))


def threshold_mask(scores, sparsity):
    """Mask of the scores that are not below the k-th smallest, k = 1 + round(sparsity * (n - 1)): the "faster" rule of
    allenai/hidden-networks. Ties are all kept, and at least one score is. `sparsity` is the share removed, from 0 to 1.
    """
    scores = _scores(scores)
    size = scores.shape.num_elements()
    if not _is_share(sparsity):
        raise UserError(f"sparsity={sparsity}: the share of weights that are removed is a number from 0 to 1")
    if tf.executing_eagerly():
        _refuse_nan(scores)
    count = tf.constant(size - round(0.01 * (100 * sparsity) * (size - 1)), tf.int32)
    return tf.reshape(_reaching(_flat(scores), count, _passes([scores], "value")), scores.shape)


def global_masks(scores, keep):
    """Masks of a list of score tensors under one threshold: together they keep exactly the share `keep` of all scores, by value.

    Ties: the earlier tensor first, in it the lower index.
    """
    scores = [_scores(part) for part in scores]
    if tf.executing_eagerly():
        for part in scores:
            _refuse_nan(part)
    total = kept_count(sum(part.shape.num_elements() for part in scores), keep)
    return [select(part, count) for part, count in zip(scores, global_counts(scores, total), strict=True)]


def global_counts(scores, count, order="value"):
    """How many scores of each tensor of a list are among the `count` largest of all: int32 scalars."""
    scores = [_scores(part) for part in scores]
    return _global_counts([_flat(part) for part in scores], tf.cast(count, tf.int32), order, _passes(scores, order))


# Compiled also where they are part of a graph: traced once for all layers of a net, and each step's memory is given back.
@tf.function(reduce_retracing=True)
def _mask(scores, count, order, widths):
    """`select`, of flat scores."""
    wide = _wide(scores)
    border, needed, equal, lost = kth_largest([wide], count, order, widths)
    mask = keys_after(border, wide, order) >= border

    def of_ties():
        keys = keys_after(border, wide, order)
        return tf.cast((keys > border) | _first(tf.equal(keys, border), needed), scores.dtype)

    def exceptional():
        return tf.cond(lost, lambda: tf.fill(tf.shape(scores), tf.constant(math.nan, scores.dtype)), of_ties)

    return tf.cond((equal > needed) | lost, exceptional, lambda: tf.cast(mask, scores.dtype))


@tf.function(reduce_retracing=True)
def _reaching(scores, count, widths):
    """`threshold_mask`, of flat scores of which the `count`-th largest is the threshold."""
    wide = _wide(scores)
    border, _, _, lost = kth_largest([wide], count, "value", widths)
    mask = keys_after(border, wide, "value") >= border
    return tf.cond(lost, lambda: tf.fill(tf.shape(scores), tf.constant(math.nan, scores.dtype)), lambda: tf.cast(mask, scores.dtype))


@tf.function(reduce_retracing=True)
def _global_counts(scores, count, order, widths):
    """`global_counts`, of flat scores."""
    wide, counts = [_wide(part) for part in scores], []
    border, needed, _, _ = kth_largest(wide, count, order, widths)
    for part in wide:
        keys = keys_after(border, part, order)
        of_ties = tf.minimum(needed, tf.reduce_sum(tf.cast(tf.equal(keys, border), tf.int32)))
        counts.append(tf.reduce_sum(tf.cast(keys > border, tf.int32)) + of_ties)
        needed -= of_ties
    return counts


def _flat(scores):
    return tf.reshape(tf.stop_gradient(scores), [-1])


def _passes(scores, order):
    return passes(scores[0].dtype, sum(part.shape.num_elements() for part in scores), order)


def _wide(scores):
    return tf.cast(scores, tf.float32) if scores.dtype.size < 4 else scores


def _first(marked, needed):
    """The first `needed` marks of a flat bool tensor that has more: counted by blocks, since a running count would take four bytes each."""
    blocks = tf.reshape(tf.pad(marked, [[0, -tf.size(marked) % BLOCK]]), [-1, BLOCK])
    so_far = tf.cumsum(tf.cast(tf.reduce_sum(tf.cast(blocks, tf.float16), 1), tf.int32))
    full = tf.reduce_sum(tf.cast(so_far <= needed, tf.int32))  # blocks all of whose marks stay; the next one loses some
    inside = needed - tf.where(full > 0, so_far[tf.maximum(full - 1, 0)], 0)
    length = tf.reduce_sum(tf.cast(tf.cumsum(tf.cast(blocks[full], tf.int32)) <= inside, tf.int32))
    number = tf.range(tf.size(so_far))
    lengths = tf.where(number < full, BLOCK, tf.where(number == full, length, 0))
    return marked & tf.reshape(tf.sequence_mask(lengths, BLOCK), [-1])[:tf.size(marked)]


def _is_share(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 <= value <= 1


def _scores(scores):
    scores = tf.convert_to_tensor(scores)
    if not scores.dtype.is_floating or scores.shape.num_elements() == 0:
        raise UserError(f"scores of type {scores.dtype.name} and shape {tuple(scores.shape)}: a mask is made from floats, at least one")
    return scores


def _refuse_nan(scores):
    if lost := int(tf.math.count_nonzero(tf.math.is_nan(scores))):
        raise UserError(f"{lost} of {scores.shape.num_elements()} scores are NaN: a mask is made from numbers")
