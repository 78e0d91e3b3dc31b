"""The figures of a whole results folder for print: every study's, as PNG or PDF, beside what had to be left out."""
import shutil

import pandas as pd
import pytest

from experiments import REGISTRY
from tests.conftest import TINY, cli, ok, refused
from tests.exported import write_random_correlations, write_random_tables
from tests.test_decomposing_report import measured, validated, with_indices
from tests.test_page_filters_pruning import NOISY
from tests.test_pruning_figures import MEASURED, WAY, pruned, shrunk_run
from tfprune.overrides import override
from tfprune.report.found import found
from tfprune.report.sections import pruning
from tfprune.run import Run

PDF = b"%PDF"
NOISY_ROWS = [row | {"filters": name} for name in ("ours", "random") for row in NOISY]


@pytest.fixture(scope="module")
def results(tmp_path_factory, data_dir):
    """Runs of three studies: one exported, one with a mask, and one of the width study that was not measured yet."""
    folder = tmp_path_factory.mktemp("print")
    places = [f"--results_dir={folder}", f"--data_dir={data_dir}"]
    ok("train.py", "--experiment_ids=9014,9291", "--set=dataset.limit=300", "--set=hyper.max_num_epochs=1", *places)
    ok("train.py", *TINY, *places)
    return folder


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """Runs of all studies whose files the test writes: a net of the width study that was pruned and decomposed too, nets of the study of
    pruning in several ways of which the last is not the usual one, supermasks and feature amounts that are trained.
    """
    folder = tmp_path_factory.mktemp("made up")
    runs = {number: Run(REGISTRY[number], folder) for number in (9003, 9004, 9032, 9041)}
    for number in (9003, 9004):
        trained(runs[number])
        write_random_tables(runs[number])
        write_random_correlations(runs[number])
    pruned(runs[9004])
    with_indices(runs[9004])
    with_indices(Run(override(REGISTRY[9004], ["dnn.top=5"]), folder))  # with the weights of another run
    trained(runs[9032])
    with_indices(runs[9032])
    validated(runs[9032], **{"all filters": .975, "k=5": .9})
    measured(runs[9032], "essential", NOISY_ROWS)
    measured(Run(override(REGISTRY[9032], ["measure.noise=matched"]), folder), "essential",
             [row | {"noise": row["noise"].replace("replace", "matched")} for row in NOISY_ROWS])
    pruned(Run(override(REGISTRY[9040], MEASURED), folder))
    for seed in (0, 1):
        pruned(Run(override(REGISTRY[9041], [], seed), folder), runs[9041].experiment.measure.sparsities)
    pruned(Run(override(REGISTRY[9041], ["measure.criterion=apoz", "measure.prune_by=unit"]), folder))
    shrunk_run(Run(override(REGISTRY[9041], ["measure.cut=0.25"]), folder))  # what was done last, with a setting of its own
    return folder


def trained(run):
    run.execute("train", lambda _: ([], {"best_epoch": 1, "test": {"accuracy": .9}}))


@pytest.mark.parametrize("form", ["png", "pdf"])
def test_files_of_a_results_folder(made_up, tmp_path, form):
    out = ok("report.py", f"--format={form}", f"--results_dir={made_up}", f"--out={tmp_path}")
    found = {}
    for path in sorted(tmp_path.rglob("*.*")):
        found.setdefault(path.parent.relative_to(tmp_path).as_posix(), set()).add(path.name.replace(f".{form}", ""))
    tag = Run(override(REGISTRY[9041], ["measure.criterion=apoz", "measure.prune_by=unit"]), made_up).file("prune", "x.y").stem[1:]
    way = Run(override(REGISTRY[9040], MEASURED), made_up).file("prune", "x.y").stem[1:]
    tables, lines = {"pruning.csv", "pruning.md"}, {"pruning_accuracy", "pruning_loss"}
    assert found == {
        "frivolous_units/Alexnet_digits": {
            "width_study.csv", "perturbations.csv", "correlations.csv", "train_accuracy", "test_accuracy", "prunability", "non_prunability",
            "redundancy", "non_redundancy", "perturbation_knockout", "perturbation_noise", "correlations"},
        "decomposing/Alexnet_digits": {
            "decomposing.csv", "class_filters.csv", "filter_overlap.csv", "class_filters", "filter_overlap", "filter_information"},
        "decomposing/ResNet20_digits": {
            "decomposing.csv", "class_filters.csv", "filter_overlap.csv", "essentiality.csv", "class_accuracy.csv", "class_filters",
            "filter_overlap", "filter_information", "essentiality_replace", "essentiality_matched", "class_accuracy"},
        "network_pruning/Alexnet_digits": tables | lines | {
            f"pruning_histograms_{by}_ID9004_Alexnet_digits_nmult=1_seed=0" for by in ("weight", "unit")},
        "network_pruning/FC4_digits": tables | lines | {"shrink.csv", "shrink"} | {
            f"pruning_histograms_{by}_ID{name}" for by in ("weight", "unit") for name in (
                f"9040_digits_l1=0.0_l2=0.0_seed=0{way}", "9041_digits_l1=0.001_l2=0.0_seed=0", "9041_digits_l1=0.001_l2=0.0_seed=1")} | {
            f"pruning_histograms_unit_ID9041_digits_l1=0.001_l2=0.0_seed=0{tag}"}}
    assert set(pd.read_csv(tmp_path / "network_pruning/FC4_digits/pruning.csv").curve) == {
        f"ID9040 digits, no penalty{WAY}", "ID9041 digits, l1=0.001", "ID9041 digits, l1=0.001, prune_by=unit, criterion=apoz"}
    labels = list(dict.fromkeys(pd.read_csv(tmp_path / "decomposing/Alexnet_digits/class_filters.csv").run))
    assert len(labels) == 2 and labels[0] == "ID9004 Alexnet digits nmult=1 all" and labels[1].endswith(" k=5")
    assert set(pd.read_csv(tmp_path / "network_pruning/FC4_digits/shrink.csv").curve) == {"ID9041 digits, l1=0.001, 25 % of units out"}
    assert out.count("wrote\n") == len(found) and all(str(path) in out for path in tmp_path.rglob("*.*"))


