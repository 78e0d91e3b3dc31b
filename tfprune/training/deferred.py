"""Kernel gradients that wait for the last piece of a batch, and are then computed once for all of it.

Late in a net activations are small and kernels large. There most of a small piece's time went into laying a kernel's gradient out, writing
it, and adding it to the sum; what it is made of, the layer's input and its output's gradient, takes less room.
"""
import math
from collections import Counter

from tfprune.keras import keras, tf

KINDS = (keras.layers.Conv2D, keras.layers.Dense)


class Deferred:
    """The layers whose kernel gradient waits: those of which input and output of a whole batch take less memory than the kernel.

    Only plain convolutions and dense layers without an activation of their own, which the net calls once: no gradient but that of their
    output reaches such a kernel.

    Args:
      model: the net; weights: what of it is trained; batch: examples of a whole batch.

    Attributes:
      kernels: of these layers; others: the other trained weights.
      model: a function images -> (outputs of the net, inputs of these layers, their outputs).
    """

    def __init__(self, model, weights, batch):
        self._layers = deferred_layers(model, weights, batch)
        self.kernels = [layer.kernel for layer in self._layers]
        mine = set(map(id, self.kernels))
        self.others = [weight for weight in weights if id(weight) not in mine]
        inputs, outputs = [layer.input for layer in self._layers], [layer.output for layer in self._layers]
        self._kept = [*inputs, *outputs]
        self.model = keras.Model(model.input, (model.output, inputs, outputs))  # of a list of one output Keras would make that output

    def nothing(self, pieces):
        """TensorArrays for what is kept of so many pieces: of each layer its input, then of each the gradient of its output."""
        return [tf.TensorArray(tensor.dtype, pieces, infer_shape=False, element_shape=tensor.shape) for tensor in self._kept]

    def keep(self, kept, number, inputs, outputs, gradients):
        """The same with what is kept of a piece: of each layer its input and the gradient of its output (None: the loss reaches it not)."""
        gradients = [tf.zeros_like(output) if gradient is None else gradient for output, gradient in zip(outputs, gradients, strict=True)]
        return [array.write(number, tensor) for array, tensor in zip(kept, [*inputs, *gradients], strict=True)]

    def gradients(self, kept, more):
        """The kernels' gradients, from what is kept of all pieces; `more(kernel)` is added to each (None: nothing)."""
        found, count = [], len(self._layers)
        for layer, inputs, gradients in zip(self._layers, kept[:count], kept[count:], strict=True):
            with tf.control_dependencies(found[-1:]):  # or the workspaces of all of them would be in memory together
                own = _kernel_gradient(layer, inputs.concat(), gradients.concat())
            with tf.control_dependencies([own]):  # or what is added would be there from the start
                other = more(layer.kernel)
            found.append(own if other is None else own + other)
        return found


def deferred_layers(model, weights, batch):
    """The layers whose kernel gradients wait: a list in the net's order. Arguments as `Deferred`."""
    trained, owners = set(map(id, weights)), Counter(id(getattr(layer, "kernel", None)) for layer in model.submodules)
    return [layer for layer in model.layers if _is_linear(layer) and id(layer.kernel) in trained and owners[id(layer.kernel)] == 1
            and (elements_kept(layer) or math.inf) * batch < layer.kernel.shape.num_elements()]


def elements_kept(layer):
    """Of a layer's input and output for each example; None if that is not known."""
    sizes = [tensor.shape[1:].num_elements() for tensor in (layer.input, layer.output)]
    return None if None in sizes else sum(sizes)


def _kernel_gradient(layer, x, gradient):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(layer.kernel)
        outputs = layer(x)  # in a graph never computed: the gradient does not read it
    return tape.gradient(outputs, layer.kernel, gradient)


def _is_linear(layer):
    """Is the layer's one output linear in its kernel?"""
    return type(layer) in KINDS and layer.activation is keras.activations.linear and len(layer.inbound_nodes) == 1
