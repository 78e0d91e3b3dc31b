"""decompose.py: every command from weights in a file, what it leaves, what it says to mistakes."""
import json
import pickle

import numpy as np
import pandas as pd
import pytest

from experiments import REGISTRY
from tests.conftest import ok, refused, shared
from tests.decomposing_runs import done, source, variant, write_weights
from tfprune.experiment import UserError
from tfprune.filters.bases import plain_experiment
from tfprune.filters.decomposition import decompose_head
from tfprune.filters.index_files import load_index
from tfprune.filters.stages import copy_index
from tfprune.input import pipeline
from tfprune.input import records as splits
from tfprune.overrides import override
from tfprune.recipe_flags import arguments

SETS = {number: [number, number + 10, 63 - number] for number in range(10)}  # three of 64 filters a class


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "resnet20.npz")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


def index_file(path, sets):
    path.write_text(json.dumps(sets))
    return path


def rows(origin, command):
    return pd.DataFrame(json.loads(origin.run.file(command, f"{command}.json").read_text())["rows"])


def test_the_originals_flags():
    line = "d finetune resnet20 -i a.json -w b.th --gpu 0 --lr 2e-4 -b 64 --num-epochs 10 -n 3 -k 5 --frozen --layer x"
    argv = line.split()
    assert arguments(argv, own=("gpu",)) == [
        "d", "finetune", "resnet20", "-i", "a.json", "-w", "b.th", "--gpu", "0", "--set=lr=2e-4", "--set=batch_size=64", "--set=epochs=10",
        "--set=epochs=3", "--set=k=5", "--set=frozen=true", "--set=layer=x"]
    assert "--set=gpu=0" in arguments(argv), "scripts without that flag pass it over"


@pytest.mark.parametrize(("words", "says"), [
    ([], "expected a command: validate, finetune, indices"), (["prune", "7000"], "argument prune: expected a command"),
    (["validate"], "give one of"), (["validate", "resnet19"], "expected one ID"),
    (["validate", "7000", "-k", "five"], "takes a number >= 0"),
    (["validate", "resnet20", "--gpu=first"], "expected the number of a GPU"), (["validate", "7000", "--out=x"], "of the command indices"),
    (["indices", "7001", "--original_format"], "--out FILE"), (["psi", "7000", "-i", "x.json"], "takes no class filters"),
    (["validate", "resnet20", "-i", "absent.json"], "absent.json: No such file"),
    (["validate", "--experiment_ids=7001-7003", "-w", "x.th"], "one file is of one experiment")])
def test_mistakes_that_need_no_tensorflow(tmp_path, words, says):
    assert says in refused("decompose.py", *words, f"--results_dir={tmp_path / 'results'}")
    assert not (tmp_path / "results").exists()


def test_as_a_user_has_it(tmp_path, data_dir, weights):
    """-w and -k of a plain experiment, a GPU that is not there, both formats of the filters, and these back with -i."""
    few = ["--set=dataset.limit=120", f"--results_dir={tmp_path}", f"--data_dir={data_dir}", "-w", weights]
    out = ok("decompose.py", "indices", 9030, "-k", "3", "--gpu=7", *few, f"--out={tmp_path / 'own.json'}")
    assert "ID 9031 indices: done" in out
    own = load_index(tmp_path / "own.json", 10, 64)
    assert own.top == 3 and json.loads((tmp_path / "own.json").read_text())["experiment"] == 9030
    out = ok("decompose.py", "validate", "--experiment_id=9030", "-i", tmp_path / "own.json", *few)
    assert "all filters" in out and "k=3" in out and "-i " in out
    out = ok("decompose.py", "validate", 9031, "-i", tmp_path / "own.json", *few)
    assert "finished before, -w" in out and "all filters" in out


def test_filters_are_found_once_for_all_commands(results, data_dir, weights):
    origin = source(variant(9031), results, weights)
    marker, printed = done("indices", origin, data_dir)
    assert set(marker["files"]) == {"indices.json", "class_filters.json"} and marker["result"]["from"]["-w"]["path"] == str(weights)
    found = rows(origin, "indices")
    assert len(found) == 30 and (found["count"] <= found["images"]).all() and origin.run.experiment.name.startswith("ID9031")
    marker, printed = done("mutual_info", source(variant(9031), results, weights), data_dir)
    assert "indices" not in printed and list(marker["made_from"]) == ["indices.done.json"]
    assert list(rows(origin, "mutual_info")["sets"]) == ["own", "random", "random_sd", "random_expected"]
    assert "finished before" in done("mutual_info", source(variant(9031), results, weights), data_dir)[1]


