"""Masked layers, usable in any Keras model: SubnetDense, SubnetConv1D, SubnetConv2D, SubnetDepthwiseConv1D, SubnetDepthwiseConv2D."""
import random

import numpy as np

from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.layers.grouped import GroupedConv2D
from tfprune.layers.replaced import replaced
from tfprune.masks.initial import KernelInit, ScoreInit
from tfprune.masks.rules import RULES
from tfprune.masks.selection import kept_count


class Masked:
    """What the masked layers share: a Keras layer whose kernel is used under a mask.

    Args (after those of the Keras layer):
      keep: share of the kernel's weights that the mask keeps, from 0 to 1; may be changed at any time.
      rule: how the mask is made, one of `RULES`. options: a dictionary of that rule's own settings.
      freeze: kernel and bias stay as they were drawn, unless the rule trains the kernel; otherwise they are trained with the scores.
      seed: of the default initialisers, and of a rule that draws; drawn for each layer where none is given, and kept in its config.
      kernel_initializer: default +-sqrt(2 / fan_in) (`KernelInit`); a depthwise layer calls it depthwise_initializer.
      scores_initializer: default uniform within 1 / sqrt(fan_in) (`ScoreInit`). use_bias: False by default.

    Attributes, of a built layer:
      scores: float32 variable of the kernel's shape. kept: integer variable, how many weights are kept.

    Raises:
      UserError: `keep` is not in [0, 1], there is no such rule or option.
    """

    KERNEL, INITIALIZER = "kernel", "kernel_initializer"

    def __init__(self, *args, keep=0.5, rule="edge_popup", freeze=True, seed=None, scores_initializer=None, use_bias=False, options=None,
                 **kwargs):
        if rule not in RULES:
            raise UserError(f"rule={rule}: expected one of {', '.join(RULES)}")
        kept_count(1, keep)
        seed = random.randrange(2**31) if seed is None else seed  # keras.utils.set_random_seed decides this too
        depthwise = self.KERNEL != "kernel"
        kwargs.setdefault(self.INITIALIZER, KernelInit("signed_constant", seed=seed, depthwise=depthwise))
        super().__init__(*args, use_bias=use_bias, **kwargs)
        self.rule_name, self.freeze, self.seed, self.options = rule, freeze, seed, dict(options or {})
        self._keep = keep
        self.rule = RULES[rule](seed=seed, **self.options)
        self.scores_initializer = keras.initializers.get(scores_initializer or ScoreInit(seed=seed, depthwise=depthwise))
        self.cached_kernel = None  # `cached_masks` puts one here

    def add_weight(self, name=None, trainable=True, **kwargs):
        """As Keras', but frozen where frozen; kernels stay float32 in a mixed policy, where only the masked kernel is cast."""
        frozen = self.freeze and not self.rule.trains_kernel and name in (self.KERNEL, "bias")
        return super().add_weight(name=name, trainable=trainable and not frozen, experimental_autocast=name == "bias", **kwargs)

    def build(self, input_shape):
        super().build(input_shape)
        self.scores = self.add_weight(name="scores", shape=self.kernel_variable().shape, initializer=self.scores_initializer,
                                      trainable=self.rule.trains_scores)
        # int64, since a GPU holds no int32 variables
        self.kept = self.add_weight(name="kept", shape=(), dtype=tf.int64, trainable=False, initializer="zeros")
        self.keep = self._keep
        self.rule.start(self)

    @property
    def keep(self):
        """The share of weights that is kept, from 0 to 1."""
        return self._keep

    @keep.setter
    def keep(self, share):
        count = kept_count(self.scores.shape.num_elements() if hasattr(self, "kept") else 1, share)
        self._keep = share
        if hasattr(self, "kept"):
            self.kept.assign(count)

    def kernel_variable(self):
        """The variable with all the weights, masked or not."""
        return getattr(self, self.KERNEL)

    def effective_kernel(self, training=False):
        """The kernel under its mask, float32."""
        if self.cached_kernel is not None and not tf.is_tensor(training) and not training and _lasts(self.cached_kernel):
            return self.cached_kernel
        return self.rule.effective(tf.convert_to_tensor(self.kernel_variable()), tf.convert_to_tensor(self.scores), self.kept, training)

    def mask(self):
        """The mask in use, float32 of the kernel's shape: 0 and 1 (-1, 0 and 1 of the rule "signed")."""
        return self.rule.mask(tf.convert_to_tensor(self.kernel_variable()), tf.convert_to_tensor(self.scores), self.kept)

    def density(self):
        """The share of weights that the mask in use keeps, counted."""
        return float(tf.math.count_nonzero(self.mask())) / self.scores.shape.num_elements()

    def set_mask(self, mask=None):
        """Gives a layer of the rule "fixed" its mask.

        Args:
          mask: 0/1, of the kernel's shape; None makes it from the scores that the layer has: those with the largest magnitude, as many
            as `keep` says. (Load the scores of a supermask, set `keep`, call this: the weights can then be trained under that mask.)
        """
        if self.rule_name != "fixed":
            raise UserError(f"set_mask of layer {self.name}: its rule is {self.rule_name}, only that of rule=fixed can be set")
        if mask is None:
            self.rule.start(self)
            return
        mask = np.asarray(mask)
        if mask.shape != tuple(self.scores.shape) or not np.isin(mask, (0, 1)).all():
            raise UserError(f"set_mask of layer {self.name}: a mask of 0 and 1 of shape {tuple(self.scores.shape)} is needed")
        self.scores.assign(mask)
        self._keep = np.count_nonzero(mask) / mask.size
        self.kept.assign(np.count_nonzero(mask))

    def call(self, inputs, training=False):
        kernel = self.kernel_variable() if _only_shapes() else self.effective_kernel(training)
        with replaced(self, **{self.KERNEL: tf.cast(kernel, self.compute_dtype)}):
            return super().call(inputs)

    def get_config(self):
        return super().get_config() | {
            "keep": self._keep, "rule": self.rule_name, "freeze": self.freeze, "seed": self.seed, "options": dict(self.options),
            "scores_initializer": keras.initializers.serialize(self.scores_initializer)}


