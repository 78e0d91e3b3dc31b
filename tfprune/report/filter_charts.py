"""The page's charts of which filters serve which class, and of how much they matter, from the tables of filter_tables.py.

The print figures of filter_figures.py show the same.
"""
from tfprune.report.chart import Chart
from tfprune.report.filter_figures import CURVES, NOISES, PLACES
from tfprune.report.sections.parts import percent_axis

BAR = {"orientation": "h", "x": 0.5, "y": 1.02, "yanchor": "bottom", "thickness": 10, "len": 1, "ypad": 0}
SIDE = 0.2  # of a class's place: how far from its middle a bar stands, and half its width
ROOM = 1.5  # times as large is the next tick of a logarithmic axis
DRAWS = "the bars' whiskers are the standard deviation over draws"
NOISY = {"replace": "noise in place of filters", "matched": "noise like the filters' own in place of filters",
         "zero": "0 in place of filters", "add": "noise added to filters", "shuffle": "other images' values in place of filters"}
SYMBOLS, DASHES = ("circle", "square", "diamond", "triangle-up"), ("solid", "dash", "dot")
RANDOM = {"own": "noise at random filters", "others": "noise at all but random filters"}


def matrix(table, name):
    """Which filters serve which class: a heatmap, and a mark where a filter is one of the class's own."""
    known = table.share.notna().any()
    classes, filters = (table[column].astype(str).drop_duplicates().tolist() for column in ("class", "filter"))
    values = (100 * table.share if known else table.chosen.astype(int)).to_numpy().reshape(len(classes), len(filters))
    scale = {"colorscale": "Viridis", "zmin": 0, "zmax": 100 if known else 1, "showscale": bool(known),
             "colorbar": BAR | {"title": {"text": "among the largest [% of the class's images]", "side": "top"}}}
    chosen = table[table.chosen]
    marks = {"type": "scatter", "mode": "markers", "x": chosen["filter"].astype(str).tolist(), "y": chosen["class"].astype(str).tolist(),
             "marker": {"color": "#ffffff", "size": 6, "line": {"color": "#000000", "width": 1.5}}, "hoverinfo": "skip",
             "name": "one of the class's own filters", "showlegend": True}
    heat = {"type": "heatmap", "x": filters, "y": classes, "z": values.tolist(), **scale,
            "hovertemplate": "class %{y}, filter %{x}: " + ("%{z:.1f} %" if known else "chosen: %{z}") + "<extra></extra>"}
    layout = {"xaxis": categories("filter, by the class that it serves most") | {"range": [-.5, len(filters) - .5]},
              "yaxis": categories("class") | {"range": [len(classes) - .5, -.5]},
              "height": 230 + min(18 * len(classes), 500), "margin": {"b": 84},
              "legend": {"x": 1, "xanchor": "right", "y": 0, "yref": "container", "yanchor": "bottom"}}
    shown = "How often a filter is among the largest of an image, as a share of the class's images;" if known else "Of filters from a file,"
    return Chart(name, f"Which filters serve which class: {run_of(table)}",
                 f"{shown} a dot marks those that are the class's own. Filters stand in the order of the class that they serve most, so "
                 f"that a class's own make a block.{_left_out(table, len(classes), len(filters))}", [heat, marks], layout, table, wide=True)


def _left_out(table, classes, filters):
    """A sentence on what of a matrix is not shown, for which it has no room."""
    all_classes, all_filters = table.attrs["whole"]
    parts = [f"the {filters} most used of {all_filters:,} filters"] * (filters < all_filters) + [
        f"the first {classes} of {all_classes:,} classes"] * (classes < all_classes)
    return f" Shown are {' and '.join(parts)}." if parts else ""


def accuracy(table, name):
    """Accuracy of each class with all filters, with its own, and after training on."""
    traces = [{"type": "bar", "name": net, "x": own["class"].tolist(), "y": (100 * own.accuracy).tolist(),
               "marker": {"color": f"${number % 7}"}, "hovertemplate": "class %{x}: %{y:.2f} %"}
              for number, (net, own) in enumerate(table.groupby("net", sort=False))]
    layout = {"xaxis": categories("class"), "yaxis": percent_axis("test accuracy on the class"), "barmode": "group"}
    return Chart(name, f"Accuracy of each class: {run_of(table)}",
                 "The share of a class's test images that are recognised: with the dense head that sees all filters, with a head whose "
                 "classes see only their own, and after that net was trained on, as far as these were measured.", traces, layout, table)


def essentiality(table, name):
    """Accuracy with noise at a class's filters and at all others; a chart a noise."""
    return [_of_noise(table[table.noise.isin(("none", noise))].reset_index(drop=True), noise, f"{name}-{noise}")
            for noise in dict.fromkeys(table.noise) if noise != "none"]


