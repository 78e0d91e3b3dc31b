"""The interactive page of the study of feature amounts: point at a net, and see its features (drawn by feature_amounts.js)."""
import pandas as pd

from tfprune.report import page
from tfprune.report.chart import Chart, embedded

SCRIPT = "feature_amounts.js"
INTRO = ("{counted} with about as many features as the {name}, spread over the layers by a skew normal distribution: where along the depth "
         "are features worth most? The distribution's location is the layer by which they gather, 0 being the first; its scale says how "
         "widely they spread from there; its shape, to which side: below 0 to the earlier layers, above 0 to the later ones.")
SETS = {"test": "Test", "val": "Validation", "train": "Training"}
MEASURES = {**{name: f"{title} accuracy [%]" for name, title in SETS.items()}, "gap": "Training minus test accuracy [points]"}
FORMATS = {**dict.fromkeys(("Location", "Scale", "Shape"), "{:g}"), **dict.fromkeys((*SETS.values(), "Gap", "Centre"), "{:.2f}"),
           **dict.fromkeys(("Parameters", "MACs"), "{:,}")}


def html(table, plain, layers):
    """The page of one family as text.

    Args:
      table: of `feature_amounts.tidy`.
      plain: features of the plain VGG, a tuple of int.
      layers: a name for each of them.

    Raises:
      UserError: plotly is not installed.
    """
    heads = ("Accuracy over location, scale and shape", "Best and worst", "All nets")
    body = [page.paragraph(intro(table)), *(page.section(head, part) for head, part in zip(heads, parts(table), strict=True))]
    return page.page(f"Feature amounts: {table.attrs['title']}", "\n".join(body), data([family(table, plain, layers)]), SCRIPT)


def family(table, plain, layers, prefix=""):
    """What feature_amounts.js draws a family from, JSON-ready; arguments as of `html`.

    Args:
      prefix: of its elements' names, as of `parts`; of several families on a page, each has its own.
    """
    rows = [{**row, **{measure: 100 * row[measure] for measure in MEASURES}} for row in table.to_dict("records")]
    return {"prefix": prefix, "rows": rows, "layers": layers, "plain": plain, "plainName": table.attrs["plain"], "measures": MEASURES,
            "best": table.test.idxmax(), "worst": table.test.idxmin(), "table": table}


def data(families):
    """`page.data` of these families: what their charts are drawn from, and under each chart's name the table that is downloaded."""
    tables = {}
    for one in families:
        table = one.pop("table")
        text = table.assign(features=[" ".join(map(str, features)) for features in table.features])
        chosen = {"space": text, "profile": text, "best": text.loc[[one["best"]]], "worst": text.loc[[one["worst"]]]}
        tables |= {one["prefix"] + name: rows for name, rows in chosen.items()}
    return {"families": families, "charts": {name: embedded(Chart(name, "", "", [], {}, rows)) for name, rows in tables.items()}}


def parts(table, prefix=""):
    """The HTML of a family: the rotatable chart beside the features of the net pointed at; the best and the worst net; all nets."""
    return _space(table, prefix), _extremes(table.attrs["plain"], prefix), _every(table)


def intro(table):
    """What a family is, plain text."""
    counted = f"{len(table)} trained nets" if len(table) > 1 else "One trained net"
    return INTRO.format(counted=counted, name=table.attrs["plain"])


def _space(table, prefix):
    name, found = table.attrs["plain"], (table.kind == "plain").any()
    plain = (f"The {name} has no distribution: it is the diamond at 0, 0, 0." if found else
             f"The {name} is not among these nets (it is what dnn.scale=0 gives; experiment 6999 is the VGG16, 9291 the laptop's VGG7).")
    plain += " Nets whose features are listed are squares at 0, 0, 0." if (table.kind == "listed").any() else ""
    colours = {key: title.partition(" [")[0] for key, title in MEASURES.items()}
    return page.switch(f"{prefix}measure", "Colour", colours) + page.side_by_side(
        page.chart(f"{prefix}space", "Each point is a trained net. Its colour is the share of images that it gets right, in the set chosen "
                   f"above, after its best epoch (that of the highest {table.attrs['judge']} accuracy); or how much higher that share is "
                   f"on training than on test images. {plain} Drag to rotate; point at a net, or tap it, to see its features.", wide=True),
        page.chart(f"{prefix}profile", f"How many features each layer of the net pointed at has (bars), and each of the {name} (line). "
                   "Until you point at a net, the best one. Layers with a number are convolutions, whose features are channels; fc1 and "
                   "fc2 are the hidden dense layers, whose features are neurons. The last layer, which has the classes, is left out.",
                   heading=True))


def _extremes(name, prefix):
    return page.side_by_side(*(
        page.chart(prefix + which, f"The features of the net with the {extreme} test accuracy; the line is the {name}.", heading=True)
        for which, extreme in (("best", "highest"), ("worst", "lowest"))))


def _every(table):
    percent = {title: 100 * table[name] for name, title in {**SETS, "gap": "Gap"}.items()}
    shown = pd.DataFrame({
        "ID": table.experiment_id, "Location": table.location, "Scale": table.scale, "Shape": table["shape"], **percent,
        "Best epoch": table.best_epoch, "Centre": table.centre, "Parameters": table.trainable, "MACs": table.macs,
        "Features": table.features.map(lambda features: " ".join(map(str, features))), "Ended": table.stopped, "Name": table.name})
    return page.paragraph(
        "Accuracies in percent; gap: training minus test accuracy, in points; centre: the features' centre of mass, in layers from 1; "
        "parameters: all that is trained; MACs: multiply-adds of convolutions and dense layers for one image. A click on a heading sorts."
        ) + page.table(shown, FORMATS)
