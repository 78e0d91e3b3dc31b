"""Export the redundancy of measured nets as CSV, a row a cross, set, energy and layer: results/csv/<family>/<name>_redundancy.csv.

    python pkl2csv_redundancy.py                           every run that is measured
    python pkl2csv_redundancy.py --experiment_ids=2-6
    python pkl2csv_redundancy.py --experiment_id=2 --run_dir=FOLDER      the pickles in FOLDER, such as the original's own
"""
from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags, pkl2csv

if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    pkl2csv.define_flags()
    flags.run(lambda positional: pkl2csv.export("redundancy", REGISTRY, positional), REGISTRY)
