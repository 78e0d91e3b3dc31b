"""Bad input, a kind a row, over all scripts: one line that names what is wrong, exit status 2, no traceback, nothing written."""
import concurrent.futures
import gzip
import hashlib
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass

import numpy as np
import pytest

from tests.conftest import ROOT, cli, ok, script_environment

RUN = ("--set=dataset.limit=200", "--set=hyper.max_num_epochs=1")  # with ID 9002 the run that the fixture `place` has trained and measured
OUT = ("--results_dir={new}",)
DATA = ("--data_dir={new}",)
BOTH, NONE = (*OUT, *DATA), ()


@dataclass(frozen=True)
class Row:
    """A kind of bad input: a script, its arguments (`{name}` are places of the fixture), and words of the line that it must say.

    It must say so before TensorFlow is imported, but where `slow`.
    """

    kind: str
    script: str
    arguments: tuple
    says: str
    slow: bool = False


def row(kind, script, *arguments, says, slow=False, folders=BOTH):
    return Row(kind, script, (*arguments, *folders), says, slow)


def on_the_run(kind, script, *arguments, says, run="{results}", slow=False):
    """A row about the trained run, or a damaged copy of it."""
    folders = (*RUN, f"--results_dir={run}", "--data_dir={data}")
    return row(kind, script, "--experiment_id=9002", *arguments, says=says, slow=slow, folders=folders)


