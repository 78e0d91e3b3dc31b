"""Tidy tables of finished runs: a row for each experiment, seed, quantity, set, layer and cross. All figures are drawn from these.

Columns: experiment_id, name, curve, width_factor, width, share, seed, quantity, set, layer, cross, value; `amount` as well in tables of
perturbation curves and of correlations. `curve` is the label of the net's curve. `width` is the width on the study's axis, where the
widest net is 4x (of the MLPs, whose width factors go to 16, 128 hidden units are 1x); `share` is the net's units as a share of the widest
net's. Accuracies, shares and agreements are from 0 to 1. A run whose files are missing has rows with the value NaN where that was asked
for, so that a figure can name the gap.
"""
import numpy as np
import pandas as pd

from tfprune.datasets import DATASETS, classes
from tfprune.report import csvs
from tfprune.report.comparisons import Curve
from tfprune.units import growth
from tfprune.units.fidelity import is_original

WHOLE_NET = Curve()
WIDEST, WIDEST_MLP = 4, 16  # width factors of the study's widest nets


def widest(experiment):
    """The width factor of the widest net of the experiment's kind."""
    return WIDEST_MLP if experiment.dataset.name == "linear" else WIDEST


def share_of_widest(experiment, curve):
    """The net's units, or those of the curve's layer, as a share of the widest net's."""
    return getattr(experiment.dnn, curve.width) / widest(experiment) if curve.widened else 1.0


def of_run(run, label, curve=WHOLE_NET, missing="error", counts=True):
    """The table of one run.

    Args:
      run: a `Run`.
      label: of its curve.
      curve: its `Curve`: which layer's prunability and redundancy are wanted ("all": ablated at once, and each by itself), and what is
        its width.
      missing: "error" where the run's CSV files are missing, or "gap" for rows with the value NaN.
      counts: False for a run that only holds a place; nothing of it is read.

    Returns:
      A tidy DataFrame. Accuracy (squared_error in a regression) and chance have no layer and no cross.

    Raises:
      UserError: a CSV file is missing, and `missing` is "error"; or it is damaged.
    """
    if missing not in ("error", "gap"):
        raise ValueError(f"missing={missing}: takes error or gap")
    experiment, rows = run.experiment, []
    share = share_of_widest(experiment, curve)
    for kind, found, gaps in (("redundancy", _of_redundancy, ("accuracy", "redundancy", "non_redundancy")),
                              ("robustness", _of_robustness, ("prunability", "non_prunability"))):
        if not counts or (missing == "gap" and not run.exported(kind)):
            rows += [(name, chosen, None, None, np.nan) for name in gaps for chosen in DATASETS[experiment.dataset.name].measured]
        else:
            rows += found(run, str(curve.layer), share)
    if not experiment.hyper.mse:
        rows += [("chance", chosen, None, None, 1 / classes(experiment.dataset)) for chosen in ("train", "test")]
    return with_run(run, label, curve, rows)


def with_run(run, label, curve, rows, columns=("quantity", "set", "layer", "cross", "value")):
    """A tidy table: these rows of one run, and before them the columns that are the same in all."""
    experiment = run.experiment
    factor = getattr(experiment.dnn, curve.width)
    table = pd.DataFrame(list(rows), columns=list(columns))
    same = {"experiment_id": experiment.id, "name": experiment.name, "curve": label, "width_factor": factor,
            "width": factor * WIDEST / widest(experiment), "share": share_of_widest(experiment, curve), "seed": experiment.seed}
    for place, (column, value) in enumerate(same.items()):
        table.insert(place, column, value)
    return table


def curves(table, quantity, evaluation_set="test", fidelity="corrected"):
    """{label: (widths, means, standard deviations)} of a quantity, NaN where all of it is missing.

    The deviation is over seeds and crosses, of the mean over layers where there are several; "original": over layers too.
    """
    chosen = table[(table.quantity == quantity) & (table["set"] == evaluation_set)]
    if not is_original(fidelity):
        keys = ["curve", "width", "seed", "cross"]
        chosen = chosen.groupby(keys, sort=False, dropna=False, as_index=False).value.mean()
    by_width = chosen.groupby(["curve", "width"]).value
    points = pd.DataFrame({"mean": by_width.mean(), "deviation": by_width.std(ddof=0)}).reset_index("width")
    found = {label: rows.to_numpy(float).T for label, rows in points.groupby(level="curve")}
    return {label: tuple(found[label]) for label in dict.fromkeys(chosen.curve)}


def growth_factors(table, quantity, fidelity="corrected", evaluation_set="test"):
    """{label: g} of a quantity; NaN where a curve has no two widths of which one is twice the other."""
    factors = {}
    for label, (widths, means, _) in curves(table, quantity, evaluation_set, fidelity).items():
        doublings = np.log2(widths / widths[0])
        steps = np.round(doublings).astype(int)
        on_grid, exact = np.full(steps[-1] + 1, np.nan), np.isclose(doublings, steps)  # a missing width is a gap, not a neighbour
        on_grid[steps[exact]] = means[exact]
        factors[label] = growth.growth_factor(on_grid, quantity, fidelity) if len(on_grid) > 1 else float("nan")
    return factors


def missing_ids(table, quantities):
    """The experiments of which a table has no value of these quantities, at any seed."""
    chosen = table[table.quantity.isin(quantities)]
    known = chosen.groupby("experiment_id").value.count()
    return [int(number) for number in known.index[known == 0]]


def _of_redundancy(run, layer, share):
    table = csvs.redundancy(run)
    performance = "squared_error" if run.experiment.hyper.mse else "accuracy"
    for evaluation_set, rows in table.groupby("set", sort=False):
        yield performance, evaluation_set, None, None, rows.performance.iloc[0]
    table = table[table.layer == layer if layer != "all" else table.layer != "all"]
    for *keys, compressability in zip(*(table[name].tolist() for name in ("set", "layer", "cross", "compressability")), strict=True):
        for quantity, function in (("redundancy", growth.redundancy), ("non_redundancy", growth.non_redundancy)):
            yield quantity, *keys, function([compressability], share, 1)


def _of_robustness(run, layer, share):
    """A value a cross; the original's rule takes the best cross and so gives one value, under cross "max"."""
    table, fidelity = csvs.robustness(run), run.experiment.measure.fidelity
    chosen, by_set = table[(table.layer == layer) & (table.kind == "knockout")].sort_values(["cross", "amount"]), {}
    for evaluation_set, cross, agreement in zip(chosen["set"].tolist(), chosen.cross.tolist(), chosen.agreement.tolist(), strict=True):
        by_set.setdefault(evaluation_set, {}).setdefault(cross, []).append(agreement)
    for evaluation_set, by_cross in by_set.items():
        if is_original(fidelity):
            by_cross = {"max": np.stack(list(by_cross.values()))}
        for cross, curve in by_cross.items():
            for quantity, function in (("prunability", growth.prunability), ("non_prunability", growth.non_prunability)):
                yield quantity, evaluation_set, layer, cross, function(curve, share, 1, fidelity=fidelity)
