"""A net whose class head is decomposed: the logit of a class sees the filters of that class alone.

After A. Badola and colleagues, "Decomposing the Deep" (2023): kernel entries and biases are those of the dense head, neither scaled nor
renormalised, and no filter is changed for the rest of the net.
"""
from tfprune.experiment import UserError
from tfprune.filters.sets import checked
from tfprune.keras import tf
from tfprune.masks.dense_twin import dense_twin
from tfprune.models.heads import DECOMPOSED, decomposed_head, find_head
from tfprune.models.rebuild import rebuilt

FORMS = ("gather", "mask")


def decompose_head(model, index, form=None):
    """A copy of a model in which the logit of each class sees only that class's filters; not compiled.

    Args:
      model: a Functional or Sequential model that ends in a dense layer of class scores, or one of these with an activation function
        after it; masked, nested, with or without bias. A decomposed head can be decomposed again: filters that it has no weight for get 0.
      index: {class: [filter, ..]}, as `class_filters` and `load_index` give it: positions in the input of the head.
      form: "gather" (kernel [classes, filters a class], `DecomposedHead`), for which every class needs as many filters, or "mask" (a
        dense kernel under a mask, `MaskedHead`). By default "gather" where that is possible. Both give the same logits.

    Raises:
      UserError: the model has no such head, or the index does not fit it.
    """
    path, head, features = find_head(model)
    units = features.shape[-1]
    if getattr(index, "units", units) != units:
        raise UserError(f"index: holds filters of {index.units} features (of layer {index.layer}); the head {path} has {units}")
    sets = list(checked(index, head.units, units).values())
    if empty := [number for number, own in enumerate(sets) if not own]:
        raise UserError(f"index: class {empty[0]} has no filters; a decomposed head needs one or more of each class")
    return rebuilt(model, at(path, build_decomposed(head, head_weights(head), sets, _form(form, sets))))


def head_weights(head):
    """(kernel [features, classes], bias [classes] or None) of a built head as it works in evaluation, masks applied; float32 arrays."""
    bias = head.bias.numpy() if head.use_bias else None
    return head.dense_kernel() if isinstance(head, DECOMPOSED) else dense_twin(head).kernel.numpy(), bias


def build_decomposed(head, weights, sets, form):
    """A decomposed head like another head, of these classes.

    Args:
      head: whose name, activation and use of a bias it has.
      weights: (kernel [features, classes], bias [classes] or None).
      sets: for each class the positions of its filters, a list of lists.
      form: "gather" or "mask".
    """
    new = decomposed_head(head, len(sets[0]) if form == "gather" else 0, len(sets))
    build(new, len(weights[0]))
    new.set_dense(*weights, sets)
    return new


def build(layer, features):
    """Creates the weights of a layer for so many features, with the names that they have in a model."""
    with tf.name_scope(layer.name):
        layer.build(tf.TensorShape([None, features]))


def at(path, layer):
    """The `replace` of `rebuilt` that puts a layer in one place."""
    return lambda place, _: layer if place == path else None


def _form(form, sets):
    sizes = {len(own) for own in sets}
    if form is None:
        return "gather" if len(sizes) == 1 else "mask"
    if form not in FORMS:
        raise UserError(f"form={form}: expected one of {', '.join(FORMS)}")
    if form == "gather" and len(sizes) > 1:
        raise UserError(f"form=gather: every class needs as many filters, here they have {min(sizes)} to {max(sizes)}; form=mask takes any")
    return form
