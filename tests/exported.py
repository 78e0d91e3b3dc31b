"""CSV files and pickles like those of measured runs, made up by tests: every number is drawn from (ID, seed) and so unlike all others."""
import numpy as np

from tfprune import files, pickles
from tfprune.units import export

CURVE = [1, .9, .85, .7, .5, .2, .1]  # crosses 80 % at .388889 (facts G6)
IMAGENET_REDUNDANCY = ("model_name", "evaluation_set", "cross", "layer", "size_factor", "batch_size", "similarity_mean", "similarity_std",
                       "compressability_95", "selectivity_mean", "selectivity_std", "nonselective", "top_1_acc", "top_5_acc")
IMAGENET_ROBUSTNESS = ("model_name", "evaluation_set", "cross", "perturbation_layer", "size_factor", "batch_size", "perturbation_type",
                       "perturbation_amount", "unchanged labels")
LAYERS = {"Alexnet": 4, "Alexnet_digits": 4, "ResNet_cifar": 4, "MLP1": 1, "ResNet18": 5, "Inception_v3": 16}
AMOUNTS = np.linspace(0, 1, 7)


def write_tables(run, compressability, curves, performance):
    """Writes both CSV files of a run, in the columns of its study.

    Args:
      compressability: for each (set, cross, layer) of ("train", "test"), crosses and layers, the value.
      curves: the same, the agreements at AMOUNTS; layer "all" too.
      performance: {set: accuracy}.
    """
    imagenet = run.experiment.dataset.name == "imagenet"
    keys = {"train": "train", "test": "validation" if imagenet else "test"}
    redundancy, robustness = [], []
    for (chosen, cross, layer), value in compressability.items():
        redundancy += [{"evaluation_set": keys[chosen], "cross_validation": cross, "cross": cross, "layer": layer,
                        "preserved_energy": energy, "performance": performance[chosen], "top_1_acc": performance[chosen],
                        "compressability_95": value}
                       for energy in ((.95,) if imagenet else (.95, .8))]
    for (chosen, cross, layer), curve in curves.items():
        for number, (name, factor) in enumerate((("Activation Knockout", 1), ("Activation Noise", .5)), 2):
            robustness += [{"evaluation_set": keys[chosen], "cross_validation": cross, "cross": cross, "perturbation_layer": layer,
                            "perturbation_name": name, "perturbation_type": number, "perturbation_amount": amount,
                            "performance": factor * score, "unchanged labels": factor * score}
                           for amount, score in zip(AMOUNTS, curve, strict=True)]
    columns = ((IMAGENET_REDUNDANCY, IMAGENET_ROBUSTNESS) if imagenet else (export.REDUNDANCY_COLUMNS, export.ROBUSTNESS_COLUMNS))
    for kind, rows, names in zip(("redundancy", "robustness"), (redundancy, robustness), columns, strict=True):
        path = run.csv(kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(export.csv_text(names, [[row.get(name, 0) for name in names] for row in rows]))


def write_random_tables(run, crosses=3):
    """Both CSV files with numbers drawn from the run's ID and seed."""
    experiment = run.experiment
    draw = np.random.default_rng((experiment.id, experiment.seed))
    sets = ("test",) if experiment.dataset.name == "imagenet" else ("train", "test")
    layers = LAYERS[experiment.dnn.name]
    values = {(chosen, cross, layer): draw.uniform(.05, .95) for cross in range(crosses) for chosen in sets for layer in range(layers)}
    values |= {(chosen, cross, "all"): np.mean([values[chosen, cross, layer] for layer in range(layers)])
               for cross in range(crosses) for chosen in sets}
    curves = {(chosen, cross, layer): [1, *np.sort(draw.uniform(.05, .99, 6))[::-1]]
              for cross in range(crosses) for chosen in sets for layer in (*range(layers), "all")}
    write_tables(run, values, curves, {"train": draw.uniform(.8, 1), "test": draw.uniform(.2, .8)})


def write_random_correlations(run, units=12, cross=0):
    """corr_test{cross}.pkl: correlations of four layers' units, a constant unit among conv2's."""
    draw = np.random.default_rng((run.experiment.id, run.experiment.seed, 7))
    matrices = [np.corrcoef(draw.normal(size=(20, units)), rowvar=False) for _ in range(5)]
    matrices[1][3], matrices[1][:, 3] = np.nan, np.nan
    run.path.mkdir(parents=True, exist_ok=True)
    files.write(run.file("get_redundancy", f"corr_test{cross}.pkl"), pickles.dumps(matrices))
