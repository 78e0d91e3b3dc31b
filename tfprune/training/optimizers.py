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


def build_optimizer(experiment, rate):
    """The experiment's optimiser; `rate` is the variable that holds the learning rate (`schedules.Schedule`)."""
    return OPTIMIZERS[experiment.hyper.optimizer][2](rate, experiment.hyper.momentum)
