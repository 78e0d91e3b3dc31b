"""What decompose.py has measured of one run, as the tables that the page's charts are drawn from; all else of a damaged file is refused."""
import numpy as np
import pandas as pd

from tfprune.experiment import UserError
from tfprune.files import DAMAGE
from tfprune.report import decomposing
from tfprune.report.filter_figures import NOISES, in_blocks

MOST_CELLS, MOST_CLASSES, MOST_PAIRED = 8_000, 100, 60  # of a matrix; of more filters the most used are shown, of more classes the first
MOST_OF_ANY, MOST_MEMBERS = 5_000, 100_000_000  # classes, and classes times filters, of any net
FEW_CLASSES = 20  # of more there is only the mean over all


def of_results(results):
    """{name: table} of a run's `Results` (filter_results.every): "matrix", "pairs", "accuracy", "essentiality", "curve", "information",
    "gates", as far as measured. Every table begins with experiment_id and run.

    Raises:
      UserError: a command's file is not what decompose.py writes.
    """
    found = {}
    for name, (command, make) in TABLES.items():
        if command in results.commands:
            try:
                if command == "indices":
                    _check_indices(results)
                found[name] = _checked(make(results))
            except DAMAGE:
                raise UserError(f"{results.paths[command]}: damaged, or another version's; run decompose.py {command} again with "
                                "--overwrite") from None
    return found


def matrix(results):
    """A row a class and filter: share (how often it is among the largest of the class's images, from 0 to 1; NaN of filters from a file),
    chosen (whether it is one of the class's). Filters stand in the order of the classes that they serve. Of many, see `MOST_CELLS`.
    """
    members, shares = results.members()[:MOST_CLASSES], results.counts()
    values = members.astype(float) if shares is None else shares[:MOST_CLASSES]
    used = np.sort(np.argsort(-values.max(axis=0), kind="stable")[:max(1, MOST_CELLS // len(values))])
    shown = used[in_blocks(values[:, used])]
    first, filters = (each.ravel() for each in np.meshgrid(np.arange(len(values)), shown, indexing="ij"))
    share = np.nan if shares is None else values[first, filters]
    table = _of_run(results, pd.DataFrame({"class": first, "filter": filters, "share": share, "chosen": members[first, filters]}))
    table.attrs["whole"] = len(results.filters()), members.shape[1]  # classes and filters that there are
    return table


def pairs(results):
    """`decomposing.overlap`, of the first classes."""
    return decomposing.overlap([results], MOST_PAIRED)


def essentiality(results):
    """`decomposing.essentiality`, of all images together where there are many classes; what no noise leaves once."""
    table = decomposing.essentiality([results])
    if not set(table.noise) <= {"none", *NOISES} or not set(table.filters) <= {"ours", "random"}:
        raise ValueError("neither a noise nor filters of decompose.py")
    table = table[(table["where"] != "none") | (table.filters == table.filters.iloc[0])]
    return _few(table)


def accuracy(results):
    """A row a net ("all filters", "k=5", "k=5, trained on") and class: its accuracy, from 0 to 1."""
    table = results.rows("validate").astype({"accuracy": float, "net": str})
    return _few(table[["experiment_id", "run", "net", "class", "examples", "correct", "accuracy"]])


def curve(results):
    """A row a kind of filters ("own", "weights", "random", "dense") and number of them: mean and sd of the accuracy, from 0 to 1."""
    table = results.rows("curve").astype({"filters": str, "top": int, "accuracy": float})
    groups = table.groupby(["experiment_id", "run", "filters", "top"], sort=False)
    return groups.accuracy.agg(mean="mean", sd="std").reset_index()


def information(results):
    """One row: own, random, random_sd and random_expected, mean mutual information of two different classes' sets in nats."""
    values = results.rows("mutual_info").set_index("sets").off_diagonal
    return _of_run(results, pd.DataFrame([{name: float(values[name]) for name in ("own", "random", "random_sd", "random_expected")}]))


def gates(results):
    """A row a kind of filters ("csg", "ours", "random") and number of them, of the first noise."""
    table = results.rows("csg").astype({"filters": str, "top": int, "noise": str}).drop_duplicates(["filters", "top"])
    numbers = ["at_own", "at_own_sd", "at_others", "at_others_sd", "decomposed", "off_diagonal"]
    return table[["experiment_id", "run", "filters", "top", "noise"]].join(table[numbers].astype(float))


def _of_run(results, table):
    table.insert(0, "experiment_id", results.run.experiment.id)
    table.insert(1, "run", results.label)
    return table


def _few(table):
    """The table with its classes as text, of many only the mean over all."""
    names = table["class"].astype(str)
    chosen = names == "all" if names.nunique() > FEW_CLASSES + 1 else slice(None)
    return table.assign(**{"class": names})[chosen].reset_index(drop=True)


def _check_indices(results):
    """ValueError of filters that there are not, and of classes beyond all nets, for which there would be no memory."""
    table, content = results.rows("indices").astype({"class": int, "filter": int}), results.commands["indices"]
    classes = len(content["counts"] or range(table["class"].max() + 1))
    if not 0 < classes <= MOST_OF_ANY or not 0 < classes * content["units"] <= MOST_MEMBERS:
        raise ValueError("no such net")
    if not table["class"].between(0, classes - 1).all() or not table["filter"].between(0, content["units"] - 1).all():
        raise ValueError("no such filter")


def _checked(table):
    """The table; ValueError of one without rows."""
    if table.empty:
        raise ValueError("no rows")
    return table


TABLES = {"matrix": ("indices", matrix), "pairs": ("indices", pairs), "accuracy": ("validate", accuracy),
          "essentiality": ("essential", essentiality), "curve": ("curve", curve), "information": ("mutual_info", information),
          "gates": ("csg", gates)}
