"""What a class head costs when each class sees only its own filters: parameters and multiply-adds, against the dense head's."""
import math

import pandas as pd

from tfprune.models.heads import head_of
from tfprune.models.multiply_adds import multiply_adds, of_layer


def head_costs(model, heads):
    """A table of what heads cost in the place of a model's own: a row for the dense head, and one for each of `heads`.

    Args:
      model: a model that ends in one dense layer of class scores, or in a decomposed head.
      heads: {name: number of filters a class, or the filters themselves, {class: [filter, ...]}}.

    Returns a DataFrame with the columns
      head: its name; "dense" for the first row.
      filters: of a class, the mean over classes.
      used: filters that any class sees; of a mere number of filters not known (NaN).
      parameters: weights and biases of the head.       multiply_adds: of the head, for one example.
      share: of the dense head's parameters.
      net_parameters, net_multiply_adds: of the whole net with this head; trainable parameters.

    Raises:
      UserError: the model has no such head.
    """
    head = head_of(model)
    classes, filters = head.units, head.input_shape[-1]
    body = _elements(model.trainable_weights) - _elements(head.trainable_weights)
    body_multiply_adds = multiply_adds(model) - of_layer(head, head.input_shape, head.output_shape)
    biases = classes if head.use_bias else 0
    rows = []
    for name, own in ({"dense": filters} | heads).items():
        seen = classes * own if isinstance(own, int) else sum(map(len, own.values()))
        used = filters if own == filters else math.nan if isinstance(own, int) else len(set().union(*own.values()))
        rows.append({"head": name, "filters": seen / classes, "used": used, "parameters": seen + biases, "multiply_adds": seen,
                     "share": (seen + biases) / (classes * filters + biases), "net_parameters": body + seen + biases,
                     "net_multiply_adds": body_multiply_adds + seen})
    return pd.DataFrame(rows)


def _elements(weights):
    return sum(weight.shape.num_elements() for weight in weights)