NAMING = [
    row("no experiment", "train.py", says="give one of --experiment_id=ID"),
    row("an ID that there is not", "get_activations.py", "--experiment_id=99999", says="no such experiment as 99999; IDs are 0-3246"),
    row("an ID that is no number", "get_redundancy.py", "--experiment_id=two", says="--experiment_id=two: expected one ID"),
    row("an empty ID", "get_robustness.py", "--experiment_id=", says="--experiment_id=: expected one ID"),
    row("two ways of naming", "prune.py", "3", "--experiment_id=2", says="give only one of"),
    row("several bare IDs", "train.py", "2", "3", says="argument=2 3: expected one ID"),
    row("a range backwards", "train.py", "--experiment_ids=6-2", says="--experiment_ids=6-2: expected IDs and ranges"),
    row("a range beyond the last ID", "shrink.py", "--experiment_ids=9002-99999999999", says="no such experiment as 9007"),
    row("an ID of thousands of digits", "train.py", f"--experiment_id={'9' * 5000}", says="expected IDs and ranges such as 3"),
    row("an expression of megabytes", "export_subnet.py", f"--experiment_ids={'2,' * 9999}2", says="--experiment_ids: 19999 characters"),
    row("bytes that are no UTF-8", "train.py", b"--experiment_id=\xff", says="expected one ID"),
    row("a study that there is not", "train.py", "--list", "--study=x", says="--study=x: no such study; there are decomposing"),
    row("a sweep of a depth without IDs", "train.py", "--vgg-depth=999", says="--vgg-depth=999: no experiments have this depth"),
    row("a run's name that is a path", "prune.py", "--experiment_id=../evil", "--dataset=digits", says="--experiment_id=../evil: expected"),
]
SETTINGS = [
    row("a field that there is not", "train.py", "2", "--set=hyper.foo=1", says="hyper has no field 'foo'; it has batch_size"),
    row("a group that there is not", "get_redundancy.py", "2", "--set=foo.bar=1", says="--set foo.bar=1: expected GROUP.FIELD=VALUE"),
    row("a setting without a value", "get_robustness.py", "2", "--set=measure.amounts=", says="takes a whole number >= 2"),
    row("a value of another type", "train.py", "2", "--set=hyper.batch_size=big", says="takes a whole number >= 1"),
    row("a value out of range", "report.py", "2", "--set=hyper.drop_train=1.5", says="takes a number > 0 and <= 1"),
    row("not a number", "train.py", "2", "--set=hyper.learning_rate=nan", says="hyper.learning_rate takes a number > 0"),
    row("infinity", "train.py", "2", "--set=hyper.learning_rate=1e999", says="hyper.learning_rate takes a number > 0"),
    row("more than 32 bits", "train.py", "2", "--set=hyper.batch_size=4294967296", says="takes a whole number >= 1"),
    row("none of the choices", "prune.py", "9040", "--criterion=best", says="--criterion=best: takes one of magnitude"),
    row("a list with a stranger", "get_robustness.py", "2", "--set=measure.kinds=noise,smell", says="comma-separated, of weight_noise"),
    row("a list with one twice", "shrink.py", "9040", "--formats=keras,keras", says="--formats=keras,keras: measure.formats takes"),
    row("a data set that is a path", "train.py", "2", "--set=dataset.name=../../etc", says="dataset.name takes one of cifar10"),
    row("a layer that is not in the net", "prune.py", "9040", "--exclude=fc9", says="--exclude: no layer fc9 has weights", slow=True),
    row("a criterion for units, of weights", "prune.py", "9040", "--criterion=apoz", slow=True,
        says="--criterion=apoz: ranks units, so that nothing can be pruned by weight; --by=unit is accepted"),
    row("nothing left of any layer", "shrink.py", "9040", "--sparsity=1", says="--sparsity=1: leaves nothing of any layer", slow=True),
    row("a net that there is not", "train.py", "2", "--set=dnn.name=../x", says="the net ../x is not available; there are", slow=True),
    row("a net too small", "train.py", "4012", "--set=hyper.image_size=75", says="too small for Inception_v3", slow=True),
]
FLAGS = [
    row("a flag that there is not", "pkl2csv_redundancy.py", "2", "--no_such_flag", says="Unknown command line flag 'no_such_flag'"),
    row("a flag without its value", "pkl2csv_robustness.py", "2", *OUT, "--seed", says="Missing value for flag --seed", folders=NONE),
    row("another word than true or false", "train.py", "2", "--overwrite=maybe", says="--overwrite=maybe: expected true or false"),
    row("another word than it knows", "train.py", "2", "--fidelity=best", says="--fidelity=best: value should be one of"),
    row("a negative seed", "train.py", "2", "--seed=-1", says="--seed=-1: -1 is not an integer in the range [0, 2147483647]"),
    row("half a seed", "train.py", "2", "--seed=1.5", says="--seed=1.5: expected a whole number"),
    row("a seed beyond 31 bits", "train.py", "2", "--seed=99999999999999999999", says="is not an integer in the range [0, 2147483647]"),
    row("words for a number", "train.py", "2", "--memory_budget_gb=much", says="--memory_budget_gb=much: expected a number"),
    row("flags that contradict each other", "train.py", "2", "--evaluate", "--overwrite", says="--evaluate: trains and writes nothing"),
    row("one file for several experiments", "export_subnet.py", "--experiment_ids=9010-9012", "--out=x", says="--out=x: names one file"),
    row("a format that there is not", "export_subnet.py", "9010", "--format=zip", says="--format=zip: value should be one of"),
    row("no masks to export", "export_subnet.py", "9002", says="--experiment_id=9002: ID9002_Alexnet_digits"),
    row("a share of weights kept that is none", "report.py", "9010", "--keeps=x", says="--keeps=x: hyper.keep takes a number"),
    row("a report of two studies", "report.py", "--experiment_ids=9002,9010", says="a report is of one study"),
    row("a report of another study", "report.py", "9002", "--study=../../x", says="--study=../../x: the runs are reported as those of"),
    row("seeds that are no numbers", "sweep.py", "9002", "--seeds=a", says="--seeds=a: expected whole numbers and ranges"),
    row("seeds of thousands of digits", "select_mlps.py", f"--seeds={'9' * 5000}", says="expected whole numbers from 0", folders=OUT),
    row("stages that there are not", "sweep.py", "9002", "--stages=train,dance", says="--stages=train,dance: expected some of train"),
    row("no job at a time", "sweep.py", "9002", "--jobs=0", says="--jobs=0: expected a whole number from 1"),
    row("a command that there is not", "decompose.py", "eat", "9030", says="argument eat: expected a command: validate, finetune"),
    row("another command's flag", "decompose.py", "psi", "9030", "--out=x", says="--out: is of the command indices, not of psi"),
    row("a GPU without a number", "decompose.py", "psi", "9030", "--gpu=best", says="--gpu=best: expected the number of a GPU"),
    row("settings without their experiment", "pkl2csv_redundancy.py", "--seed=3", says="--set, --seed, --fidelity and --streaming go with"),
    row("an argument to a script of flags", "select_mlps.py", "digits", says="argument digits: not a flag", folders=OUT),
    row("no data of any size", "create_linear_dataset.py", "--dimension=0", says="--dimension=0", folders=DATA),
    row("words for a size", "create_linear_dataset.py", "--num_test=all", says="--num_test=all: expected", folders=DATA),
    row("an argument where none is taken", "experiments.py", "3", says="argument 3: this script takes none", folders=NONE),
    row("other settings than those of data", "data.build", "--set=hyper.batch_size=3", says="only dataset.FIELD=VALUE",
        folders=DATA),
    row("a source that there is not", "data.build", "--dataset=../x", says="--dataset=../x: value should be", folders=DATA),
    row("a folder without a run", "tfprune.provenance", "{bad}", says="no folder of a run (it has no config.json)", folders=NONE),
    row("a share out of range", "examples/prune_any_model.py", "--sparsity=2", "--epochs=0", says="--epochs=0", folders=NONE, slow=True),
    row("no number of filters", "examples/class_filters.py", "--top=five", says="--top: invalid int value", folders=NONE, slow=True),
    row("no training", "examples/supermask_mnist.py", "--epochs=0", says="--epochs=0: expected a whole", folders=NONE, slow=True),
    row("a notebook that there is not", "notebooks/execute.py", "../x", says="argument ../x: no such notebook", folders=NONE),
    row("a question that it does not know", "docker/health.py", "--gpu", says="argument --gpu: only --tensorflow", folders=NONE),
]
FOLDERS = [
    *(row(f"{script} before {needs}", f"{script}.py", "9002", says=f"{script} needs {needs} first; run: python {needs}.py")
      for script, needs in (("get_activations", "train"), ("get_redundancy", "get_activations"), ("get_robustness", "train"),
                            ("pkl2csv_redundancy", "get_redundancy"), ("pkl2csv_robustness", "get_robustness"))),
    row("a report before its tables", "report.py", "9002", says="python pkl2csv", slow=True),
    row("no run at all", "pkl2csv_robustness.py", says="no run there has been through get_robustness.py"),
    row("pickles that are not there", "pkl2csv_redundancy.py", "2", "--run_dir={bad}", says="no redundancy0.pkl there", slow=True),
    row("no folder's name", "train.py", "2", says="--results_dir=: expected a folder", folders=("--results_dir=",)),
    row("a home that the shell left as it is", "train.py", "2", says="--results_dir=~/x: expected", folders=("--results_dir=~/x",)),
    row("a folder in no UTF-8", "data.build", "--dataset=digits", says="expected a folder", folders=(b"--data_dir=\xff",)),
    row("patterns of TensorFlow's in a folder's name", "train.py", "2", says="cannot keep checkpoints in a path with any of * ? [ ]",
        folders=("--results_dir=a*[b]",)),
    row("a file in a folder's place", "select_mlps.py", says="cannot write there (Not a directory)", folders=("--results_dir={file}/x",)),
    row("a place where nothing can be written", "create_linear_dataset.py", "--num_train=9", says="--data_dir=/proc",
        folders=("--data_dir=/proc/x",)),
    row("a file in a folder's place, of a training", "train.py", "9002", *RUN, says="cannot write there (Not a directory)", slow=True,
        folders=("--results_dir={file}/x", "--data_dir={data}")),
    row("no raw data", "data.build", "--dataset=fashion_mnist", says="no fashion_mnist there", folders=DATA),
    row("a checkpoint that is not there", "train.py", "5010", "--pretrained={bad}/none.pth", slow=True, says="none.pth"),
    on_the_run("a run that is a link to nowhere", "train.py", run="{dangling}", says="cannot write there", slow=True),
    on_the_run("a link in the lock's place", "get_redundancy.py", "--overwrite", run="{locked}", says=".lock"),
]
FILES = [
    *(row(kind, "train.py", f"--config={{bad}}/{name}", says=says) for kind, name, says in (
        ("a recipe that is not there", "none.yml", "no such file, nor a registered recipe"),
        ("a recipe that is a folder", "", "is a folder; expected a recipe's file"),
        ("a recipe that runs code", "code.yml", "could not determine a constructor for the tag"),
        ("a recipe that unfolds to gigabytes", "bomb.yml", "a: expected one value"),
        ("a recipe nested ten thousand deep", "deep.yml", "not a text in YAML"),
        ("a recipe with a NUL byte", "nul.yml", "not YAML"), ("a recipe in no UTF-8", "latin.yml", "not a text in YAML"),
        ("a recipe with a strange key", "key.yml", "unknown key ?[31mred; the nearest known one is"),
        ("a recipe of a megabyte", "large.yml", "more than 100000 bytes are no recipe"),
        ("a recipe with a number too long", "long.yml", "seed: its number is too long"))),
    row("weights that run code", "decompose.py", "validate", "9030", "-w", "{bad}/evil.pth", says="evil.pth", slow=True),
    row("weights cut short", "decompose.py", "validate", "9030", "-w", "{bad}/short.th", says="short.th", slow=True),
    row("weights that are pickled objects", "decompose.py", "validate", "9030", "-w", "{bad}/objects.npz", says="objects.npz", slow=True),
    row("class filters nested a million deep", "decompose.py", "validate", "9030", "-i", "{bad}/deep.json", says="deep.json"),
    row("class filters that are none", "decompose.py", "validate", "9030", "-i", "{bad}/text.json", says="text.json"),
    row("raw data cut short", "data.build", "--dataset=cifar10", says="data_batch_1", folders=("--data_dir={raw}",)),
    row("a raw file cut short", "data.build", "--dataset=mnist", says="train-images-idx3-ubyte", folders=("--data_dir={raw}",)),
    row("records cut short", "get_activations.py", "9002", *RUN, says="truncated, 0 of 40 examples", slow=True,
        folders=("--results_dir={unmeasured}", "--data_dir={records}")),
    on_the_run("a pickle that runs code", "pkl2csv_redundancy.py", run="{hostile}", says="refused: it asks for", slow=True),
    on_the_run("a pickle cut short", "pkl2csv_redundancy.py", run="{short}", says="truncated or damaged pickle", slow=True),
    on_the_run("a pickle of something else", "pkl2csv_redundancy.py", run="{other}", says="are not nested as a run's are", slow=True),
    on_the_run("a done marker that is no JSON", "get_activations.py", run="{marker}", says="train.done.json: damaged"),
    on_the_run("a done marker of another kind", "get_activations.py", run="{listed}", says="train.done.json: damaged"),
    row("a run that does not say what it is", "pkl2csv_redundancy.py", says="config.json: missing or damaged",
        folders=("--results_dir={nameless}",)),
    row("a damaged marker, explained", "tfprune.provenance", "--verify", "{marker_run}", says="train.done.json: damaged", folders=NONE),
    on_the_run("a damaged checkpoint", "get_activations.py", run="{checkpoint}", says="checkpoint is damaged", slow=True),
]
OURS = {"tfprune/sweep/tied.py", "docs/pictures/demo.py"}  # started by other scripts alone; and by who draws README's picture anew
SCRIPTS = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py")
                 if not path.relative_to(ROOT).parts[0].startswith((".", "tests")) and "if __name__ ==" in path.read_text()
                 and str(path.relative_to(ROOT)) not in OURS)
