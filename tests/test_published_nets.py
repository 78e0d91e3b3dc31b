"""The measures of class filters on the published ResNet-20s, against what the study's own code gives with the same weights and images."""
import io
import json

import numpy as np
import pytest
from PIL import Image

from experiments import REGISTRY
from tests.conftest import shared
from tfprune.filters.class_selectivity import class_selectivity, layer_selectivity
from tfprune.filters.draws import summarise
from tfprune.filters.essential import essentiality_of
from tfprune.filters.gates import filters_per_class, gate_filters, l1_density
from tfprune.filters.members import random_indices
from tfprune.filters.mis import class_information, mis
from tfprune.filters.psi import layer_psi, psi
from tfprune.filters.responses import collected_features
from tfprune.models import build_model
from tfprune.models.heads import head_of
from tfprune.training.torch_checkpoints import TorchCheckpoint

PLAIN, GATED = (7000, "resnet20-12fca82f.npz"), (7004, "best_save_CSG.pth")
MEAN, DEVIATION = np.array([0.491, 0.482, 0.447], "float32"), np.array([0.247, 0.243, 0.261], "float32")


def prepared(images):
    return (images / np.float32(255) - MEAN) / DEVIATION


def published(number, file):
    model = build_model(REGISTRY[number])
    TorchCheckpoint(shared(f"golden/decomposing/{file}"), "-w").load_into(model, REGISTRY[number])
    return model


def published_index(file):
    return json.loads(shared(f"golden/decomposing/resnet20_cifar-10{file}_indices.json").read_text())


@pytest.fixture(scope="module")
def test_set():
    data = np.load(shared("data/cifar10_jpeg.npz"))
    raw, ends = data["test_jpeg"].tobytes(), data["test_offsets"]
    images = [np.asarray(Image.open(io.BytesIO(raw[start:end]))) for start, end in zip(ends[:-1], ends[1:], strict=True)]
    return prepared(np.stack(images)), data["test_labels"]


@pytest.fixture(scope="module")
def nets(test_set):
    """{net: (features, labels, kernel, bias)} of the 10,000 test images; the gates of the second net too."""
    found = {}
    for name, net in (("plain", PLAIN), ("gated", GATED)):
        model = published(*net)
        head = head_of(model)
        found[name] = (*collected_features(model, *test_set, batch_size=500), head.kernel.numpy(), head.bias.numpy())
    return found | {"gates": head.gates.numpy()}


# Accuracies (%): the net's, with noise at the class's own filters, and at all others; mean of 20 draws, and their standard deviation
ESSENTIAL = {
    "k=5": ("plain", lambda gates: published_index(""), 80.70, (29.88, 0.31), (75.99, 0.35)),
    "smallest gates, as published": ("gated", lambda gates: published_index("_csg"), 79.01, (85.64, 0.31), (4.39, 0.31)),
    "largest gates": ("gated", lambda gates: gate_filters(gates, 5), 79.01, (15.82, 0.15), (87.99, 0.31)),
}


@pytest.mark.parametrize("name", ESSENTIAL)
def test_essentiality(nets, name):
    net, index, base, *expected = ESSENTIAL[name]
    table = summarise(essentiality_of(*nets[net], index(nets["gates"])))
    assert 100 * table["mean"][0] == pytest.approx(base, abs=0.021)
    for measured, (mean, deviation) in zip(table.iloc[1:].itertuples(), expected, strict=True):
        assert 100 * measured.mean == pytest.approx(mean, abs=3 * deviation)
        assert 100 * measured.sd < 3 * deviation


def test_own_filters_are_more_essential_than_the_same_number_of_random_ones(nets):
    index = published_index("")
    own, others = (summarise(essentiality_of(*nets["plain"], sets, noises=("shuffle",), draws=3)).set_index("where")["mean"]
                   for sets in (index, random_indices(index, 64, 3)))
    assert own["own"] < others["own"] - 0.1 and own["others"] > others["others"] + 0.2


@pytest.mark.parametrize(("net", "expected"), [("plain", 0.0995), ("gated", 0.1156)])
def test_mutual_information_score(nets, net, expected):
    assert mis(class_information(*nets[net][:2])) == pytest.approx(expected, abs=2e-4)


def test_gates(nets):
    assert l1_density(nets["gates"]) == pytest.approx(0.0989, abs=5e-5)
    assert filters_per_class(nets["gates"]).tolist() == [4, 10, 7, 6, 8, 6, 4, 4, 8, 7]
    largest = gate_filters(nets["gates"], 5)
    assert (largest[0], largest[4], largest[9]) == ([28, 38, 16, 43, 10], [15, 23, 16, 42, 11], [39, 26, 43, 46, 12])
    smallest = gate_filters(nets["gates"], 5, "smallest")
    assert {str(number): own for number, own in smallest.items()} == published_index("_csg")


BLOCKS = [f"stage{stage}_block{block}" if block < 3 else f"stage{stage}" for stage in (1, 2, 3) for block in (1, 2, 3)]
PSI = [0.812, 0.812, 0.750, 0.688, 0.719, 0.691, 0.700, 0.720, 0.708, 0.809]
SELECTIVITY = [0.111, 0.112, 0.085, 0.094, 0.122, 0.118, 0.135, 0.191, 0.222, 0.462]


def test_psi_and_selectivity():
    data = np.load(shared("data/cifar10_lossless_train.npz"))
    images, labels, model = prepared(data["x"][:2000]), data["y"][:2000], published(*PLAIN)
    layers = ["stem", *BLOCKS]
    found = layer_psi(psi(model, images, labels, layers))
    assert found == pytest.approx(dict(zip(layers, PSI, strict=True)), abs=6e-4)
    assert np.mean([*found.values()]) == pytest.approx(0.7409, abs=1e-4)
    found = layer_selectivity(class_selectivity(model, images, labels, layers))
    assert found == pytest.approx(dict(zip(layers, SELECTIVITY, strict=True)), abs=6e-4)


def test_psi_of_the_last_layer():
    data = np.load(shared("data/cifar10_lossless_train.npz"))
    table = psi(published(*PLAIN), prepared(data["x"]), data["y"], ["stage3"])
    assert (64 * table["psi"]).tolist() == [52, 54, 51, 50, 52, 51, 52, 51, 54, 53]
    assert table["examples"].sum() == 8068
