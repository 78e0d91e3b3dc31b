"""Where a run's nets and filters come from: the files of -w and -i, its own training, or that of the experiment whose net it decomposes."""
import dataclasses
import functools
import hashlib
import pathlib

from tfprune.experiment import UserError
from tfprune.files import sha256
from tfprune.filters.bases import counterpart, plain_experiment, train_command
from tfprune.filters.features import feature_function
from tfprune.filters.index_files import load_index
from tfprune.models import build_model, torch_names
from tfprune.run import Run
from tfprune.training.checkpoints import load_trained
from tfprune.training.torch_checkpoints import TorchCheckpoint

FILE = "class_filters.json"


class Source:
    """The nets and the filters of one run.

    Args:
      run: a `Run`.
      registry: where the experiment is found whose trained net this one decomposes (`training.start_from`).
      weights: path of a checkpoint with a dense head (-w), or None.
      indices: path of an index file (-i), or None.

    Attributes:
      run: the `Run`; of a name of its own where files are given.
      plain: the `Run` of the net with its dense head: the same, or that of the experiment that it starts from.
      checkpoint: the `TorchCheckpoint`, or None.
      given: {flag: {"path", "sha256"}} of the files.

    Raises:
      UserError: there is no such file, or no such experiment.
    """

    def __init__(self, run, registry, weights=None, indices=None):
        self.registry, (base, self._changes) = registry, plain_experiment(run.experiment, registry)
        if base.dnn.top and not weights:
            raise UserError(f"{run.experiment.flag}: dnn.top={base.dnn.top:g} decomposes the head of a trained net, and none is named; "
                            "-w FILE gives its weights, --set training.start_from=ID names an experiment")
        if weights and base.dnn.name not in torch_names.NETS:
            raise UserError(f"-w {weights}: {run.experiment.title} has the net {base.dnn.name or '(none)'}; weights can be read of "
                            f"{', '.join(torch_names.NETS)}")
        self.checkpoint = TorchCheckpoint(weights, "-w") if weights else None
        if indices and not pathlib.Path(indices).is_file():
            raise UserError(f"-i {indices}: no such file; expected the JSON of class filters, as `decompose.py indices` writes it")
        self.given = {flag: {"path": str(path), "sha256": sha256(path)} for flag, path in (("-w", weights), ("-i", indices)) if path}
        self.run = Run(dataclasses.replace(run.experiment, name=run.experiment.name + self._hash()), run.results_dir)
        self.plain = Run(base, run.results_dir)

    def _hash(self):
        text = " ".join(f"{flag} {file['sha256']}" for flag, file in self.given.items())
        return "+" + hashlib.sha256(text.encode()).hexdigest()[:8] if text else ""

    @property
    def experiment(self):
        """The run's `Experiment`."""
        return self.run.experiment

    @property
    def decomposed(self):
        """Is the net's head a decomposed one?"""
        return self.experiment.dnn.top > 0

    @property
    def has_dense(self):
        """Are there weights of the net with its dense head?"""
        return self.checkpoint is not None or self.plain.done("train") is not None

    @property
    def has_trained(self):
        """Has the decomposed net been trained on?"""
        return self.decomposed and self.run.done("train") is not None

    @property
    def of_dense(self):
        """The stages, as `Run.execute` needs them, from which the net with its dense head comes."""
        return () if self.checkpoint else ((self.plain, "train"),)

    def require_dense(self, what):
        """UserError with the command that trains it where the net with its dense head, which `what` needs, is not trained."""
        if not self.has_dense:
            raise UserError(f"{self.experiment.flag}: {what} needs the trained net of {self.plain.experiment.title} first; run: "
                            f"{train_command(self.plain.experiment, self._changes)}, or give its weights: -w FILE")

    @property
    def origin(self):
        """Whose weights these are, JSON-ready: path and SHA-256 of the checkpoint, or of a run and its done marker."""
        if self.checkpoint:
            return self.given["-w"]
        marker = self.plain.marker("train")
        return {"path": str(self.plain.path), "sha256": sha256(marker) if marker.exists() else None}

    def check_trained(self):
        """UserError where the decomposed net was trained on from other weights than the net with its dense head has now."""
        before = self.run.done("train")["result"].get("pretrained")
        if before and self.has_dense and before["sha256"] != self.origin["sha256"]:
            raise UserError(f"{self.experiment.flag}: {self.run.path} was trained on from other weights than {self.origin['path']} has; "
                            "decompose.py finetune --overwrite does it again, another --results_dir keeps both")

    def remark(self, _=None):
        """What to add to the line that says that a stage is done: whose files it was made from."""
        return "".join(f", {flag} {file['path']} (SHA-256 {file['sha256'][:8]})" for flag, file in self.given.items())

    @functools.cached_property
    def dense(self):
        """The net with its dense head and its trained weights."""
        experiment = self.plain.experiment
        if self.checkpoint and experiment.dnn.top:
            experiment = dataclasses.replace(experiment, dnn=dataclasses.replace(experiment.dnn, top=0.0))
        model = build_model(experiment)
        return self.checkpoint.load_into(model, experiment) if self.checkpoint else load_trained(self.plain, model)

    @functools.cached_property
    def trained(self):
        """The decomposed net as it was trained on."""
        return load_trained(self.run, build_model(self.experiment))

    @functools.cached_property
    def features(self):
        """The `feature_function` of the net and the layer from which class filters are taken."""
        return feature_function(self.dense if self.has_dense else self.trained, self.experiment.measure.layer or None)

    @functools.cached_property
    def given_index(self):
        """The filters of -i, as `ClassFilters`, or None.

        Raises:
          UserError: the file is not of this net, or has not as many filters of each class as the experiment's head.
        """
        if "-i" not in self.given:
            return None
        path, top = self.given["-i"]["path"], self.experiment.dnn.top
        index = load_index(path, self.features.classes, self.features.filters, flag="-i")
        sizes = sorted({len(own) for own in index.values()})
        if not sizes[0] or (top >= 1 and sizes != [top]):
            fitting = f"; -k {sizes[0]} makes one of as many" if len(sizes) == 1 and sizes[0] else ""
            raise UserError(f"-i={path}: classes have {' or '.join(map(str, sizes))} filters; {self.experiment.title} has a head of "
                            f"dnn.top={top:g} (-k) for each{fitting}")
        return index

    @functools.cached_property
    def counterpart(self):
        """The `Source` of the same net trained without gates, where it is trained; else None."""
        experiment = counterpart(self.experiment, self.registry)
        source = Source(Run(experiment, self.run.results_dir), self.registry) if experiment else None
        return source if source and source.has_dense else None

    def check_filters(self):
        """UserError where the filters of -i are not of this net, or more are asked for than there are; reads the net."""
        top, there = self.experiment.dnn.top, self.features.filters
        if top > there or (top > 1 and top != int(top)):
            raise UserError(f"dnn.top={top:g} (-k): {self.features.layer} has {there} filters; a whole number from 1 to {there}, or a "
                            "share between 0 and 1, is accepted")
        _ = self.given_index  # read where a file gives it, with what is wrong with it

    @functools.cached_property
    def index(self):
        """The filters of the run, as its stage `indices` left them."""
        path = self.run.file("indices", FILE)
        return load_index(path, self.features.classes, self.features.filters, flag="class filters")
