"""What decompose.py has left in runs, as tidy tables. Every table begins with `experiment_id` and `run`, the label of a run in figures."""
import dataclasses
import glob
import pathlib

import numpy as np
import pandas as pd

from tfprune.experiment import UserError
from tfprune.files import read_json
from tfprune.run import OF_FILTERS, Run, standing

STAGES = ("train", *OF_FILTERS)


@dataclasses.dataclass
class Results:
    """What there is of one run: its `Run`, its label, the content of each finished command's JSON, and the training's result or None."""

    run: Run
    label: str
    commands: dict
    trained: dict | None

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
        return {number: table["filter"][table["class"] == number].tolist() for number in range(classes)}

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
    found = [_read(member, suffix) for run in runs for member, suffix in [(run, ""), *_given(run)]]
    there = [results for results in found if results.commands or results.trained]
    if not there:
        flag, commands = runs[0].experiment.flag, ", ".join(OF_FILTERS)
        raise UserError(f"{flag}: there is nothing to report yet; run: python train.py {flag}, then python decompose.py COMMAND {flag} "
                        f"({commands})")
    return there


def together(found, command):
    """The rows of a command of all runs, below each other."""
    tables = [table for table in (results.rows(command) for results in found) if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _given(run):
    """(run, what it was given) for each run of the same experiment whose weights or filters are those of files."""
    for path in sorted(run.path.parent.glob(glob.escape(run.path.name) + "+" + "[0-9a-f]" * 8)):
        member = Run(dataclasses.replace(run.experiment, name=path.name), run.results_dir)
        markers = [marker for marker in (standing(member.marker(stage)) for stage in OF_FILTERS) if marker]
        given = next((marker["result"]["from"] for marker in markers if marker["settings"]["trained_hash"] == run.experiment.trained_hash()
                      and set(marker["result"]["from"]) <= {"-w", "-i"}), {})
        if given:  # others have another hash: they are of other settings
            yield member, "".join(f" {flag} {pathlib.PurePath(file['path']).name}" for flag, file in sorted(given.items(), reverse=True))


def _read(run, suffix):
    experiment = run.experiment
    top = "csg" if experiment.training.trainer == "csg" else f"k={experiment.dnn.top:g}" if experiment.dnn.top else "all"
    done = {stage: run.done(stage) for stage in STAGES}
    commands = {command: read_json(run.file(command, f"{command}.json")) for command in OF_FILTERS if done[command]}
    return Results(run, f"ID{experiment.id} {experiment.dnn.name} {top}{suffix}", commands, done["train"] and done["train"]["result"])
