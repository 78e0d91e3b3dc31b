"""What the criteria share."""
from tfprune.experiment import UserError
from tfprune.settings import PRUNED


class Criterion:
    """How much a weight or a unit counts: the lower its score, the sooner it is cut.

    Attributes:
      name: in `CRITERIA`.
      ranks: what it ranks, some of `PRUNED`.
      needs_images: whether its scores are about examples.
      needs_labels: and their classes.
    """

    name, ranks, needs_images, needs_labels = "", PRUNED, False, False

    def check(self, by, images=True):
        """UserError where the criterion does not rank what is to be pruned, or images that it needs are not given (None)."""
        if by not in self.ranks:
            raise UserError(f"criterion={self.name}: ranks units, not single weights; by=unit, or another criterion")
        if self.needs_images and images is None:
            raise UserError(f"criterion={self.name}: is found by running the net; give images{' and labels' * self.needs_labels}")

    def weights(self, net):
        """{layer path: scores of the kernel's shape} of every kernel of `net.kernels`.

        Raises:
          UserError: see `check`, or the images do not fit the net.
        """
        self.check("weight", net.images)
        return self.of_weights(net)

    def units(self, net):
        """{group name: scores [units of the group]} of every group of `net.ranked`, in the order of the group's units.

        Raises:
          UserError: see `check`; a group has not what the criterion is about; or the images do not fit the net.
        """
        self.check("unit", net.images)
        scores = self.of_units(net)
        return scores if isinstance(scores, dict) else {group.name: scores[group.units] for group in net.ranked}

    def of_weights(self, net):
        """`weights`, once everything is there: that of the magnitude unless a criterion has its own."""
        return {path: abs(kernel) for path, kernel in net.kernels.items()}

    def of_units(self, net):
        """`units`, once everything is there: a dictionary, or the scores of all units by their global numbers."""
        raise NotImplementedError