def _only_shapes():
    """Whether Keras calls a layer for its output's shape alone, as it builds a model: four times as fast without a mask."""
    return not tf.executing_eagerly() and getattr(tf.compat.v1.get_default_graph(), "name", "").endswith("_scratch_graph")


def _lasts(cached):
    """Whether a kernel made before may be used here: one that was computed eagerly would stay in a graph that is traced now, for ever."""
    return tf.executing_eagerly() or tf.is_symbolic_tensor(cached)


class _Depthwise(Masked):
    KERNEL, INITIALIZER = "depthwise_kernel", "depthwise_initializer"


@keras.utils.register_keras_serializable("tfprune")
class SubnetDense(Masked, keras.layers.Dense):
    """`keras.layers.Dense` under a mask; see `Masked`."""


@keras.utils.register_keras_serializable("tfprune")
class SubnetConv1D(Masked, keras.layers.Conv1D):
    """`keras.layers.Conv1D` under a mask; see `Masked`."""


@keras.utils.register_keras_serializable("tfprune")
class SubnetConv2D(Masked, keras.layers.Conv2D):
    """`keras.layers.Conv2D` under a mask; see `Masked`."""


@keras.utils.register_keras_serializable("tfprune")
class SubnetGroupedConv2D(Masked, GroupedConv2D):
    """`tfprune.layers.grouped.GroupedConv2D` under a mask; see `Masked`."""


@keras.utils.register_keras_serializable("tfprune")
class SubnetDepthwiseConv1D(_Depthwise, keras.layers.DepthwiseConv1D):
    """`keras.layers.DepthwiseConv1D` under a mask; see `Masked`."""


@keras.utils.register_keras_serializable("tfprune")
class SubnetDepthwiseConv2D(_Depthwise, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` under a mask; see `Masked`."""


def masked_layers(model):
    """The masked layers of a model, nested ones too, in order; each once."""
    return list({id(layer): layer for layer in model._flatten_layers() if isinstance(layer, Masked)}.values())