UNKNOWN = [row(f"{script}: a flag that there is not", script, "--no_such_flag", says="no_such_flag", folders=NONE, slow=True)
           for script in SCRIPTS if script.startswith("benchmarks/")]
TABLE = [*NAMING, *SETTINGS, *FLAGS, *FOLDERS, *FILES, *UNKNOWN]


class RunsCode:
    """Pickled, it writes a file where it is read by a reader that trusts it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def bad_files(folder):
    """Writes the files that rows name."""
    evil = pickle.dumps(RunsCode(folder / "ran"), protocol=2)
    nested = "\n".join(f"{here}: &{here} [{', '.join(['*' + before] * 9)}]" for before, here in zip("abcdefg", "bcdefgh", strict=True))
    texts = {"code.yml": f"arch: !!python/object/apply:os.system ['touch {folder}/ran']\n", "deep.yml": "a: " + "[" * 10_000,
             "bomb.yml": f"a: &a [x]\n{nested}\narch: *h\n", "nul.yml": "arch: Conv4\0\n", "key.yml": '"\\e[31mred": 1\n',
             "large.yml": "#" * 1_000_000, "long.yml": f"seed: 0x{'f' * 9000}\n", "deep.json": "[" * 1_000_000, "text.json": '"filters"'}
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "latin.yml").write_bytes("arch: Größe\n".encode("latin1"))
    (folder / "short.th").write_bytes(b"PK\x03\x04 and no more")
    np.savez(folder / "objects.npz", weights=np.array([RunsCode(folder / "ran")], object))
    with zipfile.ZipFile(folder / "evil.pth", "w") as archive:
        archive.writestr("archive/data.pkl", evil)


def raw_data(folder):
    """Data sets of which files are cut short."""
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        path = folder / "cifar-10-batches-py" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps({b"data": b"x" * 3072, b"labels": [1]}, protocol=2)[:-20])
    (folder / "mnist").mkdir()
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (folder / "mnist" / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(bytes(5000))[:20])


def damaged(root, results, name, file, content=None):
    """A copy of the results in which a file of the run holds something else; without content, half of what it held."""
    copy = root / name
    shutil.copytree(results, copy)
    path = next(copy.glob(f"laptop/*/{file}"))
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2] if content is None else content)
    return next(copy.glob("laptop/*"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """{name: path} of all that rows name, below one folder, "root": a run, damaged copies of it, bad files."""
    root = tmp_path_factory.mktemp("bad")
    results, data, raw, bad = (root / name for name in ("results", "data", "raw", "files"))
    bad.mkdir()
    bad_files(bad)
    raw_data(raw)
    (root / "file").write_text("")
    (root / "cwd").mkdir()
    ok("sweep.py", "--engine=here", "--experiment_id=9002", "--stages=train,get_activations,get_redundancy", *RUN,
       f"--results_dir={results}", f"--data_dir={data}")
    evil = pickle.dumps(RunsCode(bad / "ran"), protocol=2)
    for name, file, content in (("hostile", "redundancy1.pkl", evil), ("short", "redundancy0.pkl", None),
                                ("nameless", "config.json", b"{}"), ("listed", "train.done.json", b"[]"),
                                ("other", "redundancy0.pkl", pickle.dumps([1], protocol=2)),
                                ("marker", "train.done.json", b"{")):
        damaged(root, results, name, file, content)
    for name, file in (("checkpoint", "checkpoints/best/*.data*"), ("unmeasured", "corr2.pkl")):
        for marker in damaged(root, results, name, file).glob("get_*.done.json"):
            marker.unlink()
    shutil.copytree(data, root / "records")
    next((root / "records").glob("tfrecords/*/test.tfrecords")).write_bytes(b"no record")
    run, = results.glob("laptop/*")
    (root / "dangling" / "laptop").mkdir(parents=True)
    (root / "dangling" / "laptop" / run.name).symlink_to(root / "nowhere")
    shutil.copytree(results, root / "locked")
    lock, = root.glob("locked/laptop/*/.lock")
    lock.unlink()
    lock.symlink_to(root / "file")
    marked, = root.glob("marker/laptop/*")
    return {path.name: path for path in root.iterdir()} | {"root": root, "bad": bad, "dangling": root / "dangling", "marker_run": marked}


def command(row, number, place):
    """The words of a row's command line, with the places' names filled in; `{new}` is a folder that is not there, each row's own."""
    places = place | {"new": place["root"] / f"new{number}"}
    return [text if isinstance(text, bytes) else re.sub(r"{(\w+)}", lambda match: str(places[match[1]]), text) for text in row.arguments]


