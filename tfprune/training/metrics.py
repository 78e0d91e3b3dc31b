"""metrics.jsonl: one line an epoch, appended; a torn or superseded line left by a crash is dropped before training goes on."""
import contextlib
import json
import os

from tfprune import files
from tfprune.keras import tf


class MetricsLog:
    """Appends each epoch's figures to metrics.jsonl and to TensorBoard."""

    def __init__(self, run, epochs_kept):
        self.path = run.path / "metrics.jsonl"
        lines = [line for line in read(self.path) if line["epoch"] < epochs_kept]
        files.write(self.path, "".join(json.dumps(line) + "\n" for line in lines))
        self.board = tf.summary.create_file_writer(str(run.path / "tb"))

    def append(self, figures):
        """Writes one epoch: a flat dictionary with the key `epoch`, numbers or None."""
        with files.naming(self.path), open(self.path, "a") as handle:
            handle.write(json.dumps(figures) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        with self.board.as_default(step=figures["epoch"]):
            for name, value in figures.items():
                if value is not None and name != "epoch":
                    tf.summary.scalar(name, value)
        self.board.flush()


def read(path):
    """The epochs in a metrics.jsonl, without torn or damaged lines; [] where there is no file."""
    lines = []
    for text in path.read_text(errors="replace").splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):
            lines.append(json.loads(text))
    return [line for line in lines if isinstance(line, dict) and isinstance(line.get("epoch"), int)]
