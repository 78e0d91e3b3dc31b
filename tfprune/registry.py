"""The registry: experiments by integer ID, found by name, listed as a table. IDs are append-only and never change their meaning."""
import fnmatch
import itertools

from tfprune.experiment import UserError

LONGEST = 100  # characters of a range of IDs; Python makes no number of thousands of digits


class Registry:
    """A read-only mapping from integer ID to `Experiment`, in the order of the IDs."""

    def __init__(self, experiments):
        self._by_id = {}
        for experiment in sorted(experiments, key=lambda e: e.id):
            if experiment.id in self._by_id:
                raise ValueError(f"ID {experiment.id} is given twice: {self._by_id[experiment.id].name}, {experiment.name}")
            self._by_id[experiment.id] = experiment

    def __getitem__(self, experiment_id):
        try:
            return self._by_id[experiment_id]
        except KeyError:
            raise UserError(f"--experiment_id={experiment_id}: no such experiment; IDs are {self.ranges()}") from None

    def __iter__(self):
        return iter(self._by_id)

    def __len__(self):
        return len(self._by_id)

    def __contains__(self, experiment_id):
        return experiment_id in self._by_id

    def values(self):
        """All experiments, in the order of their IDs."""
        return self._by_id.values()

    def find(self, pattern):
        """The experiments whose name matches a shell pattern such as `*Alexnet*`."""
        return [e for e in self.values() if fnmatch.fnmatchcase(e.name, pattern)]

    def ranges(self):
        """The known IDs in short: `0-3246, 4000-4038, 9002-9006`."""
        runs = [[i for _, i in run] for _, run in itertools.groupby(enumerate(self), lambda pair: pair[1] - pair[0])]
        return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)

    def select(self, text, flag="--experiment_ids"):
        """Experiments for an expression such as `2-6,9002`, in the order given, each once.

        Raises:
          UserError: the expression is malformed or names an unknown ID.
        """
        ids = []
        for part in str(text).split(","):
            first, dash, last = part.strip().partition("-")
            if len(part) > LONGEST or not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
                raise UserError(f"{flag}={text}: expected IDs and ranges such as 3 or 2-6,9002; known IDs are {self.ranges()}")
            asked = range(int(first), int(last or first) + 1)
            missing = next((i for i in asked if i not in self), None)
            if missing is not None:
                raise UserError(f"{flag}={text}: no such experiment as {missing}; IDs are {self.ranges()}")
            ids += asked
        return [self[i] for i in dict.fromkeys(ids)]

    def table(self, study=None):
        """Lines `ID  study  family  name`, a heading first; only one study's where named."""
        studies = sorted({e.study for e in self.values()})
        if study is not None and study not in studies:
            raise UserError(f"--study={study}: no such study; there are {', '.join(studies)}")
        rows = [("ID", "study", "family", "name")]
        rows += [(str(e.id), e.study, e.family or "-", e.name) for e in self.values() if study in (None, e.study)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]

    def recipes(self):
        """The experiments that follow a recipe, as the lines of a Markdown table: ID, path of the recipe, name of the run."""
        rows = [f"| {e.id} | {e.recipe} | {e.name} |" for e in self.values() if e.recipe]
        return ["| ID | recipe | name |", "|---|---|---|", *rows]

    def lookup(self):
        """The text of `experiment_lookup.txt`: an ID and its name a line."""
        return "".join(f"{e.id}\t{e.name}\n" for e in self.values())
