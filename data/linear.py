"""The random-teacher sets: Gaussian vectors, labelled by a random ReLU net that is never trained.

Not linear despite the name, which is the original's (create_linear_dataset.py of xboix/frivolous_dnns). Teacher, training,
validation and test examples come from streams of their own: a larger set begins with the smaller one, and the test set is the same
for every size. Drawn in chunks, so that a set of any size passes through memory a few megabytes at a time.
"""
from dataclasses import dataclass

import numpy as np

from data import splits
from tfprune.experiment import UserError

FIELDS = ("seed", "limit", "random_labels", "dimension", "num_train", "num_test", "teacher_width", "regression")
CHUNK_VALUES = 2**22
SIGMA = 1e-2
DRAWS = 32


def fingerprint(dataset, data_dir):
    """Names the generator; its settings are in FIELDS."""
    return "random ReLU teacher, version 1"


def load(dataset, data_dir):
    """The generator for these settings; nothing is drawn yet but the teacher."""
    if dataset.regression and dataset.random_labels:
        raise UserError("--set dataset.random_labels=true: regression has no classes to draw from; leave dataset.regression or this out")
    return RandomTeacher(Teacher.draw(dataset))


@dataclass(frozen=True)
class Teacher:
    """A ReLU net of one hidden layer without biases, truncated normal weights of standard deviation 1e-2 (before truncation)."""

    hidden: np.ndarray  # [D, teacher_width]
    output: np.ndarray  # [teacher_width, 2], or 1 for regression

    @classmethod
    def draw(cls, dataset):
        """The teacher that belongs to the seed, the dimension and the width.

        Regression has one output, scaled to unit variance. The two of a classifier are the best balanced of 32 draws: a single draw
        gives one class up to 90 %, and then guessing that class beats what can be learned from few examples.
        """
        rng = splits.generator(dataset.seed, "teacher")
        hidden = truncated_normal(rng, (dataset.dimension, dataset.teacher_width))
        mean, covariance = relu_moments(hidden)
        if dataset.regression:
            output = truncated_normal(rng, (dataset.teacher_width, 1))
            return cls(hidden, output / np.sqrt(output.T @ covariance @ output))

        def bias(output):
            difference = output[:, 0] - output[:, 1]
            return abs(mean @ difference) / np.sqrt(difference @ covariance @ difference)
        return cls(hidden, min((truncated_normal(rng, (dataset.teacher_width, 2)) for _ in range(DRAWS)), key=bias))

    @property
    def num_outputs(self):
        """2 classes, or 1 for regression."""
        return self.output.shape[1]

    def label(self, x):
        """Labels of vectors [n, D]: argmax int64, or the output float32. Found in float64, so that none hangs on rounding."""
        outputs = np.maximum(x.astype(np.float64) @ self.hidden, 0) @ self.output
        return outputs.argmax(axis=1) if self.num_outputs > 1 else outputs[:, 0].astype(np.float32)


def relu_moments(hidden):
    """Mean [units] and covariance [units, units] of relu(x @ hidden) over x ~ N(0, I), exactly.

    E[relu(a) relu(b)] of two Gaussians is the arc-cosine kernel of degree 1 (Cho & Saul 2009), halved.
    """
    norms = np.linalg.norm(hidden, axis=0)
    scale = np.outer(norms, norms)
    angles = np.arccos(np.clip(hidden.T @ hidden / scale, -1, 1))
    mean = norms / np.sqrt(2 * np.pi)
    return mean, scale * (np.sin(angles) + (np.pi - angles) * np.cos(angles)) / (2 * np.pi) - np.outer(mean, mean)


@dataclass(frozen=True)
class RandomTeacher:
    """The source: as many validation as training examples, as the original has it."""

    teacher: Teacher
    dtype = "float32"  # what nets compute in, and half of the original's float64 on disk

    @property
    def label_dtype(self):
        """int64, or float32 for regression."""
        return "int64" if self.num_classes > 1 else "float32"

    @property
    def num_classes(self):
        """Outputs of a net that learns it: 2 classes, or 1 for regression."""
        return self.teacher.num_outputs

    @property
    def shape(self):
        """Shape of one example."""
        return self.teacher.hidden.shape[:1]

    def parts(self, dataset):
        """{"train": Part, "val": Part, "test": Part}; `dataset.limit` examples are drawn and no more."""
        count, test_count = splits.limited(dataset, dataset.num_train, dataset.num_test)
        return {name: self._part(dataset, name, size) for name, size in (("train", count), ("val", count), ("test", test_count))}

    def _part(self, dataset, name, count):
        rows = max(1, min(splits.CHUNK, CHUNK_VALUES // dataset.dimension))

        def chunks():
            rng = splits.generator(dataset.seed, name)
            drawn = splits.generator(dataset.seed, f"{name} labels") if dataset.random_labels and name != "test" else None
            for start in range(0, count, rows):
                x = rng.standard_normal((min(rows, count - start), dataset.dimension), dtype=self.dtype)
                yield x, self.teacher.label(x) if drawn is None else drawn.integers(self.num_classes, size=len(x))
        return splits.Part(count, chunks, count)


def truncated_normal(rng, shape):
    """Normal weights of standard deviation SIGMA, drawn again where beyond two of them, as TensorFlow's initialiser does."""
    weights = rng.standard_normal(shape)
    while (outside := np.abs(weights) > 2).any():
        weights[outside] = rng.standard_normal(outside.sum())
    return SIGMA * weights
