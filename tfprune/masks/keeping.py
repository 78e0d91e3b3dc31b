"""One threshold for all layers of a net: which share each layer keeps follows from its scores (biprop's global pruning)."""
from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.masks.layers import masked_layers
from tfprune.masks.selection import global_counts, kept_count


class KeepOverAll:
    """Lets the masked layers of a model together keep a share of all their weights.

    Each layer's `kept` becomes its number of scores above the common threshold (ties: the earlier layer, then the lower index), so that
    its own selection gives exactly the global mask.

    Args:
      model: its masked layers have one `keep`, which is taken for the share of all weights.
    """

    def __init__(self, model):
        self.layers = [layer for layer in masked_layers(model) if layer.rule.has_order]
        if not self.layers:
            raise UserError(f"one threshold over all layers: the model '{model.name}' has no masked layer whose rule ranks its weights")
        self.total = tf.Variable(0, dtype=tf.int64, trainable=False, name="kept_over_all")
        shares = sorted({layer.keep for layer in self.layers})
        if len(shares) > 1:
            raise UserError(f"one threshold over all layers: they have different shares, keep={', '.join(map('{:g}'.format, shares))}")
        self.keep = shares[0]

    @property
    def keep(self):
        """The share of all weights that is kept; setting it refreshes the layers."""
        return self.layers[0].keep

    @keep.setter
    def keep(self, share):
        self.total.assign(kept_count(sum(layer.scores.shape.num_elements() for layer in self.layers), share))
        for layer in self.layers:
            layer.keep = share
        self.refresh()

    def refresh(self):
        """Sets each layer's `kept`; to be called after an update, also within a `tf.function`."""
        ranked = [layer.rule.ranked(layer.kernel_variable(), layer.scores) for layer in self.layers]
        for layer, count in zip(self.layers, global_counts(ranked, self.total, "magnitude"), strict=True):
            layer.kept.assign(tf.cast(count, tf.int64))
