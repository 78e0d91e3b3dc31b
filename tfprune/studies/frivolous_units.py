"""Width and frivolous units: as a net gets wider, are its new units prunable, redundant, or useful?

IDs 0-3246 are the original study's (xboix/frivolous_dnns, experiments.py), 4000-4038 its ImageNet ones (original index + 4000), and
9002-9006 a demonstration that a laptop trains in minutes. An ID is the position of its experiment in `cifar_and_synthetic`; the
blocks below follow each other in the order in which they were numbered, slowest loop first.
"""
import itertools
from dataclasses import replace

from tfprune.experiment import Experiment
from tfprune.settings import DNN, Dataset, Hyper, Training

STUDY = "frivolous_units"
WIDTHS = (0.25, 0.5, 1, 2, 4)
MLP_WIDTHS = (1, 2, 4, 8, 16)
LEARNING_RATES = (1.0, 0.1, 0.01, 1e-3, 1e-4)
INIT_FACTORS = (1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7)
DIMENSIONS = (10, 10_000)
MOMENTUM, SGD, ADAM, RMSPROP = 0, 1, 2, 5


def experiments():
    """Every experiment of the study."""
    for first, block in ((0, cifar_and_synthetic()), (4000, imagenet()), (9002, digits_demo())):
        for number, experiment in enumerate(block, first):
            yield replace(experiment, id=number, name=f"ID{number}_{experiment.name}")


def cifar_and_synthetic():
    """The original's 3,247 experiments in the order of their IDs."""
    yield from cifar_data_only()  # 0
    yield from init_schemes()  # 2
    yield from regularisers()  # 62
    yield from optimisers()  # 92
    yield from activation_functions()  # 127
    yield from learning_rate_and_batch_size()  # 157
    yield from resnets(factors=(1, 0.25))  # 217
    yield from second_seed(width=4)  # 232
    yield from resnets(factors=(4,))  # 234
    yield from second_seed(width=0.25)  # 239
    yield from synthetic_data_only()  # 241
    yield from mlps(num_train=(1_000,), optimizers=(SGD, ADAM, RMSPROP))  # 247
    yield from mlps(num_train=(10_000, 100_000), optimizers=(MOMENTUM,))  # 1747
    yield from mlps(num_train=(1_000,), optimizers=(MOMENTUM,))  # 2747


def cifar_data_only():
    """No net: these only prepare the records of true and of random labels."""
    for name, rand in (("data_1", 0), ("data_random", 1)):
        yield Experiment(-1, name, STUDY, dataset=Dataset(random_labels=bool(rand)), hyper=Hyper(max_num_epochs=0))


def alexnet(family, width, reg=0, rand=0, k=1, seed=0, suffix="", init_type=0, act=0, optimizer=0, init_in_name=False):
    """One Alexnet on CIFAR-10.

    `reg`: 0 none, 1 augmentation, 2 dropout, 3 weight decay, 4 all three; augmentation doubles the epochs. Random labels need ten
    times the epochs. `k` scales learning rate and batch size together.
    """
    augmented = reg in (1, 4)
    hyper = Hyper(batch_size=int(128 * k), learning_rate=0.01 * k, optimizer=optimizer, augmentation=augmented,
                  drop_train=0.5 if reg in (2, 4) else 1.0, weight_decay=0.001 if reg in (3, 4) else 0.0,
                  max_num_epochs=500 * (10 if rand else 1) * (2 if augmented else 1))
    itype = f"itype={init_type}_" if init_in_name else ""
    return Experiment(
        -1, f"Alexnet_{itype}nmult={width}_reg={reg}{suffix}_seed={seed}", STUDY, family, seed,
        dataset=Dataset(random_labels=bool(rand)), hyper=hyper, training=Training(patience=25 if rand else 50),
        dnn=DNN("Alexnet", neuron_multiplier=float(width), init_type=init_type, act_function=act))


def init_schemes():
    """Six initialisers, true and random labels."""
    for rand, init_type, width in itertools.product((0, 1), range(6), WIDTHS):
        yield alexnet("init_scheme", width, rand=rand, suffix=f"_rand={rand}", init_type=init_type, init_in_name=True)


def regularisers():
    """The main figures: no regulariser (true and random labels), then each and all of them."""
    for width in WIDTHS:
        for reg, rand in ((0, 0), (0, 1), (1, 0), (2, 0), (3, 0), (4, 0)):
            yield alexnet("replication", width, reg, rand, suffix=f"_rand={rand}", init_in_name=True)


def optimisers():
    """Seven optimisers."""
    for width, optimizer in itertools.product(WIDTHS, range(7)):
        yield alexnet("optimizers", width, suffix=f"_rand=0_optim={optimizer}", optimizer=optimizer)


def activation_functions():
    """Six activation functions."""
    for width, act in itertools.product(WIDTHS, range(6)):
        yield alexnet("act_functions", width, suffix=f"_rand=0_af={act}", act=act)


def learning_rate_and_batch_size():
    """Learning rate and batch size scaled together; random labels only without regulariser."""
    for rand in (0, 1):
        for reg, width, k in itertools.product((0,) if rand else range(5), WIDTHS, (0.25, 4)):
            yield alexnet("lr_bs", width, reg, rand, k, suffix=f"_lrbs={k}_rand={rand}")


