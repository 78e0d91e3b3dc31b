"""What all rules share."""
from tfprune.keras import tf


class Rule(tf.Module):
    """How a kernel and its scores become the kernel that a layer uses.

    Attributes:
      trains_scores: the layer has trainable scores. trains_kernel: its kernel is trained even where the layer freezes others.
    """

    trains_scores = True
    trains_kernel = False

    def __init__(self, seed=0, **options):
        super().__init__()
        self.seed = seed

    def effective(self, kernel, scores, count, training):
        """The kernel that the layer uses, float32: of the kernel, the scores (its shape) and how many weights are kept (scalar)."""
        raise NotImplementedError

    def refresh(self, layer, update):
        """What the rule does to a layer after the `update`-th update of training (scalar tensor); may be called in a `tf.function`."""
