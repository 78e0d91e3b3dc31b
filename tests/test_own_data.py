"""A data set of the user's is one new file and one line, as docs/architecture.md says: in a copy of the repository, with its train.py."""
import shutil

import pytest

from tests.conftest import ROOT, cli
from tfprune.training.metrics import read as read_metrics

MINE = '''
import numpy as np
from data.splits import Arrays


def load(dataset, data_dir):
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    images = rng.integers(100, size=(120, {side}, {side}, 3), dtype=np.uint8)
    images[np.arange(120), :, :, labels] += 100
    return Arrays(images[:90], labels[:90], images[90:], labels[90:], num_classes=3)
'''


@pytest.fixture
def house(tmp_path):
    """A copy of the repository with data/mine.py and its line in DATASETS; runs a script of it: (exit status, stdout, stderr)."""
    for name in ("train.py", "get_redundancy.py", "experiments.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("data", "tfprune"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    table = tmp_path / "tfprune" / "datasets.py"
    table.write_text(table.read_text().replace("DATASETS = {", 'DATASETS = {\n    "mine": Examples(3, 20, 3),'))

    def run(*arguments, side=20):
        (tmp_path / "data" / "mine.py").write_text(MINE.format(side=side))
        return cli(*arguments, root=tmp_path)

    return run, tmp_path


def test_a_new_data_set_is_one_file_and_one_line(house):
    run, path = house
    asked = ["train.py", "--experiment_id=9245", "--dataset=mine", "--epochs=2", "-b", "16", "--set=hyper.learning_rate=0.05"]
    status, out, err = run(*asked)
    assert status == 0, out + err
    marker, = path.glob("results/laptop/*/train.done.json")
    assert "+" in marker.parent.name and read_metrics(marker.parent / "metrics.jsonl")[-1]["val_accuracy"] > .9, "three colours"
    assert len(list((path / "datasets" / "tfrecords").glob("mine-*/meta.json"))) == 1
    assert run(*asked)[1].count("finished before") == 1
    assert "get_redundancy needs get_activations first" in run("get_redundancy.py", *asked[1:])[2]


def test_a_new_data_set_that_is_not_what_it_says(house):
    run, path = house
    asked = ["train.py", "--experiment_id=9245", "--dataset=mine"]
    for arguments, options, says in (
            (asked, {"side": 21}, "training images are uint8, each (21, 21, 3); DATASETS says uint8, (20, 20, 3)"),
            ([*asked, "--normalize-data=True"], {}, "is said no mean and deviation to normalise by"),
            ([*asked[:2], "--set=dataset.name=yours"], {}, "takes one of mine, cifar10, digits, linear, imagenet"),
            ([*asked[:2], "--dataset=yours"], {}, "takes one of mine, cifar10")):
        status, out, err = run(*arguments, **options)
        assert status == 2 and err.count("\n") == 1 and says in err, err
        assert not (path / "results").exists() and not list(path.glob("datasets/tfrecords/*/meta.json"))
