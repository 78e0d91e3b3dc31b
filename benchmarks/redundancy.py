"""How much faster redundancy from stored activations is than the original's numpy calls, both measured in this one run.

    python benchmarks/redundancy.py [--repeats=5] [--width=0.25,1]

The original's get_redundancy.py calls, for each layer, np.corrcoef(X.T), np.cov(X - X.mean(0), rowvar=False) and np.linalg.eigh.
Expected: `ratio` at least 3 for the sum over a net's layers, on two or more idle cores.
"""
import pathlib
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfprune import flags  # noqa: E402
from tfprune.units.redundancy import redundancy  # noqa: E402

CONV_ROWS, DENSE_ROWS = 49_950, 47_360  # what the original stores of Alexnet's layers on CIFAR-10
UNITS = {"0.25": (24, 64, 96, 48, 10), "0.5": (48, 128, 192, 96, 10), "1": (96, 256, 384, 192, 10), "2": (192, 512, 768, 384, 10)}


def original(rows):
    """The correlation, eigenvalues and eigenvectors as xboix/frivolous_dnns asks numpy for them."""
    correlation = np.corrcoef(rows.T)
    covariance = np.nan_to_num(np.cov(rows - rows.mean(axis=0), rowvar=False))
    return correlation, *np.linalg.eigh(covariance)


def activations(rows, units, seed=0):
    """ReLU activations (rows, units) float32 of units that partly depend on one another."""
    random = np.random.default_rng(seed)
    causes = random.standard_normal((rows, max(units // 3, 2)), np.float32)
    mixed = causes @ random.standard_normal((causes.shape[1], units)).astype(np.float32)
    return np.maximum(mixed + 0.3 * random.standard_normal((rows, units), np.float32), 0)


def check(rows):
    """The largest differences of the two results: of correlations, and of eigenvalues relative to each."""
    ours, (correlation, eigenvalues, _) = redundancy(rows), original(rows)
    difference = np.abs(ours.correlation - correlation).max(), np.abs(ours.eigenvalues / eigenvalues - 1).max()
    if difference[0] > 1e-6 or difference[1] > 1e-5:
        sys.exit(f"the results differ: correlations by {difference[0]:.1e}, eigenvalues by {difference[1]:.1e}")
    return difference


def seconds(functions, repeats):
    """Median times of the functions, called in turns so that a busy moment hits all of them.

    The pause lets BLAS's threads fall asleep: they spin for a while after a call, on the cores that the next function needs.
    """
    times = [[] for _ in functions]
    for _ in range(repeats):
        for function, taken in zip(functions, times, strict=True):
            time.sleep(0.1)
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [float(np.median(taken)) for taken in times]


def main():
    parser = flags.Parser(__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="median of how many runs (default 5)")
    parser.add_argument("--width", default="0.25,1", help=f"comma-separated width factors of Alexnet, of {', '.join(UNITS)}")
    args = parser.parse_args()
    if not set(args.width.split(",")) <= set(UNITS):
        parser.error(f"--width={args.width}: expected some of {', '.join(UNITS)}, with commas between")
    print(f"{'rows':>7} {'units':>5} {'original':>11} {'ours':>11} {'ratio':>6}   corr. diff.  eigenvalue diff.")
    for width in args.width.split(","):
        sums = np.zeros(2)
        for layer, units in enumerate(UNITS[width]):
            rows = activations(CONV_ROWS if layer < 2 else DENSE_ROWS, units)
            difference = check(rows)
            times = np.array(seconds([lambda rows=rows: original(rows), lambda rows=rows: redundancy(rows)], args.repeats))
            sums += times
            print(f"{len(rows):7} {units:5} {times[0] * 1e3:8.1f} ms {times[1] * 1e3:8.1f} ms {times[0] / times[1]:6.2f}   "
                  f"{difference[0]:.1e}      {difference[1]:.1e}", flush=True)
        print(f"width {width}: {sums[0] * 1e3:.1f} ms / {sums[1] * 1e3:.1f} ms: ratio {sums[0] / sums[1]:.2f}", flush=True)


if __name__ == "__main__":
    with flags.in_one_line():
        main()
