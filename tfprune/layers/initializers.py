"""The initialisers and activation functions that an experiment names by number, as the width study numbers them."""
from tfprune.keras import keras, tf

# init_type -> (scale, fan): 0/1 Glorot, 2/3 He, 4/5 LeCun; even = truncated normal with its variance corrected, odd = uniform.
VARIANCES = ((1.0, "fan_avg"), (2.0, "fan_in"), (1.0, "fan_in"))
ACTIVATIONS = (
    ("relu", tf.nn.relu),
    ("leaky_relu", lambda x: tf.nn.leaky_relu(x, alpha=0.2)),
    ("elu", tf.nn.elu),
    ("selu", tf.nn.selu),
    ("sigmoid", tf.nn.sigmoid),
    ("tanh", tf.nn.tanh),
)


def kernel_initializer(init_type, seed):
    """The variance-scaling initialiser with code `init_type` (0..5)."""
    scale, mode = VARIANCES[init_type // 2]
    return keras.initializers.VarianceScaling(scale, mode, "uniform" if init_type % 2 else "truncated_normal", seed=seed)


def activation(act_function):
    """The activation function with code `act_function` (0..5)."""
    return ACTIVATIONS[act_function][1]
