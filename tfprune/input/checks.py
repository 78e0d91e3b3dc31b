"""Whether the settings of a `Dataset` go together, and with the kind of its examples; and what to say where they do not."""
from tfprune.datasets import DATASETS
from tfprune.experiment import UserError
from tfprune.settings import ENCODED, IN_MEMORY

SCALED = ("patch", "resized_crop", "torchvision", "squash")  # the preprocessings that end with what `dataset.scaling` says
# Those that resize grey levels, before anything else is made of them, or as they do and not as `dataset.resize` says.
LEVELS_RESIZED = ("patch", "none", "resized_crop", "torchvision", "squash")


def check_dataset(dataset):
    """UserError, in one line, where a setting does not fit the data set, or would have no effect."""
    examples = DATASETS[dataset.name]
    for check in (_preprocessing, _scaling, _resize, _channels, _statistics, _background):
        check(dataset, examples)


def _kind(examples):
    """What the examples are, and the preprocessings for them."""
    if examples.side is None:
        return "vectors", ("none",)
    return ("files of images", ENCODED) if examples.encoded else ("images", IN_MEMORY)


def _preprocessing(dataset, examples):
    kind, fit = _kind(examples)
    if dataset.preprocessing not in fit:
        raise UserError(f"--set dataset.preprocessing={dataset.preprocessing}: {dataset.name} has {kind}, which take {' or '.join(fit)}")


def _scaling(dataset, examples):
    if dataset.scaling != "normalise" and dataset.preprocessing not in SCALED:
        raise UserError(f"--set dataset.scaling={dataset.scaling}: is of dataset.preprocessing={' or '.join(SCALED)}; it has no meaning "
                        f"with {dataset.preprocessing}, where it is left at normalise")


def _resize(dataset, examples):
    if dataset.resize == "pil" and dataset.preprocessing not in LEVELS_RESIZED:
        raise UserError(f"--set dataset.resize=pil: rounds to whole grey levels, and dataset.preprocessing={dataset.preprocessing} resizes "
                        "other numbers; it takes half_pixel or tf1")


def _channels(dataset, examples):
    if dataset.three_channels and examples.channels is None:
        raise UserError(f"--set dataset.three_channels=true: {dataset.name} has {_kind(examples)[0]}, which have no channels")


def _statistics(dataset, examples):
    if dataset.preprocessing in ("normalise", *SCALED) and dataset.scaling == "normalise" and not examples.mean:
        raise UserError(f"--set dataset.name={dataset.name}: is said no mean and deviation to normalise by; give them in DATASETS, or "
                        "prepare it otherwise: --set dataset.preprocessing=patch --set dataset.scaling=unit")


def _background(dataset, examples):
    if not (dataset.background or examples.encoded):
        raise UserError(f"--set dataset.background=false: {dataset.name} has no class for the background; only imagenet has")
