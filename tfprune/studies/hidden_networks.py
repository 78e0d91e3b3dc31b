"""Hidden networks: does a net with random weights contain a subnet that works although no weight was ever trained?

IDs 5000-5111 are the recipes of allenai/hidden-networks (Ramanujan et al., CVPR 2020) in the order of their paths; what a recipe leaves
out is what its command line then took. 9010-9019 are supermasks of one net at ten shares of weights kept, at laptop scale. The words of
the recipes: kn Kaiming normal, sc signed constant, xn Xavier normal, xs Xavier signed constant, ku Kaiming uniform; a `u` before one: not
scaled by the share of weights kept; "unsigned": the mask is 0 or 1; rg: a random graph, a fixed random mask whose weights are trained.
"""
import pathlib
from dataclasses import replace

from tfprune.experiment import Experiment
from tfprune.recipe_words import STUDY, TORCH_ADAM, TRAINING, UNSAID
from tfprune.settings import DNN, Dataset, Hyper

MOMENTUM = 0  # hyper.optimizer
SCHEMES = {"kn": "kaiming_normal", "sc": "signed_constant", "xn": "xavier_normal", "xs": "xavier_constant", "ku": "kaiming_uniform"}
KEEPS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9)
# The original validates on the test images. Ours are a 20th of the training set, so that nearly as many train, and the records are those of
# the width study; a hundredth of ImageNet's 1.28 million is enough.
DATA = {
    "cifar10": Dataset(preprocessing="normalise"),
    "mnist": Dataset("mnist", preprocessing="normalise"),
    "imagenet": Dataset("imagenet", preprocessing="torchvision", background=False, proportion_training_set=0.99),
}
SIDES = {"cifar10": {"crop_size": 32}, "mnist": {"crop_size": 28, "image_size": 28}, "imagenet": {"image_size": 224}}


def experiments():
    """Every experiment of the study."""
    for number, recipe in enumerate(sorted(recipes(), key=lambda experiment: experiment.recipe), 5000):
        yield replace(recipe, id=number, name=f"ID{number}_{recipe.name}")
    for number, experiment in enumerate(laptop(), 9010):
        yield replace(experiment, id=number, name=f"ID{number}_{experiment.name}")


def recipes():
    """The original's 112 recipes, by family."""
    yield from imagenet()
    yield from edge_popup()
    yield from dense()
    yield from random_graphs()
    yield from sampled()


def experiment(recipe, data, net, scheme="ukn", mask="edge_popup", rate=0.1, batch=128, decay=1e-4, momentum=0.9, schedule="cosine",
               affine=False, optimizer=MOMENTUM, smoothing=0.0, warm_up=0):
    """The experiment of one recipe, its path given."""
    keep = 1.0 if mask == "none" else UNSAID  # a recipe leaves the share to the command line
    return Experiment(
        -1, f"{pathlib.PurePosixPath(recipe).stem}_keep={keep:g}_seed=0", STUDY, STUDY, recipe=recipe, dataset=DATA[data],
        dnn=DNN(net, mask=mask, freeze=mask in ("edge_popup", "sampled"), init=SCHEMES[scheme.removeprefix("u")],
                scale_init=not scheme.startswith("u"), normalisation="affine" if affine else "plain"),
        hyper=Hyper(batch_size=batch, learning_rate=float(rate), weight_decay=float(decay), momentum=momentum, optimizer=optimizer,
                    keep=keep, max_num_epochs=100, augmentation=data != "mnist", **SIDES[data]),
        training=replace(TRAINING, schedule=schedule, label_smoothing=smoothing, warm_up=warm_up))


def cifar(recipe, net, *args, **settings):
    """A small-scale recipe: FC learns MNIST, every other net CIFAR-10."""
    return experiment(recipe, "mnist" if net == "FC" else "cifar10", net, *args, **settings)


def with_adam(recipe, net, mask):
    """The small nets' recipe with Adam, whose weight decay the original ignores."""
    rate = {"Conv2": 2e-4, "FC": 1.2e-3}.get(net, 3e-4)
    return cifar(recipe, net, mask=mask, optimizer=TORCH_ADAM, rate=rate, batch=60, decay=0.0, schedule="constant")


def imagenet():
    """ResNets on ImageNet: edge-popup, the dense nets, and one of Zhou et al.'s sampled masks."""
    nets = {"resnet18": "ResNet18_v15", "resnet50": "ResNet50_v15", "resnet101": "ResNet101_v15",
            "wideresnet50": "WideResNet50_2", "wideresnet101": "WideResNet101_2"}
    common = {"batch": 256, "decay": 2**-15, "momentum": 0.875, "smoothing": 0.1, "warm_up": 5}
    for word in ("resnet18", "resnet50", "wideresnet50"):
        yield experiment(f"largescale/baselines/{word}-dense.yaml", "imagenet", nets[word], mask="none", rate=0.256, affine=True, **common)
    schemes = {"resnet18": ("ukn",), "resnet50": ("kn", "sc", "ukn", "usc")}
    for word, net in nets.items():
        for scheme in schemes.get(word, ("ukn", "usc")):
            yield experiment(f"largescale/subnetonly/{word}-{scheme}-unsigned.yaml", "imagenet", net, scheme,
                             rate=0.1 if scheme == "sc" else 0.256, **common)
    yield experiment("largescale/sample/resnet50_ukn_sample.yml", "imagenet", "ResNet50_v15", mask="sampled", rate=400, decay=0, batch=256)


