"""Covariance and correlation of units, from chunks of rows that need not be kept.

`Moments` needs memory for units x units and sees each row once. A large mean is estimated early and subtracted from the rows, so that
it costs no digits, and sums are float64 (in float32, not shifted, they are wrong by percents). Partial results merge by the formula of
Chan, Golub & LeVeque, "Algorithms for computing the sample variance", The American Statistician 37 (1983).
"""
import contextlib
import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import threadpoolctl

from tfprune.experiment import UserError

CHUNK = 2**17  # elements summed at a time: their float64 copy stays in a core's cache
PARTS = 8  # shares of a large array, for threads; a constant, so that a result does not depend on the number of cores
LARGE = 4  # standard deviations from which a mean is subtracted
WORTHWHILE = 2**24  # products from which threads pay
WIDE = 512  # units from which BLAS itself uses all cores well; below that its threads mostly wait for each other
_BLAS_LOCK = threading.Lock()  # the number of BLAS threads is the process's; two that change it at once would restore the wrong one


class Moments:
    """How many rows were seen, and the first and second moments of their columns (units).

    Attributes:
      count: rows seen.
    """

    def __init__(self, count=0, shift=None, total=None, products=None):
        """The moments of `count` rows with sum `total` and sum of products `products` after subtracting `shift` from each row."""
        self.count, self._shift, self._total, self._products = count, shift, total, products

    @classmethod
    def of(cls, chunks):
        """The moments of all rows of an array (rows, units), or of an iterable of such arrays."""
        moments = cls()
        for rows in [chunks] if isinstance(chunks, np.ndarray) else chunks:
            moments.update(rows)
        return moments

    def update(self, rows):
        """Adds rows (rows, units) of any real type; returns self. UserError where an element is not finite."""
        rows = np.asarray(rows)
        if rows.ndim != 2 or rows.shape[1] == 0 or self.count and rows.shape[1] != len(self._shift):
            expected = len(self._shift) if self.count else "units"
            raise UserError(f"activations must have the shape (rows, {expected}), got {rows.shape}")
        if len(rows) == 0:
            return self
        if self.count == 0:
            self._shift = _shift(rows[:1024])
            self._total, self._products = 0.0, 0.0
        total, products = _sums(rows, self._shift)
        _check_finite(total, products)
        self.count, self._total, self._products = self.count + len(rows), self._total + total, self._products + products
        return self

    def merge(self, other):
        """Adds the rows that another `Moments` has seen; returns self."""
        if other.count == 0:
            return self
        _check_finite(other._total, other._products)
        if self.count == 0:
            self.count, self._shift, self._total, self._products = other.count, other._shift, other._total, other._products
            return self
        between = other._shift - self._shift
        apart = between + (other._total / other.count - self._total / self.count)  # of the means, to the last digit even of large ones
        count = self.count + other.count
        scatter = self._scatter + other._scatter + np.outer(apart, apart) * (self.count * other.count / count)
        self._total = self._total + other._total + other.count * between
        self._products = scatter + np.outer(self._total, self._total) / count
        self.count = count
        return self

    @property
    def mean(self):
        """The mean of each unit: (units,) float64."""
        self._needs(1)
        return self._shift + self._total / self.count

    @property
    def constant(self):
        """Which units have never changed ("dead"): (units,) bool. Exact: see `_shift`."""
        self._needs(1)
        return np.diagonal(self._products) == 0

    @property
    def covariance(self):
        """The sample covariance (ddof 1): (units, units) float64; exactly 0 for constant units."""
        self._needs(2)
        return self._scatter / (self.count - 1)

    @property
    def correlation(self):
        """Pearson's correlation: (units, units) float64; a constant unit has 0 with all others, and every unit 1 with itself."""
        covariance = self.covariance
        scale = np.sqrt(np.where(self.constant, 1, np.diagonal(covariance)))
        correlation = covariance / scale[:, None] / scale
        np.fill_diagonal(correlation, 1)
        return correlation.clip(-1, 1, out=correlation)

    @property
    def _scatter(self):
        return self._products - np.outer(self._total, self._total) / self.count

    def _needs(self, rows):
        if self.count < rows:
            raise UserError(f"statistics of units need at least {rows} row{'s'[:rows - 1]} of activations, got {self.count}")


def _check_finite(total, products):
    infinite = ~(np.isfinite(total) & np.isfinite(np.diagonal(products)))
    if infinite.any():
        raise UserError(f"{infinite.sum()} of {len(infinite)} units have activations that are NaN or infinite")


def _shift(rows):
    """What to subtract from each unit, given some of its rows: the constant that it is there, or else its mean if that is large.

    A unit that stays constant then leaves nothing but exact zeros, whatever its value and however its mean would be rounded. A mean of
    a few standard deviations costs no digit that counts, and most layers need no subtraction at all.
    """
    rows = rows.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = rows.mean(axis=0)
        mean[np.abs(mean) < LARGE * rows.std(axis=0)] = 0
        return np.where((rows == rows[0]).all(axis=0), rows[0], mean)


def _sums(rows, shift):
    """The sums (units,) and (units, units) of the shifted rows and of their products, over all cores."""
    units = len(shift)
    if units >= WIDE or rows.size * units < WORTHWHILE:
        return _sums_of_part(rows, shift)
    with narrow_blas(units), ThreadPoolExecutor(min(PARTS, os.cpu_count() or 1)) as threads:
        parts = list(threads.map(lambda part: _sums_of_part(part, shift), np.array_split(rows, PARTS)))
    return sum(total for total, _ in parts), sum(products for _, products in parts)


def _sums_of_part(rows, shift):
    units, subtract = len(shift), shift.any()
    size = max(CHUNK // units, 4 * units)
    size = -(-len(rows) // -(-len(rows) // size))  # equal chunks of at most that
    buffer, ones = np.empty((size, units)), np.ones(size)
    total, products = np.zeros(units), np.zeros((units, units))
    with np.errstate(invalid="ignore", over="ignore"):  # numbers that are not finite are reported by the caller
        for start in range(0, len(rows), size):
            chunk = rows[start:start + size]
            shifted = buffer[:len(chunk)]
            np.copyto(shifted, chunk)  # not in one with the subtraction: numpy is slow where it has to convert on the way
            if subtract:
                shifted -= shift
            total += ones[:len(chunk)] @ shifted
            products += shifted.T @ shifted  # numpy calls syrk: half the work of a general product
    return total, products


@functools.cache
def _blas():
    return threadpoolctl.ThreadpoolController()


@contextlib.contextmanager
def narrow_blas(units):
    """A context in which BLAS and LAPACK use one thread if the matrices are small: on a busy machine many are slower by far."""
    if units >= WIDE:
        yield
    else:
        with _BLAS_LOCK, _blas().limit(limits=1, user_api="blas"):
            yield
