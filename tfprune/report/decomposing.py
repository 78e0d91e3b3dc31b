"""The study of class filters as report.py gives it: what decompose.py has measured of runs, as tidy tables, figures and a summary.

There is a table and a figure of each command that any of the runs has finished (docs/decomposing.md says how to run them).
"""
import numpy as np
import pandas as pd

from tfprune import files
from tfprune.filters.draws import summarise
from tfprune.filters.information import pair_measures
from tfprune.report import filter_figures as figures
from tfprune.report.figures import save
from tfprune.report.filter_results import Results, every, net_label, of_runs, together
from tfprune.report.measured import readable

STUDY, MOST = "decomposing", 12
PERCENT = ("accuracy_all", "accuracy_k", "accuracy_trained")
PRINTED = ["run", *PERCENT, "head_parameters", "dense_parameters", "overlap", "off_diagonal", "off_diagonal_random", "density", "mis"]


def measured(runs):
    """([(run, `Results`)] of whatever decompose.py was done with, and of trained nets of this study; a line for each damaged run)."""
    from tfprune.report.filter_tables import of_results

    known = {}

    def read(run):
        found = every(run, known)
        for results in found:
            of_results(results)  # refuses damaged ones
        trained = run.done("train") if run.experiment.study == STUDY else None
        if trained and not (found and found[0].run == run):
            found.insert(0, Results(run, net_label(run), {}, None))
        if trained:
            found[0].trained = trained["result"]
        return [(run, results) for results in found]

    return readable(runs, read)


def report(runs, folder, form="png"):
    """Writes the tables and figures of the runs as they are, as of `written`.

    Raises:
      UserError: there is nothing of any run.
    """
    return written(of_runs(runs), folder, form)


def written(found, folder, form="png"):
    """Writes the tables and figures, of a form, of a list of `Results`, prints the summary, and returns the paths.

    Figures are of the first MOST of these.
    """
    tables, drawn = {"decomposing": summary(found)} | _tables(found), {}
    if len(found) > MOST:
        print(f"figures are of the first {MOST} of {len(found)} results; tables are of all")
    for name, table in _tables(found[:MOST]).items():
        drawn |= _figures(name, table)
    with_filters = [results for results in found[:MOST] if "indices" in results.commands]
    drawn |= {"class_filters": figures.matrices(with_filters)} if with_filters else {}
    folder = files.writable_folder(folder, "--out")
    for name, table in tables.items():
        files.write(folder / f"{name}.csv", table.to_csv(index=False))
    for name, figure in drawn.items():
        save(figure, folder / f"{name}.{form}")
    print(as_text(tables["decomposing"]))
    return [folder / f"{name}.csv" for name in tables] + [folder / f"{name}.{form}" for name in drawn]


def _tables(found):
    """{name: tidy table} of each command that any of the runs has finished."""
    with_filters = [results for results in found if "indices" in results.commands]
    tables = {"class_filters": together(found, "indices"), "filter_overlap": overlap(with_filters) if with_filters else pd.DataFrame(),
              "essentiality": essentiality(found)}
    tables |= {name: together(found, command) for name, command in (("class_accuracy", "validate"), ("accuracy_curve", "curve"),
                                                                    ("mutual_information", "mutual_info"), ("gates", "csg"))}
    return {name: table for name, table in tables.items() if len(table)}


def _figures(name, table):
    """{name: figure} of a table of `_tables`; that of class filters needs more than the table."""
    if name == "filter_overlap":
        return {name: figures.pairs(table, "shared"), "filter_information": figures.pairs(table, "mutual_information")}
    if name == "essentiality":
        return {f"{name}_{noise}": figures.essentialities(table[table.run.isin(rows.run) & table.noise.isin(("none", noise))])
                for noise, rows in table.groupby("noise", sort=False) if noise != "none"}
    draw = {"class_accuracy": figures.accuracies, "accuracy_curve": figures.curves, "mutual_information": figures.information,
            "gates": figures.gates}
    return {name: draw[name](table)} if name in draw else {}


def summary(found):
    """A row a run.

    Columns: experiment_id, run, net, k (filters a class; NaN for all), accuracy_all (of the net with its dense head), accuracy_k (with
    the class filters, before it is trained on), accuracy_trained (after), all on the test set from 0 to 1; head_parameters and
    head_multiply_adds of the run's head, dense_parameters of the dense one's; net_parameters and net_multiply_adds of the whole net;
    distinct (filters that any class has), overlap and jaccard (of two different classes), off_diagonal (their mutual information, nats),
    off_diagonal_random (of random sets); density (mean gate) and mis of a net with gates. NaN where not measured.
    """
    return pd.DataFrame([_row(results) for results in found])


