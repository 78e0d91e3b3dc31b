"""Choose, for each setting of the MLP study, the learning rate with the best validation accuracy; the notebooks show the chosen runs.

    python select_mlps.py                    writes results/csv/frivolous_units/ids_mlps.json: what was chosen, and from what
    python select_mlps.py --seeds=0,1,2

Runs that are missing, unfinished or without a validation accuracy are listed there; the choice is made among the others.
"""
from absl import flags

from experiments import REGISTRY, RESULTS_DIR
from tfprune import flags as shared
from tfprune.experiment import UserError

FLAGS = flags.FLAGS


def main(positional):
    """Chooses, writes, and says how many settings have a run."""
    if positional:
        raise UserError(f"argument {positional[0]}: not a flag; this script takes --results_dir, --seeds, --fidelity")
    seeds = [seed.strip() for seed in FLAGS.seeds.split(",")]
    if not all(seed.isdecimal() and len(seed) < 10 for seed in seeds):
        raise UserError(f"--seeds={FLAGS.seeds}: expected whole numbers from 0, such as 0,1,2")
    from tfprune.report import selection

    chosen = selection.select(REGISTRY, FLAGS.results_dir, tuple(dict.fromkeys(map(int, seeds))), FLAGS.fidelity)
    settings = [len(groups) * len(chosen.seeds) for groups in chosen.candidates]
    print(f"best learning rate: chosen for {len(chosen.best_rate)} of {settings[0]} settings; over initial weights too: "
          f"{len(chosen.best)} of {settings[1]}\nwrote {selection.pathlib.Path(FLAGS.results_dir) / selection.PLACE}")


if __name__ == "__main__":
    flags.DEFINE_string("results_dir", RESULTS_DIR, "folder of the results")
    flags.DEFINE_string("seeds", "0", "seeds of training, each judged by itself")
    flags.DEFINE_enum("fidelity", "corrected", ["corrected", "original"], "of the runs to look at")
    shared.run(main)
