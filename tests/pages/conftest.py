"""Pages in headless Chromium: the browser, and a small lesson that is made once for all workers."""

import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.files import write_whole
from harness.teaching.lesson import Size, lesson_data, lesson_page
from harness.teaching.trained_bugs import Training

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]

SMALL = Size(("bias-gradient-missing", "slope-missing"), Training(examples=100, held_out=100, line_searches=4))

PATIENCE = 120  # seconds that a worker waits for another one to make the lesson


@pytest.fixture(scope="session")
def browser():
    """Chromium, which asks nobody for anything."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
    )
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.skip(f"there is no Chromium here ({', '.join(CHROMIUM)}): apt-get install chromium")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=found, args=QUIET)
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser):
    """``open_page(file, width, scheme)``: a page, with what it complains of and asks for in ``.troubles``."""
    contexts = []

    def load(file, width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page, troubles = context.new_page(), []
        page.on("console", lambda message: troubles.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on(
            "request", lambda request: request.url.startswith("data:") or troubles.append(f"request: {request.url}")
        )
        page.goto(Path(file).as_uri())
        assert troubles == [f"request: {Path(file).as_uri()}"]
        troubles.clear()
        return SimpleNamespace(page=page, troubles=troubles)

    yield load
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def lesson(tmp_path_factory):
    """The file of a small lesson and its data; the first worker that comes makes it, and the others wait."""
    import json

    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "small-lesson"
    file, numbers = folder / "lesson.html", folder / "data.json"
    try:
        folder.mkdir()
    except FileExistsError:
        started = time.monotonic()
        while not file.exists():
            assert time.monotonic() < started + PATIENCE, "the worker that was to make the lesson has not"
            time.sleep(0.2)
    else:
        data = lesson_data(SMALL, processes=0)
        write_whole(numbers, json.dumps(data).encode())
        write_whole(file, lesson_page(data).encode())  # comes last: that it is there says that all is
    return SimpleNamespace(file=file, data=json.loads(numbers.read_text(encoding="utf-8")))
