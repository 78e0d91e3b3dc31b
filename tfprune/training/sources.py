"""Whose checkpoint a command line asks for: what may be given follows from the study and the net."""
from tfprune.experiment import UserError
from tfprune.models import torch_names
from tfprune.training import tf1_names
from tfprune.training.pretrained import Pretrained
from tfprune.training.tf1_checkpoints import Tf1Checkpoint
from tfprune.training.torch_checkpoints import TorchCheckpoint
from tfprune.training.torch_start import TorchStart

DECOMPOSING = "decomposing"  # the study whose published nets are taken as they are
IDS = "2-240, 4000-4038, 5000-5111 and 7000-7012"


def source_of(run, pretrained=None, resume=None, overwrite=False):
    """What `--pretrained` or `--resume` of a run names, each a path or None: has `origin`, `read()`, `keep(folder)`
    and `trains`, whether that trains (it takes a `micro_batch` then); or None.

    Raises:
      UserError: both are given; there is no such checkpoint; or none can be read of such a net.
    """
    if pretrained is None and resume is None:
        return None
    flag = f"--pretrained={pretrained}" if resume is None else f"--resume={resume}"
    experiment, net = run.experiment, run.experiment.dnn.name
    if pretrained is not None and resume is not None:
        raise UserError(f"--resume={resume}: goes on from a checkpoint, --pretrained starts anew from one; give only one of them")
    as_trained = experiment.study == DECOMPOSING and experiment.dnn.mask == "none"
    if as_trained and resume is not None:
        raise UserError(f"{flag}: the training of {experiment.title} cannot go on from a checkpoint of PyTorch; --pretrained takes its "
                        "weights in place of a training")
    if experiment.dnn.top:
        raise UserError(f"{flag}: {experiment.title} has a decomposed head (dnn.top={experiment.dnn.top:g}), a checkpoint's is dense; give "
                        "it to the plain net's experiment, or to decompose.py as -w")
    if net in torch_names.NETS and as_trained:
        return Pretrained(run, TorchCheckpoint(pretrained), overwrite)
    if net in torch_names.NETS:
        return TorchStart(run, pretrained if resume is None else resume, overwrite, resume is not None)
    if net in tf1_names.NETS and resume is None:
        return Pretrained(run, Tf1Checkpoint(pretrained), overwrite)
    readable = torch_names.NETS if resume is not None else [*tf1_names.NETS, *torch_names.NETS]
    raise UserError(f"{flag}: {experiment.title} has the net {net or '(none)'}; checkpoints can be read of {', '.join(readable)} "
                    f"(experiments {'5000-5111' if resume is not None else IDS})")
