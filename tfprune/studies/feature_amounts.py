"""Feature amounts: where along the depth should a VGG put its features?

After MrtnMndt/Rethinking_CNN_Layerwise_Feature_Amounts (M. Mundt and colleagues, 2018): families of VGGs of one depth whose features are
spread over the layers by skew normal distributions, trained on CIFAR-10 by SGD with warm restarts. IDs 6000-6984 are all families that its
code builds, in its order, 6999 is the plain VGG-16, which its sweep never trains, 7200-7354 the family of VGG-A, which only its page
shows; 9200-9290 are the family of depth 7 with an eighth of the features, on the bundled digits, and 9291 its plain VGG.
"""
from dataclasses import replace

from tfprune.experiment import Experiment
from tfprune.families import feature_families
from tfprune.family_words import STUDY
from tfprune.settings import DNN, Dataset, Hyper, Training

FIRST = {16: 6000, 7: 6200, 10: 6300, 13: 6500, 19: 6700, 22: 6850, 25: 6950, 11: 7200}  # ID of each depth's first experiment
PLAIN, LAPTOP, LAPTOP_PLAIN = 6999, 9200, 9291
HYPER = Hyper(batch_size=128, learning_rate=0.01, weight_decay=5e-4, momentum=0.9, max_num_epochs=150, crop_size=32, image_size=32,
              drop_train=0.5, augmentation=True)
# The original never stops early, but for nets that guess after a cycle, and decays all that is trained.
TRAINING = Training(schedule="warm_restarts", patience=1_000_000, weight_decay_on="trainables", weight_decay_in="gradient", top_5=True,
                    last_batch="keep", give_up_after=10)
DATA = Dataset(preprocessing="patch", scaling="unit")


def experiments():
    """Every experiment of the study."""
    for depth, first in FIRST.items():
        yield from family(depth, first)
    yield experiment(PLAIN, 16, "plain")
    for member in family(7, LAPTOP):
        yield laptop(member)
    yield laptop(experiment(LAPTOP_PLAIN, 7, "plain"))


def family(depth, first):
    """The experiments of one depth, from the ID `first` on."""
    for number, member in enumerate(feature_families(depth), first):
        yield experiment(number, depth, f"loc={member.location:g}_scale={member.scale:g}_shape={member.shape:g}",
                         location=member.location, scale=member.scale, shape=member.shape)


def experiment(number, depth, name, **distribution):
    """A VGG on CIFAR-10."""
    return Experiment(number, f"ID{number}_VGG{depth}_{name}_seed=0", STUDY, STUDY, dataset=DATA,
                      dnn=DNN("VGG", depth=depth, init="kaiming_normal", norm_epsilon=1e-4, **distribution), hyper=HYPER, training=TRAINING)


def laptop(member):
    """The same VGG with an eighth of the features, on digits that are enlarged to its patch."""
    return replace(
        member, name=member.name.replace("VGG7_", "VGG7_digits_"), family="laptop", dnn=replace(member.dnn, neuron_multiplier=1 / 8),
        dataset=replace(DATA, name="digits", proportion_training_set=0.85),
        # Two whole cycles. The last hidden layer may have a single feature, of which dropout would leave nothing.
        hyper=replace(HYPER, batch_size=16, learning_rate=0.05, drop_train=1.0, augmentation=False, max_num_epochs=3, restart_epochs=1),
        training=replace(TRAINING, give_up_after=0))