def essentiality(found):
    """How much of each class is recognised: a row a run, kind of filters, noise, place and class ("all": of all images).

    Columns: experiment_id, run, filters ("ours", "random"), noise, where ("own" filters, all "others", or "none"), class, mean and sd
    (accuracies from 0 to 1, over the draws; n - 1).
    """
    table = together(found, "essential")
    if table.empty:
        return table
    both = pd.concat([table, table.assign(**{"class": "all"})])
    return summarise(both, ("experiment_id", "run", "filters", "noise", "where", "class"))


def overlap(found, most=None):
    """What each two classes' filters have in common: experiment_id, run, class, other, shared (how many; where both are the same, how many
    it has), mutual_information (of the two sets, nats; where both are the same, the set's entropy) and jaccard (index of overlap). With
    `most` of the first classes.
    """
    rows = []
    for results in found:
        members = results.members()[:most]
        sizes, numbers = members.sum(axis=1), np.arange(len(members))
        pairs = pair_measures(members.astype(float) @ members.T.astype(float), sizes[:, None], sizes, members.shape[1])
        first, second = (each.ravel() for each in np.meshgrid(numbers, numbers, indexing="ij"))
        rows.append(pd.DataFrame({
            "experiment_id": results.run.experiment.id, "run": results.label, "class": first, "other": second,
            "shared": pairs["overlap"].astype(int).ravel(), "mutual_information": pairs["mutual_information"].ravel(),
            "jaccard": pairs["jaccard"].ravel()}))
    return pd.concat(rows, ignore_index=True)


def as_text(table):
    """The columns of the summary that matter most as text, accuracies in percent; without those in which nothing is known."""
    table = table.assign(**{name: 100 * table[name].astype(float) for name in PERCENT})[PRINTED].dropna(axis=1, how="all")
    table = table.rename(columns={name: f"{name} [%]" for name in PERCENT})
    return table.to_string(index=False, na_rep="", float_format=lambda value: f"{value:.4g}")


def _row(results):
    experiment = results.run.experiment
    return ({"experiment_id": experiment.id, "run": results.label, "net": experiment.dnn.name, "k": experiment.dnn.top or None}
            | _accuracies(results) | _costs(results) | _sets(results) | _gates(results))


def _accuracies(results):
    """Those of `validate`; without it that of the training, or the dense net's in the curve."""
    by_net = {}
    table, curve = results.rows("validate"), results.rows("curve")
    if len(table):
        for name, own in table[table["class"] == "all"].groupby("net"):
            kind = "all" if name == "all filters" else "trained" if name.endswith("trained on") else "k"
            by_net[kind] = own.accuracy.item()
    elif results.trained and "test" in results.trained:
        by_net["trained" if results.run.experiment.dnn.top else "all"] = results.trained["test"]["accuracy"]
    elif len(curve):
        by_net["all"] = curve[curve.filters == "dense"].accuracy.item()
    return {f"accuracy_{kind}": by_net.get(kind) for kind in ("all", "k", "trained")}


def _costs(results):
    from tfprune.filters.costs import head_costs
    from tfprune.models import build_model

    top, index = results.run.experiment.dnn.top, results.filters()
    own = index or (int(top) if top >= 1 else None)
    costs = head_costs(build_model(results.run.experiment), {"own": own} if top and own else {})
    chosen, dense = costs.iloc[-1], costs.iloc[0]
    known = bool(own) or not top
    return {"head_parameters": chosen.parameters if known else None, "head_multiply_adds": chosen.multiply_adds if known else None,
            "dense_parameters": dense.parameters, "net_parameters": chosen.net_parameters if known else None,
            "net_multiply_adds": chosen.net_multiply_adds if known else None}


def _sets(results):
    table, names = results.rows("mutual_info"), ("distinct", "overlap", "jaccard", "off_diagonal")
    if table.empty:
        return dict.fromkeys((*names, "off_diagonal_random"))
    table = table.set_index("sets")
    return {name: table.loc["own", name] for name in names} | {"off_diagonal_random": table.loc["random_expected", "off_diagonal"]}


def _gates(results):
    table = results.rows("csg")
    if table.empty:
        return {"density": None, "mis": None}
    own = table[table.filters == "csg"].iloc[0]
    return {"density": own.density, "mis": own.mis}
