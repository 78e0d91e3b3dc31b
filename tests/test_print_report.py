"""The figures of a whole results folder for print: every study's, as PNG or PDF, beside what had to be left out."""
import pytest

from tests.conftest import TINY, cli, ok, refused

PDF = b"%PDF"


@pytest.fixture(scope="module")
def results(tmp_path_factory, data_dir):
    """Runs of three studies: one exported, one with a mask, and one of the width study that was not measured yet."""
    folder = tmp_path_factory.mktemp("print")
    places = [f"--results_dir={folder}", f"--data_dir={data_dir}"]
    ok("train.py", "--experiment_ids=9014,9291", "--set=dataset.limit=300", "--set=hyper.max_num_epochs=1", *places)
    ok("train.py", *TINY, *places)
    return folder


@pytest.mark.parametrize("form", ["png", "pdf"])
def test_every_study_that_has_results(results, tmp_path, form):
    status, out, err = cli("report.py", f"--format={form}", f"--results_dir={results}", f"--out={tmp_path}")
    assert status == 1 and err.count("\n") == 1 and err.startswith("left out: frivolous_units"), (out, err)
    found = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob(f"*.{form}")}
    assert {"hidden_networks/FC_digits/supermask_accuracy." + form, "feature_amounts/VGG7_digits/feature_amounts." + form} <= found.keys()
    assert all(content.startswith(PDF if form == "pdf" else b"\x89PNG") for content in found.values())


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
    (["--format=html", "--keeps=0.1"], "--keeps: the page"), (["--format=html", "--out=page.pdf"], "--out=page.pdf: expected"),
    (["--format=svg"], "format"), (["--format=pdf"], "no trained net in it"), (["--format=html"], "--results_dir=")])
def test_mistakes_are_one_line(tmp_path, flags, says):
    assert says in refused("report.py", *flags, f"--results_dir={tmp_path}")
    assert not list(tmp_path.iterdir())
