"""Numbers of units, of which some turn out to be the same, and some cannot be taken out."""
import numpy as np


class Units:
    """A union-find over numbers, each class with the reason, if there is one, why its units have to stay."""

    def __init__(self):
        self._parent, self._reasons = [], {}

    def fresh(self, count, reason=""):
        """`count` new numbers, int array; fixed from the start where a reason is given."""
        numbers = np.arange(len(self._parent), len(self._parent) + count)
        self._parent.extend(numbers.tolist())
        self.fix(numbers, reason)
        return numbers

    def fix(self, numbers, reason):
        """These units stay, for this reason; of several the first one counts."""
        if reason:
            for root in set(map(self._find, numbers.tolist())):
                self._reasons.setdefault(root, reason)

    def unite(self, first, second):
        """Each of the first numbers is the same unit as its partner among the second ones."""
        if np.array_equal(first, second):
            return
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            a, b = sorted((self._find(a), self._find(b)))
            self._parent[b] = a
            if b in self._reasons and a != b:
                self._reasons.setdefault(a, self._reasons.pop(b))

    def settled(self):
        """(int array: the unit of each number, units counted from 0 in the order of their first number; list of each unit's reason)."""
        roots, unit_of = np.unique([self._find(number) for number in range(len(self._parent))], return_inverse=True)
        return unit_of, [self._reasons.get(root, "") for root in roots.tolist()]

    def _find(self, number):
        while (parent := self._parent[number]) != number:
            self._parent[number] = number = self._parent[parent]  # halves the way of the next search
        return number
