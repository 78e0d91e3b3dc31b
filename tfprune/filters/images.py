"""The images that class filters are sought in and tested with."""
from dataclasses import replace

from tfprune.input import pipeline, plan, records
from tfprune.units.batches import fitting_batch

LEAST = 128  # images at once, where a batch for training is smaller


def training_images(source, folder, augmented=None):
    """The training images once, as a `tf.data.Dataset` of (images, labels); augmented and shuffled where `measure.augmented` says so."""
    experiment, split = source.experiment, records.load(folder, "train")
    if not (experiment.measure.augmented if augmented is None else augmented):
        return pipeline.evaluation_batches(split, experiment.dataset, experiment.hyper, batch_size(source))
    hyper = replace(experiment.hyper, augmentation=True)
    stream = pipeline.training_stream(split, experiment.dataset, hyper, experiment.seed, ragged=experiment.dataset.shuffle)
    return stream.take(plan.updates_per_epoch(split, experiment.dataset, hyper, ragged=experiment.dataset.shuffle))


def testing_images(source, folder):
    """(the test images, as a `tf.data.Dataset` of (images, labels); how many batches)."""
    experiment, split, size = source.experiment, records.load(folder, "test"), batch_size(source)
    return pipeline.evaluation_batches(split, experiment.dataset, experiment.hyper, size), -(-len(split) // size)


def batch_size(source):
    """How many images go through the net at once."""
    return fitting_batch(source.features.graph, max(source.experiment.hyper.batch_size, LEAST))
