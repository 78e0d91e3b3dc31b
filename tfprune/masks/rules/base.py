"""What all rules share."""
from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.masks.selection import select


class Rule(tf.Module):
    """How a kernel and its scores become the kernel that a layer uses.

    A rule is one object a layer: it may keep variables (the state of its random numbers), which are saved with the layer.

    Attributes:
      trains_scores: the layer's scores are trained.
      trains_kernel: its kernel is trained even where the layer freezes others.
      has_order: the mask keeps the largest of something (`ranked`), so that a threshold can serve several layers.
      drawn_in_use: the mask is drawn anew at every call, in use too.
      OPTIONS: the names of a rule's own settings, with their defaults; each is an attribute.
    """

    trains_scores = True
    trains_kernel = False
    has_order = True
    drawn_in_use = False
    OPTIONS = {}

    def __init__(self, seed=0, **options):
        super().__init__()
        if unknown := options.keys() - self.OPTIONS.keys():
            raise UserError(f"options {', '.join(sorted(unknown))} of rule {type(self).__name__}: "
                            f"it has {', '.join(self.OPTIONS) or 'none'}")
        self.seed = seed
        for name, value in (self.OPTIONS | options).items():
            setattr(self, name, value)

    def effective(self, kernel, scores, count, training):
        """The kernel that the layer uses.

        Args:
          kernel, scores: float32, of one shape.
          count: how many weights are kept, integer scalar tensor.
          training: whether the layer is trained or used.

        Returns:
          float32, of the kernel's shape.
        """
        raise NotImplementedError

    def mask(self, kernel, scores, count):
        """The mask as the layer would be used after training: 0 and 1 (-1, 0 and 1 of rule "signed"), float32."""
        return select(self.ranked(kernel, scores), count, "magnitude")

    def ranked(self, kernel, scores):
        """What is kept where its magnitude is large: the scores, or the weights themselves."""
        return scores

    def start(self, layer):
        """Called once, when a layer's variables have been made."""

    def refresh(self, layer, update):
        """What the rule does to a layer after the `update`-th update of training (scalar tensor, the first is 1); works in a graph."""
