"""Generate a random-teacher data set: Gaussian vectors, labelled by a random ReLU net.

    python create_linear_dataset.py --dimension=10000 --num_train=100000

As many validation as training examples. The same settings give the same records as those of an experiment, and nothing is made twice:
train.py makes the sets that the MLPs (247-3246) need, and 241-246 are experiments that make a set and train nothing.
"""
from absl import flags

import data
from data.build import define_data_flags, report
from experiments import DATA_DIR
from tfprune.experiment import UserError
from tfprune.flags import run
from tfprune.settings import Dataset

FLAGS = flags.FLAGS
SIZES = {
    "dimension": "length of a vector",
    "num_train": "training examples, and validation examples",
    "num_test": "test examples",
    "teacher_width": "hidden units of the net that labels",
}


def main(positional):
    """Builds the records and says where they are."""
    if positional:
        raise UserError(f"argument {positional[0]}: not a flag; sizes are given as --{', --'.join(SIZES)}")
    sizes = {name: FLAGS[name].value for name in SIZES}
    dataset = Dataset("linear", seed=FLAGS.seed, preprocessing="none", regression=FLAGS.regression, **sizes)
    report(data.ensure(dataset, FLAGS.data_dir, FLAGS.overwrite))


if __name__ == "__main__":
    for name, meaning in SIZES.items():
        flags.DEFINE_integer(name, getattr(Dataset(), name), meaning, lower_bound=1)
    flags.DEFINE_integer("seed", 0, "seed of the net and of the vectors (dataset.seed); default: 0", lower_bound=0)
    flags.DEFINE_bool("regression", False, "one output of unit variance in place of two classes")
    define_data_flags(DATA_DIR)
    run(main)
