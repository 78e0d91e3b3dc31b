"""The page's charts of what classes' sets of filters share, and of class-specific gates, from the tables of filter_tables.py."""
import math

from tfprune.report.chart import Chart
from tfprune.report.filter_charts import BAR, categories, line, run_of, spread
from tfprune.report.filter_figures import COMPARED, NOISES, SETS
from tfprune.report.sections.parts import percent_axis, runs_axis

FEW = 20  # classes of which pairs have their numbers written


def pairs(table, name):
    """What two classes' filters share: how many, and their mutual information; two charts."""
    return [_of_pairs(table, f"{name}-shared", "shared", "Filters that two classes share", "filters", "",
                      "How many filters two classes have in common; on the diagonal how many a class has."),
            _of_pairs(table, f"{name}-information", "mutual_information", "Mutual information of two classes' filters", "nats", ".3f",
                      "Mutual information, over the filters, between \"is a filter of class a\" and \"is a filter of class b\": 0 if one "
                      "says nothing about the other. On the diagonal it is the entropy of a class's own.")]


def _of_pairs(table, name, column, title, unit, pattern, note):
    names = table["class"].astype(str).drop_duplicates().tolist()
    values = table[column].to_numpy().reshape(len(names), len(names))
    others = table[column][table["class"] != table.other]
    most = float(others.max()) or 1 if len(others) else 1
    ticks = {"dtick": math.ceil(most / 8)} if not pattern else {}  # of a count, whole ones
    heat = {"type": "heatmap", "x": names, "y": names, "z": values.tolist(), "colorscale": "Viridis", "zmin": 0, "zmax": most,
            "colorbar": BAR | ticks | {"title": {"text": unit, "side": "top"}},
            "hovertemplate": f"classes %{{y}} and %{{x}}: %{{z:{pattern}}} {unit}<extra></extra>"}
    if len(names) <= FEW:
        words = [[f"{value:{pattern}}".removeprefix("0" * bool(pattern)) for value in row] for row in values]
        heat |= {"text": words, "texttemplate": "%{text}"}
    layout = {"xaxis": categories("class"), "yaxis": categories("class") | {"autorange": "reversed"}, "height": 420}
    note += " Colours end at the largest value of two different classes."
    return Chart(name, f"{title}: {run_of(table)}", note, [heat], layout, table)


def information(table, name):
    """Mean mutual information between different classes' sets, against random sets of the same sizes: marks, a row a run."""
    marks = (("own", "class filters", {"color": "$0", "size": 10}, None),
             ("random", "random sets of as many", {"color": "$1", "symbol": "square", "size": 8}, table.random_sd),
             ("random_expected", "random sets, exact expectation", {"color": "$ink", "symbol": "line-ns", "size": 14,
                                                                    "line": {"color": "$ink", "width": 2}}, None))
    traces = [{"type": "scatter", "mode": "markers", "name": title, "x": table[column].tolist(), "y": list(range(len(table))),
               "text": table.run.tolist(), "marker": marker, "hovertemplate": "%{text}: %{x:.4f} nats",
               **({} if deviation is None else {"error_x": spread(deviation)})}
              for column, title, marker, deviation in marks]
    layout = {"xaxis": {"title": {"text": "mutual information [nats]"}, "rangemode": "tozero"}, "yaxis": runs_axis(table.run),
              "height": 200 + 60 * len(table)}
    return Chart(name, "What the filters of one class say about another's",
                 "Mean mutual information over all pairs of different classes, against random sets of the same sizes (mean and standard "
                 "deviation over draws; the exact expectation). More than chance: classes share filters, or shun each other's, more than "
                 "random sets would.",
                 traces, layout, table)


def gates(table, name):
    """Class-specific gates against found and random filters by how many of a class; a chart a measure."""
    several = table.run.nunique() > 1
    noise = NOISES.get(table.noise.iloc[0], table.noise.iloc[0])
    charts = []
    for place, (column, title) in enumerate(COMPARED.items()):
        scale, unit = (1, "mutual information [nats]") if column == "off_diagonal" else (100, "test accuracy")
        traces = [line(own.top, scale * own[column], scale * own[f"{column}_sd"] if f"{column}_sd" in own else None,
                        SETS.get(filters, filters) + (f", {run}" if several else ""), number)
                  for number, ((run, filters), own) in enumerate(table.groupby(["run", "filters"], sort=False))]
        tops = sorted(set(table.top.tolist()))
        layout = {"xaxis": {"title": {"text": "filters a class"}, "tickvals": tops},
                  "yaxis": percent_axis(unit) if scale > 1 else {"title": {"text": unit}, "rangemode": "tozero"}}
        charts.append(Chart(f"{name}-{place + 1}", f"Gates: {title[0].lower()}{title[1:]}",
                            "Filters with a class's largest gates in the net trained with class-specific gates (CSG), against those found "
                            f"in the plain net and random ones. Noise: {noise}; means over draws, whiskers their standard deviation.",
                            traces, layout, table))
    return charts