def test_validate_counts_each_class(results, data_dir, weights, tmp_path):
    origin = source(variant(9031), results, weights, index_file(tmp_path / "i.json", SETS))
    done("validate", origin, data_dir)
    table = rows(origin, "validate")
    experiment = origin.experiment
    split = splits.load(data_folder(origin, data_dir), "test")
    images, labels = next(iter(pipeline.evaluation_batches(split, experiment.dataset, experiment.hyper, len(split))))
    for name, net in (("all filters", origin.dense), ("k=3", decompose_head(origin.dense, SETS))):
        right = (net.predict(images, verbose=0).argmax(1) == labels.numpy())
        own = table[table["net"] == name].set_index("class")
        assert own.loc["all", "correct"] == right.sum() and own.loc["all", "examples"] == len(split)
        assert [own.loc[number, "correct"] for number in range(10)] == [right[labels.numpy() == number].sum() for number in range(10)]
    csv, = (results / "csv" / "decomposing").glob(f"{experiment.name}_validate.csv")
    assert len(pd.read_csv(csv)) == len(table) == 22


def data_folder(origin, data_dir):
    import data

    return data.ensure(origin.experiment.dataset, data_dir)


def test_essential_writes_what_the_original_plots(results, data_dir, weights):
    origin = source(variant(9031, "measure.draws=2", "measure.noise=replace,zero"), results, weights)
    marker, printed = done("essential", origin, data_dir)
    name, = (name for name in marker["files"] if name.startswith("results_essential_features"))
    plotted = json.loads((origin.run.path / name).read_text())
    assert set(plotted["ours"]) == {str(number) for number in range(10)}
    assert all(set(own) == {"noise_at_inf", "noise_at_noninf"} for own in plotted["ours"].values())
    table = rows(origin, "essential")
    assert set(table["filters"]) == {"ours", "random"} and set(table["noise"]) == {"none", "replace", "zero"} and "random" in printed


def test_layers_are_measured_by_name(results, data_dir, weights):
    for command, column in (("psi", "psi"), ("selectivity", "selectivity")):
        origin = source(variant(9030), results, weights)
        done(command, origin, data_dir)
        assert rows(origin, command)[column].between(0, 1).all() and rows(origin, command)["layer"].nunique() > 1
    layer = rows(origin, "selectivity")["layer"][0]
    origin = source(variant(9031, f"measure.layer={layer}"), results, weights)
    marker, _ = done("indices", origin, data_dir)
    assert "class_filters+" in " ".join(marker["files"]) and origin.index.units == 16
    with pytest.raises(UserError, match="--layer=.* validate measures the filters of the class head"):
        done("validate", origin, data_dir)


def test_gates_are_compared(results, data_dir, tmp_path):
    gates = np.random.default_rng(0).uniform(size=[10, 64]).astype(np.float32)
    gated = write_weights(tmp_path / "gated.npz", csg=gates)
    origin = source(variant(9034, "measure.tops=3,100", "measure.draws=2"), results, gated)
    marker, printed = done("csg", origin, data_dir)
    content = json.loads(origin.run.file("csg", "csg.json").read_text())
    assert content["density"] == pytest.approx(gates.mean(), abs=1e-6)
    assert set(rows(origin, "csg")["filters"]) == {"csg", "random"} and set(rows(origin, "csg")["top"]) == {3}, "there is no plain net"
    assert "at_own" in printed and marker["made_from"] == {}


@pytest.mark.parametrize(("sets", "says"), [
    (SETS | {3: [1, 2, 64]}, "class 3: different whole numbers from 0 to 63 are needed, not 64"),
    (SETS | {3: [1, 2, 2]}, "2 comes twice"), ({number: SETS[number] for number in range(9)}, "has 9 classes"),
    (SETS | {10: [1, 2, 3]}, "also 10"), ({number: own[:2] for number, own in SETS.items()}, "classes have 2 filters"),
    (SETS | {3: [1, 2]}, "classes have 2 or 3 filters"), ([1], "holds a list")])
