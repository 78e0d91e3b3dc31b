"""The figures of pruning, on a run whose files the test writes: frames and animations, curves, the report, and what is refused."""
import io
import json
import os

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from PIL import Image

from experiments import REGISTRY
from tests.conftest import ok, refused
from tfprune.experiment import UserError
from tfprune.overrides import override
from tfprune.report import pruning, pruning_curves, pruning_figures, pruning_frames, pruning_results, shrunk
from tfprune.run import Run

KS = (0.25, 0.0, 1e-05, 0.9)  # in the order asked for
LAYERS = ("fc1", "fc2", "logits")
MEASURED = ["measure.sparsities=" + ",".join(map(str, KS))]
NETS, WAY = ("9040 digits, no penalty", "9041 digits, l1=0.001"), ", sparsities=0.25,0.0,1e-05,0.9"  # as labels say them


def pruned(run, ks=KS, scale=1.0, penalty=0.0):
    """Leaves a finished training and a finished pruning in a run, as train.py and prune.py do."""
    def train(_):
        lines = [{"epoch": epoch, "train_loss": 2 / epoch if epoch else None, "train_accuracy": epoch / 4 if epoch else None,
                  "val_loss": 3 - epoch, "val_accuracy": epoch / 5} for epoch in range(4)]
        (run.path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return [run.path / "metrics.jsonl"], {"best_epoch": 2, "test": {"accuracy": .9}}

    def prune(_):
        rows = [{"by": by, "sparsity": k, "loss": .1 + k, "loss_with_penalty": .1 + k + penalty, "accuracy": scale * (1 - k * power),
                 "removed": k} for by, power in (("weight", .5), ("unit", .9)) for k in ks if by in run.experiment.measure.prune_by]
        paths = [run.file("prune", "pruning.csv"), run.file("prune", "histograms.npz")]
        pd.DataFrame(rows).to_csv(paths[0], index=False)
        arrays = {}
        for by in run.experiment.measure.prune_by:
            for number, name in enumerate(LAYERS):
                arrays[f"{by}|{name}|edges"] = np.linspace(0, 2 + number, 11)
                counts = [[5 if name == "logits" else round(1000 * (1 - k)) // (bin + 1) for bin in range(10)] for k in ks]
                arrays[f"{by}|{name}|counts"] = np.array(counts)
        np.savez(paths[1], sparsities=np.array(ks), layers=np.array(LAYERS), **arrays)
        return paths, {}

    run.execute("train", train)
    run.execute("prune", prune, needs=("train",))
    return run


@pytest.fixture
def run(tmp_path):
    return pruned(Run(override(REGISTRY[9040], MEASURED), tmp_path / "results"))


def durations(path):
    image = Image.open(path)
    found = []
    for number in range(image.n_frames):
        image.seek(number)
        found.append(image.info["duration"])
    return found, image.info["loop"], image.size


def test_files_of_a_run(run):
    tag = run.file("prune", "x.png").stem[1:]
    names = {"loss_accuracy.png", f"pruned_loss_accuracy{tag}.png", f"pruned_weights{tag}.gif", f"pruned_units{tag}.gif"}
    names |= {f"pruned_{what}_k={k}{tag}.png" for what in ("weights_l1", "units_l2") for k in ("0.0", "1e-05", "0.25", "0.9")}
    paths = pruning.run_figures(run)
    assert tag.startswith("+") and {path.name for path in paths} == names == {path.name for path in (run.path / "figures").iterdir()}
    assert {Image.open(path).size for path in paths} == {(1200, 400)}
    before = {path: path.stat().st_mtime_ns for path in paths}
    assert pruning.run_figures(run) == paths and {path: path.stat().st_mtime_ns for path in paths} == before  # newer than the pruning
    os.utime(run.marker("prune"))
    pruning.run_figures(run)
    assert all(path.stat().st_mtime_ns > before[path] for path in paths)


def test_animation_in_the_order_of_numbers_without_stale_frames(run):
    folder, tag = run.path / "figures", run.file("prune", "x.png").stem[1:]
    folder.mkdir()
    Image.new("RGB", (9, 9)).save(folder / f"pruned_weights_l1_k=0.5{tag}.png")  # of an earlier list
    pruning.run_figures(run)
    for by, name in (("weights", "weights_l1"), ("units", "units_l2")):
        assert durations(folder / f"pruned_{by}{tag}.gif") == ([1000] * 4, 0, (1200, 400))
        animation = Image.open(folder / f"pruned_{by}{tag}.gif")
        stills = [np.asarray(Image.open(folder / f"pruned_{name}_k={k}{tag}.png"), int) for k in ("0.0", "1e-05", "0.25", "0.9")]
        for number in range(4):
            animation.seek(number)
            shown = np.asarray(animation.convert("RGB"), int)
            assert np.argmin([np.abs(shown - still).mean() for still in stills]) == number


def histograms(layers, bins=10, ks=(0.0, 0.5, 1.0)):
    counts = np.random.default_rng(0).integers(1, 500, bins)
    return pruning_frames.Histograms("weight", np.array(ks), {
        f"layer{number}": (np.linspace(0, 1, bins + 1), np.array([counts * (k < 1) for k in ks])) for number in range(layers)})


@pytest.mark.parametrize(("layers", "size"), [(1, (1200, 400)), (5, (1200, 400)), (6, (1200, 400)), (22, (1680, 680))])
def test_a_panel_a_layer(layers, size):
    shown = list(pruning_frames.frames(histograms(layers)))
    assert [k for k, _ in shown] == [0, .5, 1] and {image.size for _, image in shown} == {size}


def test_axes_are_the_same_in_all_frames():
    """What is neither bar nor heading has the same pixels at every sparsity; bars do change."""
    first, _, last = [np.asarray(image, int) for _, image in pruning_frames.frames(histograms(3))]
    bars, changed = (first == (0, 114, 178)).all(axis=2), (first != last).any(axis=2)
    changed[:25] = False  # the heading
    grown = np.pad(bars, 2)
    near = np.any([grown[row:row + 400, column:column + 1200] for row in range(5) for column in range(5)], axis=0)
    assert bars.mean() > .2 and changed.mean() > .2 and not (changed & ~near).any()  # and the smoothed edges of bars
    assert not (last == (0, 114, 178)).all(axis=2).any()  # all is pruned: not one bar


def test_headings_say_percent(monkeypatch):
    said, set_text = [], Text.set_text
    monkeypatch.setattr(Text, "set_text", lambda text, words: said.append(words) or set_text(text, words))
    list(pruning_frames.frames(histograms(2, ks=(.07, .995, 1e-05)), ", by apoz"))
    assert [words for words in said if "sparsity" in str(words)][-3:] == [
        f"Weights at {k} % sparsity, by apoz" for k in ("0.001", "7", "99.5")]


def test_which_layers_are_left_whole():
    counts = np.array([[4, 3], [2, 3]])
    shown = pruning_frames.Figure()
    one, other = shown.subplots(1, 2)
    pruning_frames._panel(one, "fc1", np.array([0, 1, 2.]), counts)
    pruning_frames._panel(other, "logits", np.array([0, 0, 0.]), counts[[0, 0]])
    assert (one.get_title(), other.get_title()) == ("fc1", "logits (left whole)")
    assert one.get_xlim() == (-.02, 2) and other.get_xlim() == (0, 1) and one.get_yscale() == "log"


def test_curves_of_a_run(run):
    table = pruning_results.read_table(run)
    losses, accuracies = pruning_figures.against_sparsity(table, 10, "title").axes
    weights, units, guessing = accuracies.lines
    assert weights.get_xdata() == pytest.approx([0, .001, 25, 90]) and weights.get_ydata()[-1] == pytest.approx(55)
    assert units.get_ydata()[-1] == pytest.approx(19) and guessing.get_ydata()[0] == 10
    assert losses.lines[-1].get_ydata()[0] == pytest.approx(np.log(10)) and losses.get_ylabel() == "test loss (there is no penalty)"
    losses, _ = pruning_figures.against_sparsity(table.assign(loss_with_penalty=table.loss + 1), 10).axes
    assert [text.get_text() for text in losses.get_legend().get_texts()][:2] == ["weights", "weights, with the penalty"]
    _, accuracies = pruning_figures.against_sparsity(table.assign(accuracy_before=.2), 1).axes  # a regression, averages found anew
    assert [line.get_label() for line in accuracies.lines] == ["weights", "weights, old averages", "units", "units, old averages"]
    lines = [{"epoch": 0, "val_loss": 99}, {"epoch": 1, "val_loss": 2, "train_loss": 3}, {"epoch": 2, "val_loss": 1, "train_loss": None}]
    losses, accuracies = pruning_figures.loss_accuracy(lines, 2).axes
    assert losses.lines[0].get_ydata() == pytest.approx([3, np.nan], nan_ok=True) and losses.lines[1].get_ydata() == pytest.approx([2, 1])
    assert losses.lines[2].get_xdata()[0] == 2 and losses.get_ylabel() == "loss" and len(accuracies.lines) == 1
    losses, _ = pruning_figures.loss_accuracy([line | {"penalty": .5} for line in lines], 2).axes
    assert losses.get_ylabel() == "loss, with the penalty" and losses.lines[2].get_ydata() == pytest.approx([1.5, .5])


def test_only_what_was_asked(tmp_path):
    run = pruned(Run(override(REGISTRY[9045], [*MEASURED, "measure.prune_by=unit", "measure.criterion=apoz"]), tmp_path))
    names = [path.name for path in pruning.run_figures(run)]
    assert len(names) == 2 + 4 + 1 and not [name for name in names if "weights" in name]
    (run.path / "metrics.jsonl").unlink()
    os.utime(run.marker("prune"))
    with pytest.raises(UserError, match="needs train first"):
        pruning.run_figures(run)


def test_report_of_runs_and_seeds(tmp_path, capsys):
    settings = [(9040, 0, 1.0), (9040, 1, .8), (9041, 0, .5)]
    runs = [pruned(Run(override(REGISTRY[number], MEASURED, seed), tmp_path), scale=scale) for number, seed, scale in settings]
    tag, (plain, penalised) = runs[0].file("prune", "x.png").stem[1:], (f"ID{name}{WAY}" for name in NETS)
    paths = pruning.report(runs, tmp_path / "report")
    assert [path.name for path in paths] == [
        "pruning.csv", "pruning.md", "pruning_accuracy.png", "pruning_loss.png", *(
            f"pruning_histograms_{by}_{run.experiment.name}{tag}.png" for run in runs for by in ("weight", "unit"))]
    table = pd.read_csv(paths[0])
    assert len(table) == 3 * 2 * 4 and list(table.curve.unique()) == [plain, penalised] and set(table.seed) == {0, 1}
    text = paths[1].read_text()
    assert f"| {plain} | weight | 90.00 | 90.00 | 78.75 | 49.50 |" in text and "| run | pruned | 0 % | 0.001 % | 25 % | 90 % |" in text
    assert "49.50" in capsys.readouterr().out
    weights, units = pruning_curves.against_sparsity(pruning.tidy(runs)).axes
    assert weights.get_xlabel() == "weights pruned [%]" and units.get_xlabel() == "units pruned [%]"
    first, second = (bars.lines[0] for bars in weights.containers)
    assert first.get_xdata() == pytest.approx([10, 75, 99.999, 100]) and first.get_ydata()[-1] == pytest.approx(90)
    assert second.get_ydata()[0] == pytest.approx(27.5)
    segments = weights.containers[0].lines[2][0].get_segments()  # deviation of 1.0 and 0.8
    assert segments[-1][1, 1] - segments[-1][0, 1] == pytest.approx(20)


def test_criteria_side_by_side(tmp_path):
    ways = [[*MEASURED, f"measure.criterion={name}"] for name in ("magnitude", "apoz")]
    runs = [pruned(Run(override(REGISTRY[number], way), tmp_path)) for number in (9040, 9041) for way in ways]
    assert list(pruning.tidy(runs).curve.unique()) == [f"ID{name}{WAY}{how}" for name in NETS for how in ("", ", criterion=apoz")]
    assert set(runs[0].path.glob("pruning*.csv")) == {runs[0].file("prune", "pruning.csv"), runs[1].file("prune", "pruning.csv")}


def shrunk_run(run, times=(4e-3, 1e-3)):
    """Leaves what shrink.py does."""
    def shrink(_):
        path = run.file("shrink", "shrink.csv")
        pd.DataFrame([{"net": net, "accuracy": .9 - part / 10, "parameters": 4000 // (part + 1), "multiply_adds": 8000 // (part + 1),
                       "seconds_1": times[part] / 10, "seconds_64": times[part]} for part, net in enumerate(("trained", "cut"))]
                     + [{"net": "tflite", "accuracy": .8}]).to_csv(path, index=False)
        return [path], {}
    run.execute("train", lambda _: ([], {"best_epoch": 1}))
    run.execute("shrink", shrink, needs=("train",))
    return run


def test_sizes_before_and_after(tmp_path):
    runs = [shrunk_run(Run(override(REGISTRY[9040], [], seed), tmp_path), times) for seed, times in ((0, (4e-3, 1e-3)), (1, (6e-3, 1e-3)))]
    both = [*runs, pruned(shrunk_run(Run(override(REGISTRY[9041], MEASURED), tmp_path)))]
    paths = pruning.report(both, tmp_path / "report")
    assert {path.name for path in paths if "histograms" not in path.name} == {
        "pruning.csv", "pruning.md", "pruning_accuracy.png", "pruning_loss.png", "shrink.csv", "shrink.png"}
    table = pd.read_csv(tmp_path / "report" / "shrink.csv")
    assert len(table) == 9 and set(table.share) == {.5} and list(pd.read_csv(paths[0]).experiment_id.unique()) == [9041]
    figure = shrunk.before_and_after(table)
    times = next(axes for axes in figure.axes if axes.get_title() == "Time of 64 images")
    assert [bar.get_width() for bar in times.patches] == pytest.approx([5, 4, 1, 1])  # before of both curves, then after
    assert [text.get_text() for text in times.texts] == ["20 %", "25 %"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["-10.00 points"] * 2
    file = runs[0].file("shrink", "shrink.csv")
    whole = file.read_text()
    for damaged in ("net\n", "", whole.replace("trained", "other"), whole.replace("trained,", "trained,x", 1)):
        file.write_text(damaged)
        with pytest.raises(UserError, match="shrink.csv: damaged"):
            pruning.report(runs, tmp_path / "report")


def test_everything_pruned_has_a_place(tmp_path):
    run = pruned(Run(override(REGISTRY[9040], ["measure.sparsities=0,0.9,1"]), tmp_path), ks=(0, .9, 1))
    axes = pruning_curves.against_sparsity(pruning.tidy([run])).axes[0]
    axes.figure.savefig(io.BytesIO())
    ticks = {text.get_position()[0]: text.get_text() for text in axes.get_xticklabels()}
    assert ticks[100] == "0" and ticks[10] == "90" and ticks[5] == "100" and axes.get_xlim()[1] < 5


def test_what_is_refused(run, tmp_path):
    with pytest.raises(UserError, match=r"needs prune first; run: python prune.py --experiment_id=9041"):
        pruning.report([Run(REGISTRY[9041], tmp_path)], tmp_path / "report")
    assert not (tmp_path / "report").exists()
    columns = "by,sparsity,loss,loss_with_penalty,accuracy"
    for table in (columns, f"{columns}\nweight,x,1,1,1", f"{columns}\nweight,.5,1,1,x", f"{columns}\nother,.5,1,1,1", "\xb0", ""):
        file = run.file("prune", "pruning.csv")
        before = file.read_bytes()
        file.write_bytes(table.encode("latin-1"))
        with pytest.raises(UserError, match="damaged"):
            pruning_results.read_table(run)
        file.write_bytes(before)
    for change in ({"sparsities": np.zeros(9)}, {"layers": np.array([object()])}, {"unit|fc1|counts": np.zeros((2, 3))}):
        file = run.file("prune", "histograms.npz")
        before, arrays = file.read_bytes(), dict(np.load(file))
        np.savez(file, **arrays | change)
        with pytest.raises(UserError, match="damaged"):
            pruning_results.read_histograms(run, "unit")
        with open(file, "wb") as handle:
            np.save(handle, np.zeros(3))
        with pytest.raises(UserError, match="damaged"):
            pruning_results.read_histograms(run, "unit")
        file.write_bytes(before)
    for name in ("histograms.npz", "pruning.csv"):
        run.file("prune", name).write_bytes(b"PK\x03\x04broken")
        with pytest.raises(UserError, match=f"{name.partition('.')[0]}.*damaged"):
            pruning.run_figures(run)


def test_script(run, tmp_path):
    pruned(Run(override(REGISTRY[9040], [*MEASURED, "measure.criterion=apoz"], seed=1), run.results_dir))
    pruned(Run(override(REGISTRY[9002], [*MEASURED]), run.results_dir), scale=.5)
    flags = [f"--results_dir={run.results_dir}", f"--out={tmp_path / 'report'}", f"--set={MEASURED[0]}"]
    ok("report.py", "9040", "--criteria=apoz", "--seeds=1", *flags)
    out = ok("report.py", "--experiment_ids=9002,9040", "--study=network_pruning", *flags)
    assert "27.50" in out and "55.00" in out and "pruning_accuracy.png" in out


@pytest.mark.parametrize(("flag", "message"), [
    ("--seeds=1", "needs prune first"), ("--seeds=0,x", "--seeds=0,x: expected whole numbers"),
    ("--criteria=foo", "--criteria=foo: measure.criterion takes one of magnitude"),
    ("--study=decomposing", "--study=decomposing: the runs are reported as those of network_pruning")])
def test_script_refuses(tmp_path, flag, message):
    assert message in refused("report.py", "9040", flag, f"--results_dir={tmp_path / 'none'}")
