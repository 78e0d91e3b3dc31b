"""Runs that the user names: their folder says nothing of their settings, so what is in it is held against those asked for."""
import dataclasses
import json
import re

from tfprune.experiment import UserError
from tfprune.files import read_json
from tfprune.run import Run
from tfprune.settings import GROUPS

NAME = re.compile(r"[A-Za-z0-9][\w.=+-]{0,99}", re.ASCII)  # no path, no pattern of TensorFlow's, no hidden folder


def check_name(name, flag):
    """UserError where `name` cannot be that of a run's folder."""
    if not NAME.fullmatch(name):
        raise UserError(f"{flag}={name}: expected an ID, or a name for the run: letters, digits and . _ = + -, 100 at most, a letter or "
                        "digit first")


def named(run, name):
    """The run of the same experiment in the folder `name`."""
    return Run(dataclasses.replace(run.experiment, name=name), run.results_dir)


def check_same(run, flag, again):
    """UserError where the run's folder holds what other settings than the run's have trained.

    Args:
      run: a `Run`.
      flag: that names it; again: the flag with which it is trained again.
    """
    path = run.path / "config.json"
    if not path.exists():
        return
    before = read_json(path)
    for key, value in trained_settings(run.experiment).items():
        group, _, name = key.rpartition(".")
        settings = before.get(group, {}) if group and isinstance(before, dict) else before
        if not isinstance(settings, dict) or settings.get(name, _default(run.experiment, group, name)) != value:
            was = settings.get(name) if isinstance(settings, dict) else "none"
            raise UserError(f"{flag}={run.experiment.name}: {run.path} was made with {key}={was}, not {value}; another name keeps both, "
                            f"{again} trains this one again")


def trained_settings(experiment):
    """{name: JSON value} of all settings that decide the trained weights, such as `hyper.batch_size` and `seed`."""
    values = json.loads(json.dumps(experiment.settings()))
    groups = {f"{group}.{name}": value for group in GROUPS if group != "measure" for name, value in values[group].items()}
    return groups | {"seed": values["seed"], "fidelity": values["fidelity"]}


def _default(experiment, group, name):
    """What a setting was before there was one."""
    if not group:
        return None
    value = next(field.default for field in dataclasses.fields(getattr(experiment, group)) if field.name == name)
    return list(value) if isinstance(value, tuple) else value
