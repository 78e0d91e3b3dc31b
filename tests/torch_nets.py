"""The nets of allenai/hidden-networks in PyTorch, as far as their checkpoints show; without PyTorch whoever imports this is skipped.

The modules' names and order are the original's, the code is the tests' own.
"""
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'tfprune[torch]'")
nn, functional = torch.nn, torch.nn.functional


class MaskedConv(nn.Conv2d):
    """A convolution under the mask of its largest |scores|; without scores where `keep` is None."""

    def __init__(self, inputs, outputs, size, stride=1, keep=None):
        super().__init__(inputs, outputs, size, stride, size // 2, bias=False)
        self.keep = keep
        self.weight.requires_grad = keep is None
        if keep is not None:
            self.scores = nn.Parameter(torch.rand_like(self.weight) - .5)

    def forward(self, x):
        weight = self.weight
        if self.keep is not None:
            order = self.scores.detach().abs().flatten().argsort()
            mask = torch.ones(order.shape)
            mask[order[:int((1 - self.keep) * order.numel())]] = 0
            weight = weight * (mask.view_as(weight) - self.scores.detach() + self.scores)  # straight through, but for sign(s)
        return functional.conv2d(x, weight, None, self.stride, self.padding)


def small(pairs, widths, keep=None, side=32, channels=3):
    """The original's ConvN of these widths, or FC: widths of its dense layers last."""
    net, convs, inputs = nn.Module(), [], channels
    for width in widths[:pairs]:
        convs += [MaskedConv(inputs, width, 3, keep=keep), nn.ReLU(), MaskedConv(width, width, 3, keep=keep), nn.ReLU(), nn.MaxPool2d(2)]
        inputs = width
    flat, (one, two, outputs) = inputs * (side >> pairs)**2, widths[pairs:]
    if pairs:
        net.convs = nn.Sequential(*convs)
    net.linear = nn.Sequential(MaskedConv(flat, one, 1, keep=keep), nn.ReLU(), MaskedConv(one, two, 1, keep=keep), nn.ReLU(),
                               MaskedConv(two, outputs, 1, keep=keep))
    net.forward = lambda x: net.linear((net.convs(x) if pairs else x).flatten(1)[..., None, None]).flatten(1)
    return net


class Block(nn.Module):
    """A residual block, basic or bottleneck, whose projection is the attribute `shortcut`."""

    def __init__(self, inputs, units, stride, bottleneck, shortcut, keep, affine, wide):
        super().__init__()
        inner, self.path = units * wide, shortcut
        shapes = [(units, 3, stride), (units, 3, 1)] if not bottleneck else [(inner, 1, 1), (inner, 3, stride), (4 * units, 1, 1)]
        x = inputs
        for number, (outputs, size, strides) in enumerate(shapes, 1):
            setattr(self, f"conv{number}", MaskedConv(x, outputs, size, strides, keep))
            setattr(self, f"bn{number}", nn.BatchNorm2d(outputs, affine=affine))
            x = outputs
        self.depth, self.projects = len(shapes), stride != 1 or inputs != x
        if self.projects:
            setattr(self, shortcut, nn.Sequential(MaskedConv(inputs, x, 1, stride, keep), nn.BatchNorm2d(x, affine=affine)))

    def forward(self, x):
        y = x
        for number in range(1, self.depth + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            y = y.relu() if number < self.depth else y
        return (y + (getattr(self, self.path)(x) if self.projects else x)).relu()


class Residual(nn.Module):
    """A cResNet or, not `for_cifar`, a ResNet for ImageNet."""

    def __init__(self, base, blocks, bottleneck, for_cifar, keep=None, affine=False, outputs=10, wide=1, biased_head=False):
        super().__init__()
        self.conv1 = MaskedConv(3, base, 3 if for_cifar else 7, 1 if for_cifar else 2, keep)
        self.bn1, self.for_cifar, inputs = nn.BatchNorm2d(base, affine=affine), for_cifar, base
        for stage, count in enumerate(blocks):
            units, layer = base << stage, []
            for number in range(count):
                stride = 2 if stage and not number else 1
                layer.append(Block(inputs, units, stride, bottleneck, "shortcut" if for_cifar else "downsample", keep, affine, wide))
                inputs = units * (4 if bottleneck else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layer))
        self.fc = nn.Conv2d(inputs, outputs, 1) if biased_head else MaskedConv(inputs, outputs, 1, keep=keep)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        x = x if self.for_cifar else functional.max_pool2d(x, 3, 2, 1)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3), keepdim=True)).flatten(1)


def randomised(net, seed=0):
    """The net with random weights under which something is left at its end, and random normalisations, for evaluation."""
    torch.manual_seed(seed)
    for module in net.modules():
        if isinstance(module, MaskedConv):
            nn.init.normal_(module.weight, std=(2 / (module.weight[0].numel() * (module.keep or 1)))**.5)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=.2)
            for tensor in (module.running_var, *([module.weight, module.bias] if module.affine else [])):
                nn.init.uniform_(tensor, .5, 1.5)
    if isinstance(net, Residual):
        net.fc.weight.data *= .01  # sums of many blocks are large
    return net.eval()


def saved(net, path, parallel=True, **more):
    """A checkpoint as the original writes it."""
    state = {("module." if parallel else "") + key: value for key, value in net.state_dict().items()}
    torch.save({"epoch": 7, "arch": "a", "state_dict": state, "best_acc1": 71.5, "curr_acc1": "Not evaluated"} | more, path)
    return path
