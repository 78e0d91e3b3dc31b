"""The CSV files of a run as tables with the same columns whichever study wrote them.

The CIFAR and synthetic nets' files and the ImageNet nets' have different columns, as in the original study (tfprune/units/export.py).
Both become `set, cross, layer, compressability, performance` and `set, cross, layer, kind, amount, agreement`. Layers are text: "0", "1",
..., "all". The ImageNet nets are measured on the validation images, which is their test set.
"""
import pandas as pd

from tfprune.experiment import UserError
from tfprune.settings import KINDS
from tfprune.units.export import PERTURBATION_NAMES

_COLUMNS = {
    "redundancy": {"evaluation_set": "set", "cross_validation": "cross", "compressability_95": "compressability",
                   "top_1_acc": "performance"},
    "robustness": {"evaluation_set": "set", "cross_validation": "cross", "perturbation_layer": "layer", "perturbation_amount": "amount",
                   "perturbation_name": "kind", "perturbation_type": "kind", "performance": "agreement", "unchanged labels": "agreement"},
}
_KEPT = {"redundancy": ["set", "cross", "layer", "compressability", "performance"],
         "robustness": ["set", "cross", "layer", "kind", "amount", "agreement"]}
BEYOND = 1e9  # no number of these tables gets here; of a net that training has lost there is none, NaN
_KIND_OF = {name: kind for kind, name in PERTURBATION_NAMES.items()} | {str(number): kind for number, kind in enumerate(KINDS)}


def redundancy(run):
    """set, cross, layer, compressability, performance (accuracy as a share; top-1 on ImageNet): a row a set, cross and layer.

    Raises:
      UserError: there is no up-to-date file, or it is damaged.
    """
    table = _read(run, "redundancy")
    if "preserved_energy" in table:  # one energy is enough: compressability does not depend on it
        table = table[table.preserved_energy == table.preserved_energy.max()]
    return _normalised(table, run, "redundancy")


def robustness(run):
    """set, cross, layer ("all" too), kind, amount, agreement with the intact net: a row a set, cross, layer, kind and amount.

    Raises:
      UserError: there is no up-to-date file, or it is damaged.
    """
    table = _normalised(_read(run, "robustness"), run, "robustness")
    return table.assign(kind=table.kind.astype(str).map(lambda name: _KIND_OF.get(name, name)))


def _read(run, kind):
    path = run.csv(kind)
    if not run.exported(kind):
        raise UserError(f"{run.experiment.flag}: no up-to-date {path}; run: python pkl2csv_{kind}.py "
                        f"{run.experiment.flag} (with the same --set, --seed, --fidelity, --streaming)")
    wanted = {*_COLUMNS[kind], *_KEPT[kind], "preserved_energy"}
    try:
        return pd.read_csv(path, quotechar="|", usecols=wanted.__contains__)
    except (ValueError, UnicodeDecodeError):  # pandas' parser errors are ValueErrors
        raise _damaged(path, kind) from None


def _normalised(table, run, kind):
    table = table.rename(columns=_COLUMNS[kind])
    numbers = [name for name in _KEPT[kind] if name not in ("set", "layer", "kind")]
    if (not set(_KEPT[kind]) <= set(table.columns) or not all(map(pd.api.types.is_numeric_dtype, table[numbers].dtypes))
            or (table[numbers].abs() >= BEYOND).any(axis=None)):
        raise _damaged(run.csv(kind), kind)
    return table[_KEPT[kind]].assign(layer=table.layer.astype(str), set=table["set"].replace("validation", "test"))


def _damaged(path, kind):
    return UserError(f"{path}: damaged (not a {kind} table); remove it and run pkl2csv_{kind}.py again")