def _of_noise(table, noise, name):
    classes, base = list(dict.fromkeys(table["class"])), table[table["where"] == "none"]
    traces = []
    for filters, form in (("ours", {"type": "bar", "width": 2 * SIDE}), ("random", {"type": "scatter", "mode": "markers"})):
        for number, (where, title) in enumerate(PLACES.items()):
            own = table[(table.filters == filters) & (table["where"] == where)]
            words = title.partition(":")[0] if filters == "ours" else RANDOM[where]
            marker = {"color": f"${number}"} if filters == "ours" else {
                "color": "$paper", "symbol": ("diamond", "circle")[number], "size": 8, "line": {"color": "$ink", "width": 1.5}}
            traces += [form | _at_classes(own, classes, SIDE * (2 * number - 1), words) | {
                "marker": marker, "error_y": spread(100 * own.sd) | {"color": "$ink"}}] if len(own) else []
    traces.append({"type": "scatter", "mode": "markers"} | _at_classes(base, classes, 0, "no noise") | {
        "marker": {"color": "$ink", "symbol": "line-ew", "size": 18, "line": {"color": "$ink", "width": 2}}})
    layout = {"xaxis": {"title": {"text": "class (all: all images)"}, "tickvals": list(range(len(classes))), "ticktext": classes,
                        "range": [-.6, len(classes) - .4]},
              "yaxis": percent_axis("accuracy on the class"), "barmode": "overlay", "height": 420}
    return Chart(name, f"Accuracy with {NOISY.get(noise, noise)}: {run_of(table)}",
                 f"What is left of each class's recognition with noise ({NOISES.get(noise, noise)}) at the class's own filters, or at all "
                 f"others: means over draws of the noise; {DRAWS}. Essential are filters whose bar at their own is low while that at the "
                 "others stays high. Diamonds and circles: the same of random sets of as "
                 "many filters.", traces, layout, table)


def _at_classes(rows, classes, shift, name):
    """Means in percent, beside the ticks of their classes."""
    return {"name": name, "x": [classes.index(each) + shift for each in rows["class"]], "y": (100 * rows["mean"]).tolist(),
            "customdata": rows["class"].tolist(), "hovertemplate": "class %{customdata}: %{y:.1f} %"}


def curve(table, name):
    """Accuracy against the number of filters that a class's logit sees."""
    traces = []
    for number, (filters, title) in enumerate(CURVES.items()):
        own = table[table.filters == filters].sort_values("top")
        traces.append(line(own.top, 100 * own["mean"], 100 * own.sd, title.partition(":")[0], number))
    dense = table[table.filters == "dense"]
    traces.append({"type": "scatter", "mode": "markers", "name": "dense head, all filters", "x": dense.top.tolist(),
                   "y": (100 * dense["mean"]).tolist(), "marker": {"color": "$ink", "symbol": "star", "size": 11},
                   "hovertemplate": "%{x} filters: %{y:.2f} %"})
    tops = _apart(table.top)
    layout = {"xaxis": {"type": "log", "title": {"text": "filters a class"}, "tickvals": tops, "ticktext": list(map(str, tops))},
              "yaxis": percent_axis("test accuracy"), "height": 380}
    return Chart(name, f"Accuracy against filters a class: {run_of(table)}",
                 "Test accuracy of class heads that see only so many filters a class, without training on: those most often among the "
                 "largest of the class's images, those with the largest weights, and random ones (mean and standard deviation over draws).",
                 traces, layout, table)


def line(x, y, deviation, name, number):
    """The trace of a curve against filters a class, with its deviation or None; `number` chooses its colour and symbol."""
    return {"type": "scatter", "mode": "lines+markers", "name": name, "x": x.tolist(), "y": y.tolist(),
            "line": {"color": f"${number % 7}", "dash": DASHES[number // 7 % len(DASHES)]},
            "marker": {"symbol": SYMBOLS[number % len(SYMBOLS)]}, "hovertemplate": "%{x} filters: %{y:.4~g}",
            **({} if deviation is None else {"error_y": spread(deviation)})}


def _apart(tops):
    """Those of whole numbers that have room on a logarithmic axis, from the largest down."""
    chosen = []
    for top in sorted(set(tops.tolist()), reverse=True):
        chosen += [top] if not chosen or top * ROOM <= chosen[-1] else []
    return chosen[::-1]


def spread(values):
    """Whiskers of these lengths."""
    return {"type": "data", "array": values.fillna(0).tolist(), "thickness": 1, "width": 3}


def categories(title):
    """An axis of classes or filters."""
    return {"type": "category", "title": {"text": title}}


def run_of(table):
    """The label of the run that a table is of."""
    return table.run.iloc[0]