def test_the_page_calls_a_net_the_same(made_up):
    runs = [entry.run for entry in found(made_up, REGISTRY).entries]
    (charts,) = [part for part in pruning.section(runs).parts if getattr(part, "name", "") == "pruning-accuracy-weight"]
    names = {trace["name"] for trace in charts.traces}
    assert {f"ID9040 digits, no penalty{WAY}", "ID9041 digits, l1=0.001", "ID9041 digits, l1=0.001, seed=1"} <= names


@pytest.mark.parametrize("form", ["png", "pdf"])
def test_every_study_that_has_results(results, tmp_path, form):
    status, out, err = cli("report.py", f"--format={form}", f"--results_dir={results}", f"--out={tmp_path}")
    assert status == 1 and err.count("\n") == 1 and "left out: trained, and nothing measured" in err and "ID9002" in err, (out, err)
    found = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob(f"*.{form}")}
    assert found.keys() == {f"{name}.{form}" for name in (
        "hidden_networks/FC_digits/supermask_accuracy", "hidden_networks/FC_digits/supermask_density",
        "hidden_networks/FC_digits/supermask_scores", "feature_amounts/VGG7_digits/feature_amounts")}
    assert all(content.startswith(PDF if form == "pdf" else b"\x89PNG") for content in found.values())


def test_what_is_damaged_is_named_and_the_rest_is_there(made_up, tmp_path):
    copy = shutil.copytree(made_up, tmp_path / "copy")
    (copy / "laptop" / "ID9032_ResNet20_digits_k=5_seed=0" / "indices.json").write_text('{"rows": 3}')
    (copy / "laptop" / "ID9004_Alexnet_digits_nmult=1_seed=0" / "histograms.npz").write_bytes(b"PK")
    status, out, err = cli("report.py", "--format=png", f"--results_dir={copy}", f"--out={tmp_path / 'out'}")
    lines = err.splitlines()
    assert status == 1 and len(lines) == 2 and all(line.startswith("left out: ") and "damaged" in line for line in lines), (out, err)
    assert "indices.json" in lines[0] and "histograms.npz" in lines[1]
    assert (tmp_path / "out/network_pruning/FC4_digits/pruning_loss.png").exists()


def test_the_same_figure_is_the_same_bytes(results, tmp_path):
    for name in ("one", "two"):
        cli("report.py", "--format=pdf", f"--results_dir={results}", f"--out={tmp_path / name}")
    path = "hidden_networks/FC_digits/supermask_accuracy.pdf"
    assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_the_page_of_all(results, tmp_path):
    out = ok("report.py", "--format=html", f"--results_dir={results}", f"--out={tmp_path / 'all.html'}")
    page = (tmp_path / "all.html").read_text()
    assert "all.html" in out and all(name in page for name in ("ID9002", "ID9014", "ID9291", "Content-Security-Policy"))


@pytest.mark.parametrize(("flags", "says"), [
    (["--format=html", "--experiment_id=9002"], "--experiment_id: the page of --format=html is of all"),
    (["--format=html", "--seed=1"], "--seed: the page"), (["--format=html", "--by=unit"], "--set: the page"),
    (["--format=html", "--fidelity=original"], "--fidelity: the page"), (["--format=html", "--out="], "--out=.: expected"),
    (["--format=html", "--dry_run"], "no runs in it"), (["--format=html", "--keeps=0.1"], "--keeps: the page"),
    (["--format=html", "--out=page.pdf"], "--out=page.pdf: expected"),
    (["--format=svg"], "format"), ([], "give one of --format=html"),
    (["--format=png", "--seeds=1"], "--seeds: png and pdf, without an experiment, are of all"),
    (["--format=pdf"], "no trained net in it"), (["--format=html"], "--results_dir=")])
def test_mistakes_are_one_line(tmp_path, flags, says):
    assert says in refused("report.py", *flags, f"--results_dir={tmp_path}")
    assert not list(tmp_path.iterdir())
