"""Files of class filters: both formats, and whatever else a user may pass for one."""
import json

import numpy as np
import pytest

from tests.conftest import shared
from tfprune.experiment import UserError
from tfprune.filters.index_files import load_index, save_index
from tfprune.filters.sets import ClassFilters, checked

SETS = {number: [number + 1, 0 if number else 5, 20] for number in range(12)}


def index(top=3):
    return ClassFilters({number: np.array(own) for number, own in SETS.items()}, np.int64(21), "pool", top)


@pytest.mark.parametrize("original", [False, True])
def test_written_and_read(tmp_path, original):
    save_index(tmp_path / "i.json", index(), original, experiment=7001, weights="ab" * 32)
    read = load_index(tmp_path / "i.json", 12, 21)
    assert read == SETS and list(read) == list(range(12)) and read.units == 21
    assert (read.layer, read.top) == ((None, None) if original else ("pool", 3))
    value = json.loads((tmp_path / "i.json").read_text())
    if original:
        assert value == {str(number): own for number, own in SETS.items()}
    else:
        assert value == {"format": "tfprune class filters", "version": 1, "layer": "pool", "units": 21, "top": 3, "experiment": 7001,
                         "weights": "ab" * 32, "classes": {str(number): own for number, own in SETS.items()}}
    assert [path.name for path in tmp_path.iterdir()] == ["i.json"]


def test_ragged_sets_and_shares(tmp_path):
    ragged = ClassFilters({0: [3], 1: [2, 0], 2: []}, 4, "pool", 0.5)
    save_index(tmp_path / "i.json", ragged)
    read = load_index(tmp_path / "i.json", 3, 4)
    assert read == ragged and read.top == 0.5


def test_keys_in_any_order(tmp_path):
    """As text "10" comes before "2": the original's journal version then gives a class another one's filters."""
    (tmp_path / "i.json").write_text(json.dumps({str(number): SETS[number] for number in range(12)}, sort_keys=True))
    assert (tmp_path / "i.json").read_text().index('"10"') < (tmp_path / "i.json").read_text().index('"2"')
    assert load_index(tmp_path / "i.json", 12, 21) == SETS


@pytest.mark.parametrize(("name", "classes", "units", "top"), [
    ("resnet20_cifar-10_indices", 10, 64, 5), ("resnet20_cifar-10_10_10_indices", 10, 64, 10),
    ("resnet20_cifar-10_20_20_indices", 10, 64, 20), ("resnet20_cifar-10_csg_indices", 10, 64, 5),
    ("resnet50_imagenet_indices", 1000, 2048, 50)])
def test_published_files(name, classes, units, top, tmp_path):
    path = shared(f"golden/decomposing/{name}.json")
    read = load_index(path, classes, units)
    assert len(read) == classes and all(len(set(own)) == len(own) == top for own in read.values())
    save_index(tmp_path / "i.json", read, original=True)
    assert json.loads((tmp_path / "i.json").read_text()) == json.loads(path.read_text())
    if top == 5 and "csg" not in name:
        assert read[0] == [7, 23, 54, 50, 22]


def test_the_published_file_of_imagenet_in_numbers():
    read = load_index(shared("golden/decomposing/resnet50_imagenet_indices.json"), 1000, 2048)
    seen = np.bincount(np.concatenate(list(read.values())), minlength=2048)
    assert (np.count_nonzero(seen), seen.max()) == (1975, 412)


GOOD = {"0": [1, 2], "1": [0, 3]}
OURS = {"format": "tfprune class filters", "version": 1, "layer": "pool", "units": 4, "top": 2, "experiment": None, "weights": None,
        "classes": GOOD}


