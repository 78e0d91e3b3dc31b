"""How large the page of 3,000 runs is, how long it takes to be written, and how soon a browser has opened it.

    python benchmarks/page_of_many.py [--runs=3000] [--repeats=5]

The runs are made up: markers, provenance and tables of random numbers, 193 of them VGGs of the feature-amounts study. The browser is
Chromium without a window, which draws on the processor; it is started anew each time. The page counts as open at the load event: then the
table of all runs can be sorted. Charts are drawn when they come near; the first of them brings Plotly to life.
Seen on two idle cores: 9.3 MB, written in 43 s, open in 1.3 s, the first chart 2.0 s after it is scrolled to.
"""
import contextlib
import io
import pathlib
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from experiments import REGISTRY  # noqa: E402
from tests.browser import browser  # noqa: E402
from tests.exported import write_random_tables  # noqa: E402
from tfprune import families, flags  # noqa: E402
from tfprune.report import overall  # noqa: E402
from tfprune.run import Run  # noqa: E402

FAMILY, WIDTHS = 6000, 440  # IDs from which on the runs are taken: VGGs, and nets of the width study
VGGS = 193
OPENED = "performance.getEntriesByType('navigation')[0].loadEventEnd"
DRAWN = """() => new Promise(done => {
  const begun = performance.now(), element = document.getElementById('width-1-accuracy-train');
  element.scrollIntoView();
  const look = () => element.querySelector('.main-svg .trace') ? done(performance.now() - begun) : setTimeout(look, 5);
  look();
})"""


def make_up(results, number):
    """Finished runs that nobody has trained."""
    vggs = min(VGGS, number // 10)
    for identity in (*range(FAMILY, FAMILY + vggs), *range(WIDTHS, WIDTHS + number - vggs)):
        run = Run(REGISTRY[identity], results)
        draw = iter(run.experiment.seed_for(f"made up/{place}") / 2 ** 31 for place in range(3))
        result = {"best_epoch": 7, "stopped": "all 9 epochs done",
                  **{name: {"accuracy": next(draw), "loss": 1.0} for name in ("train", "val", "test")}}
        if identity < FAMILY:
            write_random_tables(run, crosses=1)
        else:
            result["summary"] = summary(run.experiment.dnn)
        with contextlib.redirect_stdout(io.StringIO()):
            run.execute("train", lambda _, result=result: ([], result))


def summary(dnn):
    """What the table of trainings has of a VGG."""
    features = families.spread(dnn.depth, dnn.location, dnn.scale, dnn.shape)
    return {"features": list(features), "parameters": families.parameters(features), "trainable": 10 ** 7, "multiply_adds": 10 ** 9,
            "location": dnn.location, "scale": dnn.scale, "shape": dnn.shape}


def opened(path):
    """(seconds until the page is open, until its first chart is drawn once it is scrolled to)"""
    with browser() as started:
        tab = started.new_page(viewport={"width": 1280, "height": 900})
        tab.goto(path.as_uri(), wait_until="load")
        return tab.evaluate(OPENED) / 1000, tab.evaluate(DRAWN) / 1000


def main():
    parser = flags.Parser(__doc__)
    parser.add_argument("--runs", type=int, default=3000, help="made up (default 3000, at most)")
    parser.add_argument("--repeats", type=int, default=5, help="how often the page is opened (default 5)")
    args = parser.parse_args()
    if not 10 <= args.runs <= 3000 or args.repeats < 1:
        parser.error(f"--runs={args.runs} --repeats={args.repeats}: expected 10 to 3000 runs, and one repeat or more")
    with tempfile.TemporaryDirectory(prefix="page_of_many") as folder:
        results, path = pathlib.Path(folder, "results"), pathlib.Path(folder, "report.html")
        make_up(results, args.runs)
        begun = time.perf_counter()
        overall.write(results, REGISTRY, path)
        print(f"{args.runs} runs: {path.stat().st_size / 1e6:.1f} MB, written in {time.perf_counter() - begun:.0f} s", flush=True)
        opening, drawing = (statistics.median(each) for each in zip(*(opened(path) for _ in range(args.repeats)), strict=True))
        print(f"open in {opening:.1f} s, the first chart drawn {drawing:.1f} s after it is scrolled to (medians of {args.repeats})")


if __name__ == "__main__":
    main()
