"""What each command of decompose.py measures: a table, from the nets, the filters and the images of a `Source`."""
from collections.abc import Callable
from dataclasses import dataclass, field

from tfprune import files
from tfprune.filters.accuracy import class_figures, side_by_side
from tfprune.filters.class_selectivity import class_selectivity, layer_selectivity
from tfprune.filters.curve import accuracy_curve, by_top
from tfprune.filters.decomposition import decompose_head, head_weights
from tfprune.filters.draws import summarise
from tfprune.filters.essential import as_original, essentiality_of
from tfprune.filters.features import feature_function
from tfprune.filters.gate_comparison import compared
from tfprune.filters.images import batch_size, testing_images, training_images
from tfprune.filters.index_files import save_index
from tfprune.filters.indices import class_filters, counts_by_top
from tfprune.filters.information import set_information
from tfprune.filters.members import random_indices
from tfprune.filters.psi import layer_psi, psi
from tfprune.filters.rankings import some_tops
from tfprune.filters.responses import collected_features
from tfprune.filters.sets import ClassFilters
from tfprune.filters.source import FILE
from tfprune.models.heads import head_of


@dataclass
class Measured:
    """The table of a command (DataFrame), what else its JSON says, and the other files that it has written."""

    table: object
    about: dict = field(default_factory=dict)
    files: list = field(default_factory=list)


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
      measure: function (source, folder of records) -> `Measured`.
      net: which it needs: "dense", the one with a dense head; "own", the decomposed one where it was trained on, else the dense one;
        "both", all that there are; "any", one that tells the number of filters.
      by_filters: does it need class filters?
      title: what is printed above the table, with its units.
      brief: function (table) -> what of it is printed; its numbers with so many `digits`.
    """

    measure: Callable
    net: str = "dense"
    by_filters: bool = True
    title: str = ""
    brief: Callable = lambda table: table
    digits: str = ".4g"


def indices(source, folder):
    """The filters of each class: those of -i, those that are found in the training images, or those of a net that was trained on."""
    index = source.given_index
    if index is None and source.has_dense:
        layer = source.experiment.measure.layer or None
        index = class_filters(source.dense, training_images(source, folder), None, _top(source), layer, batch_size(source))
    elif index is None:
        sets = enumerate(head_of(source.trained).class_filters())
        index = ClassFilters(sets, source.features.filters, source.features.layer, source.experiment.dnn.top)
    path = source.run.file("indices", FILE)
    save_index(path, index, **about(source))
    counted = index.counts is not None
    rows = [(number, rank, int(unit), int(index.counts[number][unit]) if counted else None, int(index.images[number]) if counted else None)
            for number, own in index.items() for rank, unit in enumerate(own)]
    table = _table(rows, ("class", "rank", "filter", "count", "images"))
    return Measured(table, {"units": index.units, "counts": index.counts.tolist() if counted else None}, [path])


def about(source):
    """Whose filters these are, for `save_index`."""
    number = source.plain.experiment.id
    return {"experiment": number if number >= 0 else None, "weights": source.given.get("-w", {}).get("sha256")}


def validate(source, folder):
    """Accuracy of each class of the test set: with all filters, with each class's own, and after training on, as far as these are there."""
    functions, top = {}, f"k={source.experiment.dnn.top:g}"
    if source.has_dense:
        decomposed = head_of(decompose_head(source.dense, source.index)) if source.decomposed else None
        functions |= dict.fromkeys(("all filters", top) if decomposed else ("all filters",))
    if source.has_trained:
        functions[f"{top}, trained on"] = None
        trained = feature_function(source.trained)

    def outputs(images):
        logits = []
        if source.has_dense:
            features, dense = source.features(images)
            logits += [dense, decomposed(features)] if decomposed else [dense]
        return [*logits, trained(images)[1]] if source.has_trained else logits

    images, total = testing_images(source, folder)
    return Measured(class_figures(outputs, images, list(functions), source.features.classes, total))


def essential(source, folder):
    """What is left of each class's recognition with noise at its own filters, and at all others; and the same of random filters."""
    measure, seed = source.experiment.measure, source.experiment.seed
    features, labels = collected_features(source.dense, testing_images(source, folder)[0], batch_size=batch_size(source))
    head = head_weights(head_of(source.dense))
    sets = {"ours": source.index, "random": random_indices(source.index, source.index.units, measure.draws, seed)}
    tables = {name: essentiality_of(features, labels, *head, index, measure.noise, measure.draws, seed) for name, index in sets.items()}
    return Measured(side_by_name(tables), files=[write_original(source, "essential", {"ours": tables["ours"]})])


