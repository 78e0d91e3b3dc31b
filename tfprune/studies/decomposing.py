"""Decomposing the deep: which filters of the last block serve which class, and is a class head of five filters enough?

After akshaybadola/decomposing-the-deep (A. Badola and colleagues, 2023), on the CIFAR ResNets of akamaster/pytorch_resnet_cifar10 and
torchvision's ResNet-50. 7000 is ResNet-20, trained by that repository's recipe; 7001-7003 are that trained net with 5, 10 and 20 filters a
class, trained on as the study does; 7004 has class-specific gates in place of that (CSG: H. Liang et al., ECCV 2020). 7005-7007 are
ResNet-32, 44 and 56; 7010-7012 ResNet-50 plain, with 50 and with 64 filters a class. 9030-9034 are the same on the bundled digits.
"""
from dataclasses import replace

from tfprune.experiment import Experiment
from tfprune.settings import DNN, Dataset, Hyper, Training

STUDY = "decomposing"
TORCH_ADAM = 7  # hyper.optimizer
CIFAR = Dataset(preprocessing="normalise", statistics="imagenet")
IMAGENET = Dataset("imagenet", preprocessing="squash", background=False, proportion_training_set=0.99)
DIGITS = Dataset("digits", preprocessing="normalise", proportion_training_set=0.85)
# As trained: a rate that falls at half and three quarters of 200 epochs; everything decays, as PyTorch's SGD has it.
HYPER = Hyper(batch_size=128, learning_rate=0.1, learning_rate_factor_per_decay=0.1, weight_decay=1e-4, max_num_epochs=200, crop_size=32,
              augmentation=True)
TRAINING = Training(schedule="milestones", patience=1_000_000, weight_decay_on="trainables", weight_decay_in="gradient",
                    last_batch="keep")
# Trained on after decomposing: ten epochs at one small rate, no decay.
TUNED = {"optimizer": TORCH_ADAM, "batch_size": 64, "weight_decay": 0.0, "max_num_epochs": 10}
# 1,200 small images: fewer epochs, and a stronger decay, without which gates form but filters do not follow them.
LAPTOP = {"max_num_epochs": 30, "batch_size": 64, "crop_size": 8, "image_size": 8, "augmentation": False, "weight_decay": 5e-3}


def experiments():
    """Every experiment of the study."""
    plain = experiment(7000, "ResNet20")
    yield plain
    for number, top in ((7001, 5), (7002, 10), (7003, 20)):
        yield decomposed(plain, number, top)
    yield gated(plain, 7004)
    for number, net in ((7005, "ResNet32"), (7006, "ResNet44"), (7007, "ResNet56")):
        yield experiment(number, net)
    imagenet = experiment(7010, "ResNet50_v15", IMAGENET, name="ResNet50", schedule="decay", num_epochs_per_decay=30, max_num_epochs=90,
                          batch_size=256, image_size=224)
    imagenet = replace(imagenet, dnn=replace(imagenet.dnn, init_fan="fan_out"))  # as torchvision starts its nets
    yield imagenet
    for number, top in ((7011, 50), (7012, 64)):
        yield decomposed(imagenet, number, top, rate=1e-6)
    digits = laptop(experiment(9030, "ResNet20", DIGITS, name="ResNet20_digits", **LAPTOP))
    yield digits
    for number, top in ((9031, 3), (9032, 5), (9033, 10)):
        yield laptop(decomposed(digits, number, top, rate=1e-3))
    # A gated epoch has 20 updates, not hundreds: gates move in larger steps, from the start, in every other epoch.
    yield laptop(gated(digits, 9034, {"gate_penalty": 0.3}, gate_warm_up=1, gate_period=2))


def experiment(number, net, dataset=CIFAR, name=None, schedule="milestones", **hyper):
    """A net with its dense head."""
    return Experiment(number, f"ID{number}_{name or net}_k=all_seed=0", STUDY, STUDY, dataset=dataset,
                      dnn=DNN(net, init="kaiming_normal", last_dense=True), hyper=replace(HYPER, **hyper),
                      training=replace(TRAINING, schedule=schedule))


def decomposed(plain, number, top, rate=1e-4):
    """The trained net of a plain experiment with so many filters a class, trained on."""
    return replace(plain, id=number, name=_named(plain, number, f"k={top}"), dnn=replace(plain.dnn, top=float(top)),
                   hyper=replace(plain.hyper, learning_rate=rate, **TUNED),
                   training=replace(plain.training, schedule="constant", start_from=plain.id))


def gated(plain, number, hyper=None, **training):
    """The net of a plain experiment trained anew, with class-specific gates; the default settings of these are the official code's.

    Its penalty of 0.001 a gate serves here too: by Adam at 0.001 there and by momentum at 0.1 here an update moves a gate by 0.001. What
    tells the best epoch from others, accuracy on the plain path, says nothing of gates: the last net is kept.
    """
    return replace(plain, id=number, name=_named(plain, number, "csg"), hyper=replace(plain.hyper, **hyper or {}),
                   training=replace(plain.training, trainer="csg", keep="last", **training))


def laptop(member):
    """In the folder of small experiments."""
    return replace(member, family="laptop")


def _named(plain, number, suffix):
    return plain.name.replace(f"ID{plain.id}", f"ID{number}").replace("k=all", suffix)
