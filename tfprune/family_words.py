"""The flags of MrtnMndt/Rethinking_CNN_Layerwise_Feature_Amounts' main.py, what each sets here, and the sweep that they ask for.

Those that allenai/hidden-networks has too (--epochs, -b, -lr, --momentum, --nesterov, -wd, -a, -j, --print-freq) stand in
tfprune/recipe_words.py. What is on or off takes true or false, and means it: the original takes every word for true.
"""
import os
import shlex
from dataclasses import dataclass

from tfprune.datasets import DATASETS
from tfprune.experiment import UserError
from tfprune.families import LARGE_PATCH, feature_families
from tfprune.recipe_words import Word, renamed

STUDY = "feature_amounts"
DEPTH = "16"  # of a sweep that names none
RESUME = "resume_model_id"
INITS = ("kaiming_normal", "kaiming_uniform", "xavier_normal", "xavier_uniform")
# KMNIST has a reader of its own in the original: resized after it was scaled, which rounds nothing, and left in one channel.
AS_READ = ("dataset.resize=half_pixel", "dataset.three_channels=false")


class DataSet(Word):
    """A data set by our name or by the original's, such as CIFAR10 or FashionMNIST, prepared as the original does."""

    def assignments(self, text):
        """As `Word.assignments`; of the data sets that there are by then, vectors left out."""
        images = {_plain(name): name for name, examples in DATASETS.items() if examples.side is not None}
        if _plain(text) not in images:
            raise ValueError("takes one of " + ", ".join(images.values()))
        name = images[_plain(text)]
        examples = DATASETS[name]
        return [f"dataset.name={name}", f"dataset.preprocessing={'torchvision' if examples.encoded else 'patch'}",
                f"hyper.augmentation={examples.channels > 1}", f"dataset.background={not examples.encoded}",
                *(["training.top_5=false"] if examples.classes < 5 else []), *(AS_READ if name == "kmnist" else [])]


@dataclass(frozen=True)
class Folder(Word):
    """Where the original looks for the images of ImageNet's `half`."""

    half: str = ""

    def assignments(self, text):
        """Says, as a ValueError, where they are looked for here."""
        raise ValueError(f"ImageNet is looked for below --data_dir, in imagenet/{self.half}; put a link there and leave the flag out: "
                         f"mkdir -p datasets/imagenet && ln -s {shlex.quote(os.path.abspath(text))} datasets/imagenet/{self.half}")


# The order is that in which they take effect.
WORDS = {
    "dataset": DataSet(),
    "normalize_data": Word(values=renamed("dataset.scaling", {"true": "normalise", "false": "unit"}), switch=True),
    "preprocessing": Word(values={"true": ("dataset.scaling=contrast",), "false": ()}, switch=True),
    "patch_size": Word("hyper.image_size"),
    "vgg_depth": Word("dnn.depth"),
    "weight_init": Word(values=renamed("dnn.init", {name.replace("_", "-"): name for name in INITS})),
    "batch_norm": Word("dnn.norm_epsilon"),
    "lr_wr_epochs": Word("hyper.restart_epochs", too="training.give_up_after"),
    "lr_wr_mul": Word("hyper.restart_growth"),
    "lr_wr_min": Word("hyper.least_rate"),
    "train_data": Folder(half="train"),
    "val_data": Folder(half="val"),
    RESUME: Word(),  # says which experiments, not how
}
ALIASES = {"datasets": "dataset", "architecture": "arch", "bn": "batch_norm", "pf": "print_freq", "train": "train_data", "val": "val_data",
           "p": "p"}
CONTRAST = ("preprocessing: global contrast normalisation, as the original's README has it; its code has --normalize-data, by the means "
            "and deviations of the channels")


def _plain(name):
    return name.lower().replace("_", "").replace("-", "")


def spelled_out(words, study):
    """The words with `p` as what it means for an experiment of a study: the size of a patch, or how often hidden-networks prints."""
    return {({STUDY: "patch_size"}.get(study, "print_freq") if key == "p" else key): text for key, text in words.items()}


def remarks(words):
    """What to tell the user of these words, each one line; UserError where they contradict each other."""
    contrast = words.get("preprocessing") == "true"
    if contrast and words.get("normalize_data") == "true":
        raise UserError("--preprocessing=true: is global contrast normalisation, and --normalize-data=true another one; give one of them")
    return [CONTRAST] if contrast else []


def asked_for(words):
    """Whether words, without an ID, ask for a sweep: those that only this original has do."""
    return bool(words.keys() & WORDS.keys()) or words.get("arch") == "VGG"


def family(registry, words):
    """The original's sweep: all registered VGGs of the depth that the words name, in its order.

    Returns (experiments, remarks for the user).

    Raises:
      UserError: there are none of this depth.
    """
    text = words.get("vgg_depth", DEPTH)
    members = [e for e in registry.values() if e.study == e.family == STUDY and e.dnn.scale]
    chosen = [experiment for experiment in members if str(experiment.dnn.depth) == text]
    if not chosen:
        depths = sorted({experiment.dnn.depth for experiment in members})
        raise UserError(f"--vgg-depth={text}: no experiments have this depth; there are some of {', '.join(map(str, depths))}")
    return chosen, _unregistered(chosen, spelled_out(words, STUDY).get("patch_size", ""))


def _unregistered(chosen, patch_size):
    """What a sweep of larger patches lacks: the IDs are of the family for the small ones."""
    if not patch_size.isdecimal() or len(patch_size) > 9 or int(patch_size) <= LARGE_PATCH:
        return []
    depth, whole = chosen[0].dnn.depth, len(feature_families(chosen[0].dnn.depth, int(patch_size)))
    return [f"patches above {LARGE_PATCH} pixels: of the {whole} VGGs of depth {depth} the {len(chosen)} that have IDs"]


def resumed(chosen, words):
    """The experiments from the one on that --resume-model-id counts, from 0.

    Raises:
      UserError: it is no whole number from 0 on.
    """
    text = words.get(RESUME, "0")
    if not text.isdecimal() or len(text) > 9:
        raise UserError(f"--resume-model-id={text}: takes a whole number >= 0, how many of the experiments asked for to pass over")
    return chosen[int(text):]
