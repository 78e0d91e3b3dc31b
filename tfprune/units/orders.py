"""In which order units are ablated: the sets of a larger amount contain those of a smaller one."""
import numpy as np

from tfprune.experiment import derive_seed
from tfprune.units import legacy_sort

ORIGINAL_KINDS = ("knockout", "noise", "targeted")  # not KINDS: a kind added there must not draw from the original's random stream


def random_order(generator, correlations, units):
    """All units, in a random order."""
    return generator.permutation(units)


def targeted_order(generator, correlations, units):
    """A random living unit, then the others by their |correlation| with it, largest first; dead ones (r = 0 or NaN) last, by index."""
    strength = np.abs(np.nan_to_num(np.array(correlations, np.float64, ndmin=2)))
    np.fill_diagonal(strength, 0)  # of a dead unit it may be 1, 0 or NaN: only the others tell
    living = np.flatnonzero(strength.any(axis=1))
    chosen = generator.choice(living if len(living) else units)
    strength[chosen, chosen] = np.inf  # itself first, also where another unit's correlation rounds to 1
    return np.argsort(-strength[chosen], kind="stable")


def unit_orders(kinds, units, crosses, seed, correlations=None):
    """The orders in which kinds of perturbation ablate units, each from a random stream of its own.

    Args:
      kinds: {name: order function}.
      units: number of units of each unit layer.
      crosses: numbers of the crosses.
      seed: of all of them.
      correlations: [cross][unit layer] matrices, where an order function needs them.

    Returns {kind: {cross: [unit layer] int array}}.
    """
    def order(kind, cross, layer):
        generator = np.random.default_rng(derive_seed(seed, kind, cross, layer))
        return kinds[kind](generator, correlations[cross][layer] if correlations is not None else None, units[layer])

    return {kind: {cross: [order(kind, cross, layer) for layer in range(len(units))] for cross in crosses} for kind in kinds}


def original_orders(correlations, seed, sets=2):
    """The orders of the original study, from the random streams that it draws them from.

    For each cross, for the kinds knockout, noise (which draws but does not use them) and targeted, for each set: a random unit of every
    layer, then all units by |r| with it (NaN, that is dead units, first), then a shuffle of those. Where two sets are measured there is
    one stream, of the experiment's seed; where there is one set (ImageNet), one for each cross, of the cross's number.

    Args:
      correlations: [cross][layer] matrices, the logits' included (they take part in the drawing).
      seed: the experiment's.
      sets: how many are measured.

    Returns:
      {kind: [cross][set][layer] order} for knockout and targeted; of two sets 0 is training, 1 test.
    """
    generator = np.random.RandomState(seed)
    orders = {kind: [[None] * sets for _ in correlations] for kind in ORIGINAL_KINDS}
    for cross, matrices in enumerate(correlations):
        if sets == 1:
            generator = np.random.RandomState(cross)
        matrices = [np.atleast_2d(matrix) for matrix in matrices]  # np.corrcoef of a single unit is a number
        for kind in ORIGINAL_KINDS:
            for of_set in range(sets):
                chosen = [generator.randint(len(matrix)) for matrix in matrices]
                orders[kind][cross][of_set] = _original_layers(generator, matrices, chosen, shuffled=kind != "targeted")
    return {kind: orders[kind] for kind in ("knockout", "targeted")}


def _original_layers(generator, matrices, chosen, shuffled):
    by_strength = [original_targeted_order(matrix[unit]) for matrix, unit in zip(matrices, chosen, strict=True)]
    random = [order.copy() for order in by_strength]
    for order in random:
        generator.shuffle(order)
    return random if shuffled else by_strength


def original_targeted_order(correlations):
    """Units by |r|, largest first, NaN before all: the order of the original study."""
    return np.array(legacy_sort.argsort(np.abs(correlations))[::-1])
