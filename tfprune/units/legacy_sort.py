"""The argsort of numpy 1.16, with which the original study ordered units.

Its quicksort leaves equal values (dead units: NaN) in an order of its own, and today's numpy in another one for every processor. Where a
dead unit was the one chosen, all are equal, and that order is all there is.
"""

SMALL = 16  # shorter stretches are sorted by insertion


def argsort(values):
    """Indices that sort a sequence of numbers, NaN last: a list."""
    values, order = [float(value) for value in values], list(range(len(values)))
    stretches = [(0, len(values) - 1)]
    while stretches:
        low, high = stretches.pop()
        while high - low > SMALL:
            middle = _partition(values, order, low, high)
            shorter, longer = sorted([(low, middle - 1), (middle + 1, high)], key=lambda part: part[1] - part[0])
            stretches.append(longer)
            low, high = shorter
        _insertion_sort(values, order, low, high)
    return order


def _less(a, b):
    return a < b or (b != b and a == a)


def _partition(values, order, low, high):
    """Hoare's partition around the median of the first, middle and last; returns where the pivot ends up."""
    middle = low + ((high - low) >> 1)
    for a, b in ((middle, low), (high, middle), (middle, low)):
        if _less(values[order[a]], values[order[b]]):
            order[a], order[b] = order[b], order[a]
    pivot, left, right = values[order[middle]], low, high - 1
    order[middle], order[right] = order[right], order[middle]
    while True:
        left += 1
        while _less(values[order[left]], pivot):
            left += 1
        right -= 1
        while _less(pivot, values[order[right]]):
            right -= 1
        if left >= right:
            break
        order[left], order[right] = order[right], order[left]
    order[left], order[high - 1] = order[high - 1], order[left]
    return left


def _insertion_sort(values, order, low, high):
    for position in range(low + 1, high + 1):
        moved, place = order[position], position
        while place > low and _less(values[moved], values[order[place - 1]]):
            order[place] = order[place - 1]
            place -= 1
        order[place] = moved