def side_by_name(tables):
    """Tables below each other, with their names in the column `filters`."""
    import pandas as pd

    return pd.concat([own.assign(filters=name) for name, own in tables.items()], ignore_index=True)


def write_original(source, command, tables):
    """Writes results_essential_features.json as the original's plots read it; returns its path."""
    path, noises = source.run.file(command, "results_essential_features.json"), source.experiment.measure.noise
    files.write_json(path, as_original(tables, "replace" if "replace" in noises else noises[0]))
    return path


def curve(source, folder):
    """Accuracy of heads of many sizes: with the filters that are found for each, those of the largest weights, and random ones."""
    measure, filters, size = source.experiment.measure, source.features.filters, batch_size(source)
    tops = sorted({*some_tops(filters), *(top for top in measure.tops if top <= filters)})
    counts = counts_by_top(source.dense, training_images(source, folder), tops=tops, batch_size=size)
    images = testing_images(source, folder)[0]
    return Measured(accuracy_curve(source.dense, counts, images, draws=measure.draws, seed=source.experiment.seed, batch_size=size))


def mutual_information(source, folder):
    """How much the classes' sets say about each other, against random sets."""
    measure = source.experiment.measure
    return Measured(set_information(source.index, source.index.units, measure.draws, source.experiment.seed))


def psi_of_layers(source, folder):
    """Psi of each unit layer and class."""
    return Measured(psi(own_net(source), training_images(source, folder, augmented=False), layers=_layers(source)))


def selectivity_of_layers(source, folder):
    """Class selectivity of each filter of each unit layer."""
    return Measured(class_selectivity(own_net(source), training_images(source, folder, augmented=False), layers=_layers(source)))


def gates(source, folder):
    """Class-specific gates against filters found in a plain net, and random ones."""
    rows, about_gates, tables = compared(source, folder)
    return Measured(_table(rows, list(rows[0])), about_gates, [write_original(source, "csg", tables)])


def own_net(source):
    """The decomposed net where it was trained on, else the one with the dense head."""
    return source.trained if source.has_trained else source.dense


def _layers(source):
    return source.experiment.measure.layer.split(",") if source.experiment.measure.layer else None


def _top(source):
    top = source.experiment.dnn.top
    return int(top) if top >= 1 else top


def _table(rows, columns):
    import pandas as pd

    return pd.DataFrame(rows, columns=columns)


def _in_a_line(table):
    """The filters of a class in a line."""
    return _table([(number, " ".join(map(str, own["filter"]))) for number, own in table.groupby("class")], ("class", "filters"))


def _means(table):
    """Accuracies (%), means and deviations of the draws."""
    means = summarise(table, ("filters", "noise", "where"))
    return means.assign(mean=100 * means["mean"], sd=100 * means["sd"])


def _compared(table):
    """Accuracies (%); without deviations."""
    shares = table[[name for name in table if not name.endswith("_sd")]]
    return shares.assign(**{name: 100 * shares[name] for name in ("at_own", "at_others", "accuracy", "decomposed")})


def _by_layer(function, name):
    """The {layer: mean} of a function as a table."""
    return lambda table: _table(list(function(table).items()), ("layer", name))


COMMANDS = {
    "indices": Command(indices, "any", by_filters=False, title="filters of each class, most frequent first", brief=_in_a_line),
    "validate": Command(validate, "both", title="accuracy on the test set [%]", brief=side_by_side, digits=".2f"),
    "essential": Command(essential, title="accuracy on the test set [%] with noise at each class's own filters, or at all others: mean and "
                         "standard deviation of the draws", brief=_means, digits=".2f"),
    "mutual_info": Command(mutual_information, "any", title="mutual information of two classes' sets of filters [nats], with each class's "
                           "pair with itself and off the diagonal; filters that two classes share, Jaccard index, distinct filters"),
    "curve": Command(curve, by_filters=False, title="accuracy on the test set [%] with k filters a class: the class's own by counts, by "
                     "largest weights, random ones", brief=by_top, digits=".2f"),
    "csg": Command(gates, by_filters=False, title="accuracy on the test set [%] with noise at each class's own filters, and at all others; "
                   "of the dense head, and decomposed; mutual information [nats]", brief=_compared),
    "psi": Command(psi_of_layers, "own", by_filters=False, title="Psi, mean over classes: 1 where one filter carries half of the response",
                   brief=_by_layer(layer_psi, "psi"), digits=".3f"),
    "selectivity": Command(selectivity_of_layers, "own", by_filters=False, title="class-selectivity index, from 0 to 1, mean over filters",
                           brief=_by_layer(layer_selectivity, "selectivity"), digits=".3f"),
}
