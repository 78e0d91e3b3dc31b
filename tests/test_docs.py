"""README and docs: every link leads somewhere, every command parses, and those that need nothing but this machine are executed, small."""
import json
import pathlib
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

from tests import documented
from tests.conftest import ROOT, cli, ok, script_environment, started

COMMANDS = [command for page in documented.PAGES for command in documented.commands(page)]
PLACEHOLDERS = {"-m tfprune.provenance": {("--verify",), ("RUN",)},  # in sentences, not to be typed
                "docker/health.py": {("--tensorflow",)}}  # has no parser; tests/test_docker.py starts it
LAPTOP = range(9000, 9300)
# In the order in which they can be executed: each needs what is made by those before it.
ORDER = ("experiments.py", "create_linear_dataset.py", "-m data.build", "train.py", "get_activations.py", "get_redundancy.py",
         "get_robustness.py", "pkl2csv_redundancy.py", "pkl2csv_robustness.py", "select_mlps.py", "decompose.py", "prune.py", "shrink.py",
         "export_subnet.py", "sweep.py", "-m tfprune.provenance", "report.py")
# Of each net the least that its commands need: decompose.py wants whole trainings, so there a net of two layers and few images.
SMALL = {range(9030, 9035): ["--set=dnn.name=FC", "--set=dataset.limit=120"],
         LAPTOP: ["--set=dataset.limit=120", "--set=hyper.max_num_epochs=1", "--set=measure.crosses=1", "--set=measure.amounts=3",
                  "--set=measure.kinds=knockout", "--set=measure.sparsities=0,0.9"]}
NARROW = {9004: 9002}  # the same net, a quarter as wide


@pytest.mark.parametrize("page", documented.PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for number, target in documented.links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists() and there.is_relative_to(ROOT), f"line {number}: {target}"
        assert not anchor or anchor in documented.anchors(there), f"line {number}: {target}: {documented.anchors(there)}"


def test_links_of_notebooks():
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
        for target in documented.LINK.findall(text):
            assert "://" in target or (path.parent / target.partition("#")[0]).exists(), f"{path.name}: {target}"


def test_every_page_is_reached_from_the_readme():
    reached, new = set(), {documented.PAGES[0]}
    while new:
        reached |= new
        targets = {(page.parent / target.partition("#")[0]).resolve() for page in new for _, target in documented.links(page)}
        new = (targets & set(documented.PAGES)) - reached
    assert reached == set(documented.PAGES)


def parsed(lines, folder):
    """(a command line, what its script's parser says, nothing where it is right) of each; examples import TensorFlow before they parse."""
    said = []
    for run, chosen in ((started, [line for line in lines if not line[0].startswith("examples/")]),
                        (cli, [line for line in lines if line[0].startswith("examples/")])):
        path = folder / "lines.json"
        path.write_text(json.dumps(chosen))
        status, out, err = run("tests/parsing.py", path)
        assert status == 0, err
        said += zip(chosen, json.loads(out), strict=True)
    return said


def test_every_command_parses(tmp_path):
    lines = sorted({command.words for command in COMMANDS if command.arguments not in PLACEHOLDERS.get(command.script, ())})
    wrong = {" ".join(words): said for words, said in parsed(lines, tmp_path) if said}
    assert len(lines) > 60 and len(executed()) > 40 and wrong == {}


def test_a_wrong_command_does_not_parse(tmp_path):
    lines = [["train.py", "--experiment_id=99999"], ["train.py", "3", "--epoch_count=3"], ["train.py", "3", "--set", "hyper.batch=3"],
             ["examples/class_filters.py", "--tops=3"], ["-m", "tfprune.provenance", "--verified"], ["absent.py"]]
    assert all(said for _, said in parsed(lines, tmp_path))


def test_make_targets_exist():
    named = {target for page in documented.PAGES for target in re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.MULTILINE)}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"install", "demo", "docs", "test"} <= named <= targets


# --- executed --------------------------------------------------------------------------------------------------------------------


def numbers_of(command):
    """The IDs that a command names, of each range the first; [] where it names none, or is of files that are not here."""
    words = [word.partition("=")[2] if word.startswith("--experiment_id") else word for word in command.arguments]
    named = [int(part.partition("-")[0]) for word in words if re.fullmatch(r"\d[\d,-]*", word) for part in word.split(",")]
    return [] if {"-w", "-i"} & set(command.arguments) else list(dict.fromkeys(NARROW.get(number, number) for number in named))


