"""What is left of a net's accuracy when half of its units are cut by each criterion, against units drawn at random.

    python benchmarks/criteria.py
    python benchmarks/criteria.py --experiment_ids=9004 --sparsity=0.3 --seeds=3 --results_dir=results

Trains each experiment with seeds 0, 1, .. (runs that are in the results folder already are taken from there), cuts the same share of the
units of every layer of each, and tests on the test set, without any training after. Criteria that need examples see the training set.
Before: with the averages of batch normalisation that training left; after: with those found anew on the training set (`renormalise`);
nets without batch normalisation have but one. Means over the seeds, with their standard deviation; random: over all draws of all seeds.
"""
import functools
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import data  # noqa: E402
from experiments import DATA_DIR, REGISTRY, RESULTS_DIR  # noqa: E402
from tfprune import flags  # noqa: E402
from tfprune.experiment import UserError  # noqa: E402
from tfprune.overrides import override  # noqa: E402
from tfprune.settings import CRITERIA  # noqa: E402

FLAGS = flags.FLAGS


def main(_):
    """Prints a table for each experiment."""
    for experiment in REGISTRY.select(FLAGS.experiment_ids):
        nets = [Tried(*trained(override(experiment, seed=seed))) for seed in range(FLAGS.seeds)]
        print(f"{experiment.name}: accuracy with {FLAGS.sparsity:.0%} of the units of each layer cut; dense "
              f"{in_words([net.dense for net in nets])}")
        chance = list(zip(*(net.accuracies("random", seed) for net in nets for seed in range(FLAGS.draws)), strict=True))
        for name in CRITERIA:
            try:
                row = chance if name == "random" else list(zip(*(net.accuracies(name) for net in nets), strict=True))
            except UserError as error:
                print(f"  {name:11} {error}")
                continue
            better = [statistics.mean(ours) > statistics.mean(theirs) for ours, theirs in zip(row, chance, strict=True)]
            verdict = "" if name == "random" else "beats random" if all(better) else "does not beat random"
            after = "".join(f"  after {in_words(accuracies)}" for accuracies in row[1:])
            print(f"  {name:11} before {in_words(row[0])}{after} {verdict}".rstrip(), flush=True)


def trained(experiment):
    """(net, training examples, test examples) of an experiment, trained unless it is already."""
    from tfprune.input import pipeline, records
    from tfprune.training.checkpoints import trained_model

    done = subprocess.run([sys.executable, ROOT / "train.py", experiment.flag, f"--seed={experiment.seed}",
                           f"--results_dir={FLAGS.results_dir}", f"--data_dir={FLAGS.data_dir}"], stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(done.returncode)
    folder = data.ensure(experiment.dataset, FLAGS.data_dir)
    sets = [pipeline.evaluation_batches(records.load(folder, name), experiment.dataset, experiment.hyper) for name in ("train", "test")]
    return trained_model(experiment, FLAGS.results_dir), *sets


class Tried:
    """One trained net, compiled once, that is cut by one criterion after another."""

    def __init__(self, model, train, test):
        from tfprune.pruning.criteria import Net
        from tfprune.pruning.evaluation import Evaluation
        from tfprune.pruning.magnitude import Pruner
        from tfprune.pruning.renormalise import Renormaliser

        self.net, self.train, self.pruner = functools.partial(Net, model), train, Pruner(model, ("unit",))
        self.renormalise, self.evaluation = Renormaliser(self.pruner.model), Evaluation(self.pruner.model, test)
        self.dense = self.evaluation()["accuracy"]

    def accuracies(self, criterion, seed=0):
        """[accuracy before, and of a net with batch normalisation, after]."""
        from tfprune.pruning.counts import Ranking
        from tfprune.pruning.criteria import CRITERIA

        scores = CRITERIA[criterion].units(self.net(self.pruner.groups, self.train, seed=seed))
        self.pruner.rankings["unit"] = Ranking(scores)
        self.pruner.prune("unit", FLAGS.sparsity)
        before = self.evaluation()["accuracy"]
        if not self.renormalise.levels:
            return [before]
        self.renormalise(self.train)
        return [before, self.evaluation()["accuracy"]]


def in_words(accuracies):
    """Mean and standard deviation."""
    return f"{statistics.mean(accuracies):.3f} (+-{statistics.stdev(accuracies) if len(accuracies) > 1 else 0:.3f})"


if __name__ == "__main__":
    flags.flags.DEFINE_string("experiment_ids", "9004,9030", "nets: one without, and one with batch normalisation")
    flags.flags.DEFINE_float("sparsity", 0.5, "share of the units that is cut", lower_bound=0, upper_bound=1)
    flags.flags.DEFINE_integer("seeds", 3, "trainings of each", lower_bound=1)
    flags.flags.DEFINE_integer("draws", 10, "random choices for each training", lower_bound=1)
    flags.flags.DEFINE_string("results_dir", RESULTS_DIR, "folder of the trained runs")
    flags.flags.DEFINE_string("data_dir", DATA_DIR, "folder of the raw data")
    flags.run(main)
