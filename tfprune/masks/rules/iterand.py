"""IteRand (Chijiwa et al. 2021): edge-popup whose masked-out weights are drawn anew from time to time."""
from tfprune.experiment import UserError, derive_seed
from tfprune.keras import tf
from tfprune.masks.rules.edge_popup import EdgePopup


class IteRand(EdgePopup):
    """Edge-popup that draws each masked-out weight anew with probability `redraw_share` every `redraw_every` updates.

    New weights follow the law of the layer's own initialiser. All draws follow from the seed and the update alone, so that a resumed
    training is the same to the bit. After an update train.py's loop calls `refresh`; with Keras' `fit` a callback has to. The mask is that
    of |scores|, as in edge-popup; the original's is that of raw scores.
    """

    OPTIONS = {"redraw_share": 0.1, "redraw_every": 300}

    def __init__(self, seed=0, **options):
        super().__init__(seed, **options)
        if not 0 <= self.redraw_share <= 1:
            raise UserError(f"redraw_share={self.redraw_share}: a number from 0 to 1")
        if self.redraw_every < 1:
            raise UserError(f"redraw_every={self.redraw_every}: an integer of at least 1")

    def refresh(self, layer, update):
        update = tf.cast(update, tf.int64)
        tf.cond((update > 0) & (update % self.redraw_every == 0), lambda: self._redraw(layer, update), lambda: None)

    def _redraw(self, layer, update):
        kernel = layer.kernel_variable()
        choice = tf.random.stateless_uniform(kernel.shape, self._seeds("choice", update), alg="philox")
        drawn = (self.mask(kernel, layer.scores, layer.kept) == 0) & (choice < self.redraw_share)
        kernel.assign(tf.where(drawn, self._fresh(layer, kernel.shape, update), kernel))

    def _seeds(self, purpose, update):
        return tf.stack([tf.constant(derive_seed(self.seed, purpose), tf.int64), update])

    def _fresh(self, layer, shape, update):
        """Weights of the law by which the layer's first ones were drawn; of an initialiser without a seed, the same ones."""
        initializer = getattr(layer, layer.INITIALIZER)
        config = initializer.get_config()
        if "seed" in config:
            seed = tf.random.stateless_uniform([], self._seeds("weights", update), None, None, tf.int64, alg="philox")
            initializer = type(initializer).from_config(config | {"seed": seed})
        return initializer(shape, dtype=tf.float32)
