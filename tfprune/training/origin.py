"""Whose weights a training starts from, where they are not those that the experiment draws: noted in the run, so that no two get mixed."""
from tfprune.experiment import UserError
from tfprune.files import read_json, write_json
from tfprune.masks.initial import SCHEMES
from tfprune.training.checkpoints import Keeper
from tfprune.training.stopping import LOST
from tfprune.training.train import train


def train_from(run, folder, afresh=False, source=None, micro_batch=None):
    """`train`, from the weights of a source, where one is given and training is not under way already.

    Args:
      run, folder, afresh, micro_batch: as of `train`.
      source: has `origin`, what is noted of it, and `put_into(trainer)`; or None.

    Returns (files, result) for the done marker; `pretrained` in the result is the origin of the weights, where they have one.
    """
    note = _note(run)

    def start(trainer):
        note.unlink(missing_ok=True)
        if source is not None:
            source.put_into(trainer)
            note.parent.mkdir(parents=True, exist_ok=True)
            write_json(note, source.origin)

    files, result = train(run, folder, afresh, start, micro_batch)
    if not note.exists():
        return files, result
    return [*files, note], result | {"pretrained": read_json(note)}


def check_start(run, afresh=False, source=None):
    """UserError where a run's training needs others' weights and has no source, or is under way from other ones than a source's.

    For a run that is not done yet; with `afresh` what is under way is given up.
    """
    under_way = not afresh and bool(Keeper(run, "last", 2).numbers())
    check_given(run.experiment, given=source is not None or under_way)
    if source is not None and under_way:
        before = read_json(_note(run)) if _note(run).exists() else None
        if not _same(before, source.origin):
            whose = f" from the weights of {before['path']}" if before else ""
            raise UserError(f"{source.title}: {run.path} is being trained{whose}; --overwrite puts these weights in its place, another "
                            "--results_dir keeps both")


def check_given(experiment, given):
    """UserError where an experiment's weights are to come from a trained net and none is `given`; for whoever starts a training."""
    if experiment.dnn.top and not given:
        number = experiment.training.start_from
        mend = (f"experiment {number}, which is not trained: python train.py --experiment_id={number}" if number >= 0 else
                "one that is named: --set training.start_from=ID")
        raise UserError(f"{experiment.flag}: dnn.top={experiment.dnn.top:g} decomposes the class head of a trained net, {mend}")
    if experiment.training.pruning != "none" and experiment.training.start_from >= 0 and not given:
        raise UserError(f"{experiment.flag}: training.start_from={experiment.training.start_from} prunes the net of that experiment, which "
                        "is not given here; python train.py starts from it")
    if experiment.dnn.init == "pretrained" and not given:
        raise UserError(f"dnn.init=pretrained: {experiment.title} starts from a trained net's weights; give them with "
                        f"--pretrained, or have others drawn: --set dnn.init=X with X one of {', '.join(SCHEMES)}")


def finished_with(marker, run, source=None):
    """What to add to the line that says that a run's training was finished before.

    Args:
      marker: the run's.
      source: the `Pretrained` or `TorchStart` that is asked for, or None.

    Raises:
      UserError: it was finished with other weights than those that are asked for.
    """
    before = marker["result"].get("pretrained")
    if source is not None and not _same(before, source.origin):
        done = f"holds the weights of {before['path']}" if before else "was trained"
        raise UserError(f"{source.title}: {run.path} {done}; --overwrite puts these weights in their place, another --results_dir "
                        "keeps both")
    stopped = str(marker["result"].get("stopped", ""))
    return (f" with the weights of {before['path']}" if before else "") + (f"; {stopped}" if stopped.startswith(LOST) else "")


def _note(run):
    return run.path / "checkpoints" / "origin.json"


def _same(one, other):
    """Do two origins, or None, name the same weights for the same use? Under what path is no matter."""
    return one is not None and {**one, "path": None} == {**other, "path": None}
