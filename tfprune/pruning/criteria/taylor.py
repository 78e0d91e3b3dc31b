"""The first-order Taylor estimate of what the loss becomes (Molchanov et al. 2017, 2019)."""
import numpy as np

from tfprune.pruning.criteria.criterion import Criterion


class Taylor(Criterion):
    """What cutting changes in the loss, to first order: value x gradient.

    weights: |w x dL/dw|, L being the mean loss over all examples (Lee et al. 2019, SNIP, before training). units: |activity x gradient|
    summed over positions, and over all places where units that live together are active, before the magnitude is taken; the mean of
    that over examples.
    """

    name, needs_images, needs_labels = "taylor", True, True

    def of_weights(self, net):
        return {path: np.abs(net.kernels[path] * gradient) for path, gradient in net.kernel_gradients.items()}

    def of_units(self, net):
        return net.unit_gradients
