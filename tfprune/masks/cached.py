"""Masks that are made once for many batches, where weights do not change."""
import contextlib

from tfprune.layers.replaced import replaced
from tfprune.masks.layers import masked_layers


@contextlib.contextmanager
def cached_masks(model):
    """Within this, calls of the model that do not train use masks made on entry; also within a `tf.function`, for a loop over batches.

    Masks that are to be drawn anew for each batch (rule "sampled" with evaluation="sample") still are.
    """
    with contextlib.ExitStack() as stack:
        for layer in masked_layers(model):
            if not layer.rule.drawn_in_use:
                stack.enter_context(replaced(layer, cached_kernel=layer.effective_kernel(training=False)))
        yield
