"""Families of VGGs that spread their features over the layers by a skew normal distribution.

After M. Mundt, S. Majumder, T. Weis, V. Ramesh, "Rethinking Layer-wise Feature Amounts in Convolutional Neural Network Architectures"
(2018; MrtnMndt/Rethinking_CNN_Layerwise_Feature_Amounts), which calls the distribution's location, scale and shape its mean, variance and
skew. Only the standard library: the registry, and so every `--help`, waits for these lists.
"""
import itertools
import math
from dataclasses import dataclass

from tfprune.experiment import UserError
from tfprune.skew_normal import share, shares

LOST = 0.05  # of the density, that may lie outside the layers
FEWEST = 2  # features of a layer
SCALES = tuple(half / 2 for half in range(12))  # 0 spreads nothing and is never legal
SHAPES = tuple(range(-40, 41, 4))
SMALLEST_PATCH = 32  # pixels a side: after five poolings one is left
LARGE_PATCH = 100  # pixels a side, above which the hidden dense layers of a plain VGG have 4,096 features
VGG_A, DEEPEST = 11, 1000


@dataclass(frozen=True)
class Family:
    """A VGG of a family: the distribution's parameters, and the features (tuple of int) of all layers but the last, which tells classes."""

    location: float
    scale: float
    shape: float
    features: tuple


def blocks(depth):
    """How many convolutions each of the five blocks of a VGG has; UserError where there is no VGG of this depth."""
    if depth == VGG_A:
        return (1, 1, 2, 2, 2)
    if not 7 <= depth <= DEEPEST or depth % 3 != 1:
        raise UserError(f"dnn.depth={depth}: no VGG has so many layers; 7, 10, 13, 16, 19, 22, 25 and so on to {DEEPEST:,} have, "
                        f"and {VGG_A}")
    return (2, 2, *[(depth - 7) // 3] * 3)


def plain_features(depth=16, patch_size=32):
    """Features of the layers of the plain VGG with `depth` layers, the last one left out, for images of `patch_size` pixels a side."""
    dense = 512 if patch_size <= LARGE_PATCH else 4096
    widths = [width for width, count in zip((64, 128, 256, 512, 512), blocks(depth), strict=True) for _ in range(count)]
    return (*widths, dense, dense)


def widened(features, factor):
    """Features (tuple of int) times a width factor, rounded up, so that no layer is left without any."""
    return tuple(math.ceil(round(width * factor, 9)) for width in features)  # 70 * 0.1 is a little above 7


def spread(depth, location, scale, shape, patch_size=32):
    """As many features as the plain VGG has, or a few less, spread over its layers by a skew normal distribution.

    Args:
      depth, patch_size: as of `plain_features`.
      location: where the distribution sits, in layers; scale: how wide it is; shape: how skewed, to the right above 0.

    Returns a tuple of int. Every layer's number is rounded up, and what lies outside the layers is lost, as in the original: the sum is
    95 to 99 % of the plain VGG's.

    Raises:
      UserError: too much lies outside the layers, or a layer has less than 2 features.
    """
    total = sum(plain_features(depth, patch_size))
    parts = shares(depth - 1, location, scale, shape)
    asked = f"dnn.location={location:g}, dnn.scale={scale:g}, dnn.shape={shape:g}"
    fewest = min(parts)
    if not _enough(fewest, total):
        raise UserError(f"{asked}: leaves layer {parts.index(fewest) + 1} of VGG{depth} {math.ceil(fewest * total)} of the features; "
                        f"{FEWEST} or more are needed")
    if not _within(parts):
        raise UserError(f"{asked}: only {sum(parts):.3f} of the distribution lies within the {depth - 1} layers of VGG{depth}; "
                        f"more than {1 - LOST:g} is needed")
    return _rounded_up(parts, total)


def feature_families(depth=16, patch_size=32, exact_total=False, scales=SCALES, shapes=SHAPES):
    """All legal VGGs of a depth, in the original's order: by location, scale, shape.

    Args:
      depth: 7, 10, 13, ...; or 11 (VGG-A), which the original shows on its page though its code cannot build it.
      patch_size: pixels a side of the images.
      exact_total: spread exactly the plain VGG's features, by largest remainders, in place of rounding each layer up; a layer that has 2
        otherwise may have 1.
      scales, shapes: the values that are tried, with the locations 0, 1, ..., `depth` - 1.

    Returns a list of `Family`.

    Raises:
      UserError: there is no VGG of this depth, or none for so small a patch.
    """
    if patch_size < SMALLEST_PATCH:
        raise UserError(f"patch_size={patch_size}: too small for a VGG; the least is {SMALLEST_PATCH}")
    total = sum(plain_features(depth, patch_size))
    divided = _exact if exact_total else _rounded_up
    found = []
    for location, scale, shape in itertools.product(range(depth), scales, shapes):
        if min(share(0, location, scale, shape), share(depth - 2, location, scale, shape)) * total <= FEWEST - 1:
            continue  # as most: a quick look at the ends
        parts = shares(depth - 1, location, scale, shape)
        if _within(parts) and _enough(min(parts), total):
            found.append(Family(float(location), float(scale), float(shape), divided(parts, total)))
    return found


def parameters(features, classes=10):
    """The study's "Parameters": weights of kernels on 3 colours, a position being left before the dense layers; not all that is trained."""
    *convolved, first, second = features
    of_convolutions = sum(9 * before * after for before, after in zip((3, *convolved), convolved, strict=False))
    return of_convolutions + convolved[-1] * first + first * second + second * classes


def _within(parts):
    return sum(parts) > 1 - LOST


def _enough(part, total):
    return part * total > FEWEST - 1  # as it is rounded up


def _rounded_up(parts, total):
    return tuple(math.ceil(part * total) for part in parts)


def _exact(parts, total):
    """`total` features in proportion to the shares: whole ones first, then one each to the largest remainders."""
    wanted = [part / sum(parts) * total for part in parts]
    features = [int(value) for value in wanted]
    by_remainder = sorted(range(len(wanted)), key=lambda layer: features[layer] - wanted[layer])
    for layer in by_remainder[:total - sum(features)]:
        features[layer] += 1
    return tuple(features)
