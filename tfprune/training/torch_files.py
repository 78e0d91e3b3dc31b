"""The files in which weights of PyTorch's nets come: .pth as PyTorch writes it today, .th and .pth from before 2020, and .npz.

Arrays, numbers and containers of them are read, never code. Only the first kind needs PyTorch.
"""
import re
import warnings
import zipfile

import numpy as np

from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.masks import npz
from tfprune.training import torch_legacy
from tfprune.unpickler import Refused

REFUSED = re.compile(r"GLOBAL (\S+)")  # in what torch says of a file that names something to import
NPZ_GROWTH = 64  # times its size may an .npz become: weights hardly shrink, zeros do by a thousand
FLOATS = (np.float16, np.float32, np.float64, tf.bfloat16.as_numpy_dtype)


def check(path, title):
    """UserError where there is no such file, or reading it needs PyTorch and that is not there."""
    if not path.is_file():
        raise UserError(f"{title}: no such file; expected a checkpoint of PyTorch (.pth, .th) or its arrays (.npz)")
    if zipfile.is_zipfile(path) and _arrays(path) is None:
        try:
            import torch  # noqa: F401
        except ImportError:
            raise UserError(f"{title}: reading a .pth of this kind needs PyTorch: pip install 'tfprune[torch]'") from None


def read(path, title):
    """The dictionary that a file holds; tensors are arrays in it, or PyTorch's (`as_array` takes both).

    Raises:
      UserError: it cannot be read, or holds more than arrays, numbers, strings and containers of them.
    """
    try:
        content = _read(path)
    except Refused as error:
        raise _refusal(title, error) from None
    except Exception as error:  # whatever a damaged stream makes of the reader, the file is at fault
        if refused := REFUSED.search(str(error)):
            raise _refusal(title, refused[1].rstrip(".")) from None
        raise UserError(f"{title}: cannot be read as a checkpoint of PyTorch, it is none or it is damaged") from None
    if not isinstance(content, dict):
        raise UserError(f"{title}: holds a {type(content).__name__}, not the dictionary of a checkpoint with its state_dict")
    return content


def as_array(tensor):
    """The numbers of a tensor, PyTorch's or an array, as float32; NaN where it has none, or no floating-point ones."""
    if hasattr(tensor, "detach"):
        there = tensor.is_floating_point() and tensor.device.type == "cpu"  # a "meta" tensor has none
        return tensor.detach().to_dense().float().numpy() if there else np.array(np.nan)
    with np.errstate(over="ignore"):  # becomes infinite
        return tensor.astype(np.float32) if tensor.dtype in FLOATS else np.array(np.nan)


def _refusal(title, what):
    return UserError(f"{title}: asks for {what}; reading a file runs and imports nothing, only arrays and numbers are taken from it "
                     "(torch.save(model.state_dict(), FILE) writes such)")


def _read(path):
    if not zipfile.is_zipfile(path):
        return torch_legacy.read(path)
    if names := _arrays(path):
        return npz.read(path, names, NPZ_GROWTH * path.stat().st_size)
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a damaged file torch also warns, which says no more than the error
        return torch.load(path, map_location="cpu", weights_only=True)


def _arrays(path):
    """The names of the arrays in a zip file that holds nothing else, or None."""
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except Exception:  # damaged: let whoever reads it say so
        return None
    return [name.removesuffix(".npy") for name in names] if names and all(name.endswith(".npy") for name in names) else None
