"""Export the robustness of measured nets as CSV, a row a cross, kind, set, layer and amount: results/csv/<family>/<name>_robustness.csv.

    python pkl2csv_robustness.py                           every run that is measured
    python pkl2csv_robustness.py --experiment_ids=2-6
    python pkl2csv_robustness.py --experiment_id=2 --run_dir=FOLDER      the pickles in FOLDER, such as the original's own
"""
from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags, pkl2csv

if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    pkl2csv.define_flags()
    flags.run(lambda positional: pkl2csv.export("robustness", REGISTRY, positional), REGISTRY)
