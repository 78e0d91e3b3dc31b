"""Training with class-specific gates (CSG): H. Liang et al., ECCV 2020, arXiv 2007.08194, and their code, hyliang96/CSGCNN.

Whole epochs take one of two paths. On the plain one the net is trained as ever. On the gated one the features of an example are
multiplied by the gates of its own class before the class head, and net and gates are trained on

    hyper.gated_weight * cross-entropy + hyper.gate_penalty * max(0, sum of all gates - hyper.gate_density * their number)

after every such update each filter's gates are divided by its largest one and clipped to [0, 1]. So a filter is to serve few classes.
From the epoch `training.gate_warm_up` on, the last `training.gate_epochs` of every `training.gate_period` are gated. Weight decay leaves
gates alone. Nets are measured on the plain path, which needs no label; the figures of a gated epoch's own updates are those of its path.
"""
import contextlib

from tfprune.keras import tf
from tfprune.models.heads import head_of
from tfprune.training.regime import Default

GATED = 1  # the phase


class Gated(Default):
    """The two paths by turns; the net has a `GatedDense` head."""

    def __init__(self, experiment, model):
        super().__init__(experiment, model)
        self.head = head_of(model)

    @classmethod
    def settled(cls, experiment):
        training, plain = experiment.training, experiment.training.gate_period - experiment.training.gate_epochs
        first = training.gate_warm_up + max(0, plain - training.gate_warm_up % training.gate_period)
        return max(super().settled(experiment), first + 1)

    @classmethod
    def problem(cls, experiment):
        hyper, training, dataset = experiment.hyper, experiment.training, experiment.dataset
        if hyper.mse:
            return "class-specific gates need classes, and a regression (hyper.mse=true) has none"
        if experiment.dnn.top:
            return f"class-specific gates are of a head that sees all filters; dnn.top=0 is needed, not {experiment.dnn.top:g}"
        if training.gate_epochs > training.gate_period:
            return (f"training.gate_epochs={training.gate_epochs} are the last of training.gate_period={training.gate_period} epochs; "
                    f"1 to {training.gate_period} are accepted")
        unjudged = dataset.random_labels or (training.validate_on == "val" and not dataset.num_valid
                                             and dataset.proportion_training_set == 1)
        if training.keep == "best" and unjudged:
            return ("which epoch is the best is not to be told from training figures, for gated ones know the labels: validation examples "
                    "with true labels are needed, or training.keep=last")
        return None

    def phase(self, epoch):
        return GATED if is_gated(self.experiment, epoch) else 0

    def trained(self, phase):
        return [*super().trained(phase), self.head.gates] if phase == GATED else super().trained(phase)

    def decaying(self, phase):
        return super().trained(phase)

    def path(self, phase, labels):
        return self.head.gated_by(labels) if phase == GATED else contextlib.nullcontext()

    def weight(self, phase):
        return self.experiment.hyper.gated_weight if phase == GATED else 1.0

    def penalty(self, phase):
        hyper, gates = self.experiment.hyper, self.head.gates
        if phase != GATED:
            return 0.0
        return hyper.gate_penalty * tf.nn.relu(tf.reduce_sum(tf.abs(gates)) - hyper.gate_density * gates.shape.num_elements())

    def refresh(self, phase=None, update=None):
        super().refresh(phase, update)
        if phase == GATED:
            self.head.project()

    def figures(self):
        return super().figures() | {"gate_density": self.head.density()}


def is_gated(experiment, epoch):
    """Does the epoch after `epoch` epochs take the gated path?"""
    training = experiment.training
    return (training.trainer == "csg" and epoch >= training.gate_warm_up
            and epoch % training.gate_period >= training.gate_period - training.gate_epochs)
