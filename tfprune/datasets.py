"""What the examples of each data set are. A data set of one's own is a line here and a file `data/<name>.py`."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Examples:
    """What a data source's examples are: number of classes, and of images the side in pixels and the channels.

    `encoded` ones are files of any size, decoded as they are read; `measured` are the sets whose units are measured. `mean` and
    `deviation` are those of each channel where black is 0 and `white` is 1, as the field quotes them for normalising.
    """

    classes: int
    side: int | None = None
    channels: int | None = None
    encoded: bool = False
    measured: tuple = ("train", "test")
    mean: tuple = ()
    deviation: tuple = ()
    white: int = 255


DATASETS = {
    "cifar10": Examples(10, 32, 3, mean=(0.491, 0.482, 0.447), deviation=(0.247, 0.243, 0.262)),
    "digits": Examples(10, 8, 1, mean=(0.3053,), deviation=(0.3761,), white=16),
    "linear": Examples(2),
    "imagenet": Examples(1001, 224, 3, encoded=True, measured=("test",), mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225)),
    "mnist": Examples(10, 28, 1, mean=(0.1307,), deviation=(0.3081,)),
    "fashion_mnist": Examples(10, 28, 1, mean=(0.2860,), deviation=(0.3530,)),
    "kmnist": Examples(10, 28, 1, mean=(0.1918,), deviation=(0.3483,)),
    "cifar100": Examples(100, 32, 3, mean=(0.5071, 0.4865, 0.4409), deviation=(0.2673, 0.2564, 0.2762)),
}


def classes(dataset):
    """How many classes a net for this `Dataset` tells apart."""
    examples = DATASETS[dataset.name]
    return examples.classes - (examples.encoded and not dataset.background)


def channels(dataset):
    """How many channels a prepared image of this `Dataset` has; None for vectors."""
    own = DATASETS[dataset.name].channels
    return 3 if own == 1 and dataset.three_channels else own
