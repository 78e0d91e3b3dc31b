"""The seven optimisers of the width study, with TensorFlow 1's update rules.

TF1's own classes serve (they work in TF2 and in checkpoints): Keras's have other rules under the same names, such as a momentum that
stores the learning rate with it, or an RMSProp whose average starts at 0 where TF1's starts at 1.
"""
from tfprune.keras import tf

v1 = tf.compat.v1.train

# hyper.optimizer -> (name, does it adapt its step to each weight, constructor from (learning rate, momentum))
OPTIMIZERS = (
    ("momentum", False, v1.MomentumOptimizer),
    ("sgd", False, lambda rate, _: v1.GradientDescentOptimizer(rate)),
    ("adam", True, lambda rate, _: v1.AdamOptimizer(rate)),
    ("adagrad", True, lambda rate, _: v1.AdagradOptimizer(rate)),
    ("proximal_adagrad", True, lambda rate, _: v1.ProximalAdagradOptimizer(rate)),
    ("rmsprop", True, lambda rate, _: v1.RMSPropOptimizer(rate)),
    ("ftrl", True, lambda rate, _: v1.FtrlOptimizer(rate)),
)
ADAM, ADAM_DEFAULT_RATE = 2, 1e-3


def learning_rate(experiment, epoch):
    """The learning rate that the optimiser gets in `epoch` (0, 1, ...).

    lr0 * factor ** (epoch // epochs per decay); adaptive optimisers take a tenth of it. The original never decays adaptive ones and
    gives Adam 0.001 whatever lr0 is (`training.learning_rates=original`).
    """
    hyper = experiment.hyper
    decay = hyper.learning_rate_factor_per_decay ** (epoch // hyper.num_epochs_per_decay)
    adaptive = OPTIMIZERS[hyper.optimizer][1]
    if not adaptive:
        return hyper.learning_rate * decay
    if experiment.training.learning_rates == "corrected":
        return hyper.learning_rate * decay / 10
    return ADAM_DEFAULT_RATE if hyper.optimizer == ADAM else hyper.learning_rate / 10


def build_optimizer(experiment, rate):
    """The experiment's optimiser; `rate` is the variable that holds the learning rate of the epoch."""
    return OPTIMIZERS[experiment.hyper.optimizer][2](rate, experiment.hyper.momentum)
