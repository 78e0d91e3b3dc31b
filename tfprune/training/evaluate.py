"""Loss and accuracy of a net over a data set, in one compiled pass; and the figures of a net that is trained."""
from tfprune.datasets import DATASETS
from tfprune.input import pipeline, records
from tfprune.keras import tf
from tfprune.masks.cached import cached_masks
from tfprune.progress import say
from tfprune.training.losses import Score, build_loss
from tfprune.units.batches import fitting_batch

FEW_CLASSES = 10  # more than that, and the five likeliest are looked at too


def build_score(experiment, model):
    """A `Score` for the outputs of a net."""
    many = model.outputs[0].shape[-1] > FEW_CLASSES or experiment.training.top_5
    return Score(experiment.hyper.mse, top_5=not experiment.hyper.mse and many)


class Evaluator:
    """Scores the net of an experiment; traced once, whatever number of data sets it is given. Each mask is selected once a data set.

    Args:
      experiment: an `Experiment`.
      model: its net, logits alone.
      loss: function (outputs, labels) -> scalar.
      micro_batch: integer variable: batches have at most so many examples.
    """

    def __init__(self, experiment, model, loss, micro_batch=None):
        self.micro_batch, self._loss = micro_batch, loss
        self.experiment, self.score = experiment, build_score(experiment, model)
        encoded = DATASETS[experiment.dataset.name].encoded
        # A batch for training may be spread over many machines; this one has to fit into the memory of one.
        self.batch_size = fitting_batch(model, experiment.hyper.batch_size) if encoded else experiment.hyper.batch_size

        @tf.function(reduce_retracing=True)
        def run(batches):
            with cached_masks(model):
                for images, labels in batches:
                    outputs = model(images, training=False)
                    self.score.update(loss(outputs, labels), outputs, labels)

        self._run = run

    def __call__(self, split, batches=None):
        """{"loss", "accuracy"[, "top_5"]} on a split, or on its first `batches` batches of `hyper.batch_size` examples.

        And "penalty", what of the loss is no example's, where `hyper.l1_reg` or `hyper.l2_reg` is in it.
        """
        whole = self.batch_size if batches is None else self.experiment.hyper.batch_size
        size = whole if self.micro_batch is None else min(whole, int(self.micro_batch))
        dataset = pipeline.evaluation_batches(split, self.experiment.dataset, self.experiment.hyper, size if batches is None else whole)
        if batches is not None:
            dataset = dataset.take(batches) if size == whole else dataset.take(batches).rebatch(size)
        self.score.reset()
        self._run(dataset)
        penalised = getattr(self._loss, "penalised", ())  # any function may be the loss
        return self.score.result() | ({"penalty": float(self._loss.penalty())} if penalised else {})


def final_figures(experiment, evaluate, splits):
    """{split name: figures} of a net after training.

    All splits but empty ones, and but a training set whose units are not measured: ImageNet's 1.28 million images are not read for it.
    """
    unread = {"train"} - set(DATASETS[experiment.dataset.name].measured)
    return {name: evaluate(split) for name, split in splits.items() if len(split) and name not in unread}


def in_words(figures):
    """`train 0.9, val 0.8, test 0.8` of final figures."""
    return ", ".join(f"{name} {value['accuracy']:.4f}" for name, value in figures.items())


def say_figures(experiment, model, folder):
    """Says the figures of a net on the validation and the test set of the records in `folder`, a line each; nothing is written."""
    evaluate = Evaluator(experiment, model, build_loss(experiment, model))
    word = "explained variance" if experiment.hyper.mse else "accuracy"
    for name in ("val", "test"):
        split = records.load(folder, name)
        if len(split):
            figures = evaluate(split)
            among_five = f", among the five likeliest {figures['top_5']:.4f}" if "top_5" in figures else ""
            penalty = f" with a penalty of {figures['penalty']:.4f}" if "penalty" in figures else ""
            say(f"{experiment.label} {name}: {word} {figures['accuracy']:.4f}{among_five}, loss {figures['loss']:.4f}{penalty} "
                f"({len(split)} examples)")
