"""Multi-layer perceptrons of the width study's synthetic data: hidden layers of 32 w units, no normalisation, zero biases."""
from tfprune.keras import keras


def one_hidden(experiment, input_shape, outputs):
    """D -> 32 w ReLU -> outputs (MLP1, MLP1_regression)."""
    return _mlp(experiment, input_shape, outputs, hidden_layers=1, activation="relu")


def one_hidden_linear(experiment, input_shape, outputs):
    """D -> 32 w -> outputs, without ReLU (MLP1_linear, MLP1_linear_regression)."""
    return _mlp(experiment, input_shape, outputs, hidden_layers=1, activation=None)


def three_hidden(experiment, input_shape, outputs):
    """Three hidden ReLU layers of 32 w units (MLP3; the original's own cannot run)."""
    return _mlp(experiment, input_shape, outputs, hidden_layers=3, activation="relu")


def _mlp(experiment, input_shape, outputs, hidden_layers, activation):
    factor = experiment.hyper.init_factor
    units = int(32 * experiment.dnn.neuron_multiplier)

    def normal(name, stddev):
        return keras.initializers.TruncatedNormal(stddev=stddev * factor, seed=experiment.seed_for(f"init/{name}"))

    examples = x = keras.Input(input_shape, name="examples")
    for number in range(1, hidden_layers + 1):
        name = f"hidden{number}"
        x = keras.layers.Dense(units, activation=activation, kernel_initializer=normal(name, 1e-3), name=name)(x)
    logits = keras.layers.Dense(outputs, kernel_initializer=normal("logits", 1e-2), name="logits")(x)
    return keras.Model(examples, logits, name=experiment.dnn.name)