def test_filters_of_another_net(tmp_path, data_dir, weights, sets, says):
    origin = source(variant(9031), tmp_path / "results", weights, index_file(tmp_path / "i.json", sets))
    with pytest.raises(UserError) as error:
        done("validate", origin, data_dir)
    assert says in str(error.value) and str(error.value).startswith("-i=") and "\n" not in str(error.value)
    assert not (tmp_path / "results").exists()


def test_string_keys_in_any_order_are_classes(tmp_path, data_dir, weights):
    """The original sorts them as text."""
    twelve = {str(number): [number] for number in (10, 2, 0, 1, 11, 9, 3, 8, 4, 7, 5, 6)}
    assert dict(load_index(index_file(tmp_path / "i.json", twelve), 12, 64)) == {number: [number] for number in range(12)}
    origin = source(variant(9031), tmp_path / "results", weights, index_file(tmp_path / "j.json", dict(reversed(SETS.items()))))
    done("indices", origin, data_dir)
    assert dict(origin.index) == SETS
    copy_index(origin, tmp_path / "theirs.json", original=True)
    assert json.loads((tmp_path / "theirs.json").read_text()) == {str(number): own for number, own in SETS.items()}


class Code:
    def __reduce__(self):
        return print, ("ran",)


@pytest.mark.parametrize(("name", "says"), [("other.npz", "linear.bias"), ("code.th", "code"), ("none.th", "no such file")])
def test_weights_that_do_not_fit(tmp_path, data_dir, name, says, capsys):
    write_weights(tmp_path / "other.npz", without="linear.bias")
    (tmp_path / "code.th").write_bytes(pickle.dumps({"state_dict": Code()}, protocol=2))
    with pytest.raises(UserError, match=says):
        done("validate", source(variant(9030), tmp_path / "results", tmp_path / name), data_dir)
    assert not (tmp_path / "results").exists() and "ran" not in capsys.readouterr().out


def test_a_net_that_is_not_trained_is_named_with_the_command_that_trains_it(tmp_path, data_dir):
    with pytest.raises(UserError, match="python train.py --experiment_id=9030 --set dataset.limit=120 --seed=1, or"):
        done("essential", source(variant(9032, "hyper.learning_rate=0.5", seed=1), tmp_path / "results"), data_dir)
    with pytest.raises(UserError, match="9030.* has a head that sees all; say how many"):
        done("essential", source(variant(9030), tmp_path / "results"), data_dir)
    with pytest.raises(UserError, match="csg is of nets with class-specific gates"):
        done("csg", source(variant(9030), tmp_path / "results"), data_dir)
    with pytest.raises(UserError, match="dnn.top=5 decomposes the head of a trained net, and none is named"):
        source(variant(9030, "dnn.top=5"), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_more_filters_than_there_are(tmp_path, data_dir, weights):
    with pytest.raises(UserError, match="dnn.top=65 .* a whole number from 1 to 64"):
        done("validate", source(variant(9031, "dnn.top=65"), tmp_path / "results", weights), data_dir)
    assert not (tmp_path / "results").exists()


def test_the_base_has_the_same_data_seed_and_net():
    settings = ["dataset.limit=500", "dnn.neuron_multiplier=0.5", "dnn.top=7", "hyper.learning_rate=0.3"]
    changed = override(REGISTRY[7002], settings, 3, "original")
    base, changes = plain_experiment(changed, REGISTRY)
    assert (base.id, base.seed, base.fidelity, base.dnn.top, base.hyper) == (7000, 3, "original", 0, REGISTRY[7000].hyper)
    assert base.dataset == changed.dataset and changes == ["dnn.neuron_multiplier=0.5", "dataset.limit=500"]
    assert "_k=7_seed=3" in changed.name


def test_resnet20_on_the_lossless_head(tmp_path):
    """The published weights and filters, on the stored features: 932 and 901 of 1,017 images."""
    from tfprune.filters.decomposition import head_weights
    from tfprune.models.heads import head_of

    golden = np.load(shared("golden/decomposing/resnet20.npz"))
    origin = source(override(REGISTRY[7001], []), tmp_path, shared("golden/decomposing/resnet20-12fca82f.npz"),
                    shared("golden/decomposing/resnet20_cifar-10_indices.json"), REGISTRY)
    kernel, bias = head_weights(head_of(decompose_head(origin.dense, origin.given_index)))
    np.testing.assert_allclose(golden["features_imagenet"] @ kernel + bias, golden["logits_dec5_imagenet"], atol=1e-4)
