"""`tf.data` batches of a split, to train on and to evaluate: of examples in memory, or of images in their files, by the same plan."""
from tfprune.input import decoding, gathering
from tfprune.input.checks import check_dataset
from tfprune.input.encoded import EncodedSplit
from tfprune.input.plan import plans
from tfprune.input.records import Split
from tfprune.keras import tf

BATCHES = {Split: gathering, EncodedSplit: decoding}  # each with training and evaluation


def training_stream(split, dataset, hyper, seed, epoch=0, first_step=0, ragged=False):
    """The batches to train on, epoch after epoch without end, augmented where `hyper.augmentation` says so.

    One iterator over it serves a whole training: a new one for each epoch costs 20 to 50 ms, which small nets feel.

    Args:
      split: what to train on, a `Split` or an `EncodedSplit`.
      dataset, hyper: settings of the experiment.
      seed: of the order and of the augmentation.
      epoch: the one to begin with, from 0.
      first_step: updates of that epoch that are done already; their batches are left out, the others stay the same.
      ragged: an epoch ends with a smaller batch of the examples that fill none, which are left out otherwise.

    Returns an endless `tf.data.Dataset` of pairs: images float32 [batch, ...], labels [batch]; `plan.updates_per_epoch` make an epoch.

    Raises:
      UserError: `dataset.preprocessing` does not fit the data set.
    """
    check_dataset(dataset)
    kind = BATCHES[type(split)]
    return _unrewritten(kind.training(plans(split, dataset, hyper, seed, epoch, ragged).skip(first_step), split, dataset, hyper, ragged))


def evaluation_batches(split, dataset, hyper, batch_size=None):
    """All examples in order, never augmented, the last batch as small as it comes.

    Returns a `tf.data.Dataset` of pairs: images float32 [batch, ...], labels [batch]; `batch_size` defaults to `hyper.batch_size`.
    """
    check_dataset(dataset)
    kind = BATCHES[type(split)]
    return _unrewritten(kind.evaluation(split, dataset, hyper, batch_size or hyper.batch_size))


def _unrewritten(batches):
    """Without TensorFlow's rewrites of the pipeline, which gain nothing here and for which it is copied with the images in it."""
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    return batches.with_options(options)
