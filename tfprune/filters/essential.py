"""How essential a class's filters are: what is left of its recognition with noise at them, and with noise at all others.

After akshaybadola/decomposing-the-deep: on the test images of a class, entries of the features that go into the dense class head are
replaced; counted are the images whose largest logit is still that of their class. Filters are essential where noise at the class's own
does harm and noise at all others does little. Noise at the others lowers competing logits too, so that accuracy can rise by it.
"""
import numpy as np

from tfprune.experiment import UserError, derive_seed
from tfprune.filters.decomposition import head_weights
from tfprune.filters.members import membership
from tfprune.filters.noises import NOISES, Population
from tfprune.filters.noisy_head import Head, counter
from tfprune.filters.responses import collected_features
from tfprune.models.heads import find_head
from tfprune.progress import track

PLACES = ("own", "others")


def essentiality(model, index, images, labels=None, noises=("replace",), draws=20, seed=0, batch_size=128):
    """`essentiality_of` a model's features and head.

    Args:
      model: a Functional or Sequential model that ends in a class head. (The study asks the net *before* its head is decomposed.)
      images, labels, batch_size: see `collected_features`, which keeps the features of the whole set.
      others: see `essentiality_of`.
    """
    kernel, bias = head_weights(find_head(model)[1])
    features, numbers = collected_features(model, images, labels, batch_size=batch_size)
    return essentiality_of(features, numbers, kernel, bias, index, noises, draws, seed)


def essentiality_of(features, labels, kernel, bias, index, noises=("replace",), draws=20, seed=0):
    """How many images of each class are recognised with noise at some of the features.

    Args:
      features: [examples, filters], as they go into the head; labels: [examples], their classes, from 0.
      kernel, bias: of the head, [filters, classes] and [classes] (or None).
      index: {class: [filter, ..]}, sets of any size; or a list of such, one a draw (`members.random_indices`).
      noises: names in `NOISES`, or one of them.
      draws, seed: how often each noise is drawn, and from what.

    Returns:
      DataFrame with the columns `noise`, `where` (at the class's "own" filters, or at all "others"), `class`, `draw`, `correct` and
      `examples`. The rows whose noise and place are "none" are of the net as it is.

    Raises:
      UserError: an unknown noise, no draws, or arrays and an index that do not fit each other.
    """
    import pandas as pd

    labels, kernel, noises = np.asarray(labels), np.asarray(kernel), (noises,) if isinstance(noises, str) else noises
    members = _members(index, draws, *kernel.shape)
    _check(np.asarray(features), labels, kernel, noises)
    examples = np.bincount(labels, minlength=kernel.shape[1])
    population = Population.of(features)
    head = Head(kernel, bias, labels)
    tables = [_rows("none", "none", 0, head.correct(population.features, 0), examples)]
    for noise in noises:
        count = counter(population, head, NOISES[noise])
        for draw in track(range(draws), label=noise):
            key = derive_seed(seed, "essential", noise, draw)
            tables += [_rows(noise, where, draw, correct, examples)
                       for where, correct in zip(PLACES, count(members[draw], key), strict=True)]
    return pd.concat(tables, ignore_index=True)


def as_original(tables, noise="replace", draw=0):
    """The original's results_essential_features.json, as a dictionary: of each class the images recognised in one draw.

    Args:
      tables: {"ours": table of `essentiality`, "csg": another}; any names.
    """
    return {name: {str(number): {key: int(_one(table, noise, where, draw)[number]) for key, where in
                                 (("noise_at_inf", "own"), ("noise_at_noninf", "others"))}
                   for number in sorted(table["class"].unique())} for name, table in tables.items()}


def _one(table, noise, where, draw):
    rows = table[(table["noise"] == noise) & (table["where"] == where) & (table["draw"] == draw)]
    if rows.empty:
        raise UserError(f"noise={noise}: was not measured (draw {draw})")
    return rows.set_index("class")["correct"]


def _rows(noise, where, draw, correct, examples):
    import pandas as pd

    return pd.DataFrame({"noise": noise, "where": where, "class": np.arange(len(examples)), "draw": draw, "correct": np.asarray(correct),
                         "examples": examples})


def _members(index, draws, filters, classes):
    if isinstance(draws, bool) or draws != int(draws) or draws < 1:
        raise UserError(f"draws={draws}: a whole number from 1 is needed")
    if hasattr(index, "items"):
        return [membership(index, filters, classes)] * int(draws)
    if len(index) != draws:
        raise UserError(f"index: a list of {len(index)} indices for {draws} draws; one for each is needed")
    return [membership(one, filters, classes) for one in index]


def _check(features, labels, kernel, noises):
    if unknown := [noise for noise in noises if noise not in NOISES]:
        raise UserError(f"noise={unknown[0]}: expected one of {', '.join(NOISES)}")
    if features.ndim != 2 or not len(features) or features.shape[1] != len(kernel) or labels.shape != features.shape[:1]:
        raise UserError(f"features of shape {features.shape} do not fit labels of shape {labels.shape} and a head of {len(kernel)} filters")
    if labels.dtype.kind not in "iu":
        raise UserError(f"labels: whole numbers are needed, not {labels.dtype}")
    if not np.isfinite(features).all():
        raise UserError("features: some are NaN or infinite; the net has diverged")
    if wrong := sorted(set(labels.tolist()) - set(range(kernel.shape[1]))):
        raise UserError(f"labels: {wrong[0]} is no class; 0 to {kernel.shape[1] - 1} are")
