"""What the filters of one class say about those of another: mutual information between sets, overlap, and what random sets would give.

As akshaybadola/decomposing-the-deep has it: each class is a 0/1 vector over the filters, and two classes' mutual information is that of
the two vectors, their positions being the samples. Its figure is the mean over all ordered pairs *with* each class's pair with itself,
whose information is the entropy of a set of that size, whichever filters are in it: most of the published numbers. Hence the mean over
pairs of different classes, and what sets drawn at random have on average, exactly (overlaps are then hypergeometric).
"""
import math

import numpy as np

from tfprune.filters.members import membership, random_members


def set_information(index, units, draws=200, seed=0):
    """How much the classes' sets share, and how much random sets of the same sizes do.

    Args:
      index: {class: [filter, ..]}; the sets may differ in size.
      units: how many filters there are.
      draws, seed: of the random sets whose spread is reported.

    Returns:
      DataFrame with a row of each of the sets "own", "random" (mean of the draws), "random_sd" (their standard deviation) and
      "random_expected" (exact), and the columns `mutual_information` (nats, over all ordered pairs with those of a class with itself: as
      published), `off_diagonal` (without these), `overlap` (filters that two different classes share) and `jaccard` (their share of the
      filters of either), means over pairs, and `distinct` (filters of any class). NaN over pairs where there is one class.
    """
    import pandas as pd

    members = membership(index, units)
    sizes = members.sum(axis=1)
    drawn = pd.DataFrame([measures(random_members(sizes, units, seed, draw)) for draw in range(draws)])
    rows = {"own": measures(members), "random": drawn.mean(), "random_sd": drawn.std(), "random_expected": expected(sizes, units)}
    return pd.DataFrame(rows).T.rename_axis("sets").reset_index()


def measures(members):
    """The columns of `set_information` for sets, bool [classes, units], as a dictionary."""
    sizes = members.sum(axis=1)
    overlap = members.astype(np.float64) @ members.T.astype(np.float64)  # floats: BLAS has no product of integers
    return _over_pairs(pair_measures(overlap, sizes[:, None], sizes, members.shape[1])) | {"distinct": float(members.any(axis=0).sum())}


def expected(sizes, units):
    """The same for sets of these sizes drawn at random: exact expectations."""
    different, place = np.unique(sizes, return_inverse=True)
    own = pair_measures(sizes, sizes, sizes, units)
    table = np.array([[_expected_pair(int(a), int(b), units) for b in different] for a in different])[place[:, None], place]
    pairs = {name: table[..., column].copy() for column, name in enumerate(own)}
    for name, values in pairs.items():
        np.fill_diagonal(values, own[name])  # a set shares all with itself
    return _over_pairs(pairs) | {"distinct": float(units * (1 - np.prod(1 - sizes / units)))}


def pair_measures(overlap, first, second, units):
    """{measure: value} of two sets with `first` and `second` filters of `units`, `overlap` of them in both (arrays broadcast)."""
    cells = (overlap, first, second), (first - overlap, first, units - second), (second - overlap, units - first, second), \
            (units - first - second + overlap, units - first, units - second)
    information = sum(_term(both, one * other / units) for both, one, other in cells) / units
    return {"mutual_information": information, "overlap": overlap, "jaccard": overlap / np.maximum(first + second - overlap, 1)}


def _term(count, by_chance):
    """count * ln(count / by_chance), 0 where nothing is counted."""
    counted = count > 0
    return count * np.log(np.where(counted, count, 1) / np.where(counted, by_chance, 1))


def _expected_pair(first, second, units):
    overlaps = np.arange(max(0, first + second - units), min(first, second) + 1)
    ways = [math.comb(first, h) * math.comb(units - first, second - h) for h in overlaps.tolist()]
    chances = np.array([way / math.comb(units, second) for way in ways])  # integers of any size: their ratio is exact
    return [float((chances * values).sum()) for values in pair_measures(overlaps, first, second, units).values()]


def _over_pairs(pairs):
    information = np.asarray(pairs["mutual_information"])
    others = ~np.eye(len(information), dtype=bool)
    means = {name: float(np.mean(values[others])) if others.any() else math.nan for name, values in pairs.items()}
    return {"mutual_information": float(information.mean()), "off_diagonal": means["mutual_information"],
            "overlap": means["overlap"], "jaccard": means["jaccard"]}
