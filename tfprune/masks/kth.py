"""The k-th largest of many numbers without sorting them: histograms of their bits, from the highest bits down."""
from tfprune.keras import compiled_by_xla, tf

UNSIGNED = {tf.float32: tf.uint32, tf.float64: tf.uint64}
SIGNED = {tf.float32: tf.int32, tf.float64: tf.int64}
MANY = 2**20  # keys, from which on two passes with many bins are faster than three with few


def magnitude_keys(numbers):
    """Unsigned integers in the order of |numbers| (float32 or float64): their bits without the sign."""
    kind = UNSIGNED[numbers.dtype]
    return tf.bitwise.bitwise_and(tf.bitcast(numbers, kind), tf.constant(_top(kind) - 1, kind))


def value_keys(numbers):
    """Unsigned integers in the order of the numbers; -0.0 and 0.0 have the same one.

    Floats are a sign and a magnitude: (magnitude ^ -1) + 1 is minus the magnitude as an integer, and the flipped top bit puts the
    negative ones below. Each step can write over the one before: no more than two copies are alive.
    """
    kind, signed = UNSIGNED[numbers.dtype], SIGNED[numbers.dtype]
    sign = tf.bitcast(tf.bitwise.right_shift(tf.bitcast(numbers, signed), tf.constant(kind.size * 8 - 1, signed)), kind)  # 0 or all ones
    return tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(magnitude_keys(numbers), sign) - sign, tf.constant(_top(kind), kind))


KEYS = {"value": value_keys, "magnitude": magnitude_keys}


def passes(dtype, size, order):
    """How many bits of the keys of `size` numbers each pass looks at, the highest first; () where XLA compiles: bit by bit.

    XLA makes each pass by halves one fused loop, where it is slow at histograms and needs minutes to compile them.
    """
    if compiled_by_xla():
        return ()
    if dtype == tf.float64:
        return 13, 11, 10, 10, 10, 10
    bits = 31 if order == "magnitude" else 32
    return (16, bits - 16) if size >= MANY else (11, 10, bits - 21)


def kth_largest(numbers, count, order, widths):
    """The `count`-th largest key of all.

    Args:
      numbers: list of flat tensors, float32 or float64.
      count: int32 scalar, from 0 to how many there are.
      order: which of `KEYS`.
      widths: of `passes`.

    Returns:
      The key (scalar); how many of those equal to it are among the `count` largest; how many are equal; whether any key is of no
      number.
    """
    return _by_histograms(numbers, count, order, widths) if widths else _by_halving(numbers, count, order)


def keys_after(earlier, numbers, order):
    """The keys, computed once `earlier` is, and not shared with others: to hold them meanwhile would take a copy of the numbers."""
    with tf.control_dependencies([earlier]):
        return KEYS[order](numbers)


def _by_histograms(numbers, count, order, widths):
    """One pass over the keys finds the bin of their highest bits that holds the k-th, the next one the bin within it, and so on."""
    kind = UNSIGNED[numbers[0].dtype]
    low, found = sum(widths), tf.constant(0, kind)
    for number, width in enumerate(widths):
        low -= width
        bins = tf.add_n([_histogram(keys_after(found, part, order), found if number else None, low, width, order) for part in numbers])
        if not number:
            lowest, highest = (int(key) >> low for key in _infinities(kind, order))
            lost = tf.reduce_sum(bins[:lowest]) + tf.reduce_sum(bins[highest + 1:]) > 0
        above = tf.cumsum(bins, reverse=True)
        place = tf.maximum(tf.reduce_sum(tf.cast(above >= count, tf.int32)) - 1, 0)
        equal = bins[place]
        count -= above[place] - equal
        found = tf.bitwise.bitwise_or(found, tf.bitwise.left_shift(tf.cast(place, kind), tf.constant(low, kind)))
    return found, count, equal, lost


def _histogram(keys, found, low, width, order):
    """How many keys have each value of the `width` bits from `low` up, among those whose higher bits are those of `found`."""
    if found is not None:  # the others keep a bit above `width`, and no bin counts them
        keys = tf.bitwise.bitwise_xor(keys, found)
    keys = tf.bitwise.right_shift(keys, tf.constant(low, keys.dtype)) if low else keys
    if keys.dtype == tf.uint64 or (not low and order == "value"):  # bins are numbered by int32, and none of them is negative
        keys = tf.minimum(keys, tf.constant(1 << width, keys.dtype))
    small = tf.bitcast(keys, tf.int32) if keys.dtype == tf.uint32 else tf.cast(keys, tf.int32)
    return tf.raw_ops.Bincount(arr=small, size=1 << width, weights=tf.constant([], tf.int32))


def _by_halving(numbers, count, order):
    """A bit a pass, by counting."""
    keys = [KEYS[order](part) for part in numbers]
    kind = keys[0].dtype

    def total(holds):
        return tf.add_n([tf.reduce_sum(tf.cast(holds(part), tf.int32)) for part in keys])

    def next_bit(place, found):
        candidate = tf.bitwise.bitwise_or(found, tf.bitwise.left_shift(tf.constant(1, kind), tf.cast(place, kind)))
        return place - 1, tf.where(total(lambda part: part >= candidate) >= count, candidate, found)

    _, found = tf.while_loop(lambda place, _: place >= 0, next_bit, (tf.constant(kind.size * 8 - 1), tf.constant(0, kind)))
    lowest, highest = (tf.constant(key, kind) for key in _infinities(kind, order))
    lost = total(lambda part: (part < lowest) | (part > highest)) > 0
    return found, count - total(lambda part: part > found), total(lambda part: tf.equal(part, found)), lost


def _top(kind):
    """The highest bit of an unsigned type."""
    return 1 << kind.size * 8 - 1


def _infinities(kind, order):
    """Keys of -inf and inf (of 0 and inf by magnitude); only those of no number lie outside."""
    infinity = 0x7F800000 if kind == tf.uint32 else 0x7FF0000000000000
    return (0, infinity) if order == "magnitude" else (_top(kind) - infinity, _top(kind) + infinity)
