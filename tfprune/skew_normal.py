"""The skew normal density, layer by layer: what share of it lies where, computed as MrtnMndt/Rethinking_CNN_Layerwise_Feature_Amounts does.

Only the standard library: the registry, and so every `--help`, waits for it.
"""
import functools
import math

STEPS = 100  # points of the density a layer
SATURATED = 6.0  # erf is 1 in float64 from here on


def shares(layers, location, scale, shape):
    """The share of the distribution that each of so many layers gets, a tuple of float; what lies outside them is lost.

    Args:
      layers: how many.
      location: where the distribution sits, in layers from 0; scale: how wide it is; shape: how skewed, to the right above 0.
    """
    return tuple(share(layer, location, scale, shape) for layer in range(layers))


def share(layer, location, scale, shape):
    """The share of one layer, of the density between `layer` and `layer` + 0.99; nothing where all of it fits between two points."""
    return _integral(layer - location, scale, shape) if scale > 1 / STEPS else 0.0


@functools.cache
def _integral(start, scale, shape):
    """Integral of the skew normal density at location 0 from `start` to 0.99 beyond, by the trapezoid rule over 100 points."""
    bell, whole = _bell(start, scale)
    slope = shape / math.sqrt(2) / scale
    first, last = slope * start, slope * (start + 1)
    if max(first, last) < -SATURATED:
        return 0.0
    if min(first, last) > SATURATED:
        return 2 * whole
    return _trapezoid([height * (1 + math.erf(slope * (start + step / STEPS))) for step, height in enumerate(bell)])


@functools.cache
def _bell(start, scale):
    """The normal density at these points, and its integral."""
    places = [(start + step / STEPS) / scale for step in range(STEPS)]
    heights = [math.exp(-0.5 * place * place) / (scale * math.sqrt(2 * math.pi)) for place in places]
    return heights, _trapezoid(heights)


def _trapezoid(heights):
    return (sum(heights) - (heights[0] + heights[-1]) / 2) / STEPS
