"""Masks as bits, variables as bytes, and back; what does not fit is refused in one line that names the file."""
import numpy as np

from tfprune.experiment import UserError


def pack_masks(masks):
    """(bits, signs) of arrays of -1, 0, 1, one after the other: which weights are kept; and which of these have a -1."""
    flat = np.concatenate([mask.ravel() for mask in masks])
    return np.packbits(flat != 0), np.packbits(flat[flat != 0] < 0)


def unpack_masks(path, bits, signs, shapes):
    """The masks in these shapes, float32."""
    sizes = [shape.num_elements() for shape in shapes]
    if len(bits) != _bytes_of(sum(sizes)):
        raise UserError(f"{path}: damaged: {len(bits)} bytes of mask for {sum(sizes)} weights")
    flat = np.unpackbits(bits, count=sum(sizes)).astype(np.float32)
    count = np.count_nonzero(flat)
    if len(signs) != _bytes_of(count):
        raise UserError(f"{path}: damaged: {len(signs)} bytes of signs for {count} kept weights")
    flat[flat != 0] = 1 - 2 * np.unpackbits(signs, count=count).astype(np.float32)
    return [part.reshape(shape) for part, shape in zip(np.split(flat, np.cumsum(sizes)[:-1]), shapes, strict=True)]


def pack_values(variables):
    """The values of variables of any type, one after the other: uint8."""
    return np.frombuffer(b"".join(variable.numpy().tobytes() for variable in variables), np.uint8)


def unpack_values(path, content, variables):
    """The values for these variables, as arrays of their shapes and types."""
    sizes = [variable.shape.num_elements() * variable.dtype.size for variable in variables]
    if len(content) != sum(sizes):
        raise UserError(f"{path}: damaged: {len(content)} bytes of other variables, {sum(sizes)} are needed")
    ends = np.cumsum(sizes)
    return [np.frombuffer(content[end - size:end].tobytes(), variable.dtype.as_numpy_dtype).reshape(variable.shape)
            for variable, end, size in zip(variables, ends, sizes, strict=True)]


def _bytes_of(bits):
    return (bits + 7) // 8
