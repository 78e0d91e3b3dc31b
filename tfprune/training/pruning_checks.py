"""Settings of a training that prunes, or starts from a pruned net, that do not go together."""
import importlib


def of_pruning(experiment):
    """What of them does not, in words, or None."""
    training = experiment.training
    if training.pruning == "none":
        return _of_nothing_pruned(training)
    return _of_the_net(experiment) or (_of_start(training) if training.start_from >= 0 else _of_schedule(experiment))


def _of_nothing_pruned(training):
    if training.rewind >= 0:
        return (f"training.rewind={training.rewind} is of what is left of another experiment's net; training.start_from=ID and "
                "training.pruning=unstructured are needed, or training.rewind=-1")
    return None


def _of_the_net(experiment):
    dnn, training = experiment.dnn, experiment.training
    asked = f"training.pruning={training.pruning}"
    if dnn.mask != "none":
        return f"{asked} and dnn.mask={dnn.mask} both say which weights are 0; dnn.mask=none is needed, or training.pruning=none"
    if training.trainer != "default":
        return f"{asked} needs training.trainer=default, not {training.trainer}"
    if dnn.top:
        return f"{asked} needs a net whose head sees all filters: dnn.top=0, not {dnn.top:g}"
    return None


def _of_start(training):
    started = f"training.start_from={training.start_from}"
    if training.pruning != "unstructured":
        return f"{started}: single weights of that net are cut; training.pruning=unstructured is needed, not {training.pruning}"
    if training.rewind > 0 and training.rewind % (training.save_every or training.rewind):
        return (f"training.rewind={training.rewind} is no multiple of training.save_every={training.save_every}, after which epochs the "
                "net that is rewound is kept")
    return None


def _of_schedule(experiment):
    hyper, training = experiment.hyper, experiment.training
    try:
        importlib.import_module("tfprune.training.gradual")
    except Exception as error:  # whatever a package that does not fit TensorFlow's version fails with
        return (f"training.pruning={training.pruning} needs the package tensorflow-model-optimization, which cannot be imported "
                f"({type(error).__name__}: {error}); pip install tensorflow-model-optimization")
    if training.rewind >= 0:
        return f"training.rewind={training.rewind} is of what is left of another experiment's net; training.start_from=ID is needed"
    if training.pruning == "2_of_4":
        at_the_end = training.prune_from == 1
        return "training.prune_from=1 prunes when training is over; below 1 is needed" if at_the_end else None
    if hyper.sparsity == 1:
        return "hyper.sparsity=1 leaves nothing to be trained; below 1 is needed"
    if training.prune_from >= training.prune_until:
        return (f"training.prune_from={training.prune_from:g} is not before training.prune_until={training.prune_until:g}, both shares of "
                "all epochs; a smaller one is needed")
    if training.pruning == "block" and len(training.prune_block) != 2:
        return f"training.prune_block={','.join(map(str, training.prune_block))}: ROWS,COLUMNS of a block are needed, such as 1,4"
    return None
