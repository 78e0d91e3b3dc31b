"""What runs that share a figure must have in common, and what tells their curves apart."""
from tfprune.experiment import UserError, non_defaults
from tfprune.settings import GROUPS


def common(runs, what, value):
    """What `value(experiment)` gives for all runs; UserError where they differ, for they cannot share an axis."""
    values = {value(run.experiment) for run in runs}
    if len(values) > 1:
        raise UserError(f"--experiment_ids: a report is of {what}, not of {', '.join(map(str, sorted(values)))} at once")
    return values.pop()


def curve_labels(experiments, *axes):
    """For each experiment, the settings in which the experiments differ, as text; but not those of the axes, such as `hyper.keep`."""
    settings = []
    for experiment in experiments:
        every = {f"{group}.{key}": value for group in GROUPS for key, value in non_defaults(getattr(experiment, group)).items()}
        settings.append({key: value for key, value in every.items() if key not in axes})
    keys = [key for key in dict.fromkeys(key for values in settings for key in values)
            if len({str(values.get(key)) for values in settings}) > 1]
    return [", ".join(f"{key.partition('.')[2]}={values[key]}" for key in keys if key in values) or experiment.dnn.name
            for values, experiment in zip(settings, experiments, strict=True)]
