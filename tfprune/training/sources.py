"""Whose checkpoint a command line asks for: a net is either the width study's or the supermask study's."""
from tfprune.experiment import UserError
from tfprune.models import torch_names
from tfprune.training import tf1_names
from tfprune.training.pretrained import Pretrained
from tfprune.training.torch_start import TorchStart


def source_of(run, pretrained=None, resume=None, overwrite=False):
    """What `--pretrained` or `--resume` of a run names, each a path or None: has `origin`, `read()`, `keep(folder)`
    and `trains`, whether that trains (it takes a `micro_batch` then); or None.

    Raises:
      UserError: both are given; there is no such checkpoint; or none can be read of such a net.
    """
    if pretrained is None and resume is None:
        return None
    flag = f"--pretrained={pretrained}" if resume is None else f"--resume={resume}"
    net = run.experiment.dnn.name
    if pretrained is not None and resume is not None:
        raise UserError(f"--resume={resume}: goes on from a checkpoint, --pretrained starts anew from one; give only one of them")
    if net in torch_names.NETS:
        return TorchStart(run, pretrained if resume is None else resume, overwrite, resume is not None)
    if net in tf1_names.NETS and resume is None:
        return Pretrained(run, pretrained, overwrite)
    readable = torch_names.NETS if resume is not None else [*tf1_names.NETS, *torch_names.NETS]
    ids = "5000-5111" if resume is not None else "2-240, 4000-4038 and 5000-5111"
    raise UserError(f"{flag}: {run.experiment.title} has the net {net or '(none)'}; checkpoints can be read of "
                    f"{', '.join(readable)} (experiments {ids})")
