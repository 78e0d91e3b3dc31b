"""What masks are chosen by, before and after training: histograms of the magnitudes in each net's largest masked layer.

Read from the checkpoints of the untrained net and of the best epoch, variable by variable; no net is built.
"""
import numpy as np
import pandas as pd

from tfprune.experiment import UserError

BINS = 60
SHOWN = .999  # of the magnitudes: a few are far larger than the others
RANKED = {"edge_popup": "scores", "iterand": "scores", "biprop": "scores", "signed": "scores", "dnw": "kernel"}  # by rule (masks/rules)
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"  # how TensorFlow ends a variable's name in a checkpoint


def has_scores(experiment):
    """Whether training changes what the net's masks are chosen by."""
    return experiment.dnn.mask in RANKED


def checkpoints(run):
    """{"before", "after": path} of the checkpoints of a trained run that there are."""
    best = run.require("train", "the report")["result"]["best_epoch"]
    found = {"before": run.path / "checkpoints" / "initial" / "initial-0", "after": run.path / "checkpoints" / "best" / f"best-{best}"}
    return {when: path for when, path in found.items() if path.with_name(f"{path.name}.index").exists()}


def magnitudes(run, path):
    """(magnitudes of what a checkpoint's largest masked layer ranks, a flat float32 array; how many it keeps; its kernel's shape).

    Raises:
      UserError: the checkpoint is damaged, or has no such layer.
    """
    from tfprune.keras import tf

    try:
        reader = tf.train.load_checkpoint(str(path))
        shapes = {name: shape for name, shape in reader.get_variable_to_shape_map().items() if name.endswith(f"/scores{VALUE}")}
        name = max(sorted(shapes), key=lambda name: np.prod(shapes[name]))
        layer = name.removesuffix(f"/scores{VALUE}")
        values = np.abs(reader.get_tensor(f"{layer}/{RANKED[run.experiment.dnn.mask]}{VALUE}")).ravel()
        return values, int(reader.get_tensor(f"{layer}/kept{VALUE}")), shapes[name]
    except (tf.errors.OpError, ValueError, KeyError, IndexError, RuntimeError):
        raise UserError(f"{path}: damaged checkpoint, or one of a net without scores; train.py --overwrite trains again") from None


def top(run):
    """What holds all but a thousandth of the magnitudes in each of a run's checkpoints, and the threshold; 0 where there is none."""
    found = [0.]
    for path in checkpoints(run).values():
        values, kept, _ = magnitudes(run, path)
        found += [float(np.quantile(_finite(values), SHOWN)) if _finite(values).size else 0., 1.02 * _threshold(values, kept)]
    return max(value for value in found if np.isfinite(value))


def of_run(run, label, top):
    """The histograms of one run, a tidy table.

    Args:
      label: of its curve.
      top: where the last bin ends, as of `top` above; the same for all that share an axis.

    Columns: experiment_id, curve, keep, seed, layer (its kernel's shape), when ("before" or "after" training), quantity, amount, value.
    Quantity "share": of the layer's weights whose magnitude is in the bin with the middle `amount`, from 0 to 1; "threshold": `amount` is
    the smallest magnitude that the mask keeps, after training, and `value` the share of its bin.
    """
    rows = []
    for when, path in checkpoints(run).items():
        values, kept, shape = magnitudes(run, path)
        counts, edges = np.histogram(_finite(values), BINS, (0, top or 1))
        shares, words = counts / values.size, " x ".join(map(str, shape))
        rows += [(words, when, "share", (low + high) / 2, share) for low, high, share in zip(edges[:-1], edges[1:], shares, strict=True)]
        if when == "after" and 0 < kept <= values.size:
            threshold = _threshold(values, kept)
            place = min(int(np.searchsorted(edges, threshold, "right")) - 1, BINS - 1)
            rows.append((words, when, "threshold", threshold, shares[place]))
    table = pd.DataFrame(rows, columns=["layer", "when", "quantity", "amount", "value"])
    same = {"experiment_id": run.experiment.id, "curve": label, "keep": run.experiment.hyper.keep, "seed": run.experiment.seed}
    for place, (column, value) in enumerate(same.items()):
        table.insert(place, column, value)
    return table


def tidy(runs, labels):
    """The tables of several runs as one, on one axis; `labels` are those of their curves."""
    highest = max(map(top, runs))
    return pd.concat([of_run(run, label, highest) for run, label in zip(runs, labels, strict=True)], ignore_index=True)


def _finite(values):
    return values[np.isfinite(values)]


def _threshold(values, kept):
    """The smallest magnitude that is kept; 0 where none is."""
    return float(np.partition(values, values.size - kept)[values.size - kept]) if 0 < kept <= values.size else 0.
