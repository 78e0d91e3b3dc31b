"""Paths, and every experiment by its integer ID: the file to edit first.

    python experiments.py                              writes experiment_lookup.txt (ID and name of every experiment)
    python experiments.py --list [--study=NAME]        prints them as a table
    python experiments.py --recipes                    prints those of published recipes with their paths, the table of docs/recipes.md

A new study is a file in tfprune/studies and a line in STUDIES. IDs are append-only (docs/architecture.md lists the ranges).
"""
import itertools

from tfprune import flags
from tfprune.registry import Registry
from tfprune.studies import decomposing, feature_amounts, frivolous_units, hidden_networks, network_pruning

RESULTS_DIR = "results"
DATA_DIR = "datasets"

STUDIES = (frivolous_units, hidden_networks, feature_amounts, decomposing, network_pruning)
REGISTRY = Registry(itertools.chain.from_iterable(study.experiments() for study in STUDIES))


def main(positional):
    """Writes the lookup file into the current folder, or prints the recipes."""
    from tfprune import files

    if positional:
        raise flags.UserError(f"argument {positional[0]}: this script takes none; --list prints the table")
    if flags.FLAGS.recipes:
        print("\n".join(REGISTRY.recipes()))
        return
    files.write("experiment_lookup.txt", REGISTRY.lookup())
    print(f"wrote experiment_lookup.txt: {len(REGISTRY)} experiments")


if __name__ == "__main__":
    flags.define_list()
    flags.flags.DEFINE_bool("recipes", False, "print the recipes' experiments as a Markdown table and exit")
    flags.run(main, REGISTRY)