def edge_popup():
    """Edge-popup on the small nets, by initialisation; and discovering neural wirings: weights are trained, the large ones kept."""
    four = ("kn", "sc", "ukn", "usc")
    families = {"conv2": ("Conv2", four), "conv4": ("Conv4", four), "conv6": ("Conv6", four), "conv8": ("Conv8", ("ukn", "usc")),
                "fc": ("FC", four), "conv4wide": ("Conv4Wide", ("kn", "ukn")), "conv6wide": ("Conv6Wide", ("ukn",))}
    for word, (net, schemes) in families.items():
        for scheme in schemes:
            yield cifar(f"smallscale/{word}/{word}_{scheme}_unsigned.yml", net, scheme)
    yield cifar("smallscale/conv4/conv4_ukn_dnw.yml", "Conv4", mask="dnw")
    for scheme in ("uku", "uxn"):
        yield cifar(f"smallscale/conv4initablation/conv4_{scheme}_unsigned.yml", "Conv4", scheme)
    for scheme in four:
        yield cifar(f"smallscale/resnet18/resnet18-{scheme}-unsigned.yaml", "cResNet18", scheme, batch=256, decay=5e-4)


def dense():
    """The nets without a mask, their weights trained."""
    yield cifar("smallscale/resnet18/resnet18-dense.yaml", "cResNet18", mask="none", batch=256, decay=5e-4, affine=True)
    for word, net in {"conv2": "Conv2", "conv4": "Conv4", "conv6": "Conv6", "conv8": "Conv8", "fc": "FC"}.items():
        path = f"smallscale_baselines/dense/{word}/{word}"
        yield with_adam(f"{path}_adam_baseline.yml", net, "none")
        yield cifar(f"{path}_sgd_baseline.yml", net, mask="none", rate=0.1 if net == "FC" else 0.01)
    yield cifar("smallscale_baselines/dense/conv4/conv4_sgd_baseline_vr.yml", "Conv4", mask="none", rate=0.01)
    for word, net in {"conv4": "Conv4Wide", "conv6": "Conv6Wide"}.items():
        yield with_adam(f"smallscale/adamwide/{word}_adamwide_baseline.yml", net, "none")
        yield cifar(f"smallscale/{word}wide/{word}wide_sgd_baseline.yml", net, mask="none", rate=0.01)
        yield cifar(f"smallscale_baselines/densewide/{word}wide_hlrsgd_baseline.yml", net, mask="none")


def random_graphs():
    """Trained weights under a fixed random mask; `hlr` is the high learning rate, `a` Adam. The original lost the layer that these name."""
    for word, net in {"conv2": "Conv2", "conv4": "Conv4", "conv6": "Conv6", "conv8": "Conv8"}.items():
        path = f"smallscale_baselines/rg/{word}/{word}"
        yield with_adam(f"{path}_arg_baseline.yml", net, "random")
        yield cifar(f"{path}_hlrrg_baseline.yml", net, mask="random")
        yield cifar(f"{path}_rg_baseline.yml", net, mask="random", rate=0.01)
    for word, net in {"conv4wide": "Conv4Wide", "conv6wide": "Conv6Wide"}.items():
        yield cifar(f"smallscale_baselines/densewide/{word}_hlrrg_wide.yml", net, mask="random")
        yield cifar(f"smallscale_baselines/densewide/{word}_rg_wide.yml", net, mask="random", rate=0.01)
    yield cifar("smallscale_baselines/rg/resnet18/resnet18_rg_baseline.yml", "cResNet18", mask="random", affine=True)


def sampled():
    """Zhou et al.'s supermasks, sampled at each step, in two rounds. Recipes named `uku` start from signed constants all the same."""
    folder, four = "smallscale_baselines", ("ukn", "usc", "uxn", "uxs")
    first = f"{folder}/sample"
    rates = {"conv2": 200, "conv4": 200, "conv6": 200, "conv8": 800}
    for word, rate in rates.items():
        for scheme in four:
            yield zhou(f"{first}/{word}/{word}sample_{scheme}_unsigned.yml", word.capitalize(), scheme, rate)
    yield zhou(f"{first}/conv4/conv4sample_uku_unsigned.yml", "Conv4", "usc", 50, schedule="constant", decay=1e-4)  # it names no decay
    yield zhou(f"{first}/conv6/conv6sample_uku_unsigned.yml", "Conv6", "usc", 100, schedule="constant")
    for scheme in ("ukn", "usc"):
        yield zhou(f"{first}/resnet18/resnet18_{scheme}_unsigned.yml", "cResNet18", scheme, 400)
    for word, net in {"conv4": "Conv4Wide", "conv6": "Conv6Wide"}.items():
        yield zhou(f"{first}/samplewide/{word}widesample_ukn_unsigned.yml", net, "ukn", 200)
    for word, rate in {"conv2": 100, "conv4": 50, "conv6": 20}.items():
        for scheme in four:
            yield zhou(f"{folder}/samplev2/{word}/{word}sample_{scheme}_unsigned.yml", word.capitalize(), scheme, rate, batch=60)


def zhou(recipe, net, scheme, rate, decay=0.0, **settings):
    """A sampled mask on CIFAR-10: scores are trained at rates of hundreds, and do not decay."""
    return cifar(recipe, net, scheme, "sampled", rate, decay=decay, **settings)


def laptop():
    """Edge-popup in FC on the bundled 8x8 digits, from almost no weights to almost all.

    Scaled weights, for FC has no normalisation; at the recipes' rate of 0.1 they learn nothing where a twentieth of them is kept.
    """
    example = experiment("", "mnist", "FC", "sc", rate=0.03)
    for keep in KEEPS:
        yield replace(
            example, name=f"FC_digits_keep={keep:g}_seed=0", family="laptop",
            dataset=Dataset("digits", preprocessing="normalise", proportion_training_set=0.85),
            hyper=replace(example.hyper, keep=keep, batch_size=64, crop_size=8, image_size=8, max_num_epochs=15))
