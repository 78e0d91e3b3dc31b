"""Families of VGGs: accuracy against where along the depth the features are, as feature_page.py shows a family, one after the other."""
from tfprune.experiment import UserError
from tfprune.report import feature_amounts, feature_page, page
from tfprune.report.chart import Section
from tfprune.report.sections.parts import Damaged, grouped

STUDY = "feature_amounts"


def section(runs):
    """The section of all trained runs of the study of feature amounts, those of one depth, width and data set together."""
    damaged, tables = Damaged(), []
    for group in grouped([run for run in runs if run.experiment.study == STUDY], _shared).values():
        rows = [row for row in (damaged.read(run, _of_run) for run in group) if row]
        if rows:
            tables.append((feature_amounts.table_of(rows, group[0].experiment), group[0].experiment))
    if not tables and not damaged:
        return None
    families, parts = [], []
    for number, (table, experiment) in enumerate(tables, 1):
        prefix, plain = f"features-{number}-", feature_amounts.plain_profile(experiment)
        families.append(feature_page.family(table, plain, feature_amounts.layer_names(plain), prefix))
        parts += [page.heading(table.attrs["title"]), page.paragraph(feature_page.intro(table)), *feature_page.parts(table, prefix)]
    intro = ("How many features should each layer of a net have? Nets with about the same total number of features, spread differently "
             "over the layers.")
    return Section("features", "Feature amounts", damaged.after(intro), parts, feature_page.data(families), feature_page.SCRIPT)


def _shared(experiment):
    return feature_amounts.family_of(experiment), experiment.dnn.neuron_multiplier, experiment.hyper.image_size


def _of_run(run):
    row = feature_amounts.of_run(run)
    if not row["test"] >= 0:
        raise UserError(f"{run.marker('train')}: has no accuracy on test images")
    return row
