"""What runs that share a figure must have in common, what tells their curves apart, and how many curves a figure holds."""
from tfprune.experiment import UserError, non_defaults
from tfprune.run import STAGES
from tfprune.settings import GROUPS

CURVES = 40  # of a figure: more have no room in its legend
OF_UNITS = {f"measure.{name}" for stage in ("get_redundancy", "get_robustness") for name in STAGES[stage]}


def common(runs, what, value):
    """What `value(experiment)` gives for all runs; UserError where they differ, for they cannot share an axis."""
    values = {value(run.experiment) for run in runs}
    if len(values) > 1:
        raise UserError(f"--experiment_ids: a report is of {what}, not of {', '.join(map(str, sorted(values)))} at once")
    return values.pop()


def curve_labels(experiments, *axes):
    """For each experiment, the settings in which the experiments differ, as text; but not those of the axes, such as `hyper.keep`, nor
    those of `measure.` that say nothing of redundancy and robustness: a run keeps the ones of whatever was measured of it last.
    """
    settings = []
    for experiment in experiments:
        every = {f"{group}.{key}": value for group in GROUPS for key, value in non_defaults(getattr(experiment, group)).items()}
        settings.append({key: value for key, value in every.items()
                         if key not in axes and (not key.startswith("measure.") or key in OF_UNITS)})
    keys = [key for key in dict.fromkeys(key for values in settings for key in values)
            if len({str(values.get(key)) for values in settings}) > 1]
    return [", ".join(f"{key.partition('.')[2]}={values[key]}" for key in keys if key in values) or experiment.dnn.name
            for values, experiment in zip(settings, experiments, strict=True)]


def first_curves(table, most=CURVES):
    """(the rows of a tidy table's first curves, `, 40 of 300 curves` where there are more)."""
    every = list(dict.fromkeys(table.curve))
    if len(every) <= most:
        return table, ""
    chosen = table[table.curve.isin(every[:most])].reset_index(drop=True)
    chosen.attrs |= table.attrs
    return chosen, f", {most} of {len(every):,} curves"
