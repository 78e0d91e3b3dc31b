"""How many weights the masks of a model keep."""
import pandas as pd

from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.masks.layers import Masked
from tfprune.models.rebuild import check_graph, walk


def density_report(model):
    """What each masked layer keeps now, counted in its mask.

    Args:
      model: a Functional or Sequential model, nested ones too.

    Returns a DataFrame with a row for each masked layer in order, and the row "total": layer (`outer/inner` in nested models), weights,
    kept, density (kept / weights).

    Raises:
      UserError: the model has no graph of layers, or none of them is masked.
    """
    check_graph(model)
    layers = [(path, getattr(layer, "layer", layer)) for path, layer in walk(model)]  # TimeDistributed and the like have one in them
    rows = [(path, layer.scores.shape.num_elements(), int(tf.math.count_nonzero(layer.mask()))) for path, layer in layers
            if isinstance(layer, Masked)]
    if not rows:
        raise UserError(f"the model '{model.name}' has no masked layers; tfprune.masked_copy makes a model with them")
    table = pd.DataFrame(rows, columns=["layer", "weights", "kept"])
    table.loc[len(table)] = ["total", table["weights"].sum(), table["kept"].sum()]
    return table.assign(density=table["kept"] / table["weights"])
