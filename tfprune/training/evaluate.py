"""Loss and accuracy of a net over a data set, in one compiled pass."""
from tfprune.keras import tf
from tfprune.training.losses import Score


class Evaluator:
    """Scores a model; traced once, whatever number of data sets it is given."""

    def __init__(self, model, loss, regression):
        self.score = Score(regression)

        @tf.function(reduce_retracing=True)
        def run(batches):
            for images, labels in batches:
                outputs = model(images, training=False)
                self.score.update(loss(outputs, labels), outputs, labels)

        self._run = run

    def __call__(self, batches):
        """{"loss", "accuracy"} over a `tf.data.Dataset` of (images, labels)."""
        self.score.reset()
        self._run(batches)
        return self.score.result()
