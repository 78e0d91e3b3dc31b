"""The commands of decompose.py as stages of a run: each leaves its table as JSON in the run, and as CSV beside those of other runs."""
import json
import pathlib
import time

from tfprune import files
from tfprune.experiment import UserError
from tfprune.filters.commands import COMMANDS, about
from tfprune.filters.index_files import save_index
from tfprune.progress import say
from tfprune.run import STAGES

MOST_ROWS = 25  # of a table that is printed


def execute(command, source, records, overwrite=False, dry_run=False):
    """Runs a command on a `Source`, unless that is done, and prints its table; returns the done marker (None on a dry run).

    Args:
      command: a key of COMMANDS.
      source: a `Source`.
      records: finds or builds the folder of records.
      overwrite, dry_run: as of `Run.execute`.

    Raises:
      UserError: the command does not go with the experiment; weights or filters are not there, or do not fit.
    """
    check(command, source)
    if of_dense(command, source) and not dry_run:
        source.require_dense(command)
    if by_filters(command, source) and not dry_run:
        ensure_filters(source, records)

    if "train" in needs(command, source):
        source.check_trained()

    def prepare():
        source.check_filters()  # before anything is written
        return records()

    started = time.monotonic()
    marker = source.run.execute(command, lambda folder: _work(command, source, folder), prepare, needs(command, source), overwrite, dry_run,
                                source.remark)
    if marker and not dry_run:
        _show(command, source)
        say(f"{source.experiment.label} {command}: {time.monotonic() - started:.1f} seconds{source.remark()}")
    return marker


def check(command, source):
    """UserError where a command and the settings of an experiment do not go together."""
    experiment = source.experiment
    if command == "csg" and experiment.training.trainer != "csg":
        raise UserError(f"{experiment.flag}: csg is of nets with class-specific gates (training.trainer=csg), such as 7004 and 9034")
    if command not in ("validate", "curve", "psi", "selectivity", "csg") and not source.decomposed:
        raise UserError(f"{experiment.flag}: {command} is of class filters, and {experiment.name} has a head that sees all; say how many "
                        "of each class (-k 5), or give them (-i FILE)")
    if experiment.measure.layer and command not in ("indices", "mutual_info", "psi", "selectivity"):
        raise UserError(f"--layer={experiment.measure.layer}: is of indices, mutual_info, psi and selectivity; {command} measures the "
                        "filters of the class head")


def by_filters(command, source):
    """Does a command need the run's class filters?"""
    return COMMANDS[command].by_filters and source.decomposed


def needs(command, source):
    """The stages that a command's result is made from, as `Run.execute` takes them."""
    dense, trained = of_dense(command, source), source.has_trained
    return [*(source.of_dense if dense else ()), *(["train"] if trained and (not dense or COMMANDS[command].net == "both") else []),
            *(["indices"] if by_filters(command, source) else []),
            *(source.counterpart.of_dense if command == "csg" and source.counterpart else [])]


def of_dense(command, source):
    """Does a command need the net with its dense head? Where it takes another too, and that is the only one or its own, it does not."""
    net, trained = COMMANDS[command].net, source.has_trained
    return net == "dense" or not trained or (net != "own" and source.has_dense)


def ensure_filters(source, records):
    """Finds the filters of a run, or takes those that are given, where its stage `indices` has not."""
    if source.run.done_from("indices", needs("indices", source)) is None:
        execute("indices", source, records)


def _work(command, source, folder):
    """(files, result) of a command, for the done marker."""
    measured = COMMANDS[command].measure(source, folder)
    rows = json.loads(measured.table.to_json(orient="records", double_precision=15))
    content = {"experiment": source.experiment.id, "from": source.given or source.origin, "rows": rows} | measured.about
    path = _json(command, source)
    files.write(path, json.dumps(content) + "\n")
    return [path, *measured.files], {"from": content["from"]}


def _show(command, source):
    """Prints a command's table from its file, and writes it as CSV."""
    import pandas as pd

    run, table = source.run, pd.DataFrame(files.read_json(_json(command, source))["rows"])
    folder = files.writable_folder(run.results_dir / "csv" / "decomposing", "--results_dir")
    path = folder / f"{run.experiment.name}_{command}{run.experiment.tag(*STAGES[command])}.csv"
    files.write(path, table.to_csv(index=False))
    brief = COMMANDS[command].brief(table)
    if len(brief) <= MOST_ROWS:
        say(f"{run.experiment.label} {command}: {COMMANDS[command].title}")
        say(brief.to_string(index=brief.index.name is not None, na_rep="", float_format=f"{{:{COMMANDS[command].digits}}}".format))
    say(f"{run.experiment.label} {command}: table in {path}")


def copy_index(source, path, original=False):
    """Writes a run's class filters to a file of the user's; in the original's format if `original`."""
    folder = files.writable_folder(pathlib.Path(path).parent, "--out")
    save_index(folder / pathlib.Path(path).name, source.index, original, **about(source))
    say(f"{source.experiment.label} indices: wrote {path}")


def _json(command, source):
    return source.run.file(command, f"{command}.json")
