"""The page's section of pruning: what prune.py and shrink.py have measured of nets, whatever their study."""
import numpy as np
import pandas as pd

from tfprune.experiment import UserError
from tfprune.pruning.table import damaged
from tfprune.report import page, pruning, pruning_charts, shrunk
from tfprune.report.chart import Section
from tfprune.report.histogram_slider import slider
from tfprune.report.measured import label, left_out, named, readable, variants
from tfprune.report.pruning_results import read_histograms

MOST_HISTOGRAMS, MOST_BARS = 8, 30  # runs whose histograms are in the page; nets before and after
INTRO = ("How far can weights and units be cut off by their size before a net fails, and what does a smaller net save? Weights that are "
         "pruned are 0; of a unit all that leads into it is pruned. Sparsity is the share that is pruned.")


def section(runs):
    """The `Section`; None where neither prune.py nor shrink.py has measured any of the runs.

    Args:
      runs: list of `Run`.
    """
    pruned, refused = _read(runs, "prune", _pruned)
    small, refused_too = _read(runs, "shrink", _small)
    if not pruned and not small and not refused + refused_too:
        return None
    parts = _curves([table for _, table, _ in pruned]) + _histograms(pruned) + _bars(small)
    return Section("pruning", "Pruning", " ".join(filter(None, (INTRO, left_out(refused + refused_too)))), parts)


def _read(runs, stage, function):
    """(what `function` gives of runs, one for each time that a stage was done; a line for each that is damaged)."""
    members, refused = readable(runs, lambda run: variants(run, stage))
    found, more = readable(members, lambda run: [function(run)])
    return found, refused + more


def _pruned(run):
    """(label, table, {by: Histograms}) of a pruned run."""
    name = label(run, "prune")
    experiment = run.experiment
    table = pruning.tidy([run]).assign(curve=name, net=f"{experiment.dnn.name} on {experiment.dataset.name}")
    histograms = {by: read_histograms(run, by) for by in experiment.measure.prune_by}
    if not all(np.allclose(edges, np.linspace(0, edges[-1], len(edges))) and (counts >= 0).all()
               for each in histograms.values() for edges, counts in each.layers.values()):
        raise damaged(run.file("prune", "histograms.npz"))
    return name, table, histograms


def _small(run):
    """The table of a run that was made smaller."""
    table = shrunk.tidy([run], [label(run, "shrink")])
    if table.net.duplicated().any():
        raise UserError(f"{run.file('shrink', 'shrink.csv')}: damaged (a net stands there twice); remove it and run shrink.py again")
    return table


def _curves(tables):
    if not tables:
        return []
    table = pd.concat(tables, ignore_index=True)
    return [pruning_charts.against_sparsity(table[table.by == by], by, column, f"pruning-{column}-{by}")
            for column in pruning_charts.WHAT for by in ("weight", "unit") if (table.by == by).any()]


def _histograms(pruned):
    charts = [slider(histograms, name, f"pruning-histogram-{by}-{number}")
              for number, (name, _, of_run) in enumerate(pruned[:MOST_HISTOGRAMS], 1) for by, histograms in of_run.items()]
    return charts + _not_shown("Histograms were kept, and are not shown here", [name for name, *_ in pruned[MOST_HISTOGRAMS:]])


def _bars(tables):
    if not tables:
        return []
    table = pd.concat(tables[:MOST_BARS], ignore_index=True)
    charts = [pruning_charts.before_and_after(table, column, f"pruning-before-and-after-{column.replace('_', '-')}")
              for column in shrunk.SHOWN]
    return charts + _not_shown("Made smaller too, and not shown here", [table.curve.iloc[0] for table in tables[MOST_BARS:]])


def _not_shown(words, labels):
    return [page.paragraph(f"{words}: {named(labels)}.")] if labels else []
