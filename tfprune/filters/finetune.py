"""Training that starts from a decomposed net: the `train` stage of an experiment with `dnn.top` and `training.start_from`, or with -w."""
from tfprune.filters.decomposition import decompose_head
from tfprune.filters.source import Source
from tfprune.filters.stages import ensure_filters
from tfprune.models.heads import head_of
from tfprune.training.metrics import read
from tfprune.training.origin import check_start, train_from


class DecomposedStart:
    """The decomposed net from which one run's training starts.

    Args:
      source: a `Source`, of a run with a decomposed head.
      records: finds or builds the folder of records.
      overwrite: it may replace what the run holds.
    """

    trains = True

    def __init__(self, source, records, overwrite=False):
        self.source, self.run, self.overwrite, self._records = source, source.run, overwrite, records
        self.title = source.remark().removeprefix(", ") or source.experiment.flag

    @property
    def origin(self):
        """What the run's done marker says of the weights and of the filters."""
        given = self.source.given.get("-i")
        found = {"augmented": self.source.experiment.measure.augmented}
        return self.source.origin | {"indices": given["sha256"] if given else found}

    def read(self):
        """Finds out whether all fits, and finds the filters where no earlier stage has; returns the net with its dense head.

        Raises:
          UserError: weights or filters do not fit or are not there, or the run is being trained from other weights.
        """
        check_start(self.run, self.overwrite, self)
        self.source.require_dense("training")
        ensure_filters(self.source, self._records)
        return self.source.dense

    def keep(self, folder, micro_batch=None):
        """Trains; returns (files, result) for the run's done marker."""
        return train_from(self.run, folder, self.overwrite, self, micro_batch)

    def put_into(self, trainer):
        """Gives a `Trainer` the weights of the net and, in its head, those of each class's filters."""
        dense, head = self.source.dense, head_of(trainer.model)
        for layer in trainer.model.layers:
            if layer is not head:
                layer.set_weights(dense.get_layer(layer.name).get_weights())
        form = "gather" if self.source.experiment.dnn.top >= 1 else "mask"
        head.set_weights(head_of(decompose_head(dense, self.source.index, form)).get_weights())


def start_of(run, registry, records, overwrite=False):
    """The `DecomposedStart` of a run whose experiment asks for one with `training.start_from`, else None.

    None too where it is trained and what it started from is not there any more.
    """
    if not run.experiment.dnn.top or run.experiment.training.start_from < 0:
        return None
    source = Source(run, registry)
    return DecomposedStart(source, records, overwrite) if source.has_dense or not source.has_trained or overwrite else None


def before_and_after(run, result):
    """Of a run trained on: its validation accuracy as it was decomposed, and as it is kept, in words."""
    judged = run.experiment.training.validate_on
    lines = {line["epoch"]: line["val_accuracy"] for line in read(run.path / "metrics.jsonl")}
    before, after = lines.get(0), lines.get(result["best_epoch"])
    if before is None or after is None:
        return f"test accuracy {result['test']['accuracy']:.4f}"
    of_test = "" if judged == "test" else f"; of the test set {result['test']['accuracy']:.4f}"
    name = {"val": "validation", "test": "test"}[judged]
    return f"{name} accuracy {before:.4f} as decomposed, {after:.4f} after {result['best_epoch']} epochs of training on{of_test}"
