"""What decompose.py has left in runs, as tidy tables. Every table begins with `experiment_id` and `run`, the label of a run in figures."""
import dataclasses
import os
import pathlib
import re

import numpy as np
import pandas as pd

from tfprune.experiment import UserError
from tfprune.files import read_json
from tfprune.report.measured import label, measured_with, variants
from tfprune.run import OF_FILTERS, Run, standing

STAGES = ("train", *OF_FILTERS)


@dataclasses.dataclass
class Results:
    """What there is of one run: its `Run`, its label, the content of each finished command's JSON, the training's result or None, and where
    these JSONs are.
    """

    run: Run
    label: str
    commands: dict
    trained: dict | None
    paths: dict = dataclasses.field(default_factory=dict)

    def rows(self, command):
        """The rows of a command as a table with the first columns; empty where it was not run."""
        table = pd.DataFrame(self.commands.get(command, {}).get("rows", []))
        table.insert(0, "experiment_id", self.run.experiment.id)
        table.insert(1, "run", self.label)
        return table

    def filters(self):
        """{class: [filter, ..]}, most frequent first, or None."""
        if "indices" not in self.commands:
            return None
        table, counts = self.rows("indices"), self.commands["indices"]["counts"]
        classes = len(counts) if counts else table["class"].max() + 1
        own = {number: filters.tolist() for number, filters in table.groupby("class", sort=False)["filter"]}
        return {number: own.get(number, []) for number in range(classes)}

    def counts(self):
        """How often each filter was among the largest of an image, as shares of a class's images, [classes, filters]; None of filters that
        were read from a file.
        """
        counts = self.commands["indices"]["counts"]
        if counts is None:
            return None
        images = self.rows("indices").groupby("class").images.first()
        return np.asarray(counts) / images.reindex(range(len(counts))).fillna(1).to_numpy()[:, None]

    def members(self):
        """Which filters a class has, bool [classes, filters]."""
        members = np.zeros((len(self.filters()), self.commands["indices"]["units"]), bool)
        for number, own in self.filters().items():
            members[number, own] = True
        return members


def of_runs(runs):
    """The `Results` of runs, those of files of the user's (`decompose.py -w`, `-i`) after each; runs without any are left out.

    Raises:
      UserError: none has any; says what to run.
    """
    known = {}
    found = [_read(member, net_label(run) + suffix) for run in runs for member, suffix in [(run, ""), *_given(run, known)]]
    there = [results for results in found if results.commands or results.trained]
    if not there:
        flag, commands = runs[0].experiment.flag, ", ".join(OF_FILTERS)
        raise UserError(f"{flag}: there is nothing to report yet; run: python train.py {flag}, then python decompose.py COMMAND {flag} "
                        f"({commands})")
    return there


def every(run, known=None):
    """The `Results` of a run, and of what it was given (`decompose.py -w`, `-i`): for each set of `measure.` settings that any command was
    run with, one. Nothing where no command was run. `known` is a dictionary that several calls may share, so that no folder is read twice.

    Raises:
      UserError: a file is damaged.
    """
    found, name = {}, net_label(run)
    for member, suffix in [(run, ""), *_given(run, {} if known is None else known)]:
        for command, fields in OF_FILTERS.items():
            for measured in variants(member, command):
                words = name + suffix + measured_with(measured.experiment.measure, fields)
                results = found.setdefault(words, Results(member, words, {}, None))
                results.paths[command] = measured.file(command, f"{command}.json")
                results.commands[command] = read_json(results.paths[command])
    return list(found.values())


def together(found, command):
    """The rows of a command of all runs, below each other."""
    tables = [table for table in (results.rows(command) for results in found) if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def net_label(run):
    """The run's label, with the word for its class head where the name has none, as in other studies."""
    name, experiment = label(run), run.experiment
    if " k=" in name or " csg" in name:
        return name
    return name + (" csg" if experiment.training.trainer == "csg" else f" k={experiment.dnn.top:g}" if experiment.dnn.top else " all")


def _given(run, known):
    """(run, what it was given) for each run of the same experiment whose weights or filters are those of files."""
    for name in _tagged(run.path.parent, known).get(run.path.name, ()):
        member = Run(dataclasses.replace(run.experiment, name=name), run.results_dir)
        markers = [marker for marker in (standing(member.marker(stage)) for stage in OF_FILTERS) if marker]
        trained = run.experiment.trained_hash()
        sources = [marker["result"].get("from") for marker in markers if marker["settings"].get("trained_hash") == trained]
        given = next(filter(_is_of_files, sources), {})
        if given:  # others have another hash: they are of other settings
            yield member, "".join(f" {flag} {pathlib.PurePath(file['path']).name}" for flag, file in sorted(given.items(), reverse=True))


def _is_of_files(source):
    """Is it what decompose.py notes of the files that it was given: {flag: {"path": .., ..}}?"""
    return (isinstance(source, dict) and set(source) <= {"-w", "-i"}
            and all(isinstance(file, dict) and isinstance(file.get("path"), str) for file in source.values()))


def _tagged(folder, known):
    """{name: the names in a folder that are this one and `+<hash8>`, in order}."""
    if folder not in known:
        known[folder] = {}
        for name in sorted(os.listdir(folder) if folder.is_dir() else []):
            if re.fullmatch(r"\+[0-9a-f]{8}", name[-9:]):
                known[folder].setdefault(name[:-9], []).append(name)
    return known[folder]


def _read(run, words):
    done = {stage: run.done(stage) for stage in STAGES}
    commands = {command: read_json(run.file(command, f"{command}.json")) for command in OF_FILTERS if done[command]}
    return Results(run, words, commands, done["train"] and done["train"]["result"])