def run_light(row, words, place):
    """As `cli`, where importing TensorFlow fails, there is no network, and the folder is one of the places."""
    environment = script_environment() | {"TF_USE_LEGACY_KERAS": "0", "https_proxy": "http://127.0.0.1:9", "no_proxy": "",
                                          "PYTHONPATH": str(ROOT)}
    script = [ROOT / row.script] if row.script.endswith(".py") else ["-m", row.script]
    done = subprocess.run([sys.executable, *script, *words], cwd=place["cwd"], env=environment, capture_output=True, timeout=300)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def tree(root):
    """{path: what it is} of everything below a folder."""
    return {str(path.relative_to(root)): os.readlink(path) if path.is_symlink() else
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder" for path in root.rglob("*")}


@pytest.fixture(scope="module")
def answers(place):
    """{kind: (exit status, stdout, stderr)} of all rows, and under None what is written where nothing must be."""
    before = tree(place["root"])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        words = {row.kind: command(row, number, place) for number, row in enumerate(TABLE)}
        light = {row.kind: pool.submit(run_light, row, words[row.kind], place) for row in TABLE if not row.slow}
        found = {row.kind: cli(row.script, *words[row.kind]) for row in TABLE if row.slow}
        found |= {kind: answer.result() for kind, answer in light.items()}
    after = tree(place["root"])
    return found | {None: sorted(path for path in before | after if before.get(path) != after.get(path))}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.kind)
def test_one_line(row, answers):
    status, out, err = answers[row.kind]
    assert status == 2, f"exit {status}\n{out}\n{err}"
    assert err.startswith("error: ") and err.count("\n") == 1 and err[:-1].isprintable(), err
    assert row.says in err and "Traceback" not in out, err


def test_nothing_is_written(answers):
    assert answers[None] == []


def test_every_script_has_its_rows():
    named = {row.script if row.script.endswith(".py") else row.script.replace(".", "/") + ".py" for row in TABLE}
    assert named == set(SCRIPTS)
    kinds = [row.kind for row in TABLE]
    assert len(set(kinds)) == len(kinds) and len(kinds) - len(UNKNOWN) >= 45