@pytest.mark.parametrize(("content", "message"), [
    ({"0": [1, 4], "1": [0, 3]}, "class 0: different whole numbers from 0 to 3 are needed, not 4"),
    ({"0": [1, -1], "1": [0, 3]}, "class 0: .* not -1"), ({"0": [1, 10**30], "1": [0, 3]}, "class 0: .* not 10{19}"),
    ({"0": [1, 1], "1": [0, 3]}, "class 0: .*; 1 comes twice"), ({"0": [1, 2.0], "1": [0, 3]}, "not 2.0"),
    ({"0": [1, True], "1": [0, 3]}, "not True"), ({"0": [1, None], "1": [0, 3]}, "not None"), ({"0": ["1"], "1": [0]}, "not 1"),
    ({"0": 5, "1": [0]}, "class 0: .* not '5'"), ({"0": "12", "1": [0]}, "not '12'"), ({"0": {"0": 1}, "1": [0]}, "class 0: "),
    ({"0": [1, 2]}, "has 1 classes and not 1; the model's 2, numbered from 0, are needed"), ({}, "has 0 classes and not 0"),
    (GOOD | {"2": [1]}, "has 3 classes and also 2"), ({"1": [1], "2": [0]}, "has 2 classes and not 0"),
    ({"0": [1], "cat": [0]}, "'cat' is no class"), ({"0": [1], "-1": [0]}, "'-1' is no class"), ({"0": [1], "01": [0]}, "'01' is no class"),
    ({"0": [1], "9" * 5000: [0]}, "'9{20}' is no class"), ([[1, 2], [0, 3]], "holds a list"), (None, "holds a NoneType"),
    ("text", "holds a str"), (OURS | {"units": 8}, "holds filters of 8 features; the net's head has 4"),
    (OURS | {"version": 2}, "version 2; 'tfprune class filters', version 1, is read"),
    (OURS | {"format": "other"}, "its format is 'other'"),
    (OURS | {"classes": [[1]]}, 'has no "classes"'), (OURS | {"classes": {"0": [1]}}, "has 1 classes and not 1")])
def test_wrong_content_is_one_line(content, message, tmp_path):
    refused(tmp_path, json.dumps(content), message)


@pytest.mark.parametrize(("content", "message"), [
    ("", "is not JSON"), ("{", "is not JSON"), (b"\x80\x02}q\x00.", "is not JSON.*pickles are not read"), ("[" * 10**6, "is not JSON"),
    ('{"0": [1, NaN], "1": [0]}', "not nan"), ('{"0": [1], "0": [2], "1": [0]}', "'0' comes twice"),
    ('{"0": [' + "9" * 10_000 + '], "1": [0]}', "is not JSON"), ('{"0": ' + "[" * 500 + "]" * 500 + ', "1": [0]}', "class 0: .* not")])
def test_wrong_files_are_one_line(content, message, tmp_path):
    refused(tmp_path, content, message)


def refused(tmp_path, content, message):
    path = tmp_path / "i.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as error:
        load_index(path, 2, 4)
    assert str(error.value).startswith(f"-i={path}: ") and "\n" not in str(error.value) and len(str(error.value)) < 400


def test_no_file_a_folder_and_a_vast_file(tmp_path):
    with pytest.raises(UserError, match="--indices=.*nothing.json: No such file or directory; an index file is JSON"):
        load_index(tmp_path / "nothing.json", 2, 4, "--indices")
    with pytest.raises(UserError, match="Is a directory"):
        load_index(tmp_path, 2, 4)
    with open(tmp_path / "vast.json", "wb") as vast:
        vast.truncate(2**40)
    with pytest.raises(UserError, match="1099511627776 bytes are too many"):
        load_index(tmp_path / "vast.json", 2, 4)


def test_sets_in_memory():
    assert checked([[1], (0, 2)], 2, 3) == checked({1: np.array([0, 2]), "0": {1}}, 2, 3) == {0: [1], 1: [0, 2]}
    with pytest.raises(UserError, match="index: class 0 comes twice"):
        checked({0: [1], "0": [1]}, 1, 3)
    with pytest.raises(UserError, match="index: a list of filters for each class, not '5'"):
        checked(5, 1, 3)