def resnets(factors):
    """ResNet-56; random labels only at factor 1, and then neither augmented nor decayed."""
    for width, k in itertools.product(WIDTHS, factors):
        for rand in (0, 1) if k == 1 else (0,):
            yield Experiment(
                -1, f"ResNet_cifar_nmult={width}_lrbs={k}_rand={rand}_seed=0", STUDY, "resnet_cifar",
                dataset=Dataset(random_labels=bool(rand), preprocessing="pad"),
                training=Training(schedule="resnet_cifar", keep="last", weight_decay_on="trainables"),
                dnn=DNN("ResNet_cifar", neuron_multiplier=float(width)),
                hyper=Hyper(batch_size=int(128 * k), learning_rate=0.1 * k, max_num_epochs=5000 if rand else 500,
                            weight_decay=0.0 if rand else 2e-4, augmentation=not rand))


def second_seed(width):
    """The smallest and the widest net once more from another seed, without and with all regularisers."""
    for reg in (0, 4):
        yield alexnet("replication", width, reg, suffix="_rand=0", seed=1, init_in_name=True)


def random_teacher(dimension, num_train):
    """The data set that a random ReLU net labels; as many validation as training examples."""
    return Dataset("linear", dimension=dimension, num_train=num_train, preprocessing="none")


def synthetic_data_only():
    """The record sets of the random-teacher data; their nets stay untrained."""
    for num_train, dimension in itertools.product((1_000, 10_000, 100_000), DIMENSIONS):
        yield Experiment(-1, f"data_{dimension}_tfrecords_seed=0", STUDY, f"rand{dimension}", dnn=DNN("MLP1"),
                         dataset=random_teacher(dimension, num_train), hyper=Hyper(max_num_epochs=0))


def mlps(num_train, optimizers):
    """One-hidden-layer nets: optimiser or data size, dimension, width, learning rate, init scale."""
    grid = itertools.product(optimizers, num_train, DIMENSIONS, MLP_WIDTHS, LEARNING_RATES, INIT_FACTORS)
    for optimizer, examples, dimension, width, learning_rate, init_factor in grid:
        yield Experiment(
            -1, "MLP_seed=0" if dimension == 10 else "MLP10K_seed=0", STUDY, f"rand{dimension}",
            dataset=random_teacher(dimension, examples), dnn=DNN("MLP1", neuron_multiplier=float(width)),
            hyper=Hyper(learning_rate=learning_rate, init_factor=init_factor, optimizer=optimizer, max_num_epochs=50))


def imagenet():
    """ResNet-18 by width at the largest batch that fits and at fixed batches, Inception-v3, and ResNet-18 before its end of training."""
    largest = dict(zip(WIDTHS, (8192, 4096, 3072, 1024, 512), strict=True))
    for width, batch in largest.items():
        yield imagenet_net("ResNet18", batch, width)
    for batch, widths in ((4096, (0.25,)), (2048, (0.25, 0.5, 1)), (1024, (0.25, 0.5, 1))):
        for width in widths:
            yield imagenet_net("ResNet18", batch, width)
    for width in (1, 0.25, 0.5):
        yield imagenet_net("Inception_v3", 512, width)
    for factor_end in (0.25, 0.5, 2, 4):
        yield imagenet_net("Inception_v3", 512, 1, factor_end=factor_end)
    for time_step, (width, batch) in itertools.product(range(4), largest.items()):
        yield imagenet_net("ResNet18", batch, width, time_step=time_step)


def imagenet_net(net, batch, width, factor_end=None, time_step=None):
    """One ImageNet net; `time_step` 0..3 stops 8, 6, 4, 2 epochs before the end.

    The original's were trained elsewhere; this is the recipe of TensorFlow's official ResNets (tensorflow/models), for Inception-v3 with
    the regularisers of Szegedy et al. 2015.
    """
    end = "" if factor_end is None else f"_end={factor_end}"
    step = "" if time_step is None else f"_step={time_step}"
    inception = net == "Inception_v3"
    hyper = Hyper(batch_size=batch, learning_rate=0.1, weight_decay=4e-5 if inception else 1e-4, max_num_epochs=90,
                  image_size=299 if inception else 224, drop_train=0.8 if inception else 1.0, augmentation=True)
    return Experiment(
        -1, f"{net}_factor={width}{end}{step}_seed=0", STUDY, "imagenet",
        dataset=Dataset("imagenet", preprocessing="inception" if inception else "resnet", proportion_training_set=0.99),
        hyper=hyper, training=Training(schedule="resnet_imagenet", keep="last", label_smoothing=0.1 if inception else 0.0),
        dnn=DNN(net, neuron_multiplier=float(width), factor_end=float(factor_end or 1),
                time_step=0 if time_step is None else 8 - 2 * time_step))


def digits_demo():
    """IDs 2-6 at laptop scale: scikit-learn's real 8x8 digits at native size, smaller base widths, the same five width factors."""
    for width in WIDTHS:
        yield Experiment(
            -1, f"Alexnet_digits_nmult={width}_seed=0", STUDY, "laptop",
            dataset=Dataset("digits", proportion_training_set=0.85), dnn=DNN("Alexnet_digits", neuron_multiplier=float(width)),
            hyper=Hyper(batch_size=32, crop_size=8, image_size=8, max_num_epochs=20))
