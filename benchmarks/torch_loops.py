"""Conv4 in PyTorch eager, dense and under edge-popup with a sort, and the loop that trains it: what to compare our training with.

Written for the benchmark after what allenai/hidden-networks does: every forward pass sorts each layer's |scores| whole. The data
pipeline is a fair one rather than theirs, which prepares image by image in worker processes: uint8 images in memory, a batch padded,
cropped, mirrored and normalised at once.
"""
import numpy as np
import torch
import torch.nn.functional as F


class TopShare(torch.autograd.Function):
    """1 for the largest share `keep` of all values, 0 for the others; the gradient passes as if it were the identity."""

    @staticmethod
    def forward(ctx, values, keep):
        """The mask, of the shape of the values."""
        order = values.flatten().sort().indices
        left_out = int((1 - keep) * order.numel())
        mask = torch.ones(order.numel())
        mask[order[:left_out]] = 0
        return mask.view_as(values)

    @staticmethod
    def backward(ctx, gradient):
        """Straight through; none for `keep`."""
        return gradient, None


class Conv4(torch.nn.Module):
    """The net with the weights, and if it is masked the scores, of one of ours; `keep` is the share of weights that its masks keep."""

    def __init__(self, model, keep=None):
        super().__init__()
        self.keep, layers = keep, [layer for layer in model.layers if layer.weights]
        self.kernels = torch.nn.ParameterList(torch.tensor(in_torch(layer.kernel.numpy(), layers, layer)) for layer in layers)
        self.scores = torch.nn.ParameterList(torch.tensor(in_torch(layer.scores.numpy(), layers, layer)) for layer in layers if keep)
        self.kernels.requires_grad_(not keep)  # frozen under a mask

    def forward(self, x):
        """Logits [batch, 10] of images [batch, 3, 32, 32]."""
        kernels = list(self.kernels)
        if self.keep:
            kernels = [kernel * TopShare.apply(scores.abs(), self.keep) for kernel, scores in zip(kernels, self.scores, strict=True)]
        for number, kernel in enumerate(kernels[:4]):
            x = F.relu(F.conv2d(x, kernel, padding=1))
            x = F.max_pool2d(x, 2) if number % 2 else x
        x = x.flatten(1)
        for kernel in kernels[4:-1]:
            x = F.relu(F.linear(x, kernel))
        return F.linear(x, kernels[-1])


def in_torch(weights, layers, layer):
    """A layer's weights in PyTorch's order of axes; those after the flattening take channels first."""
    if weights.ndim == 4:
        return weights.transpose(3, 2, 0, 1).copy()
    before = layers[layers.index(layer) - 1].kernel.shape
    if len(before) == 4:
        side = round((weights.shape[0] / before[-1]) ** 0.5)
        weights = weights.reshape(side, side, before[-1], -1).transpose(2, 0, 1, 3).reshape(weights.shape)
    return weights.T.copy()


class Loop:
    """Trains a net on uint8 images [n, 32, 32, 3] with SGD as PyTorch has it; counts the loss and the correct ones as it goes.

    Batches lie in memory channel by channel, as torchvision's loaders give them; with `channels_last` pixel by pixel.
    """

    def __init__(self, net, images, labels, colours, hyper, channels_last=False):
        self.net, self.batch = net, hyper.batch_size
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.images, self.labels = torch.tensor(images.transpose(0, 3, 1, 2).copy()), torch.tensor(labels)
        self.mean, self.deviation = (torch.tensor(values)[:, None, None] for values in (colours.mean, colours.deviation))
        trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.SGD(trained, hyper.learning_rate, hyper.momentum, weight_decay=hyper.weight_decay)
        self.loss = self.correct = 0

    def epoch(self):
        """An update for each full batch of a shuffled epoch."""
        for rows in torch.randperm(len(self.labels)).split(self.batch):
            if len(rows) == self.batch:
                self.update(self.normalised(self.augmented(self.images[rows])), self.labels[rows])

    def update(self, images, labels):
        """One update."""
        outputs = self.net(images)
        loss = F.cross_entropy(outputs, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.loss += loss.item()
        self.correct += (outputs.argmax(1) == labels).sum().item()

    def augmented(self, images):
        """Each image out of a black frame of 4 pixels, mirrored half of the time."""
        count, _, height, width = images.shape
        padded, spots = F.pad(images, (4, 4, 4, 4)), torch.randint(9, (2, count, 1))
        rows, columns = spots[0] + torch.arange(height), spots[1] + torch.arange(width)
        columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
        return padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    def normalised(self, images):
        """Minus the mean colour, over the deviation."""
        return ((images.float() / 255 - self.mean) / self.deviation).contiguous(memory_format=self.layout)


def logits(net, images):
    """The net's outputs for prepared images [batch, 32, 32, 3], as an array."""
    with torch.no_grad():
        return net(torch.tensor(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))).numpy()
