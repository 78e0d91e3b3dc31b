"""Which of many scores are cut at a sparsity: exactly so many, or as the original study's threshold leaves them."""
import math
import numbers

import numpy as np

from tfprune.experiment import UserError
from tfprune.settings import SCOPES
from tfprune.units.fidelity import is_original

ROUNDING = 1e-9  # n * k may fall short of a whole number by less: 200 * 0.29 is 57.99999999999999


def check_sparsity(k, fidelity="corrected", name="sparsity"):
    """UserError where `k` is no share from 0 to 1, or is 1 and the original has no threshold for it."""
    if not isinstance(k, numbers.Real) or isinstance(k, bool) or not 0 <= k <= 1:
        raise UserError(f"{name}={k}: the share that is removed is a number from 0 to 1")
    if k == 1 and is_original(fidelity):
        raise UserError(f"{name}={k}: the original's rule (fidelity=original) keeps what reaches the {name}-quantile and has none at 1; "
                        "a number from 0 to below 1 is accepted, or fidelity=corrected")


def count(n, k, fidelity="corrected"):
    """How many of `n` the sparsity `k` removes: floor(n * k).

    The original truncates the floating-point product, which at times (0.29 of 200) is one fewer; and where scores are equal its rule
    removes fewer than that (`Ranking`).

    Raises:
      UserError: `k` is not in [0, 1], or is 1 under fidelity "original".
    """
    check_sparsity(k, fidelity)
    return int(n * k) if is_original(fidelity) else min(n, math.floor(n * k + ROUNDING))


class Ranking:
    """The scores of several layers, sorted once: what is cut at any number of sparsities follows by a comparison.

    Args:
      scores: {name: array of any shape}; the lowest are cut first.
      scope: "layer": of each array the same share is cut; "global": all are ranked together, and of some more is cut than of others.
      fidelity: "corrected": exactly `count` scores are cut; of equal ones at the border the later (of a later array, or index) go first,
        as with masks (`tfprune.masks.selection`). "original": what is below the `count`-th smallest score, counted from 0; scores equal to
        it all stay.

    Raises:
      UserError: some scores are NaN, or an argument is not one of those accepted.
    """

    def __init__(self, scores, scope="layer", fidelity="corrected"):
        if scope not in SCOPES:
            raise UserError(f"scope={scope}: expected {' or '.join(SCOPES)}")
        self.original, self.fidelity = is_original(fidelity), fidelity
        self.shapes = {name: np.shape(values) for name, values in scores.items()}
        for name, values in scores.items():
            if lost := np.count_nonzero(np.isnan(values)):
                raise UserError(f"{name}: {lost} of {np.size(values)} scores are NaN; only numbers can be ranked")
        together = [list(scores)] if scope == "global" and scores else [[name] for name in scores]
        self._ranked = [(names, *_sorted(np.concatenate([np.ravel(scores[name]) for name in names]))) for names in together]

    def cut(self, k):
        """{name: bool array of the scores' shape}, True for what is cut at the sparsity `k`. UserError as `count`."""
        found = {}
        for names, ranks, in_order in self._ranked:
            number = count(ranks.size, k, self.fidelity)
            if self.original and number:
                number = int(np.searchsorted(in_order, in_order[number], "left"))
            cuts = np.split(ranks < number, np.cumsum([math.prod(self.shapes[name]) for name in names])[:-1])
            found |= {name: cut.reshape(self.shapes[name]) for name, cut in zip(names, cuts, strict=True)}
        return found


def cut_all(scores, k, scope="layer", fidelity="corrected"):
    """{name: bool array}: which of the scores of several layers are cut (True) at one sparsity; as of `Ranking`."""
    return Ranking(scores, scope, fidelity).cut(k)


def _sorted(flat):
    """(rank of each, all in ascending order); of equal scores that of the higher index ranks lower, and is cut first."""
    order = flat.size - 1 - _ascending(flat[::-1])
    ranks = np.empty(flat.size, np.int64 if flat.size >= 2**31 else np.int32)
    ranks[order] = np.arange(flat.size, dtype=ranks.dtype)
    return ranks, flat[order]


def _ascending(flat):
    """`np.argsort(flat, kind="stable")`; of float32 three times as fast: their bits and their places are sorted as one integer."""
    if flat.dtype != np.float32 or flat.size >= 2**32:
        return np.argsort(flat, kind="stable")
    bits = (flat + np.float32(0)).view(np.uint32)  # + 0 makes -0.0 equal to 0.0
    keys = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.uint64) << np.uint64(32)
    keys |= np.arange(flat.size, dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64(2**32 - 1)).astype(np.int64)
