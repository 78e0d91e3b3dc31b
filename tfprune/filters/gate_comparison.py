"""Class-specific gates (CSG) against filters found in a plain net, and random ones: `decompose.py csg`.

Three nets' worth of rows for each number of filters: "csg", the filters with a class's largest gates, in the net trained with gates;
"ours", those found in the plain net by how often they are among the largest; "random", drawn, in the plain net.
"""
import numpy as np

from tfprune.filters.decomposition import head_weights
from tfprune.filters.draws import summarise
from tfprune.filters.essential import essentiality_of
from tfprune.filters.gates import filters_per_class, gate_filters, l1_density
from tfprune.filters.images import batch_size, testing_images, training_images
from tfprune.filters.indices import counts_by_top
from tfprune.filters.information import expected, measures
from tfprune.filters.members import membership, random_indices
from tfprune.filters.mis import class_information, mis
from tfprune.filters.rankings import largest
from tfprune.filters.responses import collected_features
from tfprune.models.heads import head_of


class Net:
    """What is compared of a `Source`'s net: features and classes of the test images, the dense head's weights, and MIS."""

    def __init__(self, source, folder):
        self.features, self.labels = collected_features(source.dense, testing_images(source, folder)[0], batch_size=batch_size(source))
        self.kernel, self.bias = head_weights(head_of(source.dense))
        self.accuracy = self.accuracy_of(np.ones_like(self.kernel.T))
        self.mis = mis(class_information(self.features, self.labels))

    def accuracy_of(self, members):
        """Accuracy where each class's logit sees only its own filters: `members` [classes, filters]."""
        logits = self.features @ (self.kernel * members.T) + (0 if self.bias is None else self.bias)
        return float(np.mean(logits.argmax(axis=1) == self.labels))


def compared(source, folder):
    """(rows, what else the command's JSON says, {"ours"/"csg": table of `essentiality`} of the fewest filters)."""
    measure, gates, plain = source.experiment.measure, head_of(source.dense).gates.numpy(), source.counterpart
    tops, net = [top for top in measure.tops if top <= gates.shape[1]] or [gates.shape[1]], Net(source, folder)
    sets = {("csg", top): (net, gate_filters(gates, top, measure.gates)) for top in tops}
    other = Net(plain, folder) if plain else net
    if plain:
        counts = counts_by_top(plain.dense, training_images(plain, folder, measure.augmented), tops=tops, batch_size=batch_size(plain))
        sets |= {("ours", top): (other, largest(counts[top], top)) for top in tops}
    drawn = {top: random_indices(sets["csg", top][1], gates.shape[1], measure.draws, source.experiment.seed) for top in tops}
    sets |= {("random", top): (other, indices) for top, indices in drawn.items()}
    rows, tables = [], {}
    for (name, top), (of, index) in sets.items():
        table = essentiality_of(of.features, of.labels, of.kernel, of.bias, index, measure.noise, measure.draws, source.experiment.seed)
        rows += [{"filters": name, "top": top} | each | _about_sets(of, index) for each in _essential(table)]
        tables.setdefault(name, table)
    density = l1_density(gates)
    about = {"gates": measure.gates, "density": density, "filters_per_class": filters_per_class(gates).tolist()}
    rows = [row | {"density": density if row["filters"] == "csg" else None} for row in sorted(rows, key=lambda row: row["top"])]
    return rows, about, {name: tables[name] for name in ("ours", "csg") if name in tables}


def _about_sets(net, index):
    """Accuracies and what sets share; of random ones the means of the draws, and the exact expectation."""
    drawn = index if isinstance(index, list) else [index]
    members = [membership(each, len(net.kernel)) for each in drawn]
    shared = expected(members[0].sum(axis=1), members[0].shape[1]) if isinstance(index, list) else measures(members[0])
    return {"accuracy": net.accuracy, "decomposed": float(np.mean([net.accuracy_of(each) for each in members])), "mis": net.mis,
            "mutual_information": shared["mutual_information"], "off_diagonal": shared["off_diagonal"]}


def _essential(table):
    """A row a noise: accuracies with it at own filters, and at all others; means and deviations of the draws."""
    means = summarise(table).set_index(["noise", "where"])
    return [{"noise": noise} | {f"at_{where}{suffix}": float(means.loc[(noise, where), column]) for where in ("own", "others")
                                for column, suffix in (("mean", ""), ("sd", "_sd"))}
            for noise in dict.fromkeys(table["noise"]) if noise != "none"]
