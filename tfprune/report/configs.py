"""An experiment as the config.json in a run's folder has it: nothing in there is believed that a command line would not accept."""
import dataclasses
import functools

from tfprune.experiment import Experiment, UserError
from tfprune.overrides import QUIRKS, assign
from tfprune.settings import GROUPS

PLAIN = {"id": int, "name": str, "study": str, "family": str, "seed": int, "fidelity": str, "recipe": str}
NEEDED = ("id", "name", "study", "config_hash")


def experiment_of(config, registry):
    """The experiment whose `settings()` a config.json holds; settings that are newer than the file have their defaults.

    Args:
      config: the JSON value in the file.
      registry: a `Registry`, which knows with which `measure.` settings an experiment's files have names without a tag.

    Raises:
      UserError: there are other settings than an experiment's, values that none takes, or not those of its hash.
    """
    if not isinstance(config, dict) or any(name not in config for name in NEEDED):
        raise UserError("config.json is damaged: the settings of a run are expected")
    unknown = [name for name in config if name not in (*PLAIN, *GROUPS, "config_hash")]
    wrong = [name for name, kind in PLAIN.items() if name in config and type(config[name]) is not kind]
    if unknown or wrong:
        raise UserError(f"config.json is damaged: {_said(*(unknown or wrong)[:1])} is {'no setting' if unknown else 'of another type'}")
    experiment = Experiment(**{name: config[name] for name in PLAIN if name in config})
    groups = {group: _settings(group, getattr(experiment, group), config.get(group, {})) for group in GROUPS}
    experiment = dataclasses.replace(experiment, **groups)
    if experiment.config_hash() != config["config_hash"]:
        raise UserError("config.json is damaged: its hash is that of other settings")
    return dataclasses.replace(experiment, registered_measure=_registered(experiment, registry))


def _settings(group, defaults, values):
    """A settings group with these values of its fields."""
    if not isinstance(values, dict):
        raise UserError(f"config.json is damaged: {group} has no settings")
    changed, plain = {}, vars(defaults)
    for name, value in values.items():
        value = tuple(value) if isinstance(value, list) else value
        if name not in plain:
            raise UserError(f"config.json is damaged: {group}.{_said(name)} is no setting")
        if type(value) is not type(plain[name]):
            raise UserError(f"config.json is damaged: {group}.{name} is of another type")
        if value != plain[name]:
            each = type(defaults).__dataclass_fields__[name].metadata["each"]
            if isinstance(value, tuple) and any(type(part) is not each for part in value):
                raise UserError(f"config.json is damaged: {group}.{name} is of another type")
            _check(f"{group}.{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}")
            changed[name] = value
    return dataclasses.replace(defaults, **changed)


@functools.lru_cache(maxsize=10_000)  # thousands of runs have the same few hundred
def _check(assignment):
    try:
        assign(Experiment(0, "", ""), [assignment])
    except UserError as error:
        raise UserError(f"config.json is damaged: {_said(str(error).removeprefix('--set '))}") from None


def _registered(experiment, registry):
    """What the registry has for `measure`, with the quirks of an original where it is like that."""
    if experiment.id not in registry or registry[experiment.id].study != experiment.study:
        return None
    measure = registry[experiment.id].measure
    quirks = QUIRKS.get(experiment.study, {}) if experiment.fidelity == "original" else {}
    quirks = [f"{key}={value}" for key, value in quirks.items() if key.startswith("measure.")]
    return assign(dataclasses.replace(experiment, measure=measure), quirks).measure if quirks else measure


def _said(text):
    """A text out of the file, on one short line."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:120])
