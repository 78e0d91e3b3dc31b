"""Network pruning: how far can weights and units be pruned by magnitude before a net fails?

After justincosentino/network-pruning (2019). 8000-8009 are its ten nets, MNIST's digits and then Fashion-MNIST, each without a penalty
on its weights, with two of L1 and two of L2; trained by Adam for 20 epochs, of which that with the least validation loss counts.
9040-9044 are the same at a quarter of the width on the bundled digits. 9045-9049 are pruned by
training: gradually, single weights, blocks or two of every four; or after it, what is left being trained on from where it stands (9048),
or from where it began (9049; Frankle & Carbin 2019, lottery tickets).
"""
from dataclasses import replace

from tfprune.experiment import Experiment
from tfprune.settings import DNN, Dataset, Hyper, Training

STUDY = "network_pruning"
ADAM = 8  # hyper.optimizer: as Keras has it
GLOROT_UNIFORM = 1  # dnn.init_type
PENALTIES = ((0.0, 0.0), (0.001, 0.0), (0.0001, 0.0), (0.0, 0.01), (0.0, 0.001))  # of |w| and of w^2
HYPER = Hyper(batch_size=128, learning_rate=1e-3, max_num_epochs=20, crop_size=28, image_size=28, optimizer=ADAM)
TRAINING = Training(schedule="constant", patience=1_000_000, last_batch="keep", best="loss")
# An epoch on the digits has 39 updates. The layers are wide by multiples of 5.
RISING = {"prune_from": 0.25, "prune_until": 0.75, "prune_every": 10}
GRADUAL = (("unstructured", RISING), ("block", RISING | {"prune_block": (1, 5)}), ("2_of_4", {"prune_from": 0.5}))


def experiments():
    """Every experiment of the study."""
    sets = [(name, *penalty) for name in ("mnist", "fashion_mnist") for penalty in PENALTIES]
    for number, (name, l1, l2) in enumerate(sets, 8000):
        yield experiment(number, Dataset(name, preprocessing="patch", scaling="unit", split="first", num_valid=10_000), l1, l2)
    for number, (l1, l2) in enumerate(PENALTIES, 9040):
        yield laptop(number, l1, l2)
    for number, (pruning, settings) in enumerate(GRADUAL, 9045):
        yield pruned(number, pruning, pruning=pruning, **settings)
    yield pruned(9048, "tuned", pruning="unstructured", start_from=9040)
    yield pruned(9049, "rewound", pruning="unstructured", start_from=9040, rewind=0)


def experiment(number, dataset, l1=0.0, l2=0.0):
    """The study's net on a data set."""
    return Experiment(number, f"ID{number}_{dataset.name}_l1={l1}_l2={l2}_seed=0", STUDY, STUDY, dataset=dataset,
                      dnn=DNN("FC4", init_type=GLOROT_UNIFORM), hyper=replace(HYPER, l1_reg=l1, l2_reg=l2), training=TRAINING)


def laptop(number, l1=0.0, l2=0.0):
    """The same at a quarter of its width, on the bundled digits."""
    digits = Dataset("digits", preprocessing="patch", scaling="unit", proportion_training_set=0.85)
    member = experiment(number, digits, l1, l2)
    return replace(member, family="laptop", dnn=replace(member.dnn, neuron_multiplier=0.25),
                   hyper=replace(member.hyper, batch_size=32, crop_size=8, image_size=8))


def pruned(number, word, **training):
    """The laptop net, pruned by its training."""
    member = laptop(number)
    return replace(member, name=f"ID{number}_digits_{word}_seed=0", training=replace(member.training, **training))
