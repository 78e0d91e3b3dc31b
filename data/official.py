"""Public sets that fit in memory: the files that their authors give out, or tensorflow-datasets' copy where those are absent.

The counts come from the files, so that a smaller set in the same format works too.
"""
import pathlib
from dataclasses import dataclass

from data import download, splits
from tfprune.datasets import DATASETS
from tfprune.experiment import UserError


@dataclass(frozen=True)
class Official:
    """A source (see `data`); a subclass has `read(paths)`, which makes a `splits.Arrays` of its files.

    Attributes:
      name: of the set, in `DATASETS` and at tensorflow-datasets.
      title: as its authors write it.
      url: of its archive, or of the folder of its files.
      folders: where below the data folder the files may lie.
      files: their names; of each one all that it may have, separated by spaces, the official one first.
      command: what fetches the files, with {data_dir}, {url} and {name}.
    """

    name: str
    title: str
    url: str
    folders: tuple
    files: tuple
    command: str
    FIELDS = splits.FIELDS

    def fingerprint(self, dataset, data_dir):
        """SHA-256 of the raw files; downloads them where there are none."""
        return download.digest(self.paths(data_dir) or download.ensure(self.name, data_dir, self.url, self.advice(data_dir)))

    def load(self, dataset, data_dir):
        """All images uint8 [n, side, side, channels] and labels int64, in the order of the files.

        Raises:
          UserError: a file is missing, truncated, or not what its name says.
        """
        paths = self.paths(data_dir)
        if paths:
            return self.read(paths)
        arrays = download.load(self.name, data_dir)
        return splits.Arrays(*arrays["train"], *arrays["test"], num_classes=DATASETS[self.name].classes)

    def paths(self, data_dir):
        """The official files in order, or None; UserError naming the file where one of them is missing."""
        for folder in (pathlib.Path(data_dir) / name for name in self.folders):
            paths = [next((folder / name for name in names.split() if (folder / name).is_file()), None) for names in self.files]
            if all(paths):
                return paths
            if any(paths):
                missing = folder / self.files[paths.index(None)].split()[0]
                raise UserError(f"{missing}: missing; fetch {self.url} again, or remove {folder} to have the data downloaded")
        return None

    def advice(self, data_dir):
        """What a user without a network should do."""
        names = [names.split()[0] for names in self.files]
        command = self.command.format(data_dir=data_dir, url=self.url, name=self.name)
        return f"put {', '.join(names[:-1])} and {names[-1]} into {pathlib.Path(data_dir) / self.folders[0]}, for instance with: {command}"