def small(command):
    """A command's words where it needs no network, GPU, container or cluster, for a few nets and images; None of others."""
    script, numbers, arguments = command.script, numbers_of(command), list(command.arguments)
    if script == "sweep.py":
        return [*arguments, "--dry_run"]
    if script in ("experiments.py", "create_linear_dataset.py", "select_mlps.py") or arguments == ["--dataset=digits"]:
        return arguments
    if script == "-m tfprune.provenance" and arguments[-1:] == ["results/laptop/*"]:
        return arguments
    if not numbers or script not in ORDER or not set(numbers) <= {*LAPTOP, 1747} or "--strategy=mirrored" in arguments:
        return None
    named = [word for word in arguments if not word.isdecimal() and not word.startswith("--experiment_id")]
    settings = next((words for ids, words in SMALL.items() if numbers[0] in ids), [])
    return [*named, f"--experiment_ids={','.join(map(str, numbers))}", *settings]


def executed():
    """[(script, words)] of all commands that can be executed, each once, in an order in which they can."""
    found = [(command.script, tuple(words)) for command in COMMANDS if command.arguments not in PLACEHOLDERS.get(command.script, ())
             for words in [small(command)] if words is not None]
    return sorted(dict.fromkeys(found), key=lambda one: ORDER.index(one[0]))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Where all of them leave what the next ones need."""
    return tmp_path_factory.mktemp("documented") / "results"


@pytest.mark.parametrize(("script", "words"), executed(), ids=lambda value: value if isinstance(value, str) else " ".join(value))
def test_commands_do_what_is_said(results, data_dir, script, words):
    folders = {"-m data.build": [f"--data_dir={data_dir}"], "create_linear_dataset.py": [f"--data_dir={data_dir}"], "experiments.py": [],
               "select_mlps.py": [f"--results_dir={results}"], "-m tfprune.provenance": []}
    given = folders.get(script, [f"--results_dir={results}", f"--data_dir={data_dir}"])
    if script == "-m tfprune.provenance":
        words = [*words[:-1], *results.glob("laptop/*")]
    status, out, err = (started if script.startswith("-m ") else cli)(*script.split(), *words, *given)
    assert status == 0, f"{out}\n{err}"
    assert out


@pytest.mark.parametrize("kind", ["html", "png", "pdf"])
def test_reports_of_a_whole_folder(results, data_dir, tmp_path, kind):
    """As the README has them; of the runs that went through all stages, for of others it says that they are left out."""
    words = {command.words for command in COMMANDS if command.script == "report.py" and f"--format={kind}" in command.words}
    assert words
    for csv in results.glob("csv/laptop/*_robustness*.csv"):
        name = csv.name.partition("_robustness")[0]
        shutil.copytree(results / "laptop" / name, tmp_path / "results/laptop" / name)
    shutil.copytree(results / "csv", tmp_path / "results/csv")
    ok("pkl2csv_redundancy.py", f"--results_dir={tmp_path / 'results'}")  # what --streaming measured, too
    out = tmp_path / ("report.html" if kind == "html" else "figures")
    folders = [f"--results_dir={tmp_path / 'results'}", f"--data_dir={data_dir}", f"--out={out}"]
    status, said, err = cli("report.py", f"--format={kind}", *folders)
    assert status == 0, f"{said}\n{err}"
    assert out.is_file() if kind == "html" else list(out.rglob(f"*.{kind}"))


def test_make_docs(tmp_path):
    """As `make docs` does it, in the environment at hand: a warning is an error."""
    pytest.importorskip("sphinx", reason="make docs needs the extra [docs]")
    pytest.importorskip("myst_parser", reason="make docs needs the extra [docs]")
    if not shutil.which("make"):
        pytest.skip("make docs needs make")
    done = subprocess.run(["make", "--old-file=install", "docs", f"BIN={pathlib.Path(sys.executable).parent}", f"SITE={tmp_path / 'site'}"],
                          cwd=ROOT, env=script_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Which parts of a neural network" in (tmp_path / "site/README.html").read_text()
    assert "magnitude_prune" in (tmp_path / "site/docs/api/tfprune.html").read_text()
