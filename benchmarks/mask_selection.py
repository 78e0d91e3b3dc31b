"""How long the mask of the largest |scores| takes, against sorting and other ways to the k-th score, and how much memory it needs.

    python benchmarks/mask_selection.py

Ours: the whole mask (exact count, ties cut), and the k-th score alone, which is what the others find; sorting finds it too. They are timed
in turn, several calls at a time; ratios are those of the medians, and a pause before each lets the threads of the one before go to sleep.
torch's are left out where it is not installed. Memory: by how much a process's peak rises while a mask is made, the mask included, in
copies of the scores.
"""
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfprune import flags  # noqa: E402

FLAGS = flags.FLAGS
PAUSE = 0.3  # seconds; the threads of torch and BLAS spin for a while
CALLS = 3  # timed together; one before them warms the caches


def main(_):
    """Prints the medians in milliseconds, each as a multiple of both of ours; then the memory."""
    if FLAGS.rise_of:
        print(rise_at_peak(FLAGS.rise_of))
        return
    ways = {"our mask": our_mask, "our k-th": our_kth, "tf.sort": tf_sort, "tf.math.top_k": tf_top_k, "np.partition": np_partition,
            "torch.kthvalue": torch_kthvalue, "torch.sort": torch_sort}
    import numpy as np

    scores = np.random.default_rng(0).normal(size=FLAGS.scores).astype(np.float32)
    works = {name: work for name, way in ways.items() if (work := way(scores, FLAGS.scores // 2))}
    times = {name: [] for name in works}
    for repeat in range(FLAGS.repeats + 1):  # the first one traces, and is not counted
        for name, work in works.items():
            time.sleep(PAUSE)
            work()
            started = time.perf_counter()
            for _ in range(CALLS):
                work()
            times[name] += [(time.perf_counter() - started) / CALLS] if repeat else []
    print(f"{FLAGS.scores:,} scores, half of them kept")
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        ratios = ", ".join(f"{median / medians[ours]:6.1f} times {ours}" for ours in ("our mask", "our k-th"))
        print(f"{name:15} {1e3 * median:8.1f} ms  {ratios}")
    for size in (FLAGS.memory_scores, 4 * FLAGS.memory_scores):
        print(f"peak memory beside {size:,} scores, the mask included: {rise_in_a_process(size) / (4 * size):.2f} copies of them")


def our_mask(scores, count):
    """The whole mask."""
    from tfprune.keras import tf
    from tfprune.masks.selection import select

    scores = tf.constant(scores)
    return lambda: select(scores, count, "magnitude")


def our_kth(scores, count):
    """The k-th |score|."""
    from tfprune.keras import tf
    from tfprune.masks.kth import kth_largest, passes

    scores, widths = tf.constant(scores), passes(tf.float32, len(scores), "magnitude")
    return tf.function(lambda: tf.bitcast(kth_largest([scores], tf.constant(count), "magnitude", widths)[0], tf.float32))


def tf_sort(scores, count):
    """All |scores| in order."""
    from tfprune.keras import tf

    scores = tf.constant(scores)
    return tf.function(lambda: tf.sort(tf.abs(scores)))


def tf_top_k(scores, count):
    """The largest |scores|, in order."""
    from tfprune.keras import tf

    scores = tf.constant(scores)
    return tf.function(lambda: tf.math.top_k(tf.abs(scores), count))


def np_partition(scores, count):
    """The k-th |score|, one thread."""
    import numpy as np

    return lambda: np.partition(np.abs(scores), len(scores) - count)


def torch_kthvalue(scores, count):
    """The k-th |score|, or None without torch."""
    try:
        import torch
    except ImportError:
        return None
    scores = torch.from_numpy(scores)
    return lambda: torch.kthvalue(scores.abs(), len(scores) - count + 1)


def torch_sort(scores, count):
    """All |scores| in order, as the original does, or None without torch."""
    try:
        import torch
    except ImportError:
        return None
    scores = torch.from_numpy(scores)
    return lambda: scores.abs().sort()


def rise_in_a_process(size):
    """`rise_at_peak`, in a process of its own: memory that was used once does not all come back."""
    done = subprocess.run([sys.executable, __file__, f"--rise_of={size}"], check=True, capture_output=True, text=True)
    return int(done.stdout)


def rise_at_peak(size):
    """By how many bytes the peak of what TensorFlow has allocated rises while the mask of `size` float32 scores is made."""
    from tfprune.keras import tf
    from tfprune.masks.selection import select

    for small in (2_000_000, 2_200_000):  # two shapes: what is traced then serves all
        select(tf.random.normal([small]), small // 2, "magnitude")
    scores = tf.random.normal([size])
    before = tf.config.experimental.get_memory_info("CPU:0")["current"]
    tf.config.experimental.reset_memory_stats("CPU:0")
    mask = select(scores, size // 2, "magnitude")
    assert mask.shape == scores.shape
    return tf.config.experimental.get_memory_info("CPU:0")["peak"] - before


if __name__ == "__main__":
    flags.flags.DEFINE_integer("scores", 2_100_000, "how many scores are timed", lower_bound=2)
    flags.flags.DEFINE_integer("memory_scores", 2_100_000, "the memory is measured with so many and four times as many", lower_bound=1_000)
    flags.flags.DEFINE_integer("repeats", 9, "timings of each", lower_bound=1)
    flags.flags.DEFINE_integer("rise_of", 0, "only print the rise of the memory's peak in bytes, for so many scores", lower_bound=0)
    flags.run(main)
