"""How a model fares as more and more of it is pruned: every sparsity from the dense weights, in one model that is compiled once."""
import numpy as np
import pandas as pd

from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.progress import track
from tfprune.pruning.counts import check_sparsity
from tfprune.pruning.evaluation import Evaluation
from tfprune.pruning.magnitude import Pruner
from tfprune.pruning.remains import Remains
from tfprune.pruning.renormalise import Renormaliser
from tfprune.settings import PRUNED, Measure

SPARSITIES = Measure().sparsities


def pruning_sweep(model, images, labels=None, sparsities=SPARSITIES, by=PRUNED, criterion="magnitude", scope="layer", excluded=(),
                  renormalised=False, training_images=None, training_labels=None, loss=None, penalty=None, fidelity="corrected", seed=0,
                  batch_size=250):
    """Loss, accuracy and size of a model at each sparsity, pruned by weight and by unit.

    Args:
      model: a Functional or Sequential model; it is left as it is. See `magnitude_prune` for what is pruned, and for criterion, scope,
        excluded, fidelity and seed.
      images, labels: to test with: an array of prepared examples and their classes, or a `tf.data.Dataset` of (image, label).
      sparsities: shares from 0 to 1, in any order. by: one or both of "weight" and "unit", or one of these words.
      renormalised: after each pruning the averages of batch normalisation are found anew (`pruning.renormalise`).
      training_images, training_labels: the examples for criteria that need them, and for `renormalised`.
      loss: function (outputs, labels) -> scalar; default: cross-entropy (of probabilities where the model ends in a softmax).
      penalty: function of the pruned model, what its weights add to the loss; default: its layers' regularisers.
      batch_size: examples a forward pass, at most.

    Returns:
      A DataFrame with a row for each of `by` and each sparsity, in the order given:
      by, sparsity; loss, loss_with_penalty, accuracy: on the test examples, of a regression the share of variance that is explained;
      with `renormalised` also loss_before and accuracy_before, of the pruned net with its old averages;
      removed: the share of zeros among the weights that are pruned, or of silent ones among the units;
      parameters: trained numbers that are not zero. units: hidden ones that are not silent.
      parameters_cut: trained numbers that are left where silent units are taken out.

    Raises:
      UserError: an argument is not one of those accepted, or the images do not fit the model.
    """
    by = (by,) if isinstance(by, str) else tuple(by)
    sparsities = np.atleast_1d(sparsities).tolist()
    check(sparsities, by, criterion, fidelity)
    if renormalised and training_images is None:
        raise UserError("renormalised: give training_images, from which the averages are found")
    pruner = Pruner(model, by, criterion, scope, excluded, training_images, training_labels, fidelity, seed)
    evaluation = Evaluation(pruner.model, images, labels, loss, batch_size)
    return sweep(pruner, evaluation, sparsities, by, penalty or regularisers, training_images if renormalised else None)


def check(sparsities, by, criterion="magnitude", fidelity="corrected", names=("sparsities", "by", "criterion")):
    """UserError where one of these is not accepted, or they do not go together; `names` are what it calls them."""
    from tfprune.pruning.criteria import criterion_named

    if not by or not set(by) <= set(PRUNED):
        raise UserError(f"{names[1]}={','.join(map(str, by))}: expected one or more of {', '.join(PRUNED)}")
    if not len(sparsities):
        raise UserError(f"{names[0]}: there are none; shares from 0 to 1 are needed")
    for sparsity in sparsities:
        check_sparsity(sparsity, fidelity, names[0])
    ranks = criterion_named(criterion).ranks
    if other := [each for each in by if each not in ranks]:
        raise UserError(f"{names[2]}={criterion}: ranks {' and '.join(ranks)}s, so that nothing can be pruned by {other[0]}; "
                        f"{names[1]}={','.join(each for each in by if each in ranks) or ranks[0]} is accepted")


def sweep(pruner, evaluation, sparsities, by, penalty, renormalised_on=None, watch=None):
    """`pruning_sweep` of what is made already; `watch` is called with (by, what is cut) after each pruning."""
    renormalise = Renormaliser(pruner.model) if renormalised_on is not None else None
    remains, rows = Remains(pruner), []
    for each, sparsity in track([(each, sparsity) for each in by for sparsity in sparsities], label="pruning"):
        cut = pruner.prune(each, sparsity)
        row = {"by": each, "sparsity": float(sparsity)}
        if renormalise:
            before = evaluation()
            renormalise(renormalised_on)
        figures = evaluation()
        row |= {"loss": figures["loss"], "loss_with_penalty": figures["loss"] + float(penalty(pruner.model)),
                "accuracy": figures["accuracy"]}
        if renormalise:
            row |= {"loss_before": before["loss"], "accuracy_before": before["accuracy"]}
        rows.append(row | remains.after(each, cut))
        if watch:
            watch(each, cut)
    pruner.restore()
    return pd.DataFrame(rows)


def regularisers(model):
    """What the regularisers of a Keras model's layers add to its loss."""
    return tf.add_n([tf.cast(loss, tf.float32) for loss in model.losses]) if model.losses else 0.0
