"""Chromium without a window or a network, for tests of pages: what they draw; that they load nothing and complain of nothing."""
import contextlib
import shutil

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# WebGL is computed on the processor; without the rest Chromium looks for a network of its own accord.
FLAGS = ("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


@contextlib.contextmanager
def browser():
    """A Playwright browser; skips the test, naming what is missing, where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install playwright)")
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        pytest.skip("needs a Chromium (apt-get install chromium)")
    with playwright.sync_playwright() as player:
        started = player.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield started
        finally:
            started.close()


def scrolled_to(tab, name):
    """Scrolls to a chart and waits until it is drawn, which charts are when they come near."""
    tab.locator(f"#{name}").scroll_into_view_if_needed()
    tab.locator(f"#{name} .main-svg").first.wait_for(state="attached")


@contextlib.contextmanager
def opened(started, path, width=1280, height=900, scheme="light"):
    """A page opened from the disk, offline; by its end it must have loaded nothing else and have complained of nothing."""
    with contextlib.closing(started.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, offline=True)) as context:
        tab = context.new_page()
        complaints, requests = [], []
        tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(path.resolve().as_uri(), wait_until="load")
        yield tab
        loaded = [url for url in requests if not url.startswith(("data:", "blob:"))]
        assert (complaints, loaded) == ([], [path.resolve().as_uri()])
