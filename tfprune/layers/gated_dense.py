"""A dense class head with class-specific gates (CSG): H. Liang et al., ECCV 2020, arXiv 2007.08194.

On the gated path the features of an example are multiplied by the gates of its class, filter by filter; elsewhere the layer is plain.
"""
from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.layers.replaced import replaced

START = 0.5  # of every gate


@keras.utils.register_keras_serializable("tfprune")
class GatedDense(keras.layers.Dense):
    """`keras.layers.Dense` with `gates` [classes, filters], float32 in [0, 1].

    The gates are no trainable weights of the layer: the net is the same without them, and what trains them (`training.gated`) says so.
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.gates = self.add_weight("gates", [self.units, input_shape[-1]], initializer=keras.initializers.Constant(START),
                                     trainable=False)
        self.labels = None  # of the batch at hand, on the gated path

    @classmethod
    def like(cls, head):
        """A gated head with the configuration of a dense one; UserError where it is of another kind, such as a masked one."""
        if type(head) is not keras.layers.Dense:
            raise UserError(f"training.trainer=csg: class-specific gates need a dense class head, not a {type(head).__name__}; "
                            "--set dnn.last_dense=true leaves that of a masked net dense")
        return cls.from_config(head.get_config())

    def gated_by(self, labels):
        """A context in which calls take the gated path of the labels, int [batch]."""
        return replaced(self, labels=labels)

    def call(self, inputs):
        if self.labels is not None:
            inputs = inputs * tf.matmul(tf.one_hot(self.labels, self.units, dtype=inputs.dtype), tf.cast(self.gates, inputs.dtype))
        return super().call(inputs)

    def project(self):
        """Puts the gates where every filter has a class whose gate is 1: divided by the filter's largest one, then clipped to [0, 1].

        A filter that lost all of its gates (none is above 0) has them moved up instead.
        """
        largest = tf.reduce_max(self.gates, axis=0)
        scaled = tf.where(largest > 0, tf.math.divide_no_nan(self.gates, largest), self.gates - largest + 1)
        self.gates.assign(tf.clip_by_value(scaled, 0, 1))

    def density(self):
        """The sum of all gates as a share of their number, float: 1 / classes where every filter serves one class."""
        return float(tf.reduce_mean(self.gates))
