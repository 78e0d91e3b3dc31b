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
from tfprune.report.filter_results import of_runs, together

PERCENT = ("accuracy_all", "accuracy_k", "accuracy_trained")
PRINTED = ["run", *PERCENT, "head_parameters", "dense_parameters", "overlap", "off_diagonal", "off_diagonal_random", "density", "mis"]


def report(runs, folder, form="png"):
    """Writes the tables and figures, of a form, of the runs, prints the summary, and returns the paths.

    Raises:
      UserError: there is nothing of any run.
    """
    found = of_runs(runs)
    tables, drawn = {"decomposing": summary(found)}, {}
    with_filters = [results for results in found if "indices" in results.commands]
    if with_filters:
        tables |= {"class_filters": together(found, "indices"), "filter_overlap": overlap(with_filters)}
        drawn |= {"class_filters": figures.matrices(with_filters), "filter_overlap": figures.overlaps(with_filters)}
    if len(essential := essentiality(found)):
        tables["essentiality"] = essential
        noises = [noise for noise in essential.noise.unique() if noise != "none"]
        drawn |= {f"essentiality_{noise}": figures.essentialities(essential[essential.noise.isin(("none", noise))]) for noise in noises}
    for command, name, figure in (("validate", "class_accuracy", None), ("curve", "accuracy_curve", figures.curves),
                                  ("mutual_info", "mutual_information", figures.information), ("csg", "gates", figures.gates)):
        if len(table := together(found, command)):
            tables[name] = table
            drawn |= {name: figure(table)} if figure else {}
    folder = files.writable_folder(folder, "--out")
    for name, table in tables.items():
        files.write(folder / f"{name}.csv", table.to_csv(index=False))
    for name, figure in drawn.items():
        save(figure, folder / f"{name}.{form}")
    print(as_text(tables["decomposing"]))
    return [folder / f"{name}.csv" for name in tables] + [folder / f"{name}.{form}" for name in drawn]


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


def overlap(found):
    """What each two classes' filters have in common: experiment_id, run, class, other, shared (how many; where both are the same, how many
    it has), mutual_information (of the two sets, nats; where both are the same, the set's entropy) and jaccard (index of overlap).
    """
    every = []
    for results in found:
        members = results.members()
        sizes, numbers = members.sum(axis=1), np.arange(len(members))
        pairs = pair_measures(members.astype(float) @ members.T.astype(float), sizes[:, None], sizes, members.shape[1])
        first, second = (each.ravel() for each in np.meshgrid(numbers, numbers, indexing="ij"))
        every.append(pd.DataFrame({
            "experiment_id": results.run.experiment.id, "run": results.label, "class": first, "other": second,
            "shared": pairs["overlap"].astype(int).ravel(), "mutual_information": pairs["mutual_information"].ravel(),
            "jaccard": pairs["jaccard"].ravel()}))
    return pd.concat(every, ignore_index=True)


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
