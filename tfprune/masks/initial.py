"""Initial weights and scores of masked nets, as allenai/hidden-networks has them: the same bits from the same seed, always.

PyTorch's conventions, so untruncated normals and signs of a symmetric draw, on Keras' kernels: [in, out], [.., in, out], and of
depthwise convolutions [.., in, multiplier].
"""
import contextlib
import math

from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.settings import INITS

GAINS = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "leaky_relu": math.sqrt(2 / (1 + 0.01**2)), "selu": 0.75}
SCHEMES = tuple(scheme for scheme in INITS if scheme != "pretrained")
SCALED = ("kaiming_normal", "signed_constant", "unsigned_constant")  # the others take no notice of `keep`, as in the original
SCORE_SCHEMES = ("uniform", "kaiming_uniform", "constant")
_STREAM = {"kernel": 0, "scores": 1}  # a layer's kernel and scores are independent even where they have one seed


def fans(shape, depthwise=False):
    """(fan_in, fan_out) of a kernel of this shape, as PyTorch counts them."""
    *window, inputs, outputs = shape
    positions = math.prod(window)
    return (positions, positions * inputs * outputs) if depthwise else (positions * inputs, positions * outputs)


class _Drawn(keras.initializers.Initializer):
    """What both initialisers share: their settings, and draws that depend on nothing but the seed."""

    def __init__(self, stream, **settings):
        self._stream = _STREAM[stream]
        self._settings = settings
        self.__dict__.update(settings)

    def get_config(self):
        """All settings, from which the same initialiser can be built."""
        return dict(self._settings)

    def _draw(self, kind, shape, **law):
        # Philox by name, and initial values always on a CPU: normals that a GPU makes of the same numbers differ in their last bits
        draw = {"normal": tf.random.stateless_normal, "uniform": tf.random.stateless_uniform}[kind]
        with tf.device("CPU:0") if tf.executing_eagerly() else contextlib.nullcontext():
            return draw(shape, [self.seed, self._stream], dtype=tf.float32, alg="philox", **law)


@keras.utils.register_keras_serializable("tfprune")
class KernelInit(_Drawn):
    """Random weights that are worth keeping.

    Args:
      scheme: kaiming_normal (untruncated), kaiming_uniform, signed_constant (+-std), unsigned_constant, xavier_normal (untruncated),
        xavier_uniform, xavier_constant (+-std), standard (PyTorch's: uniform within 1 / sqrt(fan_in)).
      fan: "fan_in" or "fan_out", of the Kaiming schemes and their constants. nonlinearity: theirs too, whose gain the weights have.
      keep: the share of the weights that a mask keeps: the deviation grows by 1 / sqrt(keep) so that the activations do not shrink
        (Ramanujan et al. 2020, "scaled"); None: not scaled.
      seed: of the draw. depthwise: the kernel is that of a depthwise convolution.

    Raises:
      UserError: no such scheme, fan or nonlinearity; `keep` is not above 0 and at most 1.
    """

    def __init__(self, scheme="kaiming_normal", fan="fan_in", nonlinearity="relu", keep=None, seed=0, depthwise=False):
        _among("scheme", scheme, SCHEMES)
        _among("fan", fan, ("fan_in", "fan_out"))
        _among("nonlinearity", nonlinearity, GAINS)
        if keep is not None and not 0 < keep <= 1:
            raise UserError(f"keep={keep}: weights scaled by 1 / sqrt(keep) need a share above 0 and at most 1, or None")
        super().__init__("kernel", scheme=scheme, fan=fan, nonlinearity=nonlinearity, keep=keep, seed=seed, depthwise=depthwise)

    def __call__(self, shape, dtype=None, **_):
        """Weights of this shape; drawn in float32 whatever the dtype."""
        deviation = self.deviation(shape)
        if self.scheme == "unsigned_constant":
            weights = tf.fill(shape, tf.constant(deviation, tf.float32))
        elif self.scheme.endswith("constant"):
            weights = tf.where(self._draw("uniform", shape, minval=-1, maxval=1) < 0, -deviation, deviation)
        elif self.scheme.endswith("normal"):
            weights = self._draw("normal", shape, stddev=deviation)
        else:
            bound = math.sqrt(3) * deviation
            weights = self._draw("uniform", shape, minval=-bound, maxval=bound)
        return tf.cast(weights, dtype or tf.float32)

    def deviation(self, shape):
        """The standard deviation of the weights (of "unsigned_constant": their value), a float64."""
        fan_in, fan_out = fans(shape, self.depthwise)
        if self.scheme == "standard":
            return 1 / math.sqrt(3 * fan_in)
        if self.scheme.startswith("xavier"):
            return math.sqrt(2 / (fan_in + fan_out))
        share = self.keep if self.keep is not None and self.scheme in SCALED else 1
        return GAINS[self.nonlinearity] / math.sqrt({"fan_in": fan_in, "fan_out": fan_out}[self.fan] * share)


@keras.utils.register_keras_serializable("tfprune")
class ScoreInit(_Drawn):
    """Initial scores.

    Args:
      scheme: uniform (within 1 / sqrt(fan_in)), kaiming_uniform (within sqrt(6 / fan_in), as IteRand has it), constant.
      constant: the value of the scheme "constant". seed: of the draw. depthwise: the scores are a depthwise kernel's.

    Raises:
      UserError: no such scheme.
    """

    def __init__(self, scheme="uniform", constant=0.0, seed=0, depthwise=False):
        _among("scheme", scheme, SCORE_SCHEMES)
        super().__init__("scores", scheme=scheme, constant=constant, seed=seed, depthwise=depthwise)

    def __call__(self, shape, dtype=None, **_):
        """Scores of this shape; drawn in float32 whatever the dtype."""
        if self.scheme == "constant":
            return tf.fill(shape, tf.constant(self.constant, dtype or tf.float32))
        bound = math.sqrt((1 if self.scheme == "uniform" else 6) / fans(shape, self.depthwise)[0])
        return tf.cast(self._draw("uniform", shape, minval=-bound, maxval=bound), dtype or tf.float32)


def _among(name, value, accepted):
    if value not in accepted:
        raise UserError(f"{name}={value}: expected one of {', '.join(accepted)}")
