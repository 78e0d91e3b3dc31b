"""From the pickles of measured runs to the original study's CSV files: which runs, from where, to where."""
import dataclasses
import itertools
import pathlib

from absl import flags

from tfprune import family_words, files
from tfprune.experiment import Experiment, UserError
from tfprune.flags import named
from tfprune.progress import say
from tfprune.recipe_flags import split
from tfprune.run import STAGES, asked, standing
from tfprune.settings import GROUPS

FLAGS = flags.FLAGS


def define_flags():
    """Defines the flag of both export scripts."""
    flags.DEFINE_string("run_dir", None, "export the pickles in this folder, such as the original study's, as those of --experiment_id")


def export(kind, registry, positional=()):
    """Exports what the command line asks for: experiments by ID, one from a folder of pickles, or every measured run.

    Args:
      kind: "redundancy" or "robustness".
      registry: the experiments.
      positional: arguments that are not flags.
    """
    stage = f"get_{kind}"
    if FLAGS.run_dir is None and not named(positional) and not family_words.asked_for(split(FLAGS.set)[0]):
        if FLAGS.set or FLAGS.seed is not None or FLAGS.streaming or FLAGS.fidelity != "corrected":
            raise UserError("--set, --seed, --fidelity and --streaming go with --experiment_id; without one every measured run is exported")
        sources = list(_measured(kind))
        if not sources:
            raise UserError(f"--results_dir={FLAGS.results_dir}: no run there has been through {stage}.py; "
                            "--run_dir=FOLDER --experiment_id=ID exports pickles from elsewhere")
    else:
        runs = asked(registry, positional)
        if FLAGS.run_dir is not None and len(runs) > 1:
            raise UserError(f"--run_dir={FLAGS.run_dir}: goes with one experiment, not with {len(runs)}")
        sources = [_asked(kind, run) for run in runs]
    for source in sources:
        _write(kind, *source)


def export_run(kind, run):
    """Exports one measured run; `kind` as above."""
    _write(kind, *_asked(kind, run))


def _write(kind, experiment, folder, tag, crosses, target):
    if not FLAGS.dry_run:
        text = _text(kind, experiment, folder, tag, crosses)
        files.write(files.writable_folder(target.parent, "--results_dir") / target.name, text)
    say(f"{experiment.label} pkl2csv_{kind}: {'would write' if FLAGS.dry_run else 'wrote'} {target}")


def _asked(kind, run):
    """(experiment, folder of pickles, tag in their names, number of crosses, target) of a run."""
    stage = f"get_{kind}"
    if "run_dir" not in FLAGS or FLAGS.run_dir is None:
        run.require(stage, f"pkl2csv_{kind}")
        return run.experiment, run.path, run.experiment.tag(*STAGES[stage]), run.experiment.measure.crosses, run.csv(kind)
    folder = pathlib.Path(FLAGS.run_dir)
    stem = _tables(run.experiment).PICKLES[kind][0]
    crosses = next(count for count in itertools.count() if not (folder / f"{stem}{count}.pkl").exists())
    if not crosses:
        raise UserError(f"--run_dir={folder}: no {stem}0.pkl there")
    return run.experiment, folder, "", crosses, run.csv(kind)


def _measured(kind):
    """The same for every run below --results_dir that has been through the stage."""
    stage, root = f"get_{kind}", pathlib.Path(FLAGS.results_dir)
    for path in sorted(root.glob(f"**/{stage}*.done.json")):
        marker = standing(path)
        if marker is None:
            say(f"{path.parent}: passed over, its {stage} is out of date or incomplete")
            continue
        tag = path.name.removeprefix(stage).removesuffix(".done.json")
        experiment = _from_settings(path.parent / "config.json", marker["settings"]["measure"])
        target = root / "csv" / path.parent.parent.relative_to(root) / f"{path.parent.name}_{kind}{tag}.csv"
        yield experiment, path.parent, tag, experiment.measure.crosses, target


def _from_settings(path, measure):
    """The experiment that a config.json describes, measured as a done marker says; UserError where it describes none."""
    settings = files.read_json(path) if path.exists() else None
    types = {field.name: field.type for field in dataclasses.fields(Experiment)}
    try:
        groups = {group: types[group](**settings[group]) for group in GROUPS}
        groups["measure"] = dataclasses.replace(groups["measure"], **measure)
        plain = {name: settings[name] for name in ("id", "name", "study", "family", "seed", "fidelity")}
        return Experiment(**plain, **groups, recipe=settings.get("recipe", ""))
    except (TypeError, KeyError):
        raise UserError(f"{path}: missing or damaged; name the run with --experiment_id instead") from None


def _text(kind, experiment, folder, tag, crosses):
    """The CSV of a run, as text."""
    from tfprune import pickles
    from tfprune.units.export import csv_text

    tables = _tables(experiment)
    contents = [{stem: pickles.load(folder / f"{stem}{cross}{tag}.pkl") for stem in tables.PICKLES[kind]} for cross in range(crosses)]
    try:
        if kind == "redundancy":
            return csv_text(tables.REDUNDANCY_COLUMNS, tables.redundancy_rows(experiment, contents))
        curves = [content["robustness"] for content in contents]
        return csv_text(tables.ROBUSTNESS_COLUMNS, tables.robustness_rows(experiment, curves))
    except (TypeError, IndexError, ValueError, KeyError, AttributeError):
        raise UserError(f"{folder}: its {kind} pickles are not nested as a run's are; run get_{kind}.py --overwrite") from None


def _tables(experiment):
    """The module that makes this experiment's CSVs."""
    from tfprune.units.layouts import layout_of

    return layout_of(experiment).export
