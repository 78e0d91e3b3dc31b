"""Build the TFRecords of a data set; those that exist are left alone.

    python -m data.build --dataset=cifar10
    python -m data.build --dataset=imagenet --data_dir=/data --strict
    python -m data.build --dataset=linear --set dataset.dimension=10000 --set dataset.num_train=100000
"""
from absl import flags

import data
from tfprune.datasets import DATASETS
from tfprune.experiment import Experiment, UserError
from tfprune.files import read_json
from tfprune.flags import run
from tfprune.overrides import override
from tfprune.settings import Dataset

FLAGS = flags.FLAGS
MOST_LISTED = 20  # classes


def main(positional):
    """Builds what the flags ask for and says where it is."""
    if positional:
        raise UserError(f"argument {positional[0]}: not a flag; name the data set with --dataset={'|'.join(DATASETS)}")
    foreign = [text for text in FLAGS.set if not text.strip().startswith("dataset.")]
    if foreign:
        raise UserError(f"--set {foreign[0]}: only dataset.FIELD=VALUE decides the records")
    asked = Experiment(0, "build", "data", dataset=Dataset(FLAGS.dataset))
    dataset = override(asked, FLAGS.set, fidelity=FLAGS.fidelity).dataset
    report(data.ensure(dataset, FLAGS.data_dir, FLAGS.overwrite, FLAGS.strict))


def report(folder):
    """Prints how many examples of each class are in which part, what was left out, and the folder of the records."""
    meta = read_json(folder / data.records.META)
    for split in data.records.SPLITS:
        summary = meta["splits"][split]
        classes = by_class(summary["label_counts"]) if meta["label_dtype"] == "int64" else ""
        files = f", files: {len(summary['shard_bytes'])}" if "shard_bytes" in summary else ""
        print(f"{split}: {summary['count']} examples{classes}{files}")
    missing = data.left_out(folder)
    if missing:
        print(f"left out: {len(missing)} unreadable images, named in {folder / data.records.META}")
    print(folder)


def by_class(counts):
    """Examples of each class in words; of many classes how many there are, and of how many examples each."""
    if len(counts) <= MOST_LISTED:
        return f", by class {counts}"
    present = [count for count in counts if count]
    return f" of {len(present)} classes, of each {min(present)} to {max(present)}" if present else ""


def define_data_flags(data_dir="datasets"):
    """Defines --data_dir, with this default, and --overwrite."""
    flags.DEFINE_string("data_dir", data_dir, "folder of the raw data and of the records made from them; must match DATA_DIR in "
                        "experiments.py, where the experiments look")
    flags.DEFINE_bool("overwrite", False, "build records that exist again")


if __name__ == "__main__":
    flags.DEFINE_enum("dataset", "cifar10", list(DATASETS), "data set: " + ", ".join(DATASETS))
    flags.DEFINE_multi_string("set", [], "override of a data setting, repeatable: --set dataset.limit=1000")
    flags.DEFINE_enum("fidelity", "corrected", ["corrected", "original"], "original: the original's overlapping split")
    flags.DEFINE_bool("strict", False, "refuse unreadable images (imagenet), which are named and left out otherwise")
    define_data_flags()
    run(main)
