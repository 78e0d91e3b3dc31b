"""The optimisers of the studies: seven with TensorFlow 1's update rules, and Adam as PyTorch and as Keras have it.

TF1's own classes serve (they work in TF2 and in checkpoints): Keras's have other rules under the same names, such as a momentum that
stores the learning rate with it, or an RMSProp whose average starts at 0 where TF1's starts at 1. TF1's momentum, and its form of
Nesterov's, are PyTorch's SGD: the rate multiplies the velocity and is not stored in it.
"""
from tfprune.keras import tf

v1 = tf.compat.v1.train


class TorchAdam(v1.AdamOptimizer):
    """Adam as PyTorch has it: epsilon is added to the square root of the second moment after its correction for the start, not before."""

    def _resource_apply_dense(self, grad, var):
        first_power, second_power = self._get_beta_accumulators()
        return tf.raw_ops.ResourceApplyAdam(
            var=var.handle, m=self.get_slot(var, "m").handle, v=self.get_slot(var, "v").handle, beta1_power=first_power,
            beta2_power=second_power, lr=tf.cast(self._lr_t, grad.dtype), beta1=self._beta1_t, beta2=self._beta2_t,
            epsilon=self._epsilon_t * tf.sqrt(1 - second_power), grad=grad)


# hyper.optimizer -> (name, does it take a tenth of the rate, constructor from (learning rate, `Hyper`))
OPTIMIZERS = (
    ("momentum", False, lambda rate, hyper: v1.MomentumOptimizer(rate, hyper.momentum, use_nesterov=hyper.nesterov)),
    ("sgd", False, lambda rate, _: v1.GradientDescentOptimizer(rate)),
    ("adam", True, lambda rate, _: v1.AdamOptimizer(rate)),
    ("adagrad", True, lambda rate, _: v1.AdagradOptimizer(rate)),
    ("proximal_adagrad", True, lambda rate, _: v1.ProximalAdagradOptimizer(rate)),
    ("rmsprop", True, lambda rate, _: v1.RMSPropOptimizer(rate)),
    ("ftrl", True, lambda rate, _: v1.FtrlOptimizer(rate)),
    ("torch_adam", False, lambda rate, _: TorchAdam(rate)),
    ("keras_adam", False, lambda rate, _: v1.AdamOptimizer(rate, epsilon=1e-7)),
)
ADAM, ADAM_DEFAULT_RATE = 2, 1e-3


def build_optimizer(experiment, rate):
    """The experiment's optimiser; `rate` is the variable that holds the learning rate (`schedules.Schedule`)."""
    return OPTIMIZERS[experiment.hyper.optimizer][2](rate, experiment.hyper)


def create_slots(optimizer, weights):
    """Creates what the optimiser keeps of each weight before its first update, so that checkpoints hold it from the start."""
    with tf.init_scope():
        optimizer._create_slots(list(weights))


def restart(optimizer):
    """Lets Adam's correction for the start count from the next update, the first one of other weights: PyTorch counts for each weight."""
    if isinstance(optimizer, v1.AdamOptimizer):
        for power, beta in zip(optimizer._get_beta_accumulators(), (optimizer._beta1, optimizer._beta2), strict=True):
            power.assign(beta)


def decayed_gradients(gradients, weights, decayed, decay):
    """The gradients with `decay` * weight added for the weights in `decayed` (a list), as PyTorch's `weight_decay` does.

    Weight decay so added is no part of the loss. A weight without a gradient (None) stays without: nothing moves it.
    """
    under = {weight.ref() for weight in decayed}
    return [_with_decay(gradient, weight, decay) if gradient is not None and weight.ref() in under else gradient
            for gradient, weight in zip(gradients, weights, strict=True)]


def _with_decay(gradient, weight, decay):
    with tf.control_dependencies([gradient]):  # or all weights times `decay` would be in memory from the start of the step
        return gradient + decay * weight
